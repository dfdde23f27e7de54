"""What arrived of the lines of a log."""

from collections.abc import Iterable

from confluent_kafka import Consumer, TopicPartition

from tests.lib.processes import wait_until


def arrived(bootstrap: str, topic: str = "logs") -> list[bytes]:
    """All values there are, of one partition after the other."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "arrived", "enable.partition.eof": True, "log_level": 2}
    consumer = Consumer(settings)
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    values: list[bytes] = []
    for partition in sorted(partitions):
        consumer.assign([TopicPartition(topic, partition, 0)])
        at_end = False
        while not at_end:
            messages = consumer.consume(1_000, timeout=30)
            assert messages, f"partition {partition} does not come to its end"
            at_end = any(message.error() is not None for message in messages)
            values += [message.value() or b"" for message in messages if message.error() is None]
    consumer.close()
    return values


def wait_for_lines(bootstrap: str, lines: Iterable[bytes], topic: str = "logs") -> None:
    """Waits until as many arrived as there are lines; they must be these, each once."""
    wanted = sorted(lines)
    wait_until(lambda: len(arrived(bootstrap, topic)) >= len(wanted), f"{len(wanted)} lines in {topic}")
    found = sorted(arrived(bootstrap, topic))
    lost, more = [line for line in wanted if line not in set(found)], len(found) - len(wanted)
    assert found == wanted, f"lost {len(lost)}: {lost[:5]}; {more} too many"
