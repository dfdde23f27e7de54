"""Looks at every line: which are lost, doubled, changed, or out of order."""

import array
import sqlite3
from collections.abc import Iterable, Iterator

from tests.crash_test import TOPIC
from tests.crash_test.lines import Line, decode
from tests.crash_test.writers import Writer
from tests.lib.reading import read_topic

Place = tuple[int, int]  # partition and offset
FINDINGS_MAX = 20


class File:
    """Of one file: at which offset each line was found; -1 if it was not."""

    def __init__(self, part: int):
        self.part = part
        self.offsets = array.array("q")
        self.highest = -1

    def place(self, number: int) -> str:
        """Where a line is, in words."""
        if 0 <= number < len(self.offsets) and self.offsets[number] >= 0:
            return f"partition {self.part} offset {self.offsets[number]}"
        return "nowhere"

    def take(self, number: int, place: Place) -> str | None:
        """Notes the next line; what is wrong with it, if anything."""
        part, offset = place
        self.offsets.extend([-1] * (number + 1 - len(self.offsets)))
        if part != self.part:
            return f"in partition {part} offset {offset}, other lines of its file are in partition {self.part}"
        if self.offsets[number] >= 0:
            return f"doubled: {self.place(number)}, and offset {offset}"
        self.offsets[number] = offset
        if number < self.highest:
            return f"out of order: {self.place(number)}, after line {self.highest}: {self.place(self.highest)}"
        self.highest = number
        return None

    def missing(self, written: int) -> Iterator[tuple[int, int]]:
        """The stretches of lines that were not found, each as its first and its last."""
        first = None
        for number in range(written + 1):
            lost = number < written and (number >= len(self.offsets) or self.offsets[number] < 0)
            if lost and first is None:
                first = number
            elif not lost and first is not None:
                yield first, number - 1
                first = None


def check(lines: Iterable[tuple[Place, Line]], writers: list[Writer]) -> list[str]:
    """What is promised and was not kept, in words; the lines come in the order of their offsets."""
    findings: list[str] = []
    files: dict[tuple[int, int], File] = {}
    latest: dict[tuple[int, int], int] = {}
    for place, line in lines:
        file = files.setdefault((line.writer, line.file), File(place[0]))
        wrong = file.take(line.number, place)
        if wrong is not None:
            path = writers[line.writer].path_of(line.file)
            findings.append(f"{path} line {line.number + 1} {wrong}")
        before = latest.setdefault((line.writer, place[0]), line.file)
        if line.file < before and line.number == 0:
            path, other = (writers[line.writer].path_of(file) for file in (line.file, before))
            findings.append(f"{path} begins at partition {place[0]} offset {place[1]}, after {other}")
        latest[line.writer, place[0]] = max(before, line.file)
    for writer in writers:
        for number, written in enumerate(writer.lines_per_file):
            file = files.get((writer.number, number), File(-1))
            path = writer.path_of(number)
            for first, last in file.missing(written):
                findings.append(
                    f"{path} lines {first + 1} to {last + 1} lost; "
                    f"the one before: {file.place(first - 1)}; the one after: {file.place(last + 1)}"
                )
            if len(file.offsets) > written:
                findings.append(f"{path} has {written} lines, {len(file.offsets)} arrived")
    return shortened(findings)


def shortened(findings: list[str]) -> list[str]:
    more = len(findings) - FINDINGS_MAX
    return findings[:FINDINGS_MAX] + ([f"and {more} more"] if more > 0 else [])


def read_log(bootstrap: str) -> Iterator[tuple[Place, Line]]:
    """Every line of every partition, from beginning to end."""
    for part, at, value in read_topic(bootstrap, TOPIC):
        try:
            yield (part, at), decode(value)
        except ValueError as error:
            raise AssertionError(f"partition {part} offset {at} holds {value[:80]!r}, which nobody wrote") from error


def read_database(database: sqlite3.Connection) -> Iterator[tuple[Place, Line]]:
    """Every line that the consumer kept."""
    for part, at, *line in database.execute("SELECT * FROM line ORDER BY part, at"):
        yield (part, at), Line(*line)
