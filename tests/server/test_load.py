"""Many clients at once, most of them impolite: nothing is lost, leaked or half written.

CHUNKKV_LOAD_SECONDS says for how long (default: 8). CHUNKKV_TEST_SEED repeats a run.
"""

import collections
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from running_server import BINARY, PATIENCE, Server, run_together

SECONDS = float(os.environ.get("CHUNKKV_LOAD_SECONDS", "8"))
SEED = int(os.environ.get("CHUNKKV_TEST_SEED") or random.randrange(2**32))
CLIENTS = 64
# What may be in use beyond a new server's memory, its cache and the prompts that it may hold: buffers of 64
# connections, what the allocator keeps.
SPARE_BYTES = 48 << 20
STOPS_WITHIN = 10

WORDS = "ferry harbour lighthouse winter honey bees master stove school piano cannery storm window office".split()


def text(rng, n_words):
    return " ".join(rng.choice(WORDS) for _ in range(n_words))


class Client:
    """Sends requests of every kind until the time is over."""

    def __init__(self, server, seed, until):
        self.server, self.until = server, until
        self.random = random.Random(seed)
        self.seen = collections.Counter()

    def body(self):
        rng = self.random
        prompt = text(rng, rng.choice([1, 5, 5, 20, 20, 20, 50, 100, 400, 3000]))
        common = {"stream": rng.random() < 0.5, "temperature": 0}
        if rng.random() < 0.5:
            common["kv"] = {"method": rng.choice(["full", "chunkkv", "snapkv", "streamingllm"]), "keep": rng.choice(["20%", "50%", 64])}
            if rng.random() < 0.2:
                common["kv"]["cells"] = rng.choice([128, 256, 512])
        if rng.random() < 0.1:
            common["grammar"] = 'root ::= [a-z ]{1,40} "."'
        n = rng.choice([0, 1, 4, 12, 40])
        kind = rng.random()
        if kind < 0.4:
            return "/completion", {"prompt": prompt, "n_predict": n, **common}
        if kind < 0.8:
            messages = [{"role": "system", "content": "You help."}, {"role": "user", "content": prompt}]
            return "/v1/chat/completions", {"messages": messages, "max_tokens": max(n, 1), "n": rng.choice([1, 1, 1, 2]), **common}
        if kind < 0.9:
            return "/v1/messages", {"messages": [{"role": "user", "content": prompt}], "max_tokens": max(n, 1), **common}
        return "/v1/completions", {"prompt": [prompt, prompt[:20]], "max_tokens": n, **common}

    def run(self):
        while time.monotonic() < self.until:
            path, body = self.body()
            self.seen[self.one(path, json.dumps(body).encode())] += 1

    def one(self, path, body):
        """What became of the request: a status, or how the client went away."""
        rng = self.random
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE * 3) as connection:
            fate = rng.random()
            if fate < 0.05:  # in the middle of its own request
                connection.sendall((head + body)[: rng.randrange(len(head) + len(body))])
                return "left while asking"
            connection.sendall(head + body)
            if fate < 0.15:
                time.sleep(rng.random())
                return "left before the answer"
            if fate < 0.18:  # with a reset instead of an end
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                time.sleep(rng.random() / 2)
                return "reset"
            if fate < 0.28:
                connection.recv(rng.randrange(1, 2000))
                return "left in the middle of the answer"
            if fate < 0.33:  # a slow reader
                received = connection.recv(1)
                while time.monotonic() < self.until and (part := connection.recv(7)):
                    received += part
                    time.sleep(0.01)
                return "read slowly"
            response = http.client.HTTPResponse(connection)
            response.begin()
            answer = response.read()
        if response.status == 503:
            assert response.getheader("Retry-After"), answer
            time.sleep(rng.random())
        if response.status == 200:
            self.check(answer)
        else:
            assert 400 <= response.status < 500 or response.status == 503, (response.status, answer[:500], body[:300])
            assert json.loads(answer)["error"], answer
        return response.status

    @staticmethod
    def check(answer):
        # A stream that waited in the queue may have begun before its request is refused.
        announced = (b"the server is stopping", b"context_length_exceeded")
        assert b'"error"' not in answer or any(reason in answer for reason in announced), answer[-500:]
        if answer.startswith(b"{"):
            json.loads(answer)


class Load(unittest.TestCase):
    def start(self, *arguments):
        server = Server("-c", 2048, "--parallel", 4, *arguments)
        self.addCleanup(server.kill)
        return server

    def load(self, server, seconds, n_clients=CLIENTS):
        until = time.monotonic() + seconds
        clients = [Client(server, SEED + i, until) for i in range(n_clients)]
        run_together([client.run for client in clients])
        seen = collections.Counter()
        for client in clients:
            seen.update(client.seen)
        return seen

    def test_many_clients(self):
        print(f"random requests: repeat with CHUNKKV_TEST_SEED={SEED}", flush=True)
        server = self.start("--queue", 12, "--source-bytes", "20M")
        # Cells take memory when they are first used, so what is in use at some moment says little.
        cache, prompts = re.search(r"([\d.]+) MiB of cache, ([\d.]+) MiB of host memory", server.said()).groups()
        most = server.memory() + (float(cache) + float(prompts)) * (1 << 20) + SPARE_BYTES
        self.load(server, min(SECONDS, 5))
        server.wait_until_idle()
        threads = server.threads()
        seen = self.load(server, SECONDS)
        print(dict(seen), flush=True)
        self.assertGreater(seen[200], 0)
        server.wait_until_idle()
        self.assertTrue(server.is_alive(), server.said()[-2000:])
        self.assertLess(server.memory(), most)
        self.assertLessEqual(server.threads(), threads)

        # Nobody waits, and every cell comes back.
        for name in ["requests_queued", "requests_reading", "requests_generating"]:
            self.assertEqual(server.metric(name), 0, name)
        server.erase_all()
        self.assertEqual([slot["cells"] for slot in server.slots() if slot["cells"]], [])
        time.sleep(0.3)  # /metrics is brought up to date with each turn
        self.assertEqual(server.metric("cells_used"), 0)
        self.assertEqual(server.metric("conversations"), 0)
        reply = server.post("/completion", {"prompt": "The ferry", "n_predict": 4, "temperature": 0})
        self.assertEqual(reply.status, 200)
        code, seconds = server.stop()
        self.assertEqual(code, 0, server.said()[-2000:])
        self.assertLess(seconds, STOPS_WITHIN)

    def test_a_full_queue_says_so(self):
        server = self.start("--queue", 2)
        statuses = collections.Counter()

        def ask():
            reply = server.post("/completion", {"prompt": "The ferry", "n_predict": 100, "ignore_eos": True})
            statuses[reply.status] += 1
            if reply.status == 503:
                self.assertTrue(reply.headers["Retry-After"])

        run_together([ask] * 24)
        self.assertEqual(set(statuses), {200, 503}, statuses)
        self.assertEqual(statuses.total(), 24)
        self.assertGreaterEqual(statuses[200], 2)

    def stop_while_busy(self, number):
        server = self.start("--queue", 40)
        outcomes = collections.Counter()

        def ask(stream):
            body = {"prompt": "The ferry", "n_predict": 1500, "ignore_eos": True, "stream": stream}
            try:
                outcomes[server.post("/completion", body).status] += 1
            except (ConnectionError, http.client.HTTPException, TimeoutError):
                outcomes["hung up"] += 1

        threads = [threading.Thread(target=ask, args=(i % 2 == 0,)) for i in range(12)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + PATIENCE
        while server.metric("requests_generating") < 4 and time.monotonic() < end:
            time.sleep(0.05)
        code, seconds = server.stop(number)
        for thread in threads:
            thread.join(PATIENCE)
            self.assertFalse(thread.is_alive(), "a client waits for a server that has gone")
        self.assertLess(seconds, STOPS_WITHIN, outcomes)
        self.assertEqual(outcomes.total(), 12)
        return code, server.said()

    def test_stops_while_requests_are_in_work(self):
        code, said = self.stop_while_busy(signal.SIGTERM)
        self.assertEqual(code, 0, said[-2000:])
        self.assertIn("stopped", said)

    def test_stops_with_requests_that_no_one_has_looked_at(self):
        # They arrive at the very moment when the server ends.
        for _ in range(3):
            server = self.start("--queue", 200)
            stop = threading.Event()

            def ask(server=server, stop=stop):
                while not stop.is_set():
                    with contextlib.suppress(OSError, http.client.HTTPException):
                        server.post("/completion", {"prompt": "a", "n_predict": 0})

            threads = [threading.Thread(target=ask) for _ in range(16)]
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            code, seconds = server.stop()
            stop.set()
            for thread in threads:
                thread.join(PATIENCE)
                self.assertFalse(thread.is_alive())
            self.assertEqual(code, 0, server.said()[-2000:])
            self.assertLess(seconds, STOPS_WITHIN)


class Killed(unittest.TestCase):
    """A server that dies while it saves leaves the old prompt or the new one."""

    ROUNDS = 5

    def verify(self, path):
        result = subprocess.run([BINARY, "cache", "verify", path], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_killed_while_saving(self):
        rng = random.Random(SEED)
        print(f"random moments: repeat with CHUNKKV_TEST_SEED={SEED}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["-c", 2048, "--parallel", 2, "--method", "full", "--slot-save-path", folder]
            saved = pathlib.Path(folder) / "contract"
            prompt = "It was agreed: " + text(rng, 150)
            versions = {}
            for round_number in range(self.ROUNDS):
                server = Server(*arguments)
                self.addCleanup(server.kill)
                reply = server.post("/completion", {"prompt": prompt, "n_predict": 1, "temperature": 0}).json()
                if round_number > 0:
                    # What was saved is found again without being read.
                    self.assertGreater(reply["kv"]["reused"], 100, reply["kv"])
                slot = reply["id_slot"]
                if round_number == 0:
                    self.assertEqual(server.post(f"/slots/{slot}?action=save", {"filename": "contract"}).status, 200)
                    self.verify(saved)
                prompt += " " + text(rng, 20)
                slot = server.post("/completion", {"prompt": prompt, "n_predict": 1, "temperature": 0}).json()["id_slot"]
                before = saved.read_bytes()
                versions[before] = True

                def save(server=server, slot=slot):
                    with contextlib.suppress(OSError, http.client.HTTPException):
                        while True:
                            server.post(f"/slots/{slot}?action=save", {"filename": "contract"})

                saver = threading.Thread(target=save)
                saver.start()
                time.sleep(rng.random() * 0.2)
                server.process.send_signal(signal.SIGKILL)
                server.process.wait()
                saver.join(PATIENCE)
                self.assertFalse(saver.is_alive())
                self.verify(saved)
            # Nothing is left half written that the next start takes for a prompt.
            server = Server(*arguments)
            self.addCleanup(server.kill)
            reply = server.post("/completion", {"prompt": prompt, "n_predict": 1, "temperature": 0}).json()
            self.assertGreater(reply["kv"]["reused"], 100, reply["kv"])
            code, _ = server.stop()
            self.assertEqual(code, 0)


if __name__ == "__main__":
    unittest.main()
