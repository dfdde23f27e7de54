"""Programs that write logs: each appends numbered lines to its own file and rotates it by rename every few seconds."""

import pathlib
import random
import threading
import time


class Writer(threading.Thread):
    """Writes `<writer> <file> <line> <filler>` until told to stop. Files and lines count from 0."""

    def __init__(self, number: int, directory: pathlib.Path, seed: int, lines_per_second: int):
        super().__init__(daemon=True, name=f"writer-{number}")
        self.number = number
        self.path = directory / f"w{number}.log"
        self.random = random.Random(seed * 1000 + number)
        self.rate = lines_per_second
        self.stopping = threading.Event()
        self.lines_per_file: list[int] = []

    def run(self) -> None:
        file_number = 0
        while not self.stopping.is_set():
            self.lines_per_file.append(0)
            self.write_file(file_number, time.monotonic() + self.random.uniform(1, 5))
            self.path.rename(self.path.with_name(f"{self.path.name}.{file_number}"))
            file_number += 1

    def write_file(self, file_number: int, until: float) -> None:
        with open(self.path, "ab", buffering=0) as log:
            while time.monotonic() < until and not self.stopping.is_set():
                # One write may end in the middle of a line, as the writes of real programs do.
                burst = b"".join(self.line(file_number) for _ in range(self.random.randint(1, 20)))
                cut = self.random.randint(0, len(burst))
                log.write(burst[:cut])
                if self.random.random() < 0.2:
                    time.sleep(self.random.uniform(0, 0.05))
                log.write(burst[cut:])
                time.sleep(self.random.expovariate(self.rate / 10))

    def line(self, file_number: int) -> bytes:
        line_number = self.lines_per_file[-1]
        self.lines_per_file[-1] += 1
        filler = "x" * self.random.randint(0, 180)
        return f"{self.number} {file_number} {line_number} {filler}\n".encode()

    def stop(self) -> None:
        self.stopping.set()
        self.join()
