"""The first five minutes: `tailrace up` and kcat."""

import pathlib

import pytest

from tests.clients.kcat import consume
from tests.clients.sample import as_text, log_lines, sorted_text
from tests.lib.processes import BIN, Process, free_port, wait_http, wait_until

pytestmark = pytest.mark.needs("kcat")


def test_kcat_prints_exactly_the_lines_of_the_logs(tmp_path: pathlib.Path) -> None:
    logs = tmp_path / "some"
    logs.mkdir()
    lines = log_lines(50_000)
    for number in range(5):
        (logs / f"{number}.log").write_bytes(as_text(lines[number::5]))
    kafka, http = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    command = [str(BIN / "tailrace"), "up", f"{logs}/*.log", "--data-dir", str(tmp_path / "data")]
    with Process("up", [*command, "--kafka", kafka, "--http", http], tmp_path) as up:
        wait_http(f"http://{http}/readyz", 60, up)
        wait_until(lambda: consume(kafka, "logs").count(b"\n") >= len(lines), "all lines are there")
        assert sorted_text(consume(kafka, "logs")) == sorted_text(as_text(lines))
        assert up.stop() == 0
