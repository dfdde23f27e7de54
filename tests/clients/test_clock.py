"""The machine's clock is set by hours, forwards and back, while lines are written and files are rotated: nothing but
the times of records may notice."""

import os
import pathlib
import time
from collections.abc import Iterator

import pytest

from tests.clients.logs import wait_for_lines
from tests.lib.processes import Agent, Collector
from tests.lib.reading import read_messages

pytestmark = pytest.mark.needs("faketime")
STEPS = ["+5h", "-5h", "+0", "-48h", "+30d", "+0"]


@pytest.fixture
def clock(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """How far the wall clock of what is started from now on is off."""
    (library,) = pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    file = tmp_path / "clock"
    file.write_text("+0")
    settings = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        # What files were last modified is what the file system says.
        "NO_FAKE_STAT": "1",
    }
    with monkeypatch.context() as patched:
        for name, value in settings.items():
            patched.setenv(name, value)
        yield file


def test_lines_arrive_once_and_in_order_whatever_the_time(
    collector: Collector, tmp_path: pathlib.Path, clock: pathlib.Path
) -> None:
    log = tmp_path / "app.log"
    log.touch()
    inputs = f'[[files]]\ntopic = "logs"\ninclude = ["{log}"]\nrate_limit = {{ events_per_second = 20_000 }}\n'
    agent = Agent(tmp_path, collector.bootstrap, inputs)
    lines: list[bytes] = []
    with agent.start().wait_ready():
        for number, step in enumerate(STEPS):
            clock.write_text(step)
            for part in range(5):
                new = [b"%d %d %d" % (number, part, line) for line in range(400)]
                with log.open("ab") as file:
                    file.write(b"".join(line + b"\n" for line in new))
                lines += new
                time.sleep(0.05)
                if part == 2:
                    os.rename(log, log.with_name(f"app.log.{number}"))
                    log.touch()
            if number % 2:
                agent.kill()
                agent.start()
            wait_for_lines(collector.bootstrap, lines)
    times, values = [], []
    for message in read_messages(collector.bootstrap, "logs"):
        times.append(message.timestamp()[1])
        values.append(message.value())
    assert values == lines
    # It has noticed.
    assert max(times) - min(times) > 30 * 24 * 3600 * 1000
