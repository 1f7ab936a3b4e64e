"""The documents name every option of every command, and no option that none has. For each option of commands
that write results it is decided whether results differ by it."""

import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).parents[2]
BINARY = os.environ["CHUNKKV_BIN"]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAME = r"--[a-z][a-z0-9-]*[a-z0-9]"

# The options of commands that write results to a file. A result is not computed again if the file has one
# with the same key, so an option that changes results must be part of it: as a column of its own, or as one
# of "settings", under the name that is given here.
COLUMNS = {
    "eval": """--methods --keep --model --query --cells --max-length --seed --tasks --limit --lengths --depths
               --repeats --prompts""",
    "perf": "--methods --keep --model --inputs --outputs --repetitions --synthetic --synthetic-type --threads",
}
SETTINGS = {
    "eval": {
        "--predict": "n", "--n-predict": "n", "--cache-type-k": "ctk", "--cache-type-v": "ctv",
        "--cache-type-prefill": "ct-prefill", "--no-chat-template": "no-chat-template",
        "--separate-questions": "separate-questions", "--temp": "temp", "--temperature": "temp",
        "--top-k": "top-k", "--top-p": "top-p", "--min-p": "min-p", "--ignore-eos": "ignore-eos",
        "--needles": "needles", "--shots": "shots", "--questions": "questions", "--buffer": "buffer",
        "--judge": "judge", "--judge-model": "judge", "--judge-tokens": "judge-tokens",
        "--ubatch-size": "ub", "--observer": "observer",
    },
    "perf": {
        "--ubatch-size": "ub", "--cache-type-k": "ctk", "--cache-type-v": "ctv", "--gpu-layers": "ngl",
        "--n-gpu-layers": "ngl", "--no-kv-offload": "nkvo", "--no-fast-prefill": "no-fast-prefill",
        "--rpc": "rpc", "--device": "dev", "--split-mode": "sm", "--tensor-split": "ts", "--main-gpu": "mg",
        "--override-tensor": "ot",
    },
}
# What is done, how and where, but with the same results.
NO_CHANGE = {
    "eval": """--help --progress --data --output --shard --skip-broken --dry-run --parallel --ctx-size --threads
               --flash-attn --gpu-layers --n-gpu-layers --no-kv-offload --no-fast-prefill --verbose --rpc
               --device --split-mode --tensor-split --main-gpu --override-tensor --list-devices""",
    # The text matters little for speed; it only has to be long enough.
    "perf": """--help --progress --json --output --n-prompt --predict --n-predict --ctx-size --flash-attn
               --verbose --list-devices --file --prompt --question --system-prompt --system --protect
               --no-special --escape --no-chat-template""",
}
SOURCES = {"eval": "eval_run.cpp", "perf": "perf_speed.cpp"}


def help_of(command):
    return subprocess.run([BINARY, *command, "--help"], capture_output=True, text=True, check=True).stdout


def commands(command=()):
    """The command and, recursively, those in it."""
    yield command
    listed = re.search(r"^Subcommands:\n((?:  .*\n)+)", help_of(command), re.MULTILINE)
    for name in re.findall(r"^  (\S+)", listed[1], re.MULTILINE) if listed else []:
        yield from commands((*command, name))


def options(command):
    """What stands at the beginning of the help's lines: "  -o,--output FILE"."""
    declared = re.findall(r"^  (-\S+)", help_of(command), re.MULTILINE)
    return {name for names in declared for name in re.findall(NAME, names)}


class Options(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.options = {" ".join(command): options(command) for command in commands()}

    def test_finds_them(self):
        self.assertIn("--keep", self.options["run"])
        self.assertIn("--keep-source", self.options["cache build"])
        self.assertIn("--n-predict", self.options["run"])  # one name of three
        self.assertGreater(len(self.options), 10)

    def test_every_option_is_in_the_documents(self):
        named = set(re.findall(NAME, "\n".join(page.read_text() for page in PAGES)))
        missing = {command: sorted(names - named) for command, names in self.options.items() if names - named}
        self.assertEqual(missing, {})

    def test_every_option_of_the_tables_exists(self):
        known = set().union(*self.options.values())
        for page in PAGES:
            for row in re.findall(r"^\| (`-.*?) \|", page.read_text(), re.MULTILINE):
                self.assertLessEqual(set(re.findall(NAME, row)), known, f"{page.name}: {row}")

    def test_every_option_is_known_to_change_results_or_not(self):
        for command, settings in SETTINGS.items():
            columns, others = COLUMNS[command].split(), NO_CHANGE[command].split()
            decided = [*columns, *settings, *others]
            self.assertEqual(len(decided), len(set(decided)), command)
            self.assertEqual(set(decided), self.options[command], command)
            source = (ROOT / "cli/commands" / SOURCES[command]).read_text()
            self.assertEqual(set(settings.values()), set(re.findall(r'settings\.add\("([^"]+)"', source)))


if __name__ == "__main__":
    unittest.main()
