"""What the parts are measured with: sizes, the binaries, processes whose cost is known, and the page cache."""

import dataclasses
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
MIB = 1 << 20
PATIENCE = 120


def free_addresses(count):
    """On loopback. Somebody else may take one before it is used; then a start fails and says so."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{taken.getsockname()[1]}" for taken in sockets]
    for taken in sockets:
        taken.close()
    return addresses


KAFKA, HTTP, AGENT_HTTP = free_addresses(3)


@dataclasses.dataclass
class Sizes:
    """How much is measured."""

    rounds: int
    drained: int
    handed_on: int
    produce_seconds: float
    fetched_tail: int
    fetched_cold: int
    wal_budget: int
    followed: int
    idle_files: int
    idle_seconds: float
    perf_records: int
    partitions: int
    grown: int

    @staticmethod
    def full():
        return Sizes(5, 1 << 30, 256 * MIB, 2.0, 12 * MIB, 1 << 30, 1 << 30, 100, 10_000, 20.0, 1_000_000, 10_000, 32 << 30)

    @staticmethod
    def quick():
        return Sizes(1, 64 * MIB, 32 * MIB, 0.5, 8 * MIB, 128 * MIB, 256 * MIB, 20, 500, 3.0, 100_000, 1_000, 2 << 30)


class Missing(Exception):
    """A tool or a binary is not there: what needs it is skipped."""


class Machine:
    """The machine, and the directory that everything lies in."""

    def __init__(self, work, sizes, profile):
        self.work = work
        self.sizes = sizes
        self.profile = profile
        directory = {"dev": "debug"}.get(profile, profile)
        self.bin = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / directory

    def build(self):
        packages = [f"--package={name}" for name in ("tailrace-collector", "tailrace-agent", "tailrace-bench")]
        subprocess.run(["cargo", "build", "--profile", self.profile, "--quiet", *packages], cwd=ROOT, check=True)
        # Somebody may commit while the measurement runs.
        described = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.revision = described.stdout.strip()

    def tool(self, name):
        path = shutil.which(name)
        if path is None:
            raise Missing(f"{name} is not installed")
        return path

    def driver(self, *args):
        """Runs a command of bench/driver."""
        command = [str(self.bin / "tailrace-bench"), *map(str, args)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=10 * PATIENCE)
        return json.loads(done.stdout)

    def lines(self, size):
        """A file of generated log lines, and how many there are."""
        path = self.work / f"lines-{size}.log"
        made = self.driver("lines", path, "--bytes", size)
        return path, made["lines"]

    def written(self, name, size):
        """A file whose blocks are all written and synced, so that to write one again changes no metadata."""
        path = self.work / name
        if not path.exists():
            with open(path, "wb") as file:
                for _ in range(size // MIB):
                    file.write(bytes(MIB))
                file.flush()
                os.fsync(file.fileno())
        return path

    def fresh(self, name):
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def run(self, command):
        """Runs to the end; tells wall time, CPU time, and the most memory."""
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - started
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss * 1024}

    def start(self, binary, config, http):
        """Starts one of our binaries; tells it and how long it took to be ready."""
        log = open(self.work / f"{binary}.log", "ab")
        started = time.monotonic()
        process = subprocess.Popen([self.bin / binary, "--config", config], stdout=log, stderr=log)
        log.close()
        while not is_ready(http):
            if process.poll() is not None:
                raise Missing(f"{binary} ended at start: {tail(self.work / f'{binary}.log')}")
            if time.monotonic() - started > PATIENCE:
                process.kill()
                raise Missing(f"{binary} was not ready after {PATIENCE} s")
            time.sleep(0.001)
        return Running(process), time.monotonic() - started

    def collector(self, data, partitions=4, retention="7d", **wal):
        config = self.work / "collector.toml"
        wal = "".join(f"{key} = {value}\n" for key, value in wal.items())
        config.write_text(
            f'data_dir = "{data}"\n[kafka]\nlisten = "{KAFKA}"\nconnections_per_address_max = 4096\n'
            f'[http]\nlisten = "{HTTP}"\n[topics]\npartitions = {partitions}\nretention = "{retention}"\n[wal]\n{wal}'
        )
        return self.start("tailrace-collector", config, HTTP)

    def agent(self, data, include, topic, more=""):
        config = self.work / "agent.toml"
        config.write_text(
            f'data_dir = "{data}"\n[collector]\nbootstrap = ["{KAFKA}"]\n[http]\nlisten = "{AGENT_HTTP}"\n'
            f'[[files]]\ntopic = "{topic}"\ninclude = ["{include}"]\n{more}'
        )
        return self.start("tailrace-agent", config, AGENT_HTTP)

    def drop_cache(self, path):
        """Writes out what is dirty and drops the clean pages of every file below from the page cache."""
        os.sync()
        for file in filter(pathlib.Path.is_file, path.rglob("*")):
            handle = os.open(file, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)

    def disk_written(self):
        """Bytes that the disk under the data has taken so far, of whoever, once nothing dirty is left. What a process is
        said to have written (`/proc/PID/io`) counts whole folios of the page cache, of which a block was written."""
        os.sync()
        device = os.stat(self.work).st_dev
        stat = pathlib.Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
        if not stat.exists():
            raise Missing(f"{self.work} is on no block device")
        return int(stat.read_text().split()[6]) * 512

    def warm(self, path):
        with open(path, "rb", buffering=0) as file:
            while file.read(MIB):
                pass


class Running:
    """A process of ours."""

    def __init__(self, process):
        self.process = process

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def cpu(self):
        """Seconds so far, all threads, user and system."""
        fields = self._proc("stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self):
        return self._status("VmRSS")

    def peak_rss(self):
        return self._status("VmHWM")

    def _status(self, key):
        lines = self._proc("status").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":"))

    def _proc(self, name):
        return pathlib.Path(f"/proc/{self.process.pid}/{name}").read_text()

    def stop(self):
        self._end(signal.SIGTERM)

    def kill(self):
        self._end(signal.SIGKILL)

    def _end(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE)


def is_ready(http):
    try:
        with urllib.request.urlopen(f"http://{http}/readyz", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def metric(http, name):
    """The sum over all labels; 0 while there is none."""
    with urllib.request.urlopen(f"http://{http}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


def until(is_done, what, pause=0.01):
    """Waits; tells for how long."""
    started = time.monotonic()
    while not is_done():
        if time.monotonic() - started > PATIENCE * 5:
            raise TimeoutError(what)
        time.sleep(pause)
    return time.monotonic() - started


def tail(path):
    return " / ".join(path.read_text(errors="replace").splitlines()[-3:])


def raise_file_limit():
    """Ten thousand followed files are as many handles."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


raise_file_limit()
assert sys.version_info >= (3, 9), "bench/run needs Python 3.9"
