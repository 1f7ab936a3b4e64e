"""What the tests of `chunkkv eval` share."""

import json
import pathlib
import tempfile
import unittest

from command import MODEL, chunkkv

METHODS = ("--methods", "full,snapkv:window=8,chunkkv:window=8", "--keep", "50%,20%")
PAIRS = 5
KEYS = {
    "benchmark", "task", "group", "id", "question", "method", "keep", "query", "cells", "max_length", "seed",
    "model_hash", "prompt_tokens", "kept_tokens", "answer", "score", "generated_tokens", "stop", "ms", "bytes",
    "model", "version", "machine", "data",
}  # fmt: skip


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def read(path):
    return lines_of(pathlib.Path(path).read_text(encoding="utf-8"))


def key(line):
    return tuple(str(line.get(name)) for name in ("task", "id", "question", "method", "keep", "query", "cells", "settings"))


def without_times(lines):
    """What must be the same when a run is repeated, by what was asked; no two lines for one thing."""
    result = {}
    for line in lines:
        assert key(line) not in result, key(line)
        result[key(line)] = {name: value for name, value in line.items() if name != "ms"}
    return result


class Eval(unittest.TestCase):
    model = MODEL

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="a folder ")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.out = self.folder / "results.jsonl"

    def command(self, name, *arguments):
        return ("eval", name, "--data", self.folder, "-m", self.model, "-t", 1, "--progress", "off", *METHODS, *arguments)

    def eval(self, name, *arguments):
        """The lines of a successful run."""
        result = chunkkv(*self.command(name, *arguments))
        self.assertEqual(result.returncode, 0, result.stderr)
        return lines_of(result.stdout)

    def check_report(self, heading):
        """The results as they were written make a report."""
        result = chunkkv("report", self.out, "--markdown")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(heading, result.stdout.lower())

    def fails(self, code, *arguments):
        result = chunkkv(*arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertTrue(result.stderr.startswith("chunkkv: "), result.stderr)
        return result.stderr
