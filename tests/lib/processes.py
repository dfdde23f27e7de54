"""The real processes under test: started from a configuration, killed, and started again."""

import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Self, TypeVar

T = TypeVar("T")

BIN = pathlib.Path(os.environ.get("TAILRACE_BIN", "target/release"))
# A WAL of little files, which still holds the largest frames.
SMALL_WAL = '[wal]\nfile_bytes = "16MiB"\nbudget_bytes = "64MiB"\n'


def free_port() -> int:
    """A port that nobody uses, below those that the system gives to outgoing connections.

    One of those could be taken by some client while a listener is down between two starts; a client that tries to
    reach the listener could even be connected to itself.
    """
    first_outgoing = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(10_000, max(first_outgoing, 20_000))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A process that may be killed at any moment and started again on the same state."""

    def __init__(self, name: str, command: list[str], log_dir: pathlib.Path):
        self.name = name
        self.command = command
        self.log_path = log_dir / f"{name}.log"
        self.child: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> Self:
        self.starts += 1
        with open(self.log_path, "ab") as log:
            log.write(f"--- start {self.starts}\n".encode())
            log.flush()
            self.child = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        return self

    def kill(self, asked: bool = False) -> None:
        """kill -9: nothing is flushed, nobody is told. One that had ended before has failed, unless it was asked to."""
        if self.child is not None:
            self.child.kill()
            status = self.child.wait()
            # It may be asked before it has learned to listen.
            if status != -signal.SIGKILL and not (asked and status in (0, -signal.SIGTERM)):
                raise AssertionError(self.ended(status))
            self.child = None

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        assert self.child is not None
        self.child.send_signal(signal.SIGTERM)

    def stop(self, seconds: float = 60) -> int:
        """SIGTERM, and the exit status."""
        self.ask_to_stop()
        status = self.wait_end(seconds)
        self.child = None
        return status

    def wait_end(self, seconds: float = 60) -> int:
        """The exit status of a process that ends by itself."""
        assert self.child is not None
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{self.name} did not end within {seconds} s:\n{self.log_tail()}") from error

    def check_alive(self) -> None:
        """A process that ended without being killed has failed."""
        if self.child is not None and (status := self.child.poll()) is not None:
            raise AssertionError(self.ended(status))

    def resident_bytes(self) -> int:
        """What it holds in memory."""
        assert self.child is not None
        status = pathlib.Path(f"/proc/{self.child.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) << 10

    def kill_children(self) -> int:
        """kill -9 of what it runs; how many that were."""
        assert self.child is not None
        killed = 0
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            # One may end meanwhile.
            with contextlib.suppress(OSError):
                state, parent = stat.read_text().rpartition(")")[2].split()[:2]
                if int(parent) == self.child.pid and state != "Z":
                    os.kill(int(stat.parent.name), signal.SIGKILL)
                    killed += 1
        return killed

    def ended(self, status: int) -> str:
        return f"{self.name} ended by itself with status {status}:\n{self.log_tail()}"

    def log(self) -> str:
        """What it has said since its last start."""
        return self.log_path.read_text(errors="replace").split(f"--- start {self.starts}\n")[-1]

    def log_tail(self) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-25:])

    def __enter__(self) -> Self:
        return self if self.child is not None else self.start()

    def __exit__(self, *_: object) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None


class Server(Process):
    """One of the binaries, with its operator's port."""

    def __init__(self, name: str, work: pathlib.Path, config: str):
        self.http_port = free_port()
        self.config_path = work / f"{name}.toml"
        self.config_path.write_text(f'{config}\n[http]\nlisten = "127.0.0.1:{self.http_port}"\n')
        super().__init__(name, [str(BIN / f"tailrace-{name}"), "--config", str(self.config_path)], work)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http_port}{path}"

    def wait_ready(self, seconds: float = 60) -> Self:
        wait_http(self.url("/readyz"), seconds, self)
        return self

    def metric(self, name: str) -> float:
        """The sum over all labels; 0 if it was never counted."""
        lines = wait_http(self.url("/metrics"), 30, self).splitlines()
        values = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        return sum(float(value) for series, value in values if series.split("{")[0] == name)


class Collector(Server):
    """A collector on ports of its own."""

    def __init__(
        self, work: pathlib.Path, extra: str = SMALL_WAL, data_dir: pathlib.Path | None = None, node_id: int = 1
    ):
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.data_dir = data_dir or work / "collector"
        config = f'data_dir = "{self.data_dir}"\nnode_id = {node_id}\n[kafka]\nlisten = "{self.bootstrap}"\n{extra}'
        super().__init__("collector", work, config)


class Agent(Server):
    """An agent that follows files for a collector."""

    def reload(self) -> bool:
        """SIGHUP, if it has come so far that it listens to that."""
        listens = self.child is not None and " started" in self.log()
        if listens:
            self.child.send_signal(signal.SIGHUP)
        return listens

    def __init__(self, work: pathlib.Path, bootstrap: str, inputs: str, data_dir: pathlib.Path | None = None):
        self.data_dir = data_dir or work / "agent"
        config = f'data_dir = "{self.data_dir}"\n[collector]\nbootstrap = ["{bootstrap}"]\n{inputs}'
        super().__init__("agent", work, config)


def wait_http(url: str, seconds: float, process: Process | None = None) -> str:
    """The body of a page once it answers 200."""

    def body() -> str | None:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.read().decode()
        except OSError:
            if process is not None:
                process.check_alive()
            return None

    return wait_until(body, f"{url} answers", seconds)


def wait_until(condition: Callable[[], T | None], what: str, seconds: float = 60) -> T:
    """The first true value of the condition. The patience is for slow machines; nothing is measured with it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)
    return found
