"""Ctrl-C stops the program cleanly, with the shell's exit code for it."""

import os
import pty
import signal
import subprocess
import unittest

from command import BINARY, FULL_MODEL, TEXT, demo_text, rest_of


class Interrupt(unittest.TestCase):
    def start(self, *arguments, stderr=subprocess.PIPE):
        process = subprocess.Popen(
            [BINARY, "run", "-m", FULL_MODEL, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        self.addCleanup(process.kill)
        return process

    def finish(self, process, number=signal.SIGINT):
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 128 + number, err)
        return out, err.decode()

    def test_while_reading(self):
        # The whole text takes several seconds; the first line of progress comes after a small part of it.
        process = self.start("-f", demo_text(), "-ub", 64, "--keep", 512, "--progress", "lines", "--json")
        self.assertIn(b"reading the prompt", process.stderr.readline())
        out, err = self.finish(process)
        self.assertEqual(out, b"")
        self.assertIn("chunkkv: interrupted", err)

    def test_the_line_of_progress_leaves_the_terminal(self):
        terminal, other = pty.openpty()
        self.addCleanup(os.close, terminal)
        process = self.start("-f", demo_text(), "-ub", 64, "--keep", 512, stderr=other)
        os.close(other)
        seen = b""
        while b"tokens/s" not in seen:
            seen += os.read(terminal, 4096)
        process.send_signal(signal.SIGINT)
        seen += rest_of(terminal)
        process.communicate(timeout=120)
        self.assertEqual(process.returncode, 128 + signal.SIGINT)
        # The message stands alone on its line.
        line = seen[: seen.index(b"chunkkv: interrupted")].splitlines()[-1]
        self.assertTrue(line.endswith(b"\x1b[K"), line)

    def test_while_answering(self):
        process = self.start("-p", TEXT, "--keep", "40%", "-c", 8192, "-n", 100000, "--ignore-eos")
        start = process.stdout.read(1)
        out, err = self.finish(process)
        self.assertTrue((start + out).decode().endswith("\n"))
        self.assertIn("interrupted", err)
        self.assertIn("each token after", err)

    def test_comparing_shows_what_was_answered(self):
        process = self.start("-p", TEXT, "--keep", "40%", "-c", 8192, "-n", 100000, "--ignore-eos", "--compare")
        heading = process.stdout.readline()
        self.assertEqual(heading, b"== full cache ==\n")
        process.stdout.read(1)
        out, err = self.finish(process)
        self.assertNotIn(b"==", out)
        self.assertIn("full cache", err)

    def test_by_a_signal_to_terminate(self):
        process = self.start("-p", TEXT, "--keep", "40%", "-c", 8192, "-n", 100000, "--ignore-eos")
        process.stdout.read(1)
        self.finish(process, signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
