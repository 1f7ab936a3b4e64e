"""What a command writes is none of the files that it reads, by whatever name: exit code 2, and the file as it was."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from command import BINARY, MODEL, QUESTION, TEXT, chunkkv

USAGE = 2
LINE = {"benchmark": "longbench", "task": "t", "id": "1", "method": "full", "keep": "100%", "score": 1}


class Outputs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.document = self.file("document.txt", TEXT)
        self.model = self.folder / "model.gguf"
        os.link(MODEL, self.model) if self.can_link() else self.model.symlink_to(MODEL)

    def can_link(self):
        return os.stat(MODEL).st_dev == os.stat(self.folder).st_dev

    def file(self, name, content):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return path

    def names_of(self, path):
        """Other names of a file: a symbolic link, a hard one, another spelling."""
        soft, hard = self.folder / f"soft-{path.name}", self.folder / f"hard-{path.name}"
        soft.symlink_to(path)
        names = [path, soft, path.parent / "." / ".." / path.parent.name / path.name]
        try:
            os.link(path, hard)
            names.append(hard)
        except OSError:
            pass
        return names

    def check(self, kept, *arguments, **options):
        before = kept.stat()
        result = chunkkv(*arguments, **options)
        self.assertEqual(result.returncode, USAGE, (arguments, result.stderr))
        self.assertIn("must not be written over", result.stderr)
        after = kept.stat()
        self.assertEqual((before.st_ino, before.st_size, before.st_mtime_ns),
                         (after.st_ino, after.st_size, after.st_mtime_ns))
        self.assertEqual(list(self.folder.glob("**/*.tmp")), [])

    def test_cache_build(self):
        command = ("cache", "build", "-m", self.model, "-f", self.document, "--keep", "50%", "-o")
        for name in self.names_of(self.document):
            self.check(self.document, *command, name)
        self.check(self.model, *command, self.model)

    def test_inspect(self):
        tokens = self.file("tokens.json", json.dumps(list(range(1, 60))))
        self.check(tokens, "inspect", "-m", self.model, "--tokens-file", tokens, "--html", tokens)
        for name in self.names_of(self.document):
            self.check(self.document, "inspect", "-m", self.model, "-f", self.document, "--html", name)
        self.check(self.model, "inspect", "-m", self.model, "-f", self.document, "--html", self.model)

    def test_standard_input(self):
        with open(self.document) as stdin:
            result = subprocess.run([BINARY, "inspect", "-m", self.model, "--html", self.document], stdin=stdin,
                                    capture_output=True, text=True)
        self.assertEqual(result.returncode, USAGE, result.stderr)
        self.assertEqual(self.document.read_text(), TEXT)

    def test_chat(self):
        cache = self.folder / "a.kv"
        built = chunkkv("cache", "build", "-m", self.model, "-f", self.document, "--keep", "100", "-o", cache)
        self.assertEqual(built.returncode, 0, built.stderr)
        before = cache.read_bytes()
        other = self.file("other.txt", TEXT)
        lines = [f"/load {other}", f"/save {self.document}", f"/save {other}", f"/save {self.model}", QUESTION,
                 f"/save {self.folder / 'new.kv'}", f"/save {self.folder / 'new.kv'}"]
        self.check(self.document, "chat", "-m", self.model, "-f", self.document, "--keep", "100", "-n", "2",
                   stdin="\n".join(lines))
        self.assertEqual(other.read_text(), TEXT)
        self.assertTrue((self.folder / "new.kv").exists())
        self.check(cache, "chat", "-m", self.model, "--cache", cache, "-n", "2", stdin=f"{QUESTION}\n/save {cache}\n")
        self.assertEqual(cache.read_bytes(), before)

    def test_eval(self):
        data = self.file("data/hotpotqa.jsonl", json.dumps({
            "input": "Who?", "context": TEXT, "answers": ["Oskar"], "length": 50, "dataset": "hotpotqa",
            "language": "en", "all_classes": None, "_id": "1"}) + "\n")
        command = ("eval", "longbench", "--data", data.parent, "-m", self.model, "--methods", "full", "-n", "1", "-o")
        self.check(data, *command, data)
        self.check(self.model, *command, self.model)
        results = data.parent / "results.jsonl"  # results may lie beside the data
        for _ in range(2):
            done = chunkkv(*command, results)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.check(data, "eval", "fidelity", "--prompts", "longbench", *command[2:], data)

    def test_results(self):
        results = self.file("results.jsonl", json.dumps(LINE) + "\n")
        page = self.folder / "page.html"
        page.symlink_to(results)
        self.check(results, "eval", "merge", results, "-o", results)
        self.check(results, "report", results, "-o", page)
        self.check(results, "report", results, "--markdown", page)
        both = self.folder / "both.html"
        again = chunkkv("report", results, "-o", both, "--markdown", both)
        self.assertEqual(again.returncode, USAGE)
        self.assertFalse(both.exists())

    def test_perf(self):
        self.check(self.document, "perf", "-m", self.model, "-f", self.document, "--inputs", "32", "--outputs", "2",
                   "-o", self.document)

    def test_all_parts_of_a_split_model(self):
        parts = [self.file(f"big-0000{i}-of-00003.gguf", "GGUF") for i in (1, 2, 3)]
        self.check(parts[2], "cache", "build", "-m", parts[0], "-f", self.document, "-o", parts[2])


if __name__ == "__main__":
    unittest.main()
