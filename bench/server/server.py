"""A server as a child process that does not outlive the benchmark, and what else the machine did meanwhile."""

import os
import pathlib
import socket
import subprocess
import tempfile
import time

import client

TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, command: list[str]):
        self.port = free_port()
        self.command = [*command, "--host", "127.0.0.1", "--port", str(self.port)]
        self.log = tempfile.TemporaryFile()

    def __enter__(self) -> "Server":
        try:  # a session of its own: an interruption reaches it through __exit__ only
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log,
                                            stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        except OSError as error:
            raise client.ServerError(f"{self.command[0]} does not start: {error.strerror}") from None
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_until_ready(self) -> None:
        end = time.monotonic() + 600
        while time.monotonic() < end:
            self.check()
            try:
                if client.get(self.port, "/health") == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise client.ServerError(f"{self.command[0]} was not ready in ten minutes")

    def check(self) -> None:
        if self.process.poll() is not None:
            raise client.ServerError(f"{' '.join(self.command)}\nended with {self.process.returncode}:\n{self.log_end()}")

    def log_end(self) -> str:
        size = self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, size - 3000))
        return self.log.read().decode(errors="replace")

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def peak_mib(self) -> float | None:
        try:
            status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return None
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def cpu_seconds(self) -> float:
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


class OtherLoad:
    """Cores that other programs use between two moments: figures taken beside much of it are worth little."""

    def __init__(self, server: Server):
        self.server = server
        self.start = self.now()

    def now(self) -> tuple[float, float] | None:
        try:
            busy = [int(x) for x in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
            own = sum(os.times()[:2]) + self.server.cpu_seconds()
        except OSError:
            return None
        user, nice, system, _, _, irq, softirq, steal = busy[:8]
        return time.monotonic(), (user + nice + system + irq + softirq + steal) / TICKS - own

    def cores(self) -> float | None:
        end = self.now()
        return (end[1] - self.start[1]) / (end[0] - self.start[0]) if end and self.start else None
