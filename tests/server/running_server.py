"""`chunkkv serve` as a process of its own, and requests to it."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "cli"))

from command import BINARY, MODEL

# Generous: ctest runs other things beside this.
PATIENCE = 60


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def message(self):
        """What the error says."""
        return self.json()["error"]["message"]


class Server:
    """Starts the program with these arguments and waits until it listens."""

    def __init__(self, *arguments, model=MODEL):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [BINARY, "serve", "-m", model, "--port", "0", "-t", "1", "--metrics", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        end = time.monotonic() + PATIENCE
        while not (found := re.search(r"listening on http://[^:]+:(\d+)", self.said())):
            if self.process.poll() is not None or time.monotonic() > end:
                said = self.said()
                self.kill()
                raise AssertionError(f"the server did not start:\n{said}")
            time.sleep(0.05)
        self.port = int(found[1])

    def said(self):
        # Not by the file's position: the process writes at the same one.
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors="replace")

    def is_alive(self):
        return self.process.poll() is None

    def kill(self):
        if self.is_alive():
            self.process.kill()
        self.process.wait()
        self.log.close()

    def stop(self, number=signal.SIGTERM, patience=PATIENCE):
        """The exit code after the signal, and the seconds that it took."""
        start = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(timeout=patience)
        return code, time.monotonic() - start

    def request(self, method, path, body=None, headers=None, patience=PATIENCE):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode(errors="surrogatepass")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())

    def post(self, path, body, **options):
        return self.request("POST", path, body, **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def raw(self, text, patience=PATIENCE, ends=False):
        """Bytes as they are; the status of what comes back, None when the server just hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=patience) as connection:
            received = b""
            with contextlib.suppress(ConnectionError):
                connection.sendall(text)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
                while b"\r\n" not in received and (part := connection.recv(65536)):
                    received += part
            found = re.match(rb"HTTP/1.1 (\d+)", received)
            return int(found[1]) if found else None

    def slots(self):
        return self.get("/slots").json()

    def metric(self, name):
        return float(re.search(rf"^chunkkv_{name} (.+)$", self.get("/metrics").body.decode(), re.M)[1])

    def erase_all(self):
        for slot in self.slots():
            self.post(f"/slots/{slot['id']}?action=erase", {})

    def wait_until_idle(self, patience=PATIENCE):
        """No answer is in work any more: what a client left is seen within a second."""
        end = time.monotonic() + patience
        while any(slot["is_processing"] for slot in self.slots()):
            if time.monotonic() > end:
                raise AssertionError("an answer without a client goes on")
            time.sleep(0.1)

    def status_of_process(self, name):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return int(re.search(rf"^{name}:\s+(\d+)", file.read(), re.M)[1])

    def memory(self):
        """Bytes in use by the process itself, without mapped files."""
        return self.status_of_process("RssAnon") * 1024

    def threads(self):
        return self.status_of_process("Threads")


def run_together(functions):
    """Runs all at once and raises the first error."""
    errors = []

    def run(function):
        try:
            function()
        except BaseException as error:  # pylint: disable=broad-except
            errors.append(error)

    workers = [threading.Thread(target=run, args=(function,)) for function in functions]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if errors:
        raise errors[0]
