"""The demo keeps its promise: the question is answered rightly from the full cache and from a tenth of it."""

import unittest

from command import FULL_MODEL, demo_text, run_json

QUESTION = "Where does the key to the signal box hang?"


class Demo(unittest.TestCase):
    def test_a_tenth_of_the_cache_answers_rightly(self):
        both = run_json("-f", demo_text(), "-q", QUESTION, "--method", "chunkkv", "--keep", "10%", "--keep-at-least", 0, "--compare", "-n", 32, model=FULL_MODEL)
        self.assertGreater(both["prompt_tokens"], 2000)
        self.assertLessEqual(both["kept_tokens"], both["prompt_tokens"] / 10)
        self.assertLess(both["cache_bytes"]["after"], both["cache_bytes"]["before"] / 10)
        for answer in both["full"]["answer"], both["answer"]:
            self.assertIn("behind the clock in the village bakery", answer)


if __name__ == "__main__":
    unittest.main()
