"""`chunkkv run` with prompts longer than the cache and answers that must not outgrow it."""

import unittest

from command import FULL_MODEL, QUESTION, TEXT, run, run_json

LONG = ("-p", TEXT * 8, "-q", QUESTION, "-t", 1)  # some 1,000 tokens
CHUNKKV = ("--method", "chunkkv:window=16", "--keep", 200)


class LongPrompts(unittest.TestCase):
    def test_a_prompt_is_read_into_fewer_cells_than_it_has_tokens(self):
        result = run_json(*LONG, *CHUNKKV, "--cells", 512, "-ub", 128, "-n", 8)
        self.assertGreater(result["prompt_tokens"], 900)
        self.assertEqual(result["cells"], 512)
        self.assertLessEqual(result["kept_tokens"], 200)
        self.assertGreater(result["kept_tokens"], 180)
        self.assertGreaterEqual(result["compressions"], 3)
        # No more was ever held than the cells have.
        row = result["cache_bytes"]["after"] / result["kept_tokens"]
        self.assertLessEqual(result["cache_bytes"]["before"], 512 * row)

    def test_one_piece_is_one_shot_compression(self):
        once = run_json(*LONG, *CHUNKKV, "-n", 12)
        pieces = run_json(*LONG, *CHUNKKV, "-n", 12, "--cells", once["cells"])
        for key in ("answer", "kept_tokens", "prompt_tokens", "compressions", "cache_bytes"):
            self.assertEqual(once[key], pieces[key], key)

    def test_every_observer_and_the_automatic_size(self):
        for observer in ("question", "window", "both"):
            result = run_json(
                *LONG, *CHUNKKV, "--cells", "auto", "-ub", 128, "--observer", observer, "-n", 4
            )
            self.assertLessEqual(result["cells"], 512)
            self.assertLessEqual(result["kept_tokens"], 200)

    def test_progress_tells_of_cells_and_compressions(self):
        result = run(
            *LONG, *CHUNKKV, "--cells", 512, "-ub", 128, "-n", 2, "--progress", "lines"
        )
        self.assertRegex(result.stderr, r"\d+ of \d+ tokens .* \d+ cells, \d+ compressions")

    def test_a_system_prompt_is_kept(self):
        result = run_json(*LONG, "-sys", "You answer in verse. " * 20, *CHUNKKV, "--cells", 512, "-ub", 128, "-n", 2)
        self.assertGreater(result["compressions"], 1)
        tight = run(*LONG, "-sys", "You answer in verse. " * 80, *CHUNKKV, "--cells", 1024, "-ub", 128, "--keep", 300, "-n", 2)
        self.assertEqual(tight.returncode, 2, tight.stderr)


class LongAnswers(unittest.TestCase):
    def test_generation_stays_in_its_budget_and_buffer(self):
        result = run_json(
            "-p", TEXT, "--method", "rkv", "--keep", 60, "--buffer", 20, "-n", 150, "--ignore-eos", "-t", 1
        )
        self.assertEqual(result["generated_tokens"], 150)
        self.assertGreaterEqual(result["compressions"], 1 + (150 - 20) // 20)

    def test_cells_alone_hold_an_answer_of_any_length(self):
        result = run_json(
            "-p", TEXT, "--method", "streamingllm", "--keep", 100, "--cells", 256, "-ub", 64,
            "-n", 400, "--ignore-eos", "-t", 1,
        )  # fmt: skip
        self.assertEqual((result["generated_tokens"], result["cells"]), (400, 256))
        self.assertEqual(result["stop"], "limit")

    def test_cache_positions(self):
        result = run_json(
            *LONG, "--method", "streamingllm", "--keep", 100, "--cells", 256, "-ub", 64,
            "--positions", "cache", "-n", 200, "--ignore-eos",
        )  # fmt: skip
        self.assertEqual(result["generated_tokens"], 200)


class OtherTypes(unittest.TestCase):
    def test_an_f16_prompt_is_kept_in_q8_0(self):
        result = run_json(
            *LONG, *CHUNKKV, "-ctk", "q8_0", "-ctv", "q8_0", "--cache-type-prefill", "f16", "-n", 12, model=FULL_MODEL
        )
        f16 = run_json(*LONG, *CHUNKKV, "-n", 12, model=FULL_MODEL)
        size = result["cache_bytes"]["after"] / f16["cache_bytes"]["after"]
        self.assertAlmostEqual(size, 34 / 64, places=3)  # 34 bytes for 32 values
        self.assertEqual(result["kept_tokens"], f16["kept_tokens"])
        self.assertEqual(result["answer"][:10], f16["answer"][:10])


class Refusals(unittest.TestCase):
    def refused(self, *arguments):
        result = run("-p", TEXT * 8, *arguments)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(result.stdout, "")
        return result.stderr

    def test_say_what_to_do(self):
        for arguments, parts in (
            (("--cells", 300, "--keep", 200), ("300 cells", "budget of 200", "at least")),
            (("--cells", "many"), ("--cells", "'many'")),
            (("--cells", 512, "-c", 512), ("--cells and -c",)),
            (("--cells", 512, "--compare"), ("--compare",)),
            (("--cells", 512, "--method", "full"), ("full",)),
            (("--cells", 512, "-ub", 64, "--keep", 100, "--method", "pyramidkv"), ("pyramidkv",)),
            (("--cells", 512, "--observer", "me", "-q", "Who?"), ("--observer", "'me'")),
            (("--positions", "odd"), ("--positions", "'odd'")),
            (("--cache-type-prefill", "f17"), ("f17",)),
            (("--cache-type-prefill", "f16", "--positions", "cache"), ("true positions",)),
            (("--keep", 100, "--buffer", 1500, "-c", 1536, "-n", 2000), ("buffer of 1500", "1536 cells")),
        ):
            with self.subTest(arguments):
                message = self.refused(*arguments)
                for part in parts:
                    self.assertIn(part, message)


if __name__ == "__main__":
    unittest.main()
