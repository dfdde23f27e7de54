"""A full disk: nothing that was acknowledged is lost, and all goes on when there is space again."""

import pathlib
import random
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, Producer

from tests.clients.logs import arrived, wait_for_lines
from tests.clients.small_disk import SmallDisk, small_disk
from tests.lib.processes import SMALL_WAL, Agent, Collector, wait_until

LINE_BYTES = 100_000


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 160) as mounted:
        yield mounted


def produce(bootstrap: str, lines: list[bytes], patience_ms: int) -> tuple[list[bytes], list[KafkaError]]:
    """The lines that were acknowledged, and the errors of the others."""
    settings = {"bootstrap.servers": bootstrap, "message.timeout.ms": patience_ms, "linger.ms": 1, "log_level": 2}
    producer = Producer(settings)
    acknowledged: list[bytes] = []
    errors: list[KafkaError] = []

    def delivered(line: bytes, error: KafkaError | None) -> None:
        if error is None:
            acknowledged.append(line)
        else:
            errors.append(error)

    for line in lines:
        producer.produce("logs", line, on_delivery=lambda error, _, line=line: delivered(line, error))
        producer.poll(0)
    producer.flush(120)
    return acknowledged, errors


def incompressible(megabytes: int, seed: int) -> list[bytes]:
    source = random.Random(seed)
    return [source.randbytes(LINE_BYTES) for _ in range(megabytes * 1_000_000 // LINE_BYTES)]


def test_the_collector_refuses_for_as_long_as_its_disk_is_full(tmp_path: pathlib.Path, disk: SmallDisk) -> None:
    with Collector(tmp_path, SMALL_WAL, disk.path / "collector").start().wait_ready() as collector:
        acknowledged, errors = produce(collector.bootstrap, incompressible(10, seed=1), 60_000)
        assert errors == []
        disk.fill()
        more, errors = produce(collector.bootstrap, incompressible(60, seed=2), 10_000)
        acknowledged += more
        # A client that is told of a final error gives up at once; this one went on trying until its time was over.
        assert {error.code() for error in errors} == {KafkaError._MSG_TIMED_OUT}
        assert collector.metric("tailrace_collector_disk_full") == 1
        assert sorted(arrived(collector.bootstrap)) == sorted(acknowledged), "what is there can be read"
        disk.relieve()
        more, errors = produce(collector.bootstrap, incompressible(5, seed=3), 60_000)
        assert errors == []
        acknowledged += more
        wait_until(lambda: collector.metric("tailrace_collector_disk_full") == 0, "the collector notices the space")
        collector.kill()
        collector.start().wait_ready()
        assert sorted(arrived(collector.bootstrap)) == sorted(acknowledged)


def test_the_agent_waits_for_space_and_goes_on(tmp_path: pathlib.Path, disk: SmallDisk, collector: Collector) -> None:
    log = tmp_path / "app.log"
    lines = [b"%d %s" % (number, random.Random(number).randbytes(500).hex().encode()) for number in range(60_000)]
    inputs = '[spool]\nfile_bytes = "4MiB"\nmax_bytes = "64MiB"\n'
    inputs += f'[[files]]\ntopic = "logs"\ninclude = ["{log}"]\n'
    agent = Agent(tmp_path, collector.bootstrap, inputs, disk.path / "agent")
    log.write_bytes(b"".join(line + b"\n" for line in lines[:10]))
    with agent.start().wait_ready():
        wait_for_lines(collector.bootstrap, lines[:10])
        collector.kill()
        disk.fill()
        with open(log, "ab") as writer:
            writer.writelines(line + b"\n" for line in lines[10:])
        wait_until(lambda: agent.metric("tailrace_agent_spool_full") == 1, "the agent waits")
        assert "the disk has no room for the spool" in agent.log()
        disk.relieve()
        collector.start().wait_ready()
        wait_for_lines(collector.bootstrap, lines)
