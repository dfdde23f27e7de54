"""What few partitions get stays where the WAL wrote it, in batches of any length: also when the collector is killed."""

import collections
import pathlib
import random
import time

import pytest
from confluent_kafka import KafkaError, Message, Producer

from tests.lib.processes import Collector
from tests.lib.reading import read_topic


class Numbered:
    """Produces numbered messages, most of this size; remembers what was acknowledged."""

    def __init__(self, bootstrap: str, seed: int, size: int):
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "batch.size": 4 * size,
                "queue.buffering.max.kbytes": 32 << 10,
                "reconnect.backoff.max.ms": 200,
                "topic.metadata.refresh.fast.interval.ms": 50,
                "log_level": 2,
            }
        )
        self.size = size
        self.filler = random.Random(seed).randbytes(size)
        self.sent = 0
        self.acknowledged: list[int] = []

    def send(self, partition: int, size: int) -> None:
        number, self.sent = self.sent, self.sent + 1

        def delivered(error: KafkaError | None, _: Message) -> None:
            assert error is None, error
            self.acknowledged.append(number)

        value = b"%d:" % number + self.filler[:size]
        while True:
            try:
                self.producer.produce("long", value, partition=partition, on_delivery=delivered)
                break
            except BufferError:
                self.producer.poll(0.05)
        self.producer.poll(0)

    def send_for(self, seconds: float) -> None:
        """Most to partition 0, and some short ones to the other."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.send(0, self.size)
            if self.sent % 8 == 0:
                self.send(1, 100)

    def finish(self) -> None:
        assert self.producer.flush(120) == 0


def adopted(collector: Collector) -> list[pathlib.Path]:
    """Segments that begin as a file of the WAL."""
    segments = (collector.data_dir / "store" / "segments").glob("*")
    return [path for path in segments if path.open("rb").read(4) == b"TRWL"]


def check(collector: Collector, sent: Numbered) -> None:
    numbers = collections.defaultdict(list)
    for partition, _, value in read_topic(collector.bootstrap, "long"):
        number, _, filler = value.partition(b":")
        assert filler == sent.filler[: len(filler)]
        numbers[partition].append(int(number))
    assert all(read == sorted(read) for read in numbers.values())
    everything = sorted(number for read in numbers.values() for number in read)
    assert everything == list(range(sent.sent)) == sorted(sent.acknowledged)


@pytest.mark.parametrize("size", [256 << 10, 12 << 10])
def test_killed_while_wal_files_become_segments(tmp_path: pathlib.Path, size: int) -> None:
    source = random.Random(20261127)
    with Collector(tmp_path) as collector:
        collector.wait_ready()
        sent = Numbered(collector.bootstrap, 1, size)
        for _ in range(10):
            sent.send_for(source.uniform(0.1, 1.5))
            collector.kill()
            collector.start().wait_ready()
        sent.finish()
        check(collector, sent)
        assert len(adopted(collector)) > 2
        assert collector.stop() == 0
        collector.start().wait_ready()
        check(collector, sent)


def test_after_a_stop_the_wal_has_no_part_in_what_became_a_segment(tmp_path: pathlib.Path) -> None:
    with Collector(tmp_path) as collector:
        collector.wait_ready()
        sent = Numbered(collector.bootstrap, 2, 256 << 10)
        sent.send_for(2)
        sent.finish()
        assert collector.stop() == 0
        segments = adopted(collector)
        assert segments
        assert all(path.stat().st_nlink == 1 for path in segments)
