"""The real processes under test: started from a configuration, killed, and started again."""

import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request

BIN = pathlib.Path(os.environ.get("TAILRACE_BIN", "target/release"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A process that may be killed at any moment and started again on the same state."""

    def __init__(self, name: str, command: list[str], log_dir: pathlib.Path):
        self.name = name
        self.command = command
        self.log_path = log_dir / f"{name}.log"
        self.child: subprocess.Popen | None = None
        self.starts = 0

    def start(self) -> None:
        self.starts += 1
        with open(self.log_path, "ab") as log:
            log.write(f"--- start {self.starts}\n".encode())
            log.flush()
            self.child = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def kill(self) -> None:
        """kill -9: nothing is flushed, nobody is told."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM, and the exit status."""
        assert self.child is not None
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(seconds)

    def check_alive(self) -> None:
        """A process that ended without being killed has failed."""
        if self.child is not None and self.child.poll() is not None:
            tail = self.log_path.read_text(errors="replace").splitlines()[-25:]
            raise AssertionError(
                f"{self.name} ended by itself with status {self.child.returncode}:\n" + "\n".join(tail)
            )


class Collector(Process):
    """A collector on ports of its own."""

    def __init__(self, work: pathlib.Path, extra: str = ""):
        self.port, self.http_port = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        config = work / "collector.toml"
        config.write_text(
            f'data_dir = "{work}/collector"\n'
            f'[kafka]\nlisten = "{self.bootstrap}"\n'
            f'[http]\nlisten = "127.0.0.1:{self.http_port}"\n' + extra
        )
        super().__init__("collector", [str(BIN / "tailrace-collector"), "--config", str(config)], work)

    def wait_ready(self, seconds: float = 60) -> None:
        wait_http(f"http://127.0.0.1:{self.http_port}/readyz", seconds, self)


class Agent(Process):
    """An agent that follows files for a collector."""

    def __init__(self, work: pathlib.Path, bootstrap: str, inputs: str, extra: str = ""):
        self.http_port = free_port()
        config = work / "agent.toml"
        config.write_text(
            f'data_dir = "{work}/agent"\n{extra}'
            f'[collector]\nbootstrap = ["{bootstrap}"]\n'
            f'[http]\nlisten = "127.0.0.1:{self.http_port}"\n' + inputs
        )
        super().__init__("agent", [str(BIN / "tailrace-agent"), "--config", str(config)], work)


def wait_http(url: str, seconds: float, process: Process | None = None) -> str:
    """The body of a page once it answers 200."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.read().decode()
        except OSError as error:
            if process is not None:
                process.check_alive()
            if time.monotonic() > deadline:
                raise AssertionError(f"{url} did not answer within {seconds} s: {error}") from error
            time.sleep(0.05)
