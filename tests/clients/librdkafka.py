"""Writing and reading lines with librdkafka, whatever the settings."""

import random
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer

from tests.lib.processes import wait_until

Settings = Mapping[str, Any]


def produce(settings: Settings, lines: list[bytes], topic: str = "logs") -> None:
    """Writes lines to partition 0, and returns when all of them are acknowledged."""
    producer = Producer({"enable.idempotence": True, "message.timeout.ms": 120_000, **settings})
    failures: list[object] = []
    for line in lines:
        producer.produce(topic, line, partition=0, on_delivery=lambda error, _: error and failures.append(error))
    assert producer.flush(150) == 0
    if failures:
        raise KafkaException(failures[0])


def consume(settings: Settings, count: int, topic: str = "logs") -> list[bytes]:
    """The first `count` lines, by a group of their own unless the settings name one."""
    consumer = Consumer({"group.id": str(random.random()), "auto.offset.reset": "earliest", **settings})
    consumer.subscribe([topic])
    taken: list[bytes] = []

    def enough() -> bool:
        messages = consumer.consume(count - len(taken), timeout=0.2)
        taken.extend(message.value() or b"" for message in messages if message.error() is None)
        return len(taken) >= count

    wait_until(enough, f"{count} messages", 120)
    consumer.close()
    return taken
