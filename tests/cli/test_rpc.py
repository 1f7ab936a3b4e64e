"""Models over several machines, as several processes of this one."""

import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from command import BINARY, FULL_MODEL, N_LAYERS, TEXT, chunkkv, inspect, inspect_json, run_json

SERVER = pathlib.Path(BINARY).parent / "ggml-rpc-server"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [SERVER, "-p", str(self.port), "-t", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.05)
        raise RuntimeError("the server does not start")

    def stop(self):
        self.process.kill()
        self.process.wait()


@unittest.skipUnless(SERVER.exists(), "this engine was built without ggml-rpc-server")
class Rpc(unittest.TestCase):
    def setUp(self):
        self.servers = [Server(), Server()]
        for server in self.servers:
            self.addCleanup(server.stop)
        self.addresses = ",".join(server.address for server in self.servers)

    def test_devices_are_listed(self):
        result = chunkkv("run", "--rpc", self.addresses, "--list-devices")
        self.assertEqual(result.returncode, 0, result.stderr)
        for i, server in enumerate(self.servers):
            self.assertRegex(result.stdout, f"RPC{i}: .*{server.address}")
        self.assertIn("Available devices", chunkkv("perf", "--list-devices").stdout)

    def test_kept_sets_and_answers_do_not_depend_on_where_layers_lie(self):
        arguments = ("-p", TEXT * 3, "--method", "snapkv:window=16", "--keep", "25%")
        alone = inspect_json(*arguments, "--rpc", self.servers[0].address)
        both = inspect_json(*arguments, "--rpc", self.addresses)
        part = inspect_json(*arguments, "--rpc", self.addresses, "-ngl", N_LAYERS // 2, "-ts", "2,1", "--no-fast-prefill")
        self.assertEqual(alone["layers"], both["layers"])
        here = inspect_json(*arguments, "--no-fast-prefill")
        # Here weights lie in another order, and sums are rounded otherwise.
        for other in (both, part):
            for a, b in zip(here["layers"], other["layers"], strict=True):
                for mine, theirs in zip(a["kept"], b["kept"], strict=True):
                    self.assertGreater(len(set(mine) & set(theirs)), 0.95 * len(mine))
        ask = ("-p", TEXT * 3, "-q", "Where does the ferry go?", "--keep", "25%", "-n", 12)
        self.assertEqual(
            run_json(*ask, "--rpc", self.servers[0].address)["answer"], run_json(*ask, "--rpc", self.addresses)["answer"]
        )

    def test_bounded_reading_works_there(self):
        result = run_json("-p", TEXT * 8, "--cells", 512, "-ub", 128, "--keep", 200, "-n", 4, "--rpc", self.addresses)
        self.assertGreater(result["compressions"], 1)

    def test_a_server_that_dies_ends_the_command_with_nothing_half_written(self):
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder) / "kept.html"
            process = subprocess.Popen(
                [BINARY, "inspect", "-m", FULL_MODEL, "-t", "1", "-p", TEXT * 60, "--rpc", self.addresses, "--html", page],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            time.sleep(4)
            self.assertIsNone(process.poll(), "it was over before the server was stopped")
            self.servers[1].process.send_signal(signal.SIGKILL)
            begin = time.monotonic()
            _, errors = process.communicate(timeout=30)
            self.assertLess(time.monotonic() - begin, 20)
            self.assertEqual(process.returncode, 1)
            self.assertIn("stopped answering", errors)
            self.assertFalse(page.exists())

    def test_a_server_that_is_not_there_is_an_error(self):
        self.servers[0].stop()
        result = inspect("-p", TEXT, "--rpc", self.servers[0].address)
        self.assertEqual(result.returncode, 1)
        self.assertIn("ggml-rpc-server", result.stderr)
        for wrong in ("nowhere", "127.0.0.1:x", ":1"):
            result = inspect("-p", TEXT, "--rpc", wrong)
            self.assertEqual(result.returncode, 2, wrong)
            self.assertIn("HOST:PORT", result.stderr)


class Devices(unittest.TestCase):
    def test_what_there_is_not_is_refused(self):
        for arguments in (("-dev", "CUDA9"), ("-ts", "a,b"), ("-ot", "exps"), ("-ot", "exps=nowhere")):
            result = inspect("-p", TEXT, *arguments)
            self.assertEqual(result.returncode, 2, arguments)
        self.assertEqual(inspect("-p", TEXT, "-dev", "none", "-ot", "ffn=CPU", "--keep", "50%").returncode, 0)


if __name__ == "__main__":
    unittest.main()
