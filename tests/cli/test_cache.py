"""`chunkkv cache` and `run --cache`: a compressed prompt as a file, checked whenever it is read."""

import pathlib
import signal
import subprocess
import tempfile
import unittest

from command import BINARY, FULL_MODEL, MODEL, N_LAYERS, QUESTION, TEXT, chunkkv, demo_text, parsed, run_json
from gguf_file import with_metadata
from test_bad_input import FAILURE, USAGE

ROW_BYTES = N_LAYERS * 2 * 3 * 64 * 2  # SmolLM2-135M: layers, keys and values, KV heads, head size, F16
METHOD = ("--method", "snapkv:window=8", "--keep", "40%", "--keep-at-least", 0)


def cache(*arguments, **options):
    return chunkkv("cache", *arguments, **options)


def build(path, *arguments, model=MODEL, **options):
    return cache("build", "-m", model, "-t", 1, "-o", path, *arguments, **options)


def info(path):
    return parsed(cache("info", path, "--json"))


def ask(path, *arguments, model=MODEL, **options):
    return chunkkv("run", "-m", model, "-t", 1, "--cache", path, *arguments, **options)


def ask_json(path, question, *arguments, **options):
    return parsed(ask(path, "-q", question, "-n", 16, "--json", *arguments, **options))


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)

    def built(self, name, *arguments, **options):
        path = self.folder / name
        result = build(path, *arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return path


class Build(Files):
    def test_tells_what_is_in_the_file(self):
        path = self.folder / "told.kv"
        result = build(path, "-p", TEXT, *METHOD)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(cache("info", path).stdout, result.stdout)
        told = info(path)
        self.assertEqual((told["method"], told["keep"], told["observer"]), ("snapkv:window=8", "40%", "window"))
        self.assertEqual(told["kept_tokens"], int(told["prompt_tokens"] * 0.4))
        self.assertEqual((told["type_k"], told["type_v"], told["end"]), ("f16", "f16", "user"))
        self.assertEqual(told["model"]["bytes"], pathlib.Path(MODEL).stat().st_size)
        self.assertRegex(told["model"]["hash"], "^[0-9a-f]{32}$")
        self.assertEqual(told["bytes"], path.stat().st_size)
        for word in ("checksum  good", told["model"]["hash"], f"{told['kept_tokens']} tokens"):
            self.assertIn(word, result.stdout)

    def test_takes_little_more_than_the_rows_that_were_kept(self):
        path = self.built("small.kv", "-f", demo_text(), "--keep", "10%")
        self.assertLess(path.stat().st_size, 1.05 * info(path)["kept_tokens"] * ROW_BYTES)

    def test_a_question_chooses_but_is_not_in_it(self):
        plain = info(self.built("plain.kv", "-p", TEXT, *METHOD))
        path = self.built("asked.kv", "-p", TEXT, "-q", QUESTION, *METHOD)
        asked = info(path)
        self.assertEqual(asked["observer"], "question")
        for key in ("prompt_tokens", "kept_tokens", "end"):
            self.assertEqual(asked[key], plain[key])
        full = run_json("-p", TEXT, "-q", QUESTION, "-n", 16, "-t", 1, "--method", "full")
        self.assertEqual(ask_json(path, QUESTION)["prompt_tokens"], full["prompt_tokens"])

    def test_reads_in_pieces_into_fewer_cells(self):
        path = self.built("pieces.kv", "-p", TEXT, "-q", QUESTION, *METHOD, "--cells", 128, "-ub", 16)
        told = info(path)
        self.assertEqual(told["kept_tokens"], int(told["prompt_tokens"] * 0.4))
        self.assertGreater(told["compressions"], 1)
        self.assertEqual(cache("verify", path, "-m", MODEL).returncode, 0)

    def test_converts_to_smaller_types(self):
        path = self.built("q4.kv", "-p", TEXT, *METHOD, "-ctk", "q4_0", "-ctv", "q4_0", "--cache-type-prefill", "f16")
        self.assertEqual((info(path)["type_k"], info(path)["type_v"]), ("q4_0", "q4_0"))
        self.assertLess(path.stat().st_size, 1.05 * info(path)["kept_tokens"] * ROW_BYTES * 18 / 64)
        self.assertGreater(ask_json(path, QUESTION)["generated_tokens"], 0)

    def test_ctrl_c_leaves_nothing_and_what_was_there(self):
        path = self.folder / "kept.kv"
        path.write_text("what was there")
        process = subprocess.Popen(
            [BINARY, "cache", "build", "-m", FULL_MODEL, "-f", str(demo_text()), "-o", str(path), "-ub", "64"]
            + ["--progress", "lines"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.addCleanup(process.kill)
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(path.read_text(), "what was there")
        self.assertEqual(list(self.folder.glob("kept.kv*")), [path])


class Ask(Files):
    def test_keeping_all_answers_like_the_prompt_read_anew(self):
        path = self.built("full.kv", "-p", TEXT, "--method", "full", model=FULL_MODEL)
        # A few tokens are rounded otherwise than many, so these are questions and words that the model has no doubt about.
        for question in ("Repeat the text.", "What does the text say about the school?", "\u00c4?"):
            anew = run_json("-p", TEXT, "-q", question, "-n", 8, "-t", 1, "--method", "full", model=FULL_MODEL)
            asked = ask_json(path, question, "-n", 8, model=FULL_MODEL)
            self.assertEqual(asked["prompt_tokens"], anew["prompt_tokens"], question)
            self.assertEqual(asked["answer"], anew["answer"], question)
            self.assertLess(asked["cache"]["read_tokens"], 40)

    def test_without_a_chat_template(self):
        path = self.built("text.kv", "-p", TEXT, "--method", "full", "--no-chat-template", model=FULL_MODEL)
        self.assertEqual(info(path)["end"], "text")
        anew = run_json("-p", TEXT, "-q", QUESTION, "-n", 16, "-t", 1, "--method", "full", "--no-chat-template", model=FULL_MODEL)
        asked = ask_json(path, QUESTION, model=FULL_MODEL)
        self.assertEqual((asked["prompt_tokens"], asked["answer"]), (anew["prompt_tokens"], anew["answer"]))

    def test_reads_the_question_only(self):
        path = self.built("some.kv", "-p", TEXT, *METHOD)
        asked = ask_json(path, QUESTION)
        kept = info(path)["kept_tokens"]
        self.assertEqual(asked["kept_tokens"], kept + asked["cache"]["read_tokens"])
        self.assertEqual((asked["method"], asked["keep"]), ("snapkv:window=8", "40%"))
        text = ask(path, "-q", QUESTION, "-n", 16)
        self.assertEqual(text.stdout, asked["answer"] + "\n")
        self.assertIn("restored in", text.stderr)

    def test_a_source_chooses_for_each_question(self):
        path = self.built("source.kv", "-f", demo_text(), "--keep-source", model=FULL_MODEL)
        self.assertTrue(info(path)["source"])
        for question, method in (("Who kept the notebook?", "chunkkv"), ("Where does the key hang?", "snapkv")):
            how = ("--method", method, "--keep", "20%")
            anew = run_json("-f", demo_text(), "-q", question, "-n", 16, "-t", 1, *how, model=FULL_MODEL)
            asked = ask_json(path, question, *how, model=FULL_MODEL)
            for key in ("answer", "prompt_tokens", "kept_tokens", "method", "keep"):
                self.assertEqual(asked[key], anew[key], question)
            self.assertLess(asked["cache"]["read_tokens"], 160)
        refused = ask(path, "-q", QUESTION, "--method", "h2o", model=FULL_MODEL)
        self.assertEqual(refused.returncode, USAGE)
        self.assertIn("make the source with that method", refused.stderr)


class Refused(Files):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path = cls.folder / "good.kv"
        result = build(cls.path, "-p", TEXT, *METHOD)
        assert result.returncode == 0, result.stderr

    def check(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertTrue(result.stderr.startswith("chunkkv: "), result.stderr)
        for word in words:
            self.assertIn(str(word), result.stderr)

    def damaged(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return path

    def check_everywhere(self, path, *words):
        self.check(cache("info", path), FAILURE, path, *words)
        self.check(cache("verify", path), FAILURE, path, *words)
        self.check(ask(path, "-q", QUESTION), FAILURE, path, *words)

    def test_cut_short(self):
        content = self.path.read_bytes()
        self.check_everywhere(self.damaged("cut.kv", content[:-1]), "cut short", "cache build")
        self.check_everywhere(self.damaged("half.kv", content[: len(content) // 2]), "cut short")

    def test_altered(self):
        content = bytearray(self.path.read_bytes())
        for at in (40, len(content) // 2, len(content) - 1):
            content[at] ^= 1
            self.check_everywhere(self.damaged("altered.kv", content), "checksum", "cache build")
            content[at] ^= 1

    def test_foreign(self):
        self.check_everywhere(self.damaged("text.kv", TEXT.encode()), "no cache file")
        self.check_everywhere(self.damaged("empty.kv", b""), "no cache file")
        self.check_everywhere(self.folder / "none.kv", "No such file")
        self.check_everywhere(self.folder, "regular file")

    def test_another_model(self):
        other = self.damaged("other.gguf", with_metadata(MODEL, "general.other", 1.0))
        result = chunkkv("run", "-m", other, "--cache", self.path, "-q", QUESTION)
        self.check(result, FAILURE, "other weights", "-m")
        self.check(cache("verify", self.path, "-m", other), FAILURE, "other weights")

    def test_other_cache_types(self):
        self.check(ask(self.path, "-q", QUESTION, "-ctk", "q8_0"), FAILURE, "-ctk f16 -ctv f16")

    def test_good_ones_are_not(self):
        for arguments in ((), ("-m", MODEL)):
            result = cache("verify", self.path, *arguments)
            self.assertEqual((result.returncode, result.stdout), (0, f"{self.path}: good\n"))


class Usage(Files):
    def check(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stderr)
        for word in words:
            self.assertIn(str(word), result.stderr.splitlines()[0])

    def test_of_run(self):
        path = self.built("usage.kv", "-p", TEXT, *METHOD)
        self.check(ask(path), USAGE, "-q")
        self.check(ask(path, "-q", QUESTION, "-p", TEXT), USAGE, "-p and -f")
        self.check(ask(path, "-q", QUESTION, "--compare"), USAGE, "--compare")
        self.check(ask(path, "-q", QUESTION, "--cells", 512), USAGE, "--cells")
        self.check(ask(path, "-q", QUESTION, "--keep", "10%"), USAGE, "40%", "--keep-source")
        self.check(ask(path, "-q", QUESTION, "-c", 32), USAGE, "-c")

    def test_of_build(self):
        path = self.folder / "never.kv"
        self.check(cache("build", "-m", MODEL, "-p", TEXT), USAGE, "-o")
        self.check(build(path, "-p", TEXT, "--observer", "question"), USAGE, "-q")
        self.check(build(path, "-p", TEXT, "--observer", "nobody"), USAGE, "-q")
        self.check(build(path, "-p", TEXT, "-q", QUESTION, "--observer", "nobody"), USAGE, "question, window or both")
        self.check(build(path, "-p", TEXT, "--keep-source", "--cells", 512), USAGE, "--keep-source")
        self.check(build(path, "-p", TEXT, "--method", "pyramidkv"), USAGE, "pyramidkv")
        self.check(build(path, "-p", TEXT, *METHOD, "--cells", 64), USAGE, "cells")
        self.check(build(path, "-p", "Hello.", "--keep-source"), USAGE, "short")
        self.check(build(self.folder / "none" / "x.kv", "-f", demo_text()), FAILURE, "none/x.kv", "another file")
        self.assertEqual(list(self.folder.glob("never*")), [])

    def test_without_a_subcommand(self):
        self.check(cache(), USAGE, "subcommand")


if __name__ == "__main__":
    unittest.main()
