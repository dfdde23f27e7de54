"""Programs that write logs: each appends numbered lines to its own file and rotates it by rename every now and then.
Some write events of several lines, some are containers whose runtime wraps each line."""

import pathlib
import random
import threading
import time
from collections.abc import Callable

from tests.crash_test.lines import Line, encode, filler


class Writer(threading.Thread):
    """Writes until told to stop. `lives_s` is the shortest and the longest time between two rotations, `suffix` what
    they add to the name; `may_rotate` is asked, with writer and file, before a file is renamed."""

    # What is said of the input that follows such files.
    CONFIG = ""

    def __init__(
        self,
        number: int,
        directory: pathlib.Path,
        seed: int,
        lines_per_second: int,
        lives_s: tuple[float, float],
        suffix: Callable[[int], str],
        may_rotate: Callable[[int, int], bool],
    ):
        super().__init__(daemon=True, name=f"writer-{number}")
        self.number = number
        self.path = directory / f"w{number}.log"
        self.random = random.Random(f"{seed} writer {number}")
        self.rate = lines_per_second
        self.lives_s = lives_s
        self.suffix = suffix
        self.may_rotate = may_rotate
        # The rest of what began in the file before.
        self.rest = b""
        self.stopping = threading.Event()
        self.lines_per_file: list[int] = []

    def run(self) -> None:
        while not self.stopping.is_set():
            file = len(self.lines_per_file)
            self.lines_per_file.append(0)
            self.write_file(file, time.monotonic() + self.random.uniform(*self.lives_s))
            if not self.stopping.is_set():
                self.path.rename(self.rotated(file))
        with open(self.path, "ab", buffering=0) as log:
            log.write(self.rest)

    def rotated(self, file: int) -> pathlib.Path:
        return self.path.with_name(self.path.name + self.suffix(file))

    def path_of(self, file: int) -> pathlib.Path:
        """Where a file is now."""
        return self.rotated(file) if self.rotated(file).exists() else self.path

    def write_file(self, file: int, until: float) -> None:
        with open(self.path, "ab", buffering=0) as log:
            log.write(self.rest)
            self.rest = b""
            while not self.stopping.is_set():
                if time.monotonic() > until and self.may_rotate(self.number, file):
                    log.write(self.last(file))
                    return
                # One write may end in the middle of a line, as the writes of real programs do.
                count = self.random.randint(1, 20)
                burst = b"".join(self.line(file) for _ in range(count))
                cut = self.random.randint(0, len(burst))
                log.write(burst[:cut])
                if self.random.random() < 0.2:
                    time.sleep(self.random.uniform(0, 0.05))
                log.write(burst[cut:])
                time.sleep(self.random.expovariate(self.rate / count))

    def last(self, file: int) -> bytes:
        """What is written just before a rotation."""
        return b""

    def next_line(self, file: int, multiline: bool = False) -> bytes:
        line = Line(self.number, file, self.lines_per_file[file])
        self.lines_per_file[file] += 1
        return encode(line, filler(self.random, multiline))

    def line(self, file: int) -> bytes:
        return self.next_line(file) + b"\n"

    def stop(self) -> None:
        self.stopping.set()
        self.join()


class EventWriter(Writer):
    """Writes events of several lines, with noise between them that nobody wants. Each rotation cuts one in two, which
    must show before its time is up."""

    CONFIG = """
multiline = { mode = "indent", timeout = "10s" }
transform = { drop = [{ matches = '^noise' }] }
"""

    def line(self, file: int) -> bytes:
        noise = b"noise\n" if self.random.random() < 0.2 else b""
        return noise + self.next_line(file, multiline=True) + b"\n"

    def last(self, file: int) -> bytes:
        first, end, self.rest = self.line(file).partition(b"\n")
        return first + end


class ContainerWriter(Writer):
    """A container on both of its streams. Its runtime cuts lines into pieces, and noise of the other stream comes
    between them. A rotation comes between two pieces."""

    CONFIG = """
container = true
transform = { drop = [{ matches = '^noise' }] }
"""

    def pieces(self, file: int) -> list[bytes]:
        streams = self.random.sample([b"stdout", b"stderr"], 2)
        line = self.next_line(file)
        cuts = sorted(self.random.randint(0, len(line)) for _ in range(self.random.choice([0, 0, 0, 1, 2])))
        parts = [line[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(line)], strict=True)]
        pieces = []
        for number, part in enumerate(parts):
            if self.random.random() < 0.2:
                pieces.append(self.wrapped(streams[1], b"F", b"noise"))
            pieces.append(self.wrapped(streams[0], b"F" if number == len(cuts) else b"P", part))
        return pieces

    def wrapped(self, stream: bytes, tag: bytes, content: bytes) -> bytes:
        return b"2026-11-24T12:00:01.123456789Z " + stream + b" " + tag + b" " + content + b"\n"

    def line(self, file: int) -> bytes:
        return b"".join(self.pieces(file))

    def last(self, file: int) -> bytes:
        *before, whole = self.pieces(file)
        self.rest = whole
        return b"".join(before)
