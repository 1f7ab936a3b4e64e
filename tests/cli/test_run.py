"""`chunkkv run`: what it prints, and that the answer is the one that was asked for."""

import pathlib
import tempfile
import unittest

from command import FULL_MODEL, N_LAYERS, QUESTION, TEXT, inspect, inspect_json, parsed, run, run_json

SHORT = ("-p", TEXT, "-q", QUESTION, "-n", 24)
METHOD = ("--method", "snapkv:window=8", "--keep", "40%", "--keep-at-least", 0)


def without_times(result):
    """Everything that must be the same when a run is repeated."""
    return {key: value for key, value in result.items() if key != "ms"}


class Json(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.result = run_json(*SHORT, *METHOD)

    def test_has_the_promised_keys_and_types(self):
        expected = {
            "prompt_tokens": int,
            "kept_tokens": int,
            "cells": int,
            "cache_bytes": dict,
            "cache_parts": dict,
            "ms": dict,
            "answer": str,
            "method": str,
            "model": str,
        }
        for key, kind in expected.items():
            self.assertIsInstance(self.result[key], kind, key)
        self.assertEqual(set(self.result["cache_bytes"]), {"before", "after", "allocated", "compressible", "fixed", "all"})
        self.assertEqual(self.result["cache_parts"]["compressed_layers"], list(range(N_LAYERS)))
        self.assertEqual(self.result["cache_bytes"]["fixed"], 0)
        self.assertEqual(
            set(self.result["ms"]), {"prefill", "observe", "select", "move", "first_token", "per_token"}
        )

    def test_counts_agree_with_each_other(self):
        prompt, kept = self.result["prompt_tokens"], self.result["kept_tokens"]
        self.assertEqual(kept, int(prompt * 0.4))
        self.assertGreaterEqual(self.result["cells"], prompt + 24)
        size = self.result["cache_bytes"]
        self.assertEqual(size["before"] * kept, size["after"] * prompt)

    def test_times_agree_with_each_other(self):
        ms = self.result["ms"]
        self.assertGreater(ms["observe"], 0)
        self.assertGreater(ms["move"], 0)
        self.assertGreater(ms["per_token"], 0)
        self.assertLess(ms["observe"] + ms["select"], ms["prefill"])
        self.assertLess(ms["prefill"], ms["first_token"])

    def test_is_the_same_again(self):
        self.assertEqual(without_times(run_json(*SHORT, *METHOD)), without_times(self.result))

    def test_names_the_method_canonically(self):
        result = run_json(*SHORT, "--method", "snapkv:window=8,pool=avg,kernel=5", "--keep", "0.4", "--keep-at-least", 0)
        self.assertEqual(without_times(result), without_times(self.result))
        self.assertEqual((result["method"], result["keep"]), ("snapkv:window=8", "40%"))

    def test_a_single_token_has_no_time_per_token(self):
        result = run_json("-p", TEXT, "-n", 1, *METHOD)
        self.assertEqual((result["generated_tokens"], result["stop"]), (1, "limit"))
        self.assertIsNone(result["ms"]["per_token"])


class ShortPrompts(unittest.TestCase):
    def test_are_kept_whole_and_that_is_said_in_one_line(self):
        result = run("-p", "What is 2+2?", "-n", 4, "--json")
        kept = parsed(result)
        self.assertEqual(kept["kept_tokens"], kept["prompt_tokens"])
        self.assertEqual(kept["answer"], run_json("-p", "What is 2+2?", "-n", 4, "--method", "full")["answer"])
        told = [line for line in result.stderr.splitlines() if "--keep-at-least" in line]
        self.assertEqual(len(told), 1, result.stderr)
        self.assertIn(f"all {kept['prompt_tokens']} tokens are kept", told[0])

    def test_a_floor_of_ones_own(self):
        kept = run_json("-p", TEXT, "-n", 1, "--method", "knorm", "--keep", "10%", "--keep-at-least", 50)
        self.assertEqual(kept["kept_tokens"], 50)
        self.assertEqual(run_json("-p", TEXT, "-n", 1, "--method", "knorm", "--keep", "7")["kept_tokens"], 7)

    def test_a_window_shrinks_to_half_of_a_small_budget_and_that_is_said(self):
        for method in ("snapkv", "rkv:window=32", "chunkkv:rule=exact"):
            result = run("-p", TEXT, "-n", 1, "--method", method, "--keep", 41, "--json")
            kept = parsed(result)
            self.assertEqual((kept["kept_tokens"], kept["window"]), (41, 20), method)
            self.assertIn("smaller than twice the window of 32: the window shrinks to 20", result.stderr)
        self.assertNotIn("window", run_json("-p", TEXT, "-n", 1, "--method", "snapkv", "--keep", 64))
        same = [inspect_json("-p", TEXT, "--method", m, "--keep", 41)["layers"] for m in ("snapkv", "snapkv:window=20")]
        self.assertEqual(*same)

    def test_nothing_to_read_is_no_prompt(self):
        with tempfile.NamedTemporaryFile() as empty:
            for blank in ("", " \n\t\n"):
                pathlib.Path(empty.name).write_text(blank)
                for command in (run, inspect):
                    result = command("-f", empty.name, "-q", QUESTION)
                    self.assertEqual(result.returncode, 2, result.stderr)
                    self.assertIn(f"'{empty.name}' holds no text", result.stderr)
                    self.assertEqual(command("-p", blank, "-q", QUESTION).returncode, 2)


class After(unittest.TestCase):
    """The first tokens of the answer observe before the cache is compressed."""

    METHOD = ("--method", "hybrid:window=8,recent=8,after=6", "--keep", "40%", "--keep-at-least", 0)

    def test_an_answer_is_compressed_after_its_first_tokens(self):
        full = run_json(*SHORT, "--method", "full")
        result = run_json(*SHORT, *self.METHOD)
        self.assertEqual((result["after"], result["compressions"]), (6, 1))
        self.assertEqual(result["kept_tokens"], int(result["prompt_tokens"] * 0.4))
        first = run_json(*SHORT[:-1], 6, "--method", "full")
        self.assertTrue(result["answer"].startswith(first["answer"]) and full["answer"].startswith(first["answer"]))

    def test_a_short_answer_is_not_compressed_and_that_is_said(self):
        result = run_json(*SHORT[:-1], 5, *self.METHOD)
        self.assertEqual((result["after"], result["compressions"]), (6, 0))
        self.assertEqual(result["kept_tokens"], result["prompt_tokens"])
        for n in (0, 5, 6):
            self.assertIn("not: short answer", said := run(*SHORT[:-1], n, *self.METHOD).stderr)
            self.assertIn(f"nothing is compressed: {self.METHOD[1]} observes 6 tokens of the answer first, and -n allows {n};", said)
        self.assertNotIn("nothing is compressed", run(*SHORT[:-1], 7, *self.METHOD).stderr)

    def test_compressions_while_reading_are_said_after_a_short_answer(self):
        pieces = (*SHORT[:-1], 5, *self.METHOD, "-ub", 32, "--cells", "auto")
        n = run_json(*pieces)["compressions"]
        self.assertGreater(n, 0)
        self.assertIn(f"{n} times, not after", run(*pieces).stderr)

    def test_other_types_and_comparison_change_nothing_of_it(self):
        result = run_json(*SHORT, *self.METHOD)
        both = run_json(*SHORT, *self.METHOD, "--compare")
        del both["full"]
        self.assertEqual(without_times(both), without_times(result))
        converted = run_json(*SHORT, *self.METHOD, "--cache-type-prefill", "f16", "-ctk", "q8_0", "-ctv", "q8_0")
        self.assertEqual((converted["compressions"], converted["kept_tokens"]), (1, result["kept_tokens"]))
        self.assertEqual(converted["answer"][:8], result["answer"][:8])


class Answers(unittest.TestCase):
    def test_keeping_all_answers_like_the_full_cache(self):
        full = run_json(*SHORT, "--method", "full")
        for method in ("snapkv", "chunkkv:rule=exact", "knorm"):
            kept = run_json(*SHORT, "--method", method, "--keep", "100%")
            self.assertEqual(kept["kept_tokens"], kept["prompt_tokens"])
            self.assertEqual(kept["answer"], full["answer"], method)

    def test_all_is_kept_without_flash_attention(self):
        result = run_json(*SHORT, "--method", "full", "-fa", "off")
        self.assertEqual((result["compressions"], result["kept_tokens"]), (0, result["prompt_tokens"]))

    def test_compare_gives_the_answers_of_separate_runs(self):
        both = run_json(*SHORT, *METHOD, "--compare")
        full = run_json(*SHORT, "--method", "full")
        compressed = run_json(*SHORT, *METHOD)
        self.assertEqual(without_times(both["full"]), without_times(full))
        del both["full"]
        self.assertEqual(without_times(both), without_times(compressed))

    def test_compare_counts_observation_only_where_it_was_needed(self):
        both = run_json(*SHORT, *METHOD, "--compare")
        self.assertEqual(both["full"]["ms"]["observe"], 0)
        self.assertEqual(both["full"]["ms"]["move"], 0)
        self.assertAlmostEqual(
            both["full"]["ms"]["prefill"] + both["ms"]["observe"] + both["ms"]["select"],
            both["ms"]["prefill"],
            places=2,
        )

    def test_sampling_follows_the_seed(self):
        def answer(seed):
            return run_json(*SHORT, *METHOD, "--temp", "1.5", "--top-k", 0, "--min-p", 0, "--seed", seed)["answer"]

        self.assertEqual(answer(5), answer(5))
        self.assertNotEqual(answer(5), answer(6))

    def test_compare_samples_both_from_the_same_seed(self):
        both = run_json(*SHORT, "--method", "snapkv", "--keep", "100%", "--compare", "--temp", "1.5", "--seed", 3)
        self.assertEqual(both["answer"], both["full"]["answer"])

    def test_goes_to_the_limit_without_end_tokens(self):
        result = run_json("-p", "Say yes.", "--method", "full", "-n", 80, "--ignore-eos")
        self.assertEqual((result["generated_tokens"], result["stop"]), (80, "limit"))

    def test_stops_when_the_cache_is_full(self):
        prompt = run_json("-p", "Say yes.", "--method", "full", "-n", 1)["prompt_tokens"]
        result = run_json("-p", "Say yes.", "--method", "full", "-c", 256, "-n", 400, "--ignore-eos")
        # The last token is not read any more: it needs no cell.
        self.assertEqual((result["stop"], result["generated_tokens"]), ("context", 256 - prompt + 1))


class Text(unittest.TestCase):
    def test_answer_and_figures_go_to_different_streams(self):
        result = run(*SHORT, *METHOD)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, run_json(*SHORT, *METHOD)["answer"] + "\n")
        for word in ("prompt", "kept", "prefill", "observe", "select", "move", "first token", "MiB"):
            self.assertIn(word, result.stderr)

    def test_compare_shows_both_answers(self):
        both = run_json(*SHORT, *METHOD, "--compare")
        result = run(*SHORT, *METHOD, "--compare")
        self.assertEqual(
            result.stdout,
            f"== full cache ==\n{both['full']['answer']}\n\n== snapkv:window=8, 40% kept ==\n{both['answer']}\n\n",
        )

    def test_is_silent_about_the_engine_unless_asked(self):
        quiet = run("-p", TEXT, "-n", 1, "--method", "full", "--progress", "off")
        self.assertNotIn("llama", quiet.stderr)
        verbose = run("-p", TEXT, "-n", 1, "--method", "full", "--progress", "off", "-v")
        self.assertIn("llama_model_loader", verbose.stderr)

    def test_tells_progress_in_lines(self):
        result = run("-p", TEXT, "-n", 1, *METHOD, "-ub", 32, "--progress", "lines")
        lines = [line for line in result.stderr.splitlines() if line.startswith("reading the prompt")]
        self.assertGreater(len(lines), 3)
        self.assertIn("(100 %)", lines[-1])


class Prompt(unittest.TestCase):
    def test_comes_from_standard_input_a_file_or_the_command_line(self):
        expected = without_times(run_json("-p", TEXT, "-n", 8, *METHOD))
        self.assertEqual(without_times(run_json("-n", 8, *METHOD, stdin=TEXT)), expected)
        self.assertEqual(without_times(run_json("-f", "-", "-n", 8, *METHOD, stdin=TEXT)), expected)

    def test_ends_with_the_question(self):
        joined = run_json("-p", f"{TEXT}\n\n{QUESTION}", "-n", 8, *METHOD)
        self.assertEqual(without_times(run_json("-p", TEXT, "-q", QUESTION, "-n", 8, *METHOD)), without_times(joined))

    def test_may_be_the_question_alone(self):
        asked = run_json("-q", "Say yes.", "-n", 4, "--method", "full")
        self.assertEqual(without_times(asked), without_times(run_json("-p", "Say yes.", "-n", 4, "--method", "full")))

    def test_is_plain_without_the_chat_template(self):
        with_template = run_json("-p", TEXT, "-n", 1, "--method", "full")
        without = run_json("-p", TEXT, "-n", 1, "--method", "full", "--no-chat-template")
        self.assertLess(without["prompt_tokens"], with_template["prompt_tokens"])

    def test_takes_a_system_message(self):
        plain = run_json("-p", TEXT, "-n", 1, "--method", "full", "--system", "Be brief.", model=FULL_MODEL)
        longer = run_json("-p", TEXT, "-n", 1, "--method", "full", "-sys", "Be brief and polite.", model=FULL_MODEL)
        self.assertEqual(longer["prompt_tokens"] - plain["prompt_tokens"], 2)


class Options(unittest.TestCase):
    def test_the_smallest_micro_batch_reads_as_well(self):
        one = run_json("-p", "Say yes.", "-n", 4, "--method", "full", "-ub", 1)
        many = run_json("-p", "Say yes.", "-n", 4, "--method", "full")
        self.assertEqual(one["prompt_tokens"], many["prompt_tokens"])
        self.assertEqual(one["generated_tokens"], many["generated_tokens"])

    def test_the_last_of_two_counts(self):
        result = run_json("-p", TEXT, "-n", 1, *METHOD, "--keep", 50, "--seed", 1, "--seed", 2)
        self.assertEqual(result["kept_tokens"], 50)

    def test_short_option_names_are_those_of_llama_cpp(self):
        half = run_json(*SHORT, *METHOD, "-ctk", "f16", "-ctv", "f16", "-ngl", 0, "-fa", "on", "-t", 1)
        full = run_json(*SHORT, *METHOD, "--cache-type-k", "f32", "--cache-type-v", "f32")
        self.assertEqual(full["cache_bytes"]["before"], 2 * half["cache_bytes"]["before"])
        self.assertEqual(full["cache_bytes"]["after"], 2 * half["cache_bytes"]["after"])


if __name__ == "__main__":
    unittest.main()
