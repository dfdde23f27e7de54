"""Reads what a topic holds, from beginning to end."""

import time
from collections import defaultdict
from collections.abc import Iterator

from confluent_kafka import Consumer, Message, TopicPartition

PATIENCE_S = 60


def read_messages(bootstrap: str, topic: str, **settings: object) -> Iterator[Message]:
    """Every record up to where the partitions are said to end; the offsets of each must rise."""
    base = {
        "bootstrap.servers": bootstrap,
        "group.id": "reading",
        "enable.partition.eof": True,
        "check.crcs": True,
        "log_level": 2,
    }
    consumer = Consumer({**base, **settings})
    partitions = consumer.list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    last: dict[int, int] = defaultdict(lambda: -1)
    unread, read_at = set(partitions), time.monotonic()
    while unread:
        # This waits until so many are there, also at the end: hence not for long.
        messages = consumer.consume(1_000, timeout=0.05)
        if messages:
            read_at = time.monotonic()
        elif time.monotonic() - read_at > PATIENCE_S:
            raise AssertionError(f"{topic}: nothing for {PATIENCE_S} s, and no end of partitions {sorted(unread)}")
        for message in messages:
            partition, offset = message.partition(), message.offset()
            if message.error() is not None:
                unread.discard(partition)
                continue
            if offset <= last[partition]:
                raise AssertionError(f"{topic} {partition}: offset {offset} comes after {last[partition]}")
            last[partition] = offset
            yield message
    consumer.close()


def read_topic(bootstrap: str, topic: str, **settings: object) -> Iterator[tuple[int, int, bytes]]:
    """Partition, offset and value of every record; the offsets of a partition must have no gap."""
    following: dict[int, int] = defaultdict(int)
    for message in read_messages(bootstrap, topic, **settings):
        partition, offset = message.partition(), message.offset()
        if offset != following[partition]:
            raise AssertionError(f"{topic} {partition}: offset {offset} comes after {following[partition] - 1}")
        following[partition] = offset + 1
        yield partition, offset, message.value() or b""
