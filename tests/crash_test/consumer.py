"""A consumer that keeps its results together with its offsets, and commits to the collector as well.

Run as a process of its own, so that it can be killed: `python -m tests.crash_test.consumer BOOTSTRAP TOPIC DATABASE`.
The database is the truth; the offsets that the collector acknowledged must never be behind what it acknowledged before.
"""

import sqlite3
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

GROUP = "crash-test"


def open_database(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE IF NOT EXISTS line (part INTEGER, at INTEGER, value BLOB, PRIMARY KEY (part, at))")
    database.execute("CREATE TABLE IF NOT EXISTS next (part INTEGER PRIMARY KEY, at INTEGER, acknowledged INTEGER)")
    return database


def positions(database: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    return {part: (at, acknowledged) for part, at, acknowledged in database.execute("SELECT * FROM next")}


def wait_for_topic(consumer: Consumer, topic: str) -> list[int]:
    while True:
        try:
            found = consumer.list_topics(topic, timeout=5).topics[topic]
            if found.error is None and found.partitions:
                return sorted(found.partitions)
        except KafkaException:
            pass


def check_committed(consumer: Consumer, topic: str, known: dict[int, tuple[int, int]]) -> None:
    """What the collector once acknowledged as committed is committed."""
    wanted = [TopicPartition(topic, part) for part in known]
    while wanted:
        try:
            for found in consumer.committed(wanted, timeout=10):
                acknowledged = known[found.partition][1]
                if found.offset < acknowledged:
                    print(f"COMMIT LOST {found.partition}: {found.offset} < {acknowledged}", flush=True)
                    sys.exit(3)
            return
        except KafkaException:
            continue


def store(database: sqlite3.Connection, known: dict[int, tuple[int, int]], messages: list) -> None:
    database.execute("BEGIN IMMEDIATE")
    for message in messages:
        part, at = message.partition(), message.offset()
        expected, acknowledged = known[part]
        if at != expected:
            print(f"GAP in partition {part}: offset {at}, expected {expected}", flush=True)
            sys.exit(3)
        database.execute("INSERT INTO line VALUES (?, ?, ?)", (part, at, message.value()))
        known[part] = (at + 1, acknowledged)
    for part, (at, acknowledged) in known.items():
        database.execute("INSERT OR REPLACE INTO next VALUES (?, ?, ?)", (part, at, acknowledged))
    database.execute("COMMIT")


def commit(consumer: Consumer, database: sqlite3.Connection, topic: str, known: dict[int, tuple[int, int]]) -> None:
    offsets = [TopicPartition(topic, part, at) for part, (at, _) in known.items()]
    try:
        for done in consumer.commit(offsets=offsets, asynchronous=False):
            if done.error is None:
                known[done.partition] = (known[done.partition][0], done.offset)
                database.execute("UPDATE next SET acknowledged = ? WHERE part = ?", (done.offset, done.partition))
    except KafkaException:
        pass  # not acknowledged: nothing is promised


def main(bootstrap: str, topic: str, path: str) -> None:
    database = open_database(path)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": GROUP,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "reconnect.backoff.max.ms": 500,
            "topic.metadata.refresh.interval.ms": 1000,
        }
    )
    parts = wait_for_topic(consumer, topic)
    known = positions(database)
    check_committed(consumer, topic, known)
    for part in parts:
        known.setdefault(part, (0, -1))
    consumer.assign([TopicPartition(topic, part, known[part][0]) for part in parts])
    while True:
        messages = consumer.consume(500, timeout=0.5)
        for message in messages:
            error = message.error()
            if error is not None and error.code() == KafkaError._AUTO_OFFSET_RESET:
                print(f"OFFSET OUT OF RANGE: {error}", flush=True)
                sys.exit(3)
        messages = [message for message in messages if message.error() is None]
        if messages:
            store(database, known, messages)
            commit(consumer, database, topic, known)


if __name__ == "__main__":
    main(*sys.argv[1:])
