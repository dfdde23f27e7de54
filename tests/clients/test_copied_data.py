"""The agent's data directory is copied while batches are on their way, and both it and the copy go on, as two hosts
made of one image do: what was on its way arrives once, and what the copy reads of its own files is its own.

That holds for batches that have an identity. Until an agent reaches a broker after its start, new ones have none."""

import pathlib
import random
import shutil
import time

from tests.clients.logs import wait_for_lines
from tests.lib.processes import Agent, Collector

ROUNDS = 6


def lines_of(host: str, first: int, count: int) -> list[bytes]:
    return [
        b"%s %d %s" % (host.encode(), number, random.randbytes(20).hex().encode())
        for number in range(first, first + count)
    ]


def append(log: pathlib.Path, lines: list[bytes]) -> None:
    with log.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))


def host(work: pathlib.Path, name: str, collector: Collector) -> tuple[Agent, pathlib.Path]:
    home = work / name
    home.mkdir()
    log = home / "app.log"
    return Agent(home, collector.bootstrap, f'[[files]]\ntopic = "logs"\ninclude = ["{log}"]\n'), log


def test_what_was_on_its_way_arrives_once(collector: Collector, tmp_path: pathlib.Path) -> None:
    original, log = host(tmp_path, "original", collector)
    lines: list[bytes] = []
    with original.start().wait_ready():
        lines += lines_of("original", 0, 1)
        append(log, lines)
        wait_for_lines(collector.bootstrap, lines)
        for number in range(ROUNDS):
            new = lines_of("original", len(lines), 3_000)
            lines += new
            append(log, new)
            time.sleep(random.uniform(0, 0.1))
            # Of what was sent some may have been acknowledged, and some only written.
            collector.kill()
            time.sleep(0.2)
            original.kill()
            copy, own_log = host(tmp_path, f"copy-{number}", collector)
            shutil.copytree(original.data_dir, copy.data_dir)
            own = lines_of(f"copy-{number}", 0, 500)
            lines += own
            append(own_log, own)
            collector.start().wait_ready()
            original.start()
            with copy.start():
                wait_for_lines(collector.bootstrap, lines)
