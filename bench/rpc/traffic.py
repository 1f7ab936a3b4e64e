#!/usr/bin/env python3
"""Bytes that a compression moves over the network, with a model that lies on an RPC server.

    bench/rpc/traffic.py build/release/chunkkv MODEL.gguf PROMPT.txt [SPEC...]

Counts what passes between the two in both directions, on loopback, once with `--method full` and once with each
method; the difference is what choosing and moving cost. No answer is generated.
"""

import json
import pathlib
import socket
import subprocess
import sys
import threading


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Counter:
    """A proxy before the server that counts bytes."""

    def __init__(self, port):
        self.to_server = self.from_server = 0
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.target))
            for name, source, sink in (("to_server", client, server), ("from_server", server, client)):
                threading.Thread(target=self.pump, args=(name, source, sink), daemon=True).start()

    def pump(self, name, source, sink):
        while data := source.recv(1 << 20):
            setattr(self, name, getattr(self, name) + len(data))
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)  # the other direction goes on until it ends, too


def run(program, model, prompt, spec):
    port = free_port()
    server = pathlib.Path(program).resolve().parent / "ggml-rpc-server"
    with subprocess.Popen([server, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                pass
        counter = Counter(port)
        command = [program, "run", "-m", model, "-f", prompt, "--method", spec, "--rpc", f"127.0.0.1:{counter.port}"]
        command += ["-n", "0", "--json", "--no-chat-template"]
        result = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        process.kill()
    return counter.to_server, counter.from_server, result


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    program, model, prompt = sys.argv[1:4]
    specs = sys.argv[4:] or ["chunkkv", "snapkv", "hybrid:after=0", "h2o", "rkv", "keydiff"]
    to_server, from_server, full = run(program, model, prompt, "full")
    print(f"{full['prompt_tokens']} tokens, cache of {full['cache_bytes']['before']} bytes; reading alone sends "
          f"{to_server} bytes (weights included) and gets {from_server}")
    print(f"{'method':<20}{'sent':>12}{'received':>12}{'of the cache':>14}")
    for spec in specs:
        sent, received, result = run(program, model, prompt, spec)
        sent, received = sent - to_server, received - from_server
        share = (sent + received) / result["cache_bytes"]["before"]
        print(f"{spec:<20}{sent:>12}{received:>12}{share:>14.2%}")


main()
