"""An agent goes on where another one has stopped: with its configuration, and its positions."""

import pathlib
import subprocess

import pytest

from tests.clients.logs import arrived, wait_for_lines
from tests.lib.processes import BIN, Agent, Collector, Process, wait_until


def tailrace_agent(*arguments: str) -> str:
    command = [str(BIN / "tailrace-agent"), *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


@pytest.mark.needs("rsyslogd")
def test_a_switch_from_rsyslog_neither_repeats_nor_skips_a_line(collector: Collector, tmp_path: pathlib.Path) -> None:
    lines = [b"line %d" % number for number in range(3_000)]
    text = b"".join(line + b"\n" for line in lines)
    # rsyslog has read half of a line when it stops.
    first, second, third = (text.index(b"line %d" % number) for number in (1_000, 2_000, 2_500))
    log, work = tmp_path / "app.log", tmp_path / "work"
    work.mkdir()
    log.write_bytes(text[: first + 3])
    theirs = tmp_path / "rsyslog.conf"
    theirs.write_text(
        f"""
        global(workDirectory="{work}")
        module(load="imfile")
        module(load="omkafka")
        template(name="line" type="string" string="%msg%")
        ruleset(name="forward") {{
          action(type="omkafka" broker=["{collector.bootstrap}"] topic="logs" template="line" partitions.auto="on")
        }}
        input(type="imfile" file="{log}" tag="app" ruleset="forward")
        """
    )
    with Process("rsyslog", ["rsyslogd", "-n", "-f", str(theirs), "-iNONE"], tmp_path) as rsyslog:
        wait_until(lambda: len(arrived(collector.bootstrap, "logs")) == 1_000, "rsyslog hands on what is there")
        rsyslog.stop()

    # Meanwhile the program goes on, and its log is rotated.
    with open(log, "ab") as program:
        program.write(text[first + 3 : second])
    log.rename(tmp_path / "app.log.1")
    log.write_bytes(text[second:third])

    data_dir = tmp_path / "agent"
    ours = tailrace_agent("import", "rsyslog", str(theirs))
    inputs = ours[ours.index("[[files]]") :]
    agent = Agent(tmp_path, collector.bootstrap, inputs, data_dir)
    said = tailrace_agent("import-positions", "--config", str(agent.config_path), "rsyslog", str(work))
    assert "1 files go on where they were, 0 do not" in said
    with agent.start().wait_ready():
        with open(log, "ab") as program:
            program.write(text[third:])
        wait_for_lines(collector.bootstrap, lines)
