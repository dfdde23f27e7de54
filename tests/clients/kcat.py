"""Runs kcat."""

import subprocess


def kcat(bootstrap: str, *arguments: str, stdin: bytes = b"", check: bool = True) -> bytes:
    """What it printed."""
    done = subprocess.run(
        ["kcat", "-b", bootstrap, "-q", *arguments], input=stdin, stdout=subprocess.PIPE, timeout=120, check=check
    )
    return done.stdout


def produce(bootstrap: str, topic: str, lines: bytes, *arguments: str) -> None:
    """One record per line."""
    kcat(bootstrap, "-P", "-t", topic, "-X", "acks=all", *arguments, stdin=lines)


def consume(bootstrap: str, topic: str, *arguments: str) -> bytes:
    """All records there are, a line each."""
    return kcat(bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", *arguments)
