"""A journal of systemd, with its real files, on machines where systemd does not run."""

import pathlib
import subprocess
import time
from typing import Self

from tests.lib.processes import wait_until

BOOT_ID = b"%032x" % 7


class JournalWriter:
    """Writes entries to a file of a journal."""

    def __init__(self, directory: pathlib.Path, name: str = "machine"):
        directory.mkdir(exist_ok=True, parents=True)
        self.file = directory / f"{name}.journal"
        command = ["systemd-journal-remote", f"--output={self.file}", "--split-mode=none", "-"]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.written = 0
        self.boot_id = BOOT_ID

    def write(self, *messages: bytes, **fields: str) -> None:
        for message in messages:
            self.written += 1
            entry = b"__REALTIME_TIMESTAMP=%d\n" % (time.time_ns() // 1000)
            entry += b"__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n" % (time.monotonic_ns() // 1000, self.boot_id)
            for name, value in {"_HOSTNAME": "web-1", "_SYSTEMD_UNIT": "app.service", **fields}.items():
                entry += f"{name}={value}\n".encode()
            entry += b"MESSAGE\n%s%s\n\n" % (len(message).to_bytes(8, "little"), message)
            assert self.child.stdin is not None
            self.child.stdin.write(entry)
        self.child.stdin.flush()

    def wait_written(self) -> None:
        """Until all of it is in the file."""

        def there() -> bool:
            command = ["journalctl", "--quiet", f"--file={self.file}", "--output=cat", "--output-fields=_BOOT_ID"]
            return subprocess.run(command, capture_output=True, check=False).stdout.count(b"\n") >= self.written

        wait_until(there, f"{self.written} entries are written")

    def close(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.close()
        assert self.child.wait(60) == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
