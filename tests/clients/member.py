"""A member of a consumer group, as a process of its own so that it can be killed.

`python -m tests.clients.member BOOTSTRAP TOPIC GROUP FILE`: appends each line to the file before it commits. Ends on
SIGTERM, after it has left the group.
"""

import signal
import sys
import time

from confluent_kafka import Consumer, KafkaException


def main(bootstrap: str, topic: str, group: str, path: str) -> None:
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    settings = {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 500,
        "partition.assignment.strategy": "cooperative-sticky",
    }
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    with open(path, "ab", buffering=0) as results:
        while not stopping:
            messages = [message for message in consumer.consume(100, timeout=0.2) if message.error() is None]
            if not messages:
                continue
            results.write(b"".join((message.value() or b"") + b"\n" for message in messages))
            time.sleep(0.02)
            try:
                consumer.commit(asynchronous=False)
            except KafkaException as error:
                print(f"not committed: {error}", flush=True)
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
