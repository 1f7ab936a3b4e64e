"""The documents name every option of every command, and no option that none has."""

import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).parents[2]
BINARY = os.environ["CHUNKKV_BIN"]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAME = r"--[a-z][a-z0-9-]*[a-z0-9]"


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


if __name__ == "__main__":
    unittest.main()
