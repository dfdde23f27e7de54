"""The lines that are written: each says who wrote it, and whether it is whole."""

import random
import re
import typing
import zlib


class Line(typing.NamedTuple):
    """Writers, their files, and the lines of a file count from 0."""

    writer: int
    file: int
    number: int


def encode(line: Line, filler: bytes) -> bytes:
    return b"%d %d %d %08x %s" % (*line, zlib.crc32(filler), filler)


def decode(value: bytes) -> Line:
    """Raises ValueError if this is not, byte for byte, what was written."""
    writer, file, number, crc, filler = value.split(b" ", 4)
    if int(crc, 16) != zlib.crc32(filler):
        raise ValueError("its filler does not have its checksum")
    return Line(int(writer), int(file), int(number))


def filler(source: random.Random, multiline: bool) -> bytes:
    """Often short, sometimes long; bytes that nothing can compress, so that the collector's files fill up.

    With `multiline` it has line ends, each followed by a tab: the next line belongs to the one before.
    """
    size = source.randint(0, 200) if source.random() < 0.7 else source.randint(2_000, 12_000)
    noise = source.randbytes(size)
    if multiline:
        return re.sub(rb"[\n-\f]", b"\n\t", noise).rstrip(b"\r")
    # A line end of any kind is not part of a line; a carriage return would be, but for the last byte.
    return noise.replace(b"\n", b".").rstrip(b"\r")
