"""A file system so small that it can be filled."""

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest


class SmallDisk:
    """A mounted file system, and a file on it that takes all space that is left."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.filler = path / "filler"

    def fill(self) -> None:
        with open(self.filler, "ab", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(64 << 10))

    def relieve(self) -> None:
        self.filler.unlink()


@contextlib.contextmanager
def small_disk(path: pathlib.Path, mebibytes: int) -> Iterator[SmallDisk]:
    """Skips the test where nothing can be mounted."""
    path.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tailrace-test", str(path)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
