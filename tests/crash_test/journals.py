"""A program that writes to a journal of systemd, which is rotated: each file of the journal is a file of lines."""

import pathlib
import shutil
import time

from tests.crash_test.lines import Line, encode, filler
from tests.crash_test.writers import Writer
from tests.lib.journal import JournalWriter

TOOLS = ["journalctl", "systemd-journal-remote"]


def are_possible() -> bool:
    return all(shutil.which(tool) for tool in TOOLS)


class JournalProgram(Writer):
    """Writes entries until told to stop."""

    def __init__(self, number: int, directory: pathlib.Path, seed: int, lines_per_second: int):
        super().__init__(number, directory, seed, lines_per_second, (1, 5), str, lambda *_: True)

    def run(self) -> None:
        while not self.stopping.is_set():
            file = len(self.lines_per_file)
            self.lines_per_file.append(0)
            until = time.monotonic() + self.random.uniform(*self.lives_s)
            with JournalWriter(self.path.parent, self.path_of(file).stem) as journal:
                while not self.stopping.is_set() and time.monotonic() < until:
                    count = self.random.randint(1, 20)
                    journal.write(*(self.entry(file) for _ in range(count)))
                    time.sleep(self.random.expovariate(self.rate / count))

    def entry(self, file: int) -> bytes:
        line = Line(self.number, file, self.lines_per_file[file])
        self.lines_per_file[file] += 1
        return encode(line, filler(self.random, multiline=False))

    def path_of(self, file: int) -> pathlib.Path:
        return self.path.with_name(f"{file:06}.journal")
