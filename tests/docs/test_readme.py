"""README.md says what is true: its commands run, its program is the one in examples/, and that program runs."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
BINARY = pathlib.Path(os.environ["CHUNKKV_BIN"])
MODEL = os.environ["CHUNKKV_TEST_MODEL"]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands():
    for block in blocks("sh"):
        yield from block.replace("\\\n", " ").splitlines()


class Readme(unittest.TestCase):
    def test_names_the_two_commands(self):
        named = [line for line in commands() if line.startswith("scripts/")]
        self.assertEqual(named[:2], ["scripts/demo", "scripts/test"])
        for line in named:
            self.assertTrue(os.access(ROOT / line.split()[0], os.X_OK), line)

    def test_its_commands_run(self):
        run = 0
        with tempfile.TemporaryDirectory() as folder:
            for line in commands():
                if not line.startswith("build/release/chunkkv ") or " serve " in line:
                    continue
                words = shlex.split(line)[1:]
                words = [MODEL if word == "MODEL.gguf" else word for word in words]
                words = [f"{folder}/{word}" if word.endswith(".html") else word for word in words]
                if words[0] in ("run", "perf") and "-n" not in words:
                    words += ["-n", "8"]
                result = subprocess.run([BINARY, *words], cwd=ROOT, capture_output=True, text=True)
                self.assertEqual(result.returncode, 0, f"{line}\n{result.stderr}")
                self.assertTrue(result.stdout.strip(), line)
                run += 1
        self.assertGreaterEqual(run, 4)

    def test_its_server_answers_its_requests(self):
        (start,) = [line for line in commands() if line.startswith("build/release/chunkkv serve ")]
        requests = [line for line in commands() if line.startswith("curl ")]
        self.assertGreaterEqual(len(requests), 2)
        words = [MODEL if word == "MODEL.gguf" else word for word in shlex.split(start)[1:]]
        port = words.index("--port") + 1
        usual, words[port] = words[port], "0"
        with subprocess.Popen([BINARY, *words, "-c", "2048"], stderr=subprocess.PIPE, text=True) as server:
            try:
                address = next(line for line in server.stderr if "listening on" in line)
                given = re.search(r":(\d+)$", address.strip())[1]
                for line in requests:
                    words = [word.replace(f":{usual}/", f":{given}/") for word in shlex.split(line)]
                    result = subprocess.run([words[0], "-sS", "-f", *words[1:]], capture_output=True, text=True)
                    self.assertEqual(result.returncode, 0, f"{line}\n{result.stderr}")
                    self.assertTrue(json.loads(result.stdout), line)
            finally:
                server.terminate()
                self.assertEqual(server.wait(), 0)

    def test_its_program_is_the_example(self):
        self.assertEqual(blocks("cpp"), [(ROOT / "examples" / "compress.cpp").read_text()])

    def test_the_example_runs(self):
        text = (ROOT / "examples" / "demo" / "railway.txt").read_text()[:3000]
        example = BINARY.parent / "examples" / "example_compress"
        result = subprocess.run([example, MODEL, text], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"^\d+ of \d+ tokens kept\n")


if __name__ == "__main__":
    unittest.main()
