"""Programs that the agent runs: what they write arrives in order and once, and a stop takes in what they still have."""

import itertools
import pathlib
import time
from collections.abc import Callable

from tests.clients.librdkafka import consume
from tests.lib.processes import Agent, Collector, wait_until
from tests.lib.reading import read_messages, read_topic

Start = Callable[[str], Agent]
FAILURES = "tailrace_agent_command_failures_total"


def lines_of(collector: Collector, count: int) -> list[bytes]:
    return consume({"bootstrap.servers": collector.bootstrap}, count, "host")


def test_a_command_that_does_not_end_and_one_that_is_run_at_intervals(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path
) -> None:
    endless = "i=0; while :; do echo $$ $i; i=$((i+1)); sleep 0.01; done"
    agent = start_agent(
        f"""
        [[command]]
        topic = "endless"
        command = ["sh", "-c", "{endless}"]
        [[command]]
        name = "often"
        topic = "host"
        command = ["sh", "-c", "echo one; echo two >&2; exit 3"]
        every = "1s"
        labels = {{ site = "b" }}
        """
    )
    assert lines_of(collector, 3) == [b"one"] * 3
    assert agent.metric(FAILURES) >= 2
    assert "often" in agent.log() and "exit status: 3): two" in agent.log()
    (first, *_) = read_messages(collector.bootstrap, "host")
    headers = dict(first.headers() or [])
    assert (headers["command"], headers["site"]) == (b"often", b"b")
    assert agent.stop() == 0
    agent.start().wait_ready()
    consume({"bootstrap.servers": collector.bootstrap}, 5, "endless")
    agent.kill()
    written = [value.split() for _, _, value in read_topic(collector.bootstrap, "endless")]
    runs = [[int(number) for _, number in lines] for _, lines in itertools.groupby(written, key=lambda line: line[0])]
    assert len(runs) == 2 and all(run == list(range(len(run))) for run in runs)


def test_a_burst_waits_for_the_spool_and_arrives_whole(collector: Collector, start_agent: Start) -> None:
    count = 300_000
    start_agent(
        '[spool]\nmax_bytes = "1MiB"\nfile_bytes = "64KiB"\n'
        f'[[command]]\ntopic = "host"\ncommand = ["seq", "{count}"]\nevery = "1h"\n'
    )
    assert lines_of(collector, count) == [b"%d" % number for number in range(1, count + 1)]


def test_what_is_unfinished_is_sent_after_a_while_and_long_lines_in_pieces(
    collector: Collector, start_agent: Start
) -> None:
    script = "printf prompt; sleep 1; printf ' and the rest\\\\n'; printf %0100d 7; echo; echo next; exec sleep 60"
    start_agent(
        '[read]\npartial_line_timeout = "200ms"\n'
        f'[[command]]\ntopic = "host"\ncommand = ["sh", "-c", "{script}"]\nmax_line_bytes = "64B"\n'
    )
    assert lines_of(collector, 5) == [b"prompt", b" and the rest", b"0" * 64, b"0" * 35 + b"7", b"next"]


def test_a_stop_takes_in_what_a_command_still_writes_and_leaves_nothing_running(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path
) -> None:
    mark = tmp_path / "mark"
    # It does not end when it is asked to.
    script = f"trap 'echo last' TERM; echo first; while :; do sleep 0.1; touch {mark}; done"
    agent = start_agent(f'[[command]]\ntopic = "host"\ncommand = ["sh", "-c", "{script}"]\n')
    assert lines_of(collector, 1) == [b"first"]
    wait_until(mark.exists, "it runs")
    assert agent.stop() == 0
    assert lines_of(collector, 2) == [b"first", b"last"]
    mark.unlink(missing_ok=True)
    # Ten times as long as it takes to come back.
    time.sleep(1)
    assert not mark.exists()


def test_a_command_that_writes_no_more_and_does_not_end_holds_nothing_up(
    collector: Collector, start_agent: Start
) -> None:
    script = "echo done; exec sleep 1000 >&-"
    agent = start_agent(f'[[command]]\ntopic = "host"\ncommand = ["sh", "-c", "{script}"]\n')
    assert lines_of(collector, 1) == [b"done"]
    assert agent.stop() == 0
    assert "waits for the spool is lost" not in agent.log()


def test_a_command_that_is_not_there_is_complained_of(collector: Collector, start_agent: Start) -> None:
    agent = start_agent('[[command]]\ntopic = "host"\ncommand = ["/nowhere/tool"]\n')
    wait_until(lambda: agent.metric(FAILURES) >= 2, "it is tried again")
    assert "cannot run /nowhere/tool" in agent.log()
