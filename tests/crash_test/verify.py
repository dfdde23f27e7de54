"""Looks at every line: which are missing, doubled, or out of order."""

import collections

from confluent_kafka import Consumer, TopicPartition

Line = tuple[int, int, int]


def read_log(bootstrap: str, topic: str) -> dict[int, list[bytes]]:
    """Every value of every partition, from beginning to end."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "verify", "enable.partition.eof": True})
    parts = sorted(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, part, 0) for part in parts])
    values: dict[int, list[bytes]] = {part: [] for part in parts}
    open_parts = set(parts)
    while open_parts:
        for message in consumer.consume(10_000, timeout=10):
            if message.error() is not None:
                open_parts.discard(message.partition())
            else:
                values[message.partition()].append(message.value())
    consumer.close()
    return values


def parse(value: bytes) -> Line:
    writer, file_number, line_number, _ = value.split(b" ", 3)
    return int(writer), int(file_number), int(line_number)


def check(values: dict[int, list[bytes]], written: dict[int, list[int]]) -> list[str]:
    """What is wrong, in words; nothing if all is well. `written` is lines per file, per writer."""
    findings: list[str] = []
    seen: collections.Counter[Line] = collections.Counter()
    for part, lines in values.items():
        last: dict[tuple[int, int], int] = {}
        for value in lines:
            try:
                writer, file_number, line_number = parse(value)
            except ValueError:
                findings.append(f"partition {part}: a line that nobody wrote: {value[:80]!r}")
                continue
            seen[writer, file_number, line_number] += 1
            if line_number <= last.get((writer, file_number), -1) and seen[writer, file_number, line_number] == 1:
                findings.append(f"out of order: writer {writer} file {file_number} line {line_number}")
            last[writer, file_number] = max(line_number, last.get((writer, file_number), -1))
    expected = {(writer, file, line) for writer, files in written.items() for file, n in enumerate(files) for line in range(n)}
    lost = sorted(expected - seen.keys())
    doubled = sorted(line for line, count in seen.items() if count > 1)
    invented = sorted(seen.keys() - expected)
    for name, lines in (("lost", lost), ("doubled", doubled), ("never written", invented)):
        if lines:
            findings.append(f"{len(lines)} lines {name}, the first: {lines[:5]}")
    return findings
