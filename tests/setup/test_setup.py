"""The set-up scripts on a machine that lacks something: one clear message, exit code 1, nothing half-written.

None of these tests reaches the network or builds anything.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BUILD = pathlib.Path(__file__).parents[2] / "scripts" / "build"
SOURCE_ARCHIVE = "llama_cpp_python-0.3.36.tar.gz"


class FailingSetup(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.cache = self.folder / "cache"

    def build(self, **environment):
        result = subprocess.run(
            [BUILD],
            env={**os.environ, "CHUNKKV_CACHE": str(self.cache), "PIP_NO_INDEX": "1", **environment},
            capture_output=True,
            text=True,
        )
        self.assertEqual(result.returncode, 1, result.stderr)
        return result.stderr

    def command(self, name, script):
        """A folder to put in front of PATH, in which `name` is `script`."""
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        return f"{folder}:{os.environ['PATH']}"

    def assert_nothing_downloaded(self):
        self.assertEqual(list((self.cache / "downloads").iterdir()), [])
        self.assertEqual(list((self.cache / "models").iterdir()), [])

    def test_no_network(self):
        message = self.build()
        self.assertIn(f"{SOURCE_ARCHIVE} could not be downloaded. Check the network", message)
        self.assert_nothing_downloaded()

    def test_cache_folder_follows_the_environment(self):
        home = str(self.folder)
        self.build(CHUNKKV_CACHE="", XDG_CACHE_HOME="", HOME=home)
        self.assertTrue((self.folder / ".cache/chunkkv/downloads").is_dir())
        self.build(CHUNKKV_CACHE="", XDG_CACHE_HOME=f"{home}/xdg", HOME=home)
        self.assertTrue((self.folder / "xdg/chunkkv/downloads").is_dir())

    def test_another_file_than_the_pinned_one(self):
        mirror = self.folder / "mirror"
        mirror.mkdir()
        (mirror / SOURCE_ARCHIVE).write_bytes(b"something else")
        message = self.build(PIP_FIND_LINKS=str(mirror))
        self.assertIn(f"another file than the pinned {SOURCE_ARCHIVE}", message)
        self.assert_nothing_downloaded()

    def test_full_disk(self):
        path = self.command("df", "echo header; echo disk 100 99 1 99% /")
        message = self.build(PATH=path)
        self.assertRegex(message, r"The disk of .*cache is full: free \d+ MB there, or set CHUNKKV_CACHE")
        self.assert_nothing_downloaded()

    def test_disk_fills_up_while_downloading(self):
        real = shutil.which("python3")
        path = self.command(
            "python3",
            f'case "$*" in *download*) echo "OSError: No space left on device"; exit 1;; esac\nexec {real} "$@"',
        )
        message = self.build(PATH=path)
        self.assertRegex(message, r"The disk of .*cache is full")
        self.assert_nothing_downloaded()

    def test_cache_folder_that_cannot_be_written(self):
        message = self.build(CHUNKKV_CACHE="/dev/null/cache")
        self.assertIn("The cache folder /dev/null/cache is not writable: set CHUNKKV_CACHE", message)

    def test_missing_packages_are_named(self):
        folder = self.folder / "few"
        folder.mkdir()
        for name in ("bash", "dirname", "nproc", "g++", "python3"):
            (folder / name).symlink_to(shutil.which(name))
        message = self.build(PATH=str(folder))
        self.assertRegex(message, r"Install these packages and run this again: .*cmake.*ninja-build")
        self.assertFalse(self.cache.exists())


if __name__ == "__main__":
    unittest.main()
