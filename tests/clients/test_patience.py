"""Clients that hold on to what they have and do nothing with it: nobody else waits for them, and they cost little."""

import pathlib
import resource
import socket
import struct

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer

from tests.clients.logs import wait_for_lines
from tests.clients.sample import log_lines
from tests.clients.test_confluent import produce
from tests.lib.processes import SMALL_WAL, Collector, wait_until

IDLE = 10_000
"""As many as a collector serves by default."""
IDLE_BYTES_MAX = 32 << 10
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 7, -1)


def connect(collector: Collector, says_something: bool) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", collector.port), timeout=60)
    if says_something:
        connection.sendall(API_VERSIONS)
        assert len(connection.recv(65_536)) > 100
    return connection


@pytest.fixture
def descriptors() -> None:
    """This process and the collector, which inherits it, may each have as many as it takes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < IDLE + 500:
        pytest.skip(f"impossible: {IDLE} connections, where this user may have {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.mark.usefixtures("descriptors")
def test_ten_thousand_idle_connections_cost_little_and_keep_nobody_out(tmp_path: pathlib.Path) -> None:
    with Collector(tmp_path, f"connections_max = {IDLE + 100}\n" + SMALL_WAL).start().wait_ready() as collector:
        lines = log_lines(500)
        produce(collector.bootstrap, lines)
        before = collector.resident_bytes()
        idle = [connect(collector, says_something=number % 2 == 0) for number in range(IDLE)]
        wait_until(lambda: collector.metric("tailrace_collector_connections") >= IDLE, "all are counted")
        assert (collector.resident_bytes() - before) / IDLE < IDLE_BYTES_MAX
        produce(collector.bootstrap, lines)
        wait_for_lines(collector.bootstrap, lines + lines)
        for connection in idle:
            connection.close()
        wait_until(lambda: collector.metric("tailrace_collector_connections") < 100, "all are gone")


def vanish(connection: socket.socket) -> None:
    """Takes the client's end away without a word to the collector, as a power failure would."""
    tcp_repair = 19
    try:
        connection.setsockopt(socket.IPPROTO_TCP, tcp_repair, 1)
    except PermissionError:
        pytest.skip("impossible: only root can make half-open connections")
    connection.close()


def test_half_open_connections_end(tmp_path: pathlib.Path) -> None:
    with Collector(tmp_path, 'idle_timeout = "5s"\n' + SMALL_WAL) as collector:
        collector.wait_ready()
        said = [connect(collector, says_something=True) for _ in range(100)]
        # Half of a request, which is still to come when its client goes.
        begun = [connect(collector, says_something=True) for _ in range(100)]
        for connection in begun:
            connection.sendall(API_VERSIONS[:7])
        wait_until(lambda: collector.metric("tailrace_collector_connections") == 200, "all are counted")
        for connection in said + begun:
            vanish(connection)
        assert collector.metric("tailrace_collector_connections") > 100, "nobody told the collector"
        wait_until(lambda: collector.metric("tailrace_collector_connections") == 0, "all are gone")
        produce(collector.bootstrap, [b"line"])


def test_who_leaves_while_a_fetch_waits_is_forgotten_however_much_it_sent_behind_it(collector: Collector) -> None:
    produce(collector.bootstrap, [b"line"])
    topic = struct.pack(">h4si", 4, b"logs", 1)
    fetch = struct.pack(">hhihiiiibi", 1, 4, 1, -1, -1, (1 << 31) - 1, 1, 1 << 20, 0, 1) + topic
    fetch += struct.pack(">iqi", 0, 1, 1 << 20)
    for behind in [0, 100, 2_000]:
        connection = connect(collector, says_something=True)
        connection.sendall(struct.pack(">i", len(fetch)) + fetch + API_VERSIONS * behind)
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.close()
        wait_until(lambda: collector.metric("tailrace_collector_connections") == 0, "it is gone")


def test_who_does_not_come_back_to_a_rebalance_is_left_behind(collector: Collector) -> None:
    """It goes on sending heartbeats from its thread, and never asks for its part again."""
    admin = AdminClient({"bootstrap.servers": collector.bootstrap})
    admin.create_topics([NewTopic("logs", 4, 1)])["logs"].result(60)
    settings = {"bootstrap_servers": collector.bootstrap, "group_id": "readers", "session_timeout_ms": 6_000}
    silent = KafkaConsumer("logs", **settings, max_poll_interval_ms=8_000)
    wait_until(lambda: silent.poll(200) or len(silent.assignment()) == 4, "the first has all partitions")
    other = KafkaConsumer("logs", **settings, max_poll_interval_ms=8_000)
    wait_until(lambda: other.poll(200) or len(other.assignment()) == 4, "the second has them all")
    other.close()
    silent.close()


def refusal(error: KafkaException) -> KafkaError:
    (reason,) = error.args
    return reason


def test_names_without_end_and_topics_that_are_not_there_are_refused(collector: Collector) -> None:
    produce(collector.bootstrap, [b"line"])
    # The longest that fits into the length field of older versions.
    nameless = Consumer({"bootstrap.servers": collector.bootstrap, "group.id": "g" * 32_767})
    with pytest.raises(KafkaException) as refused:
        nameless.commit(offsets=[TopicPartition("logs", 0, 1)], asynchronous=False)
    assert refusal(refused.value).code() == KafkaError.INVALID_GROUP_ID
    nameless.close()
    consumer = Consumer({"bootstrap.servers": collector.bootstrap, "group.id": "readers"})
    with pytest.raises(KafkaException) as refused:
        consumer.commit(offsets=[TopicPartition("nowhere", 0, 5)], asynchronous=False)
    assert refusal(refused.value).code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    (kept,) = consumer.committed([TopicPartition("nowhere", 0)], timeout=60)
    assert kept.offset < 0
    consumer.close()
    producer = Producer({"bootstrap.servers": collector.bootstrap})
    errors: list[KafkaError | None] = []
    producer.produce("t" * 250, b"value", on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(60) == 0
    assert errors[0] is not None and errors[0].code() == KafkaError.TOPIC_EXCEPTION
