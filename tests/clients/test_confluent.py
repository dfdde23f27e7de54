"""confluent-kafka, which is librdkafka: producers, consumers, and groups through crashes."""

import pathlib
import sys
from collections.abc import Iterable

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.clients.sample import log_lines
from tests.lib.processes import Collector, Process, wait_until

LINES = log_lines(5_000)


def produce(bootstrap: str, lines: Iterable[bytes], partition: int = 0, **settings: object) -> list[int]:
    """Produces to `logs`; the offsets that were acknowledged, in the order of the lines."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 2, **settings}
    )
    offsets: dict[int, int] = {}

    def delivered(number: int, error: object, offset: int | None) -> None:
        assert error is None, error
        assert offset is not None
        offsets[number] = offset

    for number, line in enumerate(lines):
        producer.produce(
            "logs",
            line,
            partition=partition,
            on_delivery=lambda error, message, number=number: delivered(number, error, message.offset()),
        )
        producer.poll(0)
    assert producer.flush(60) == 0
    return [offsets[number] for number in sorted(offsets)]


def reader(bootstrap: str, group: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "log_level": 2,
        }
    )


def take(consumer: Consumer, count: int) -> list[tuple[int, bytes]]:
    """The next messages: offset and value."""
    taken: list[tuple[int, bytes]] = []

    def enough() -> bool:
        for message in consumer.consume(count - len(taken), timeout=0.2):
            if message.error() is None:
                taken.append((message.offset() or 0, message.value() or b""))
        return len(taken) == count

    wait_until(enough, f"{count} messages")
    return taken


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_idempotent_producer_and_consumer_agree(collector: Collector, codec: str) -> None:
    offsets = produce(collector.bootstrap, LINES, **{"compression.type": codec})
    assert offsets == list(range(len(LINES)))
    consumer = reader(collector.bootstrap, "readers")
    consumer.assign([TopicPartition("logs", 0, 0)])
    assert [value for _, value in take(consumer, len(LINES))] == LINES
    consumer.close()


def test_an_idempotent_producer_rides_through_kills_without_doubles(collector: Collector) -> None:
    producer = Producer({"bootstrap.servers": collector.bootstrap, "enable.idempotence": True, "log_level": 2})
    failures: list[object] = []

    def delivered(error: object, _: object) -> None:
        if error is not None:
            failures.append(error)

    for number, line in enumerate(LINES):
        producer.produce("logs", line, partition=0, on_delivery=delivered)
        producer.poll(0)
        if number % 1_000 == 500:
            collector.kill()
            collector.start()
    assert producer.flush(120) == 0
    assert failures == []
    consumer = reader(collector.bootstrap, "readers")
    consumer.assign([TopicPartition("logs", 0, 0)])
    assert take(consumer, len(LINES)) == list(enumerate(LINES))
    assert consumer.get_watermark_offsets(TopicPartition("logs", 0), timeout=30) == (0, len(LINES))
    consumer.close()


def test_a_group_resumes_exactly_at_the_committed_offset(collector: Collector) -> None:
    produce(collector.bootstrap, LINES[:100])
    first = reader(collector.bootstrap, "readers")
    first.subscribe(["logs"])
    take(first, 37)
    first.commit(offsets=[TopicPartition("logs", 0, 37, metadata="as it was")], asynchronous=False)
    first.close()
    collector.kill()
    collector.start().wait_ready()
    second = reader(collector.bootstrap, "readers")
    (committed,) = second.committed([TopicPartition("logs", 0)], timeout=60)
    assert (committed.offset, committed.metadata) == (37, "as it was")
    second.subscribe(["logs"])
    assert take(second, 63) == list(enumerate(LINES[:100]))[37:]
    second.close()


def test_three_members_share_a_topic_while_one_and_the_collector_are_killed(
    collector: Collector, tmp_path: pathlib.Path
) -> None:
    partitions = 4
    results = [tmp_path / f"member-{number}.txt" for number in range(3)]
    module = [sys.executable, "-m", "tests.clients.member", collector.bootstrap, "logs", "readers"]
    members = [Process(f"member-{number}", [*module, str(path)], tmp_path) for number, path in enumerate(results)]
    for partition in range(partitions):
        produce(collector.bootstrap, LINES[partition:1_000:partitions], partition)

    def read() -> set[bytes]:
        return {line for path in results if path.exists() for line in path.read_bytes().split(b"\n")}

    def shares() -> list[int]:
        group = AdminClient({"bootstrap.servers": collector.bootstrap, "log_level": 2})
        described = group.describe_consumer_groups(["readers"])["readers"].result(30)
        return sorted(len(member.assignment.topic_partitions) for member in described.members)

    with members[0], members[1], members[2]:
        wait_until(lambda: shares() == [1, 1, 2], "three members share four partitions")
        members[1].kill()
        for partition in range(partitions):
            produce(collector.bootstrap, LINES[1_000 + partition : 3_000 : partitions], partition)
        wait_until(lambda: shares() == [2, 2], "two members took over")
        collector.kill()
        collector.start().wait_ready()
        for partition in range(partitions):
            produce(collector.bootstrap, LINES[3_000 + partition :: partitions], partition)
        wait_until(lambda: read().issuperset(LINES), "every line was read", 120)
        assert [member.stop() for member in (members[0], members[2])] == [0, 0]
    consumer = reader(collector.bootstrap, "readers")
    committed = consumer.committed([TopicPartition("logs", partition) for partition in range(partitions)], timeout=30)
    assert [one.offset for one in committed] == [len(LINES) // partitions] * partitions
    consumer.close()
