"""`chunkkv perf`: the comparison of caches, and the table of speed with models without weights."""

import json
import os
import pathlib
import tempfile
import unittest

from command import MODEL, N_LAYERS, TEXT, chunkkv, parsed


class Caches(unittest.TestCase):
    def test_compares_full_kept_and_plain(self):
        arguments = ("perf", "-m", MODEL, "-p", TEXT, "-n", 3, "-r", 1, "-t", 1, "--progress", "off")
        result = parsed(chunkkv(*arguments, "--methods", "snapkv:window=8", "--keep", "40%", "--json"))
        (method,) = result["methods"]
        self.assertEqual((method["method"], method["keep"]), ("snapkv:window=8", "40%"))
        self.assertEqual(method["kept_tokens"], int(result["prompt_tokens"] * 0.4))
        for name in ("prefill_ms", "observe_ms", "move_ms", "kept_over_plain", "full_over_kept"):
            self.assertEqual(set(method[name]), {"min", "median", "max"})
        self.assertIn("kept / plain", chunkkv(*arguments, "--methods", "snapkv:window=8", "--keep", "40%").stdout)

    def test_tells_how_weights_lie_and_what_multiplies_them(self):
        arguments = ("perf", "-m", MODEL, "-p", TEXT, "-n", 2, "-r", 1, "-t", 1, "--progress", "off",
                     "--methods", "streamingllm", "--keep", "40%")  # fmt: skip
        uses = parsed(chunkkv(*arguments, "--json"))["weights"]
        # Layers with four matrices of attention and three more, and the output.
        self.assertEqual(sum(use["matrices"] for use in uses), N_LAYERS * 7 + 1)
        self.assertEqual(len({(use["type"], use["layout"], use["product"]) for use in uses}), len(uses))
        for use in uses:
            self.assertIn(use["layout"], ("plain", "interleaved", "AMX", "other"))
            self.assertGreater(use["bytes"], 0)
        engines = parsed(chunkkv(*arguments, "--no-fast-prefill", "--json"))["weights"]
        self.assertEqual({use["product"] for use in engines}, {"llama.cpp"})
        told = chunkkv(*arguments, "--verbose")
        for use in uses:
            line = f"weights: {use['matrices']} of {use['type']}, "
            self.assertIn(line, told.stdout)
            self.assertIn(line, told.stderr)


class Speed(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def perf(self, *arguments):
        return chunkkv(
            "perf", "-t", 1, "--progress", "off", *arguments, env={**os.environ, "CHUNKKV_CACHE": str(self.folder)}
        )

    def tiny(self, *arguments):
        return self.perf("--synthetic", "tiny", "--methods", "chunkkv:window=8,knorm", "--keep", "50%,20%",
                         "--inputs", "128,256", "--outputs", "4,6", *arguments)  # fmt: skip

    def test_measures_every_length_method_and_budget(self):
        result = parsed(self.tiny("-r", 2, "--json"))
        cases = {(c["input"], c["output"], c["method"], c["keep"]): c for c in result["cases"]}
        pairs = [("full", "100%")] + [(m, k) for m in ("chunkkv:window=8", "knorm") for k in ("50%", "20%")]
        self.assertEqual(set(cases), {(i, o, *pair) for i in (128, 256) for o in (4, 6) for pair in pairs})
        for (size, output, method, keep), case in cases.items():
            self.assertEqual(case["repetitions"], 2)
            if method == "knorm":
                self.assertEqual(case["kept_tokens"], int(size * float(keep.rstrip("%")) / 100))
            self.assertEqual(case["cache_bytes"]["before"] * case["kept_tokens"], case["cache_bytes"]["after"] * size)
            for name in ("latency_ms", "first_token_ms", "per_token_ms", "throughput", "peak_bytes"):
                spread = case[name]
                self.assertTrue(0 < spread["min"] <= spread["median"] <= spread["max"], name)
            self.assertGreater(case["latency_ms"]["min"], case["first_token_ms"]["min"])

    def test_lines_resume(self):
        out = self.folder / "speed.jsonl"
        self.assertEqual(self.tiny("-r", 1, "-o", out).returncode, 0)
        before = out.read_bytes()
        self.assertEqual(len(before.splitlines()), 20)
        out.write_bytes(before[:-40])
        result = self.tiny("-r", 1, "-o", out)
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        self.assertEqual(out.read_bytes().splitlines()[:19], before.splitlines()[:19])
        self.assertEqual(len(lines), 20)
        for line in lines:
            self.assertEqual(line["benchmark"], "perf")
            self.assertEqual(set(line["ms"]), {"prefill", "observe", "select", "move", "first_token", "per_token", "total"})
            self.assertEqual(set(line["bytes"]), {"before", "after", "peak"})
            self.assertLessEqual(
                {"method", "keep", "input", "output", "repetition", "throughput", "model", "model_hash", "version", "machine"},
                set(line),
            )
        report = chunkkv("report", out, "--markdown")
        self.assertEqual(report.returncode, 0, report.stderr)
        self.assertIn("throughput", report.stdout.lower())
        result = parsed(self.tiny("-r", 2, "-o", out, "--json"))
        self.assertEqual(len(out.read_text().splitlines()), 40)
        self.assertEqual({case["repetitions"] for case in result["cases"]}, {2})

    def test_another_placing_is_measured_anew(self):
        out = self.folder / "speed.jsonl"
        shape = ("-m", MODEL, "-p", TEXT, "--inputs", 64, "--outputs", 2, "-r", 1, "--methods", "knorm", "-o", out)
        for placing, n_lines in (((), 2), (("--device", "none"), 4), ((), 4)):
            self.assertEqual(self.perf(*shape, *placing).returncode, 0)
            self.assertEqual(len(out.read_text().splitlines()), n_lines)
        self.assertEqual([json.loads(line).get("settings") for line in out.read_text().splitlines()],
                         [None, None, "dev=none", "dev=none"])  # fmt: skip

    def test_reads_a_text_where_one_is_given(self):
        result = parsed(self.perf("-m", MODEL, "-p", TEXT, "--inputs", 300, "--outputs", 2, "-r", 1, "--methods",
                                  "knorm", "--json"))  # fmt: skip
        self.assertEqual([case["kept_tokens"] for case in result["cases"]], [300, 30])

    def test_a_synthetic_model_is_written_once_and_is_always_the_same(self):
        first, second = self.folder / "first.gguf", self.folder / "second.gguf"
        shape = ("--synthetic", "tiny:layers=1,vocab=300", "--synthetic-type", "f16", "--inputs", 32, "--outputs", 2,
                 "-r", 1, "--methods", "knorm", "--keep", "50%")  # fmt: skip
        for path in (first, second):
            self.assertEqual(self.perf(*shape, "-m", path).returncode, 0)
        self.assertEqual(first.read_bytes(), second.read_bytes())
        written = first.stat().st_mtime_ns
        self.assertEqual(self.perf(*shape, "-m", first).returncode, 0)
        self.assertEqual(first.stat().st_mtime_ns, written)
        result = self.perf("--synthetic", "tiny", "-m", first, "--inputs", 32, "--outputs", 2, "--methods", "knorm")
        self.assertEqual(result.returncode, 2)
        self.assertIn("first.gguf", result.stderr)
        self.assertEqual(sorted(self.folder.iterdir()), [first, second])

    def test_mixtures_of_experts_have_shapes_as_well(self):
        result = parsed(self.perf("--synthetic", "tiny-mixture", "--synthetic-type", "q8_0", "--inputs", 128,
                                  "--outputs", 2, "-r", 1, "--methods", "knorm", "--keep", "50%", "--json"))  # fmt: skip
        self.assertEqual([case["kept_tokens"] for case in result["cases"]], [128, 64])

    def test_mistakes_are_explained(self):
        for arguments, part in (
            (("--synthetic", "nothing"), "llama-3.1-8b"),
            (("--synthetic", "tiny:layers=0"), "layers=N"),
            (("--synthetic", "tiny:width=2"), "layers=N"),
            (("--synthetic", "tiny", "--synthetic-type", "f12"), "q4_0"),
            (("--inputs", "64", "--methods", "knorm"), "-m FILE"),
            (("--inputs", "x"), "--inputs"),
        ):
            result = self.perf(*arguments)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(part, result.stderr)


if __name__ == "__main__":
    unittest.main()
