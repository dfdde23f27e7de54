"""A spool that is full while no collector is there, and gives up its oldest lines for newer ones."""

import pathlib
import random
import time

from tests.lib.processes import Agent, Collector, wait_until
from tests.lib.reading import read_topic

DROPPED = "tailrace_agent_spool_dropped_records_total"
SPOOL = '[spool]\nmax_bytes = "512KiB"\nfile_bytes = "64KiB"\nwhen_full = "drop_oldest"\n'


def lines_from(first: int, count: int) -> str:
    """They cannot be compressed to less than half."""
    return "".join(f"{number} {random.randbytes(200).hex()}\n" for number in range(first, first + count))


def delivered(collector: Collector, topic: str) -> list[int]:
    return [int(value.split()[0]) for _, _, value in read_topic(collector.bootstrap, topic)]


def follow(collector: Collector, work: pathlib.Path) -> tuple[Agent, pathlib.Path]:
    log = work / "app.log"
    log.touch()
    return Agent(work, collector.bootstrap, f'{SPOOL}[[files]]\ntopic = "app"\ninclude = ["{log}"]\n'), log


def test_the_newest_lines_arrive_in_order_and_the_others_are_counted(
    collector: Collector, tmp_path: pathlib.Path
) -> None:
    agent, log = follow(collector, tmp_path)
    count = 20_000
    with agent.start():
        log.write_text("0 first\n")
        wait_until(lambda: agent.metric("tailrace_agent_records_acknowledged_total") == 1, "the first is acknowledged")
        collector.stop()
        for first in range(1, count, 1000):
            with log.open("a") as file:
                file.write(lines_from(first, min(1000, count - first)))
            time.sleep(0.02)
        wait_until(lambda: agent.metric("tailrace_agent_read_lines_total") == count, "all lines are read")
        wait_until(lambda: agent.metric("tailrace_agent_spool_full") == 0, "it is not full")
        assert agent.metric(DROPPED) > count // 2
        collector.start().wait_ready()
        wait_until(lambda: agent.metric("tailrace_agent_batches_waiting") == 0, "all is acknowledged")
        numbers = delivered(collector, "app")
        assert numbers == sorted(set(numbers)), "in order, and once"
        assert (numbers[0], numbers[-1]) == (0, count - 1)
        assert len(numbers) + agent.metric(DROPPED) == count


def test_kills_while_lines_are_given_up_double_nothing(collector: Collector, tmp_path: pathlib.Path) -> None:
    agent, log = follow(collector, tmp_path)
    written = 0
    agent.start()
    for round_number in range(12):
        if round_number % 3 == 0:
            collector.kill()
        if round_number % 3 == 2:
            collector.start().wait_ready()
        for _ in range(random.randint(2, 6)):
            with log.open("a") as file:
                file.write(lines_from(written, 500))
            written += 500
            time.sleep(random.uniform(0, 0.1))
        agent.kill()
        agent.start()
    with agent:
        wait_until(lambda: agent.metric("tailrace_agent_unread_bytes") == 0, "all lines are read")
        wait_until(lambda: agent.metric("tailrace_agent_batches_waiting") == 0, "all is acknowledged")
    numbers = delivered(collector, "app")
    assert numbers == sorted(set(numbers)), "in order, and once"
    assert numbers[-1] == written - 1 and len(numbers) > 0
