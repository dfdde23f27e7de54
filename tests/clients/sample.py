"""Lines as logs have them, and some that logs should not have."""

import random


def log_lines(count: int, seed: int = 1) -> list[bytes]:
    """Each is unique: it begins with its number."""
    source = random.Random(seed)
    words = [b"GET", b"POST", b"/index.html", b"200", b"\xff\xfe not UTF-8", b"\x00", b"\ttab", "größer".encode()]
    return [b"%d %s" % (number, b" ".join(source.choices(words, k=source.randint(0, 30)))) for number in range(count)]


def as_text(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def sorted_text(text: bytes) -> bytes:
    return b"".join(sorted(text.splitlines(keepends=True)))
