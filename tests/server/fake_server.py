"""A server with the answers of `chunkkv serve` and no model: the question says what happens."""

import http.server
import json
import pathlib
import re
import threading

WEB = pathlib.Path(__file__).parents[2] / "web"

HOSTILE = '<img src=x onerror="document.title=\'run\'"><script>alert(1)</script>'
PIECES = ["The", " ferry", " leaves", " at", " seven", ".\n", HOSTILE, " Nobody", " waits", "."]
N_LAYERS = 4
KV = {
    "read": 6100, "reused": 12, "kept": 610, "cells": 640, "bytes": 8 * 2**20, "full_bytes": 80 * 2**20,
    "method": "chunkkv", "keep": "10%", "reread_reason": f"the first message changed {HOSTILE}", "slot": 3,
}  # fmt: skip
TIMINGS = {"prompt_ms": 900.0, "predicted_per_token_ms": 21.5, "predicted_n": 4, "prompt_n": 6100, "cache_n": 12}
PROPS = {
    "model_alias": f"small.gguf {HOSTILE}", "n_ctx": 8192, "total_slots": 4,
    "chunkkv": {
        "version": "0", "method": "full", "keep": "20%", "cells": 0, "n_layers": N_LAYERS, "source_bytes": 0,
        "methods": [{"name": "full", "title": "Full cache"}, {"name": "chunkkv", "title": "ChunkKV"}],
    },
}  # fmt: skip


def page():
    """The page as the program joins it: the files, in the order, that CMake embeds."""
    cmake = (WEB / "CMakeLists.txt").read_text()
    common = re.search(r"set\(common_scripts (.+?)\)", cmake).group(1).split()
    own = re.search(r"set\(serve_scripts (.+?)\)", cmake).group(1).split()
    script = "".join((WEB / name).read_text() for name in common + [f"serve/{name}.js" for name in own])
    parts = {"style": (WEB / "serve/style.css").read_text(), "script": script}
    return re.sub(r"{{(\w+)}}", lambda match: parts[match[1]], (WEB / "serve/index.html").read_text())


def kept(layer):
    """The first pieces, as many as the layer's number tells, and the last two."""
    return [[0, layer + 1], [8, 10]]


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def send(self, content, status=200, kind="application/json"):
        content = content if isinstance(content, str) else json.dumps(content)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(content.encode())

    def fail(self, status, message):
        self.send({"error": {"code": status, "message": message, "type": "made_up"}}, status)

    def event(self, content):
        self.wfile.write(f"data: {content if isinstance(content, str) else json.dumps(content)}\n\n".encode())
        self.wfile.flush()

    def delta(self, **delta):
        self.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def is_refused(self):
        if not self.server.key or self.headers.get("Authorization") == f"Bearer {self.server.key}":
            return False
        self.fail(401, "Invalid API key")
        return True

    def do_GET(self):
        if self.path == "/":
            return self.send(page(), kind="text/html; charset=utf-8")
        if self.is_refused():
            return None
        if self.path == "/props":
            return self.send(PROPS)
        match = re.fullmatch(r"/slots/3/kept\?layer=(\d+)", self.path)
        if not match or self.server.is_gone:
            return self.fail(404, "no such slot")
        layer = int(match[1])
        return self.send(
            {"slot": 3, "layer": layer, "n_layer": N_LAYERS, "pieces": PIECES, "kept": kept(layer)}
        )

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.is_refused():
            return None
        self.server.bodies.append(body)
        question = body["messages"][-1]["content"]
        if "refuse" in question:
            return self.fail(400, f"keep must be a share {HOSTILE}")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b": ping\n\n")
        self.delta(role="assistant", content=None)
        self.delta(reasoning_content="Let me see.")
        self.delta(content="At seven")
        if "break" in question:
            return self.event({"error": {"message": "out of memory", "code": 500}})
        if "lost" in question:
            return None
        if "slow" in question:
            return self.until_stopped()
        self.server.may_go_on.wait(10)
        self.delta(content=f", says {HOSTILE} über\r\n")
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self.event({"choices": [], "usage": {"total_tokens": 6104}, "timings": TIMINGS, "kv": KV})
        return self.event("[DONE]")

    def until_stopped(self):
        try:
            while True:
                self.delta(content=" and")
                self.server.may_go_on.wait(0.02)
        except OSError:
            self.server.was_stopped.set()


class FakeServer(http.server.ThreadingHTTPServer):
    """`bodies` are the requests that came. With `key` set, others are refused; with `is_gone`, no slot is left."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies, self.key, self.is_gone = [], None, False
        self.may_go_on, self.was_stopped = threading.Event(), threading.Event()
        self.address = f"http://127.0.0.1:{self.server_port}/"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.may_go_on.set()
        self.shutdown()
        self.server_close()
