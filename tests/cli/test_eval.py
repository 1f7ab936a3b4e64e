"""`chunkkv eval`: every benchmark in its own format, sweeps, fidelity, mistakes."""

import unittest

import eval_data
from command import FULL_MODEL, MODEL, chunkkv
from eval_case import KEYS, PAIRS, Eval, key, lines_of, read, without_times


class Benchmarks(Eval):
    def check(self, name, lines, n_answers):
        self.assertEqual(len(lines), n_answers * PAIRS)
        self.assertEqual(len(without_times(lines)), len(lines))
        for line in lines:
            self.assertLessEqual(KEYS, set(line))
            self.assertEqual(line["benchmark"], name)
            self.assertTrue(0 <= line["score"] <= 1, line["score"])
            share = {"full": 1.0}.get(line["method"], float(line["keep"].rstrip("%")) / 100)
            self.assertLessEqual(line["kept_tokens"], line["prompt_tokens"] * share)
            self.assertEqual(line["bytes"]["before"] * line["kept_tokens"], line["bytes"]["after"] * line["prompt_tokens"])

    def test_longbench(self):
        eval_data.longbench(self.folder)
        lines = self.eval("longbench", "--limit", 1)
        self.check("longbench", lines, 2)
        self.assertEqual({line["task"] for line in lines}, {"hotpotqa", "trec"})
        self.assertEqual({line["group"] for line in lines}, {"multi-document QA", "few-shot"})
        self.assertTrue(all(line["generated_tokens"] <= 8 for line in lines))
        self.assertEqual(lines[0]["id"], "hotpotqa-0")

    def test_own_prompts_are_told(self):
        eval_data.longbench(self.folder)
        data = self.folder / "data"
        data.mkdir()
        for name in ("hotpotqa.jsonl", "trec.jsonl"):
            (self.folder / name).rename(data / name)
        for place, is_told in ((self.folder / "dataset2prompt.json", False), (self.folder / "elsewhere.json", True)):
            (self.folder / "dataset2prompt.json").rename(place)
            for name in ("longbench", "fidelity"):
                result = chunkkv(*self.command(name, "--data", data, "--limit", 1, "--dry-run"))
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual("prompts of our own: hotpotqa, trec" in result.stderr, is_told, result.stderr)

    def test_niah(self):
        eval_data.books(self.folder)
        lines = self.eval("niah", "--tasks", "single", "--lengths", 300, "--depths", "0,1", "-n", 4)
        self.check("niah", lines, 2)
        self.assertEqual({line["depth"] for line in lines}, {0, 1})
        self.assertEqual({line["length"] for line in lines}, {300})
        for line in lines:
            self.assertAlmostEqual(line["reached_depth"], line["depth"], delta=0.15)

    def test_gsm8k(self):
        eval_data.gsm8k(self.folder)
        self.check("gsm8k", self.eval("gsm8k", "--limit", 1, "-n", 4), 1)

    def test_long_answers_are_held_to_the_budget(self):
        eval_data.gsm8k(self.folder)
        result = chunkkv(
            "eval", "gsm8k", "--data", self.folder, "-m", MODEL, "-t", 1, "--progress", "off", "--shots", 0,
            "--limit", 1, "-n", 60, "--ignore-eos", "--methods", "full,rkv", "--keep", "32,2000", "--buffer", 16,
        )  # fmt: skip
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = lines_of(result.stdout)
        compressions = {(line["method"], line["keep"]): line.get("compressions", 0) for line in lines}
        self.assertEqual(compressions.pop(("full", "100%")), 0)
        self.assertEqual({keep: n for (_, keep), n in compressions.items()}, {"32": 3, "2000": 0})
        self.assertIn("buffer=16", lines[0]["settings"])

    def test_prompts_read_in_one_type_and_kept_in_another(self):
        eval_data.longbench(self.folder)
        plain = self.eval("longbench", "--limit", 1)
        types = ("-ctk", "q8_0", "-ctv", "q8_0", "--cache-type-prefill", "f16")
        quantised = self.eval("longbench", "--limit", 1, *types)
        for before, after in zip(plain, quantised, strict=True):
            self.assertEqual(before["kept_tokens"], after["kept_tokens"])
            self.assertEqual(after["bytes"]["after"] * 64, before["bytes"]["after"] * 34)
        result = chunkkv(*self.command("fidelity", "--prompts", "longbench", "--limit", 1, *types))
        self.assertEqual(result.returncode, 0, result.stderr)
        full = [line for line in lines_of(result.stdout) if line["method"] == "full"]
        self.assertTrue(all(0 < line["kl"] < 0.1 for line in full), full)

    def test_gsm8k_manyshot(self):
        eval_data.gsm8k(self.folder)
        self.check("gsm8k-manyshot", self.eval("gsm8k-manyshot", "--shots", 3, "--limit", 1, "-n", 4), 1)

    def test_jailbreakv(self):
        eval_data.jailbreakv(self.folder)
        lines = self.eval("jailbreakv", "--tasks", "persuade,logic", "-n", 4)
        self.check("jailbreakv", lines, 2)

    def test_multiturn(self):
        eval_data.books(self.folder)
        lines = self.eval("multiturn", "--tasks", "key-value", "--questions", 2, "--limit", 1, "--max-length", 400, "-n", 4)
        self.check("multiturn", lines, 2)
        self.assertEqual({line["question"] for line in lines}, {0, 1})

    def test_multiturn_has_lengths_and_repeats(self):
        eval_data.books(self.folder)
        pairs = ("--tasks", "key-value", "--questions", 1, "--lengths", "300,400", "-n", 2)
        n = len(self.eval("multiturn", *pairs))
        self.assertGreaterEqual(n, 2)
        self.assertEqual(len(self.eval("multiturn", *pairs, "--repeats", 2)), 2 * n)

    def test_are_listed(self):
        result = chunkkv("eval", "list")
        self.assertEqual(result.returncode, 0)
        for name in ("longbench", "longbench-e", "niah", "gsm8k", "gsm8k-manyshot", "jailbreakv", "multiturn"):
            self.assertIn(name + "\n", result.stdout)


class Sweeps(Eval):
    def setUp(self):
        super().setUp()
        eval_data.longbench(self.folder)

    def test_give_what_every_pair_gives_alone(self):
        for query in ("aware", "agnostic"):
            common = ("--tasks", "hotpotqa", "--limit", 1, "--query", query)
            together = self.eval("longbench", *common)
            alone = []
            for method in ("full", "snapkv:window=8", "chunkkv:window=8"):
                for keep in ("100%",) if method == "full" else ("50%", "20%"):
                    alone += self.eval("longbench", *common, "--methods", method, "--keep", keep)
            self.assertEqual(without_times(together), without_times(alone))

    def test_pairs_that_answer_together_keep_what_they_keep_alone(self):
        def kept(lines):
            return {key(line): (line["prompt_tokens"], line["kept_tokens"], line["bytes"]) for line in lines}

        self.model = FULL_MODEL  # those who answer together round otherwise
        alone = self.eval("longbench", "--limit", 1)
        for parallel in (2, 9):
            together = self.eval("longbench", "--limit", 1, "--parallel", parallel)
            self.assertEqual(kept(together), kept(alone))
            # The first token follows from the reading, which is the same; later ones from batches.
            first = {key(line): line["answer"][:1] for line in alone}
            self.assertEqual({key(line): line["answer"][:1] for line in together}, first)

    def test_keeping_all_answers_like_the_full_cache(self):
        lines = self.eval("longbench", "--tasks", "hotpotqa", "--methods", "full,snapkv", "--keep", "100%")
        answers = {(line["method"], line["id"]): line["answer"] for line in lines}
        for i in range(3):
            self.assertEqual(answers["full", f"hotpotqa-{i}"], answers["snapkv", f"hotpotqa-{i}"])

    def test_read_in_pieces_where_asked(self):
        lines = self.eval("longbench", "--tasks", "hotpotqa", "--limit", 1, "--cells", 200, "--keep", 40, "-ub", 64)
        self.assertEqual({(line["method"], line["cells"]) for line in lines},
                         {("full", 0), ("snapkv:window=8", 200), ("chunkkv:window=8", 200)})  # fmt: skip
        self.assertTrue(all(line["kept_tokens"] <= 40 for line in lines if line["cells"]))

    def test_show_means_by_task_method_and_budget(self):
        result = chunkkv(*self.command("longbench", "-o", self.out))
        self.assertEqual(result.stdout, "")
        rows = [line.split() for line in result.stderr.splitlines()]
        self.assertEqual(rows[0], ["task", "method", "n", "100%", "50%", "20%"])
        means = {}
        for line in read(self.out):
            means.setdefault((line["task"], line["method"], line["keep"]), []).append(line["score"])
        for row in rows[1:]:
            for keep, value in zip(("100%", "50%", "20%"), row[3:]):
                if row[0] == "mean" or value == "-":
                    continue
                scores = means[row[0], row[1], keep]
                self.assertEqual(value, f"{100 * sum(scores) / len(scores):.1f}")
        self.assertEqual(len(rows), 1 + 3 * 3)

    def test_no_prompt_is_too_short_for_a_window(self):
        result = chunkkv(*self.command("longbench", "--limit", 1, "--keep", "50%,2"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("snapkv:window=8 at 2: the window shrinks to half of the budget for 2 samples, as to 1 "
                      "instead of 8", result.stderr)
        lines = lines_of(result.stdout)
        self.assertEqual({line["keep"] for line in lines}, {"100%", "50%", "2"})
        for line in lines:
            shrunk = line["keep"] == "2" and line["method"] != "full"
            self.assertEqual(line.get("window"), 1 if shrunk else None)
            if line["keep"] == "2":
                self.assertLessEqual(line["kept_tokens"], 2)


class Fidelity(Eval):
    def setUp(self):
        super().setUp()
        eval_data.gsm8k(self.folder)

    def test_measures_every_pair_and_goes_on_where_it_stopped(self):
        command = ("--prompts", "gsm8k", "--limit", 1, "-n", 6)
        lines = self.eval("fidelity", *command)
        self.assertEqual(len(lines), PAIRS)
        for line in lines:
            self.assertEqual(line["benchmark"], "fidelity")
            self.assertEqual(len(line["similarity"]), len(line["kv_l1_layers"]))
            for name in ("top1", "kv_l1", "attention_cosine", "attention_mass", "adjacent_similarity"):
                self.assertGreaterEqual(line[name], 0, name)
                self.assertLessEqual(line[name], 1 + 1e-6, name)
        by_keep = {(line["method"], line["keep"]): line for line in lines}
        full = by_keep["full", "100%"]
        self.assertLess(full["kl"], 1e-3)
        self.assertEqual((full["top1"], full["kv_l1"]), (1, 0))
        for method in ("snapkv:window=8", "chunkkv:window=8"):
            half, fifth = by_keep[method, "50%"], by_keep[method, "20%"]
            self.assertLess(half["kv_l1"], fifth["kv_l1"])
            self.assertGreater(half["attention_mass"], fifth["attention_mass"])
            self.assertGreater(half["attention_cosine"], fifth["attention_cosine"])

        whole = chunkkv(*self.command("fidelity", *command, "-o", self.out))
        self.assertEqual(whole.returncode, 0, whole.stderr)
        kept = self.out.read_text(encoding="utf-8").splitlines(keepends=True)
        self.out.write_text("".join(kept[:2]), encoding="utf-8")
        again = chunkkv(*self.command("fidelity", *command, "-o", self.out))
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(sorted(key(line) for line in read(self.out)), sorted(key(line) for line in lines))
        self.check_report("fidelity")


class Mistakes(Eval):
    def setUp(self):
        super().setUp()
        eval_data.longbench(self.folder)

    def test_broken_records_are_named_and_skipped_only_when_asked(self):
        path = self.folder / "trec.jsonl"
        path.write_text(path.read_text() + "{\n")
        error = self.fails(1, *self.command("longbench", "-o", self.out))
        for part in ("trec.jsonl", "line 4", "--skip-broken"):
            self.assertIn(part, error)
        self.assertEqual(self.out.read_bytes(), b"")
        result = chunkkv(*self.command("longbench", "--tasks", "trec", "--skip-broken"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("line 4", result.stderr)
        self.assertEqual(len(lines_of(result.stdout)), 3 * PAIRS)

    def test_arguments_are_explained(self):
        for wrong, part in (
            (("eval",), "eval list"),
            (("eval", "nothing", "-m", MODEL), "longbench"),
            (self.command("longbench", "--tasks", "nothing"), "hotpotqa"),
            (self.command("longbench", "--shard", "3/2"), "I/N"),
            (self.command("longbench", "--keep", "0%"), "0%"),
            (self.command("longbench", "--methods", "nothing"), "snapkv"),
            (self.command("longbench", "--query", "never"), "agnostic"),
            (self.command("longbench", "--seed", -1), "--seed"),
            (self.command("longbench", "-fa", "off"), "-fa on"),
            (self.command("longbench", "--data", self.folder / "none"), "none"),
            (self.command("longbench", "-c", 256, "--max-length", 4000), "--max-length"),
            (self.command("longbench", "--parallel", 0), "--parallel"),
            (self.command("longbench", "--parallel", 4, "--buffer", 8), "--parallel"),
            (self.command("fidelity", "--prompts", "longbench", "--parallel", 4), "--parallel"),
        ):
            self.assertIn(part, self.fails(2, *wrong))

    def test_a_file_of_something_else_is_left_alone(self):
        notes = self.folder / "notes.txt"
        notes.write_text("my notes")
        self.assertIn("notes.txt", self.fails(2, *self.command("longbench", "-o", notes)))
        self.assertIn("notes.txt", self.fails(1, "eval", "merge", notes, "-o", self.out))
        self.assertEqual(notes.read_text(), "my notes")
        self.assertFalse(self.out.exists())


if __name__ == "__main__":
    unittest.main()
