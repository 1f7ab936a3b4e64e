"""Options that change nothing are refused by name; llama.cpp's habits are understood or refused by name."""

import os
import pathlib
import tempfile
import unittest

from command import MODEL, QUESTION, TEXT, chunkkv, inspect, parsed, run, run_json

USAGE = 2



class Options(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.text = cls.folder / "text.txt"
        cls.text.write_text(TEXT)

    def refused(self, result, *words):
        self.assertEqual(result.returncode, USAGE, result.stderr)
        self.assertEqual(result.stdout, "")
        for word in words:
            self.assertIn(word, result.stderr)


class WithoutEffect(Options):
    def test_run(self):
        for arguments, name in (
            (("--observer", "window"), "--observer"),
            (("--observer", "question"), "--observer"),
            (("--cells", 512, "--observer", "question"), "-q"),
            (("--method", "full", "--buffer", 8), "--buffer"),
            (("--keep", 100, "--keep-at-least", 50), "--keep-at-least"),
            (("--top-k", 5), "--top-k"),
            (("--top-p", 0.5), "--top-p"),
            (("--min-p", 0.1), "--min-p"),
        ):
            self.refused(run("-p", TEXT, *arguments), name)
        self.refused(run("-f", self.text, "-e"), "-e")

    def test_run_with_a_saved_cache(self):
        path = self.folder / "saved.kv"
        built = chunkkv("cache", "build", "-m", MODEL, "-f", self.text, "--keep", "30%", "-o", path)
        self.assertEqual(built.returncode, 0, built.stderr)
        for arguments in (
            ("-sys", "Answer in French."), ("--no-chat-template",), ("--observer", "window"), ("--cells", 512),
            ("--protect", 3), ("--compare",), ("--buffer", 8), ("--keep-at-least", 3),
        ):  # fmt: skip
            name = {"-sys": "--system-prompt"}.get(arguments[0], arguments[0])
            self.refused(run("--cache", path, "-q", QUESTION, *arguments), name)
        for arguments, name in (
            (("--keep-source",), "--keep-source"),
            (("-sys", "Be brief."), "--system-prompt"),
            (("--no-chat-template",), "--no-chat-template"),
        ):
            self.refused(chunkkv("chat", "-m", MODEL, "--cache", path, *arguments), name)

    def test_chat(self):
        self.refused(chunkkv("chat", "-m", MODEL, "--keep-source", "--observer", "window"), "--observer")
        self.refused(chunkkv("chat", "-m", MODEL, "--top-k", 3), "--top-k")
        self.refused(chunkkv("chat", "-m", MODEL, "-n", 0), "-n 0")

    def test_cache(self):
        path = self.folder / "never.kv"
        for arguments, name in (
            (("--keep-source", "--keep", "10%"), "--keep"),
            (("--keep-source", "--observer", "window"), "--observer"),
            (("--keep-source", "-q", QUESTION), "--question"),
            (("--cells", 512, "-c", 512), "one of them"),
        ):
            self.refused(chunkkv("cache", "build", "-m", MODEL, "-f", self.text, "-o", path, *arguments), name)
        self.assertFalse(path.exists())
        self.refused(chunkkv("cache", "verify", path, "-ctk", "q8_0"), "--cache-type-k", "-m")

    def test_inspect(self):
        ids = self.folder / "ids.json"
        ids.write_text("[1, 2, 3]")
        for arguments in (("-sys", "Be brief."), ("--no-chat-template",), ("--no-special",), ("-e",)):
            self.refused(inspect("--tokens-file", ids, *arguments), "token ids")

    def test_perf(self):
        def perf(*arguments):
            return chunkkv("perf", "-m", MODEL, *arguments)

        for arguments, name in (
            (("--inputs", 64, "-c", 512), "--ctx-size"),
            (("--inputs", 64, "--n-prompt", 32), "--n-prompt"),
            (("--inputs", 64, "--outputs", 8, "-n", 4), "--predict"),
            (("--inputs", 64, "-q", QUESTION), "--question"),
            (("--inputs", 64, "-sys", "Be brief."), "--system-prompt"),
            (("-f", self.text, "--synthetic-type", "f16"), "--synthetic-type"),
        ):
            self.refused(perf(*arguments), name)

    def test_eval(self):
        def evaluate(*arguments):
            return chunkkv("eval", *arguments, "-m", MODEL)

        for arguments, name in (
            (("longbench", "--lengths", 100), "--lengths"),
            (("gsm8k", "--depths", 0.5), "--depths"),
            (("longbench", "--shots", 2), "--shots"),
            (("niah", "--questions", 2), "--questions"),
            (("niah", "--separate-questions"), "--separate-questions"),
            (("gsm8k", "--judge", "http://localhost:1"), "--judge"),
            (("jailbreakv", "--judge-model", "me"), "--judge-model"),
            (("longbench", "--prompts", "niah"), "--prompts"),
            (("longbench", "--observer", "window"), "--observer"),
            (("longbench", "--top-k", 3), "--top-k"),
            (("fidelity", "--temp", 1), "--temp"),
            (("fidelity", "--prompts", "gsm8k", "--lengths", 100), "--lengths"),
        ):
            self.refused(evaluate(*arguments, "--data", self.folder), name, "no effect")
        self.refused(chunkkv("eval", "--limit", 3, "list"), "--limit")


class Habits(Options):
    def test_options_of_several_letters_are_not_letters(self):
        for arguments, name in (
            (("-hf", "a/b"), "-hf"), (("-mu", "http://x"), "-mu"), (("-cnv",), "-cnv"), (("-st",), "-st"),
            (("-xyz", 3), "-xyz"), (("-mmodel.gguf",), "-mmodel.gguf"), (("--hf-repo", "a/b"), "--hf-repo"),
        ):  # fmt: skip
            for command in ("run", "chat", "inspect", "perf", "eval"):
                self.refused(chunkkv(command, "-m", MODEL, "-p", "x", *arguments), f"no option {name}")
        self.refused(run("-hf", "a/b", "-p", "x"), "-m FILE")
        self.refused(run("-p", TEXT, "-np", 4), "--parallel", "-np")
        self.assertEqual(chunkkv("-h").returncode, 0)
        self.assertEqual(parsed(run("-p", TEXT, "-n1", "-t1", "--json"))["generated_tokens"], 1)

    def test_parallel(self):
        result = chunkkv("eval", "niah", "-m", MODEL, "--data", self.folder, "-np", 999)
        self.refused(result, "999", "--parallel (-np)")

    def test_answers_without_an_end_and_without_a_beginning(self):
        short = ("-p", "Say yes.", "--method", "full")
        until = run_json(*short, "-n", -1, "-c", 256, "--ignore-eos")
        self.assertEqual((until["stop"], until["cells"]), ("context", 256))
        self.assertEqual(until["generated_tokens"], 256 - until["prompt_tokens"] + 1)
        nothing = run_json(*short, "-n", 0)
        self.assertEqual((nothing["generated_tokens"], nothing["answer"]), (0, ""))
        self.refused(run(*short, "-n", -2), "-2")

    def test_flash_attention_may_choose_itself(self):
        on = run_json("-p", TEXT, "-n", 8, "-fa", "on")
        self.assertEqual(run_json("-p", TEXT, "-n", 8, "-fa", "auto")["answer"], on["answer"])

    def test_escapes(self):
        for escaped, plain in (
            (r"one\ntwo", "one\ntwo"), (r"a\tb\\n\"c\'", "a\tb\\n\"c'"), (r"\x41\x42", "AB"), (r"C:\dir", r"C:\dir"),
            ("end\\", "end\\"), (r"\x4", r"\x4"),
        ):  # fmt: skip
            one = inspect("-p", f"{escaped} {TEXT}", "-q", escaped, "-e", "--keep", 60, "--json", "--method", "knorm")
            other = inspect("-p", f"{plain} {TEXT}", "-q", plain, "--keep", 60, "--json", "--method", "knorm")
            self.assertEqual(one.returncode, 0, one.stderr)
            self.assertEqual(one.stdout, other.stdout, escaped)

    def test_many_threads_are_told_of(self):
        cores = len(os.sched_getaffinity(0))
        many = run("-p", "Say yes.", "-n", 1, "-t", 2 * cores + 1)
        self.assertEqual(many.returncode, 0, many.stderr)
        self.assertIn(f"use -t {cores}", many.stderr)
        self.assertNotIn("use -t", run("-p", "Say yes.", "-n", 1, "-t", cores).stderr)
        hopeless = run("-p", "Say yes.", "-n", 1, "-t", min(1024, 9 * cores))
        self.assertEqual(hopeless.returncode, 0, hopeless.stderr)
        if 9 * cores <= 1024:
            self.assertIn(f"{cores} are used", hopeless.stderr)


if __name__ == "__main__":
    unittest.main()
