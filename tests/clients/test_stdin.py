"""Standard input: what comes on it is acknowledged before the agent ends, also if the collector comes late."""

import pathlib
import signal
import subprocess
import time

from tests.clients.librdkafka import consume
from tests.lib.processes import Agent, Collector, wait_until
from tests.lib.reading import read_topic

STDIN = '[stdin]\ntopic = "piped"\nlabels = { job = "nightly" }\n'
LINES = [b"line %d" % number for number in range(50_000)]


def agent_for(collector: Collector, work: pathlib.Path, more: str = "") -> Agent:
    return Agent(work, collector.bootstrap, STDIN + more)


def test_the_agent_ends_once_all_that_was_piped_is_acknowledged(collector: Collector, tmp_path: pathlib.Path) -> None:
    agent = agent_for(collector, tmp_path)
    piped = b"\n".join(LINES)
    ended = subprocess.run(agent.command, input=piped, stderr=subprocess.PIPE, timeout=120, check=False)
    assert (ended.returncode, b"standard input has ended" in ended.stderr) == (0, True)
    assert sorted(value for _, _, value in read_topic(collector.bootstrap, "piped")) == sorted(LINES)


def test_it_waits_for_a_collector_that_is_away_and_a_small_spool_holds_the_writer_back(
    collector: Collector, tmp_path: pathlib.Path
) -> None:
    collector.stop()
    agent = agent_for(collector, tmp_path, '[spool]\nmax_bytes = "320KiB"\nfile_bytes = "64KiB"\n')
    with subprocess.Popen(["seq", "200000"], stdout=subprocess.PIPE) as writer:
        with subprocess.Popen(agent.command, stdin=writer.stdout, stderr=subprocess.DEVNULL) as child:
            assert writer.stdout is not None
            writer.stdout.close()
            time.sleep(1)
            assert (writer.poll(), child.poll()) == (None, None)
            collector.start().wait_ready()
            assert child.wait(120) == 0
        assert writer.wait(10) == 0
    expected = [b"%d" % number for number in range(1, 200_001)]
    assert [value for _, _, value in read_topic(collector.bootstrap, "piped")] == expected


def test_a_signal_ends_it_at_once_and_the_next_start_sends_what_was_spooled(
    collector: Collector, tmp_path: pathlib.Path
) -> None:
    collector.stop()
    agent = agent_for(collector, tmp_path)
    with subprocess.Popen(agent.command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdin is not None
        child.stdin.write(b"first\nsecond")
        child.stdin.close()
        wait_until(lambda: agent.metric("tailrace_agent_read_lines_total") == 2, "both are read")
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 1
    collector.start().wait_ready()
    again = subprocess.run(agent.command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60, check=False)
    assert again.returncode == 0
    assert consume({"bootstrap.servers": collector.bootstrap}, 2, "piped") == [b"first", b"second"]


def test_other_inputs_go_on_when_standard_input_has_ended(collector: Collector, tmp_path: pathlib.Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("before\n")
    agent = agent_for(collector, tmp_path, f'[[files]]\ntopic = "app"\ninclude = ["{log}"]\n')
    with agent.start():
        wait_until(lambda: "standard input has ended" in agent.log(), "it ends")
        assert consume({"bootstrap.servers": collector.bootstrap}, 1, "app") == [b"before"]
        with log.open("a") as file:
            file.write("after\n")
        assert consume({"bootstrap.servers": collector.bootstrap}, 2, "app") == [b"before", b"after"]
        assert agent.stop() == 0


def test_one_that_ends_before_its_input_or_cannot_read_it_has_failed(
    collector: Collector, tmp_path: pathlib.Path
) -> None:
    agent = agent_for(collector, tmp_path)
    with subprocess.Popen(agent.command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stderr is not None
        child.stdin.write(b"first\n")
        child.stdin.flush()
        assert consume({"bootstrap.servers": collector.bootstrap}, 1, "piped") == [b"first"]
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 1
        assert b"before standard input has ended" in child.stderr.read()
    with open("/proc/self/mem", "rb") as unreadable:
        ended = subprocess.run(agent.command, stdin=unreadable, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (ended.returncode, b"cannot read standard input" in ended.stderr) == (1, True)
