"""kafka-python: a client that shares no code with librdkafka."""

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from tests.clients.sample import log_lines
from tests.lib.processes import Collector

LINES = log_lines(2_000)


def consumer(collector: Collector, **settings: object) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=collector.bootstrap,
        auto_offset_reset="earliest",
        # Patience for slow machines, and for the session of a member whose leave a kill may have undone.
        consumer_timeout_ms=120_000,
        enable_auto_commit=False,
        **settings,
    )


def take(source: KafkaConsumer, count: int) -> list[bytes]:
    return [message.value for _, message in zip(range(count), source, strict=False)]


@pytest.mark.parametrize("codec", [None, "gzip"])
@pytest.mark.parametrize("idempotent", [False, True])
def test_what_is_produced_is_consumed(collector: Collector, codec: str | None, idempotent: bool) -> None:
    producer = KafkaProducer(
        bootstrap_servers=collector.bootstrap,
        acks="all",
        compression_type=codec,
        enable_idempotence=idempotent,
        linger_ms=5,
    )
    sent = [producer.send("logs", line, partition=0) for line in LINES]
    producer.flush(60)
    assert [future.get(60).offset for future in sent] == list(range(len(LINES)))
    producer.close()
    source = consumer(collector)
    source.assign([TopicPartition("logs", 0)])
    assert take(source, len(LINES)) == LINES
    source.close()


def test_a_group_resumes_at_its_commit(collector: Collector) -> None:
    admin = KafkaAdminClient(bootstrap_servers=collector.bootstrap)
    admin.create_topics([NewTopic("logs", 1, 1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=collector.bootstrap, acks="all")
    for line in LINES:
        producer.send("logs", line)
    producer.flush(60)
    producer.close()
    first = consumer(collector, group_id="readers", max_poll_records=100)
    first.subscribe(["logs"])
    assert take(first, 300) == LINES[:300]
    first.commit()
    first.close()
    collector.kill()
    collector.start().wait_ready()
    second = consumer(collector, group_id="readers")
    second.subscribe(["logs"])
    assert take(second, len(LINES) - 300) == LINES[300:]
    second.close()
