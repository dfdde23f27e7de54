"""A consumer that keeps its results together with its offsets, and commits to the collector as well.

Run as a process of its own, so that it can be killed: `python -m tests.crash_test.consumer BOOTSTRAP DATABASE`. The
database is the truth. It ends with a finding if an offset is missing, if a line is not as it was written, or if the
collector's committed offset is ever behind one whose commit it acknowledged.
"""

import sqlite3
import sys
import time
from typing import NoReturn

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tests.crash_test import GROUP, TOPIC
from tests.crash_test.lines import decode

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS line (part INTEGER, at INTEGER, writer INTEGER, file INTEGER, number INTEGER,
                                 PRIMARY KEY (part, at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (writer INTEGER, file INTEGER, PRIMARY KEY (writer, file)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS next (part INTEGER PRIMARY KEY, at INTEGER, acknowledged INTEGER);
"""
CHECK_EVERY_S = 1.0


def open_database(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, timeout=60)
    database.executescript(SCHEMA)
    return database


def found(what: str) -> NoReturn:
    print(f"FOUND: {what}", flush=True)
    sys.exit(3)


class Reader:
    """What was read so far, and what the collector acknowledged of it."""

    def __init__(self, consumer: Consumer, database: sqlite3.Connection):
        self.consumer, self.database = consumer, database
        rows = database.execute("SELECT part, at, acknowledged FROM next").fetchall()
        self.next = {part: at for part, at, _ in rows}
        self.acknowledged = {part: acknowledged for part, _, acknowledged in rows}

    def assign(self) -> None:
        for part in self.partitions():
            self.next.setdefault(part, 0)
            self.acknowledged.setdefault(part, 0)
        self.consumer.assign([TopicPartition(TOPIC, part, at) for part, at in self.next.items()])

    def partitions(self) -> list[int]:
        while True:
            try:
                topic = self.consumer.list_topics(TOPIC, timeout=5).topics[TOPIC]
                if topic.error is None and topic.partitions:
                    return sorted(topic.partitions)
            except KafkaException:
                pass
            time.sleep(0.1)

    def run(self) -> None:
        checked_at = float("-inf")
        while True:
            messages = self.consumer.consume(500, timeout=0.2)
            if any(error.code() == KafkaError._AUTO_OFFSET_RESET for error in errors(messages)):
                found(f"an offset is out of range: {[str(error) for error in errors(messages)]}")
            messages = [message for message in messages if message.error() is None]
            if messages:
                self.store(messages)
                self.commit()
            if time.monotonic() - checked_at > CHECK_EVERY_S:
                self.check_committed()
                checked_at = time.monotonic()

    def store(self, messages: list[Message]) -> None:
        lines = []
        for message in messages:
            part, at, value = message.partition(), message.offset(), message.value() or b""
            if at != self.next[part]:
                found(f"partition {part}: offset {at} follows {self.next[part] - 1}")
            try:
                lines.append((part, at, *decode(value)))
            except ValueError as error:
                found(f"partition {part} offset {at}: {error}: {value[:80]!r}")
            self.next[part] = at + 1
        self.database.execute("BEGIN IMMEDIATE")
        self.database.executemany("INSERT INTO line VALUES (?, ?, ?, ?, ?)", lines)
        self.database.executemany("INSERT OR IGNORE INTO file VALUES (?, ?)", {line[2:4] for line in lines})
        self.save_offsets()
        self.database.execute("COMMIT")

    def save_offsets(self) -> None:
        rows = [(part, at, self.acknowledged[part]) for part, at in self.next.items()]
        self.database.executemany("INSERT OR REPLACE INTO next VALUES (?, ?, ?)", rows)

    def commit(self) -> None:
        offsets = [TopicPartition(TOPIC, part, at) for part, at in self.next.items()]
        try:
            for done in self.consumer.commit(offsets=offsets, asynchronous=False):
                if done.error is None:
                    self.acknowledged[done.partition] = done.offset
        except KafkaException:
            return  # not acknowledged: nothing is promised
        self.save_offsets()

    def check_committed(self) -> None:
        """What the collector once acknowledged as committed is committed."""
        try:
            committed = self.consumer.committed([TopicPartition(TOPIC, part) for part in self.next], timeout=10)
        except KafkaException:
            return  # it is down: the next look will see
        for one in committed:
            offset, acknowledged = max(one.offset, 0), self.acknowledged[one.partition]
            if one.error is None and offset < acknowledged:
                found(f"partition {one.partition}: committed is {one.offset}, acknowledged was {acknowledged}")


def errors(messages: list[Message]) -> list[KafkaError]:
    return [error for message in messages if (error := message.error()) is not None]


def main(bootstrap: str, path: str) -> None:
    settings = {
        "bootstrap.servers": bootstrap,
        "group.id": GROUP,
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "check.crcs": True,
        "reconnect.backoff.max.ms": 500,
        "topic.metadata.refresh.interval.ms": 1000,
        "log_level": 2,
    }
    reader = Reader(Consumer(settings), open_database(path))
    reader.assign()
    reader.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
