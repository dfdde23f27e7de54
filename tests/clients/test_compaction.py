"""Compacted topics: the newest value of each key stays, whoever reads, and whatever is killed meanwhile."""

import pathlib
import random
import subprocess
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPythonPartition

from tests.lib.apache_kafka import ApacheKafka
from tests.lib.processes import SMALL_WAL, Collector, wait_until
from tests.lib.reading import read_messages

TOPIC = "prices"
KEYS = 2_000
EAGER = {"min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"}

Log = dict[int, tuple[bytes, bytes | None]]
"""Key and value by offset; without a value it is a deletion mark."""


def create(bootstrap: str, topic: str = TOPIC, **config: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = NewTopic(topic, 1, 1, config={"cleanup.policy": "compact", **config})
    admin.create_topics([new])[topic].result(60)
    wait_until(lambda: topic in admin.list_topics(timeout=10).topics, f"{topic} is known")


class Updates:
    """Writes new values of random keys, and now and then deletes one; knows where each landed."""

    def __init__(self, bootstrap: str, seed: int, keys: int = KEYS):
        settings = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 2, "log_level": 2}
        settings.update({"compression.type": "gzip", "message.timeout.ms": 300_000})
        self.producer = Producer({**settings, "queue.buffering.max.messages": 1_000_000})
        self.random = random.Random(seed)
        self.keys = keys
        self.log: Log = {}
        self.sent = 0

    def send(self, count: int) -> None:
        for _ in range(count):
            self.sent += 1
            key = b"key %d" % self.random.randrange(self.keys)
            filler = self.random.randbytes(100).hex()
            value = None if self.random.random() < 0.1 else b"%d %s" % (self.sent, filler.encode())
            self.producer.produce(TOPIC, value, key, on_delivery=self.delivered)
            self.producer.poll(0)

    def delivered(self, error: KafkaError | None, message: object) -> None:
        assert error is None, error
        offset = message.offset()
        assert offset not in self.log
        self.log[offset] = (message.key(), message.value())

    def flush(self) -> None:
        assert self.producer.flush(300) == 0
        assert len(self.log) == self.sent
        assert sorted(self.log) == list(range(self.sent))


def newest(log: Log) -> dict[bytes, bytes]:
    values = {key: value for _, (key, value) in sorted(log.items())}
    return {key: value for key, value in values.items() if value is not None}


def read(bootstrap: str) -> Log:
    """Everything, with librdkafka, up to where it says that the partition ends."""
    return {message.offset(): (message.key(), message.value()) for message in read_messages(bootstrap, TOPIC)}


def read_with_kafka_python(bootstrap: str, end: int) -> Log:
    """Everything, with a client that goes on from one record to the next, until it stands at the end."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    partition = KafkaPythonPartition(TOPIC, 0)
    consumer.assign([partition])
    consumer.seek(partition, 0)
    log: Log = {}

    def at_the_end() -> bool:
        for message in consumer.poll(1_000).get(partition, []):
            log[message.offset] = (message.key, message.value)
        return consumer.position(partition) >= end

    wait_until(at_the_end, "the consumer stands at the end")
    consumer.close()
    return log


def compacted(collector: Collector) -> bool:
    return collector.metric("tailrace_collector_compaction_replaced_bytes_total") > 0


def move_into_segments(collector: Collector) -> None:
    """A stop in good order leaves nothing in the WAL, and a start compacts what is there."""
    assert collector.stop() == 0
    collector.start().wait_ready()


def test_the_newest_values_stay_at_their_offsets(collector: Collector) -> None:
    create(collector.bootstrap, **EAGER)
    updates = Updates(collector.bootstrap, seed=1)
    updates.send(40_000)
    updates.flush()
    size = collector.metric("tailrace_collector_log_size_bytes")
    move_into_segments(collector)
    wait_until(lambda: compacted(collector), "the topic is compacted")
    wait_until(lambda: "compacted partition=" in collector.log(), "the pass is over")
    assert collector.metric("tailrace_collector_log_size_bytes") < size / 4
    found = read(collector.bootstrap)
    assert newest(found) == newest(updates.log)
    assert found.items() <= updates.log.items(), "nothing has moved or changed"
    assert len(found) <= KEYS
    assert read_with_kafka_python(collector.bootstrap, end=40_000) == found


def test_what_was_deleted_is_gone_for_good_and_a_log_never_ends_in_a_gap(collector: Collector) -> None:
    create(collector.bootstrap, **EAGER)
    producer = Producer({"bootstrap.servers": collector.bootstrap})
    for deleted in (False, True):
        for key in range(3):
            producer.produce(TOPIC, None if deleted else b"value", b"key %d" % key)
        assert producer.flush(60) == 0
    for round_ in range(2):
        move_into_segments(collector)
        wait_until(lambda: "compacted partition=" in collector.log(), "a pass is over")
        producer.produce(TOPIC, b"last %d" % round_, b"last")
        assert producer.flush(60) == 0
    found = read(collector.bootstrap)
    assert newest(found) == {b"last": b"last 1"}
    assert b"key 0" not in {key for key, _ in found.values()}, "a mark whose time is over"
    move_into_segments(collector)
    wait_until(lambda: "compacted partition=" in collector.log(), "a pass is over")
    assert read(collector.bootstrap) == {7: (b"last", b"last 1")}
    assert read_with_kafka_python(collector.bootstrap, end=8) == {7: (b"last", b"last 1")}


@pytest.mark.parametrize("broker", ["tailrace", pytest.param("apache-kafka", marks=pytest.mark.needs("java", "mvn"))])
def test_a_record_without_a_key_is_refused(broker: str, request: pytest.FixtureRequest) -> None:
    running: Collector | ApacheKafka = request.getfixturevalue("collector" if broker == "tailrace" else "apache_kafka")
    create(running.bootstrap, "keyless")
    errors: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": running.bootstrap, "log_level": 2})
    producer.produce("keyless", b"value", on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(60) == 0
    assert [error and error.code() for error in errors] == [KafkaError.INVALID_RECORD]


def test_kcat_reads_a_compacted_topic_to_its_end(collector: Collector, tailrace: Callable[..., bytes]) -> None:
    tailrace("topics", "create", TOPIC, "--partitions", "1", "--config", "cleanup.policy=compact")
    updates = Updates(collector.bootstrap, seed=3)
    updates.send(5_000)
    updates.flush()
    move_into_segments(collector)
    wait_until(lambda: compacted(collector), "the topic is compacted")
    command = ["kcat", "-b", collector.bootstrap, "-C", "-t", TOPIC, "-e", "-q", "-f", "%o %k\n"]
    printed = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120).stdout
    offsets = [int(line.split()[0]) for line in printed.splitlines()]
    assert offsets == sorted(read(collector.bootstrap))
    assert offsets[-1] == 4_999


def test_kills_at_any_time_lose_no_newest_value_and_bring_nothing_back(tmp_path: pathlib.Path) -> None:
    """Each start compacts what the runs before have left, and is killed at some moment of it."""
    chance = random.Random(20261125)
    # Few keys fit, so that a partition takes several passes.
    config = '[topics]\ncompaction_memory = "1MiB"\n' + SMALL_WAL
    with Collector(tmp_path, config).start().wait_ready() as collector:
        create(collector.bootstrap, **EAGER)
        updates = Updates(collector.bootstrap, seed=2, keys=30_000)
        for _ in range(25):
            updates.send(10_000)
            updates.producer.poll(chance.uniform(0, 0.6))
            collector.kill()
            collector.start().wait_ready()
        updates.flush()
        move_into_segments(collector)
        wait_until(lambda: f" to={updates.sent} " in collector.log(), "everything is compacted", 120)
        found = read(collector.bootstrap)
        assert newest(found) == newest(updates.log)
        assert found.items() <= updates.log.items()
        assert len(found) <= updates.keys
        assert collector.metric("tailrace_collector_compaction_failing_partitions") == 0
