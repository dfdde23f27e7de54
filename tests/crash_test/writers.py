"""Programs that write logs: each appends numbered lines, or events of several lines, to its own file and rotates it by
rename every now and then."""

import pathlib
import random
import threading
import time
from collections.abc import Callable

from tests.crash_test.lines import Line, encode, filler


class Writer(threading.Thread):
    """Writes until told to stop. `lives_s` is the shortest and the longest time between two rotations, `suffix` what
    they add to the name; `may_rotate` is asked, with writer and file, before a file is renamed. With `multiline` it
    writes events, and each rotation cuts one in two."""

    def __init__(
        self,
        number: int,
        directory: pathlib.Path,
        seed: int,
        lines_per_second: int,
        lives_s: tuple[float, float],
        suffix: Callable[[int], str],
        may_rotate: Callable[[int, int], bool],
        multiline: bool,
    ):
        super().__init__(daemon=True, name=f"writer-{number}")
        self.number = number
        self.path = directory / f"w{number}.log"
        self.random = random.Random(f"{seed} writer {number}")
        self.rate = lines_per_second
        self.lives_s = lives_s
        self.suffix = suffix
        self.may_rotate = may_rotate
        self.multiline = multiline
        # The rest of an event that began in the file before.
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
                    if self.multiline:
                        first, end, self.rest = self.line(file).partition(b"\n")
                        log.write(first + end)
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

    def line(self, file: int) -> bytes:
        line = Line(self.number, file, self.lines_per_file[file])
        self.lines_per_file[file] += 1
        noise = b"noise %d\n" % line.number if self.multiline and self.random.random() < 0.2 else b""
        return noise + encode(line, filler(self.random, self.multiline)) + b"\n"

    def stop(self) -> None:
        self.stopping.set()
        self.join()
