"""Starts `chunkkv serve` for tests that talk to it, and finds the Python that has the clients."""

import atexit
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "cli"))

from command import BINARY, FULL_MODEL, QUESTION, TEXT

KEY = "a-key"
DOCUMENT = TEXT * 3 + "\n\n" + QUESTION  # 384 tokens with the template
KEEP = {"method": "snapkv", "keep": "25%", "keep_at_least": 0}
# So small a model calls nothing by itself, and then may call again: its answer's beginning is given.
CALLS = [{"role": "user", "content": "Weather in Bergen?"}, {"role": "assistant", "content": '<tool_call>\n{"name": '}]
# What the tools of the tests take.
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Bergen", "Oslo"]}},
    "required": ["city"],
    "additionalProperties": False,
}
TEMPLATE = pathlib.Path(__file__).parent / "tools.jinja"


def said(text):
    return [{"role": "user", "content": text}]


def need(package):
    """Goes on in the Python that has `package`; skips the test where none has (CTest knows 77)."""
    if importlib.util.find_spec(package):
        return
    python = os.environ.pop("CHUNKKV_CLIENTS", "")
    if os.access(python, os.X_OK):
        os.execv(python, [python, "-B", *sys.argv])
    print(f"skipped: {package} is not installed; scripts/test installs it, or name a Python in CHUNKKV_CLIENTS")
    sys.exit(77)


class Served:
    """A server with the default model on a free port."""

    def __init__(self, *arguments):
        self.said = tempfile.TemporaryFile("w+")
        command = [BINARY, "serve", "-m", FULL_MODEL, "-t", "1", "--port", "0", "--chat-template-file", TEMPLATE]
        if "--api-key" not in arguments:
            arguments = (*arguments, "--api-key", KEY)
        self.process = subprocess.Popen([*command, *map(str, arguments)], stdin=subprocess.DEVNULL, stderr=self.said)
        atexit.register(self.process.kill)
        deadline = time.monotonic() + 60
        while "listening on " not in self.errors():
            if self.process.poll() is not None or time.monotonic() > deadline:
                errors = self.errors()
                self.stop()
                raise RuntimeError(errors)
            time.sleep(0.02)
        self.url = self.errors().split("listening on ")[1].split()[0]

    def errors(self):
        self.said.seek(0)
        return self.said.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(60)
        self.said.close()
        return status

    def end(self):
        """Stops a server that must have lived until now."""
        errors = self.errors()
        status = self.stop()
        assert status == 0, f"the server ended with {status}: {errors}"

    def request(self, path, body=None, headers=()):
        """Status and reply, without any client."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Authorization": f"Bearer {KEY}", **dict(headers)})
        try:
            with urllib.request.urlopen(request, timeout=300) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def busy(self):
        return [slot for slot in self.request("/slots")[1] if slot["is_processing"]]

    def until(self, condition):
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "it does not happen"
            time.sleep(0.02)
