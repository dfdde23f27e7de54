"""What administrators do, through confluent-kafka's AdminClient."""

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from tests.lib.processes import Collector, wait_until


@pytest.fixture
def admin(collector: Collector) -> AdminClient:
    return AdminClient({"bootstrap.servers": collector.bootstrap, "log_level": 2})


def create(admin: AdminClient, name: str, partitions: int = 3, **config: str) -> None:
    topic = NewTopic(name, partitions, 1, config={key.replace("_", "."): value for key, value in config.items()})
    admin.create_topics([topic])[name].result(30)


def produce_at(bootstrap: str, times_ms: list[int]) -> None:
    """One record of partition 0 of `logs` for each time."""
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 2})
    for time_ms in times_ms:
        producer.produce("logs", b"x", partition=0, timestamp=time_ms)
        assert producer.flush(60) == 0


def error_name(raised: pytest.ExceptionInfo[KafkaException]) -> str:
    return raised.value.args[0].name()


def test_topics_are_created_listed_described_and_deleted(admin: AdminClient, collector: Collector) -> None:
    create(admin, "logs")
    with pytest.raises(KafkaException) as again:
        create(admin, "logs")
    assert error_name(again) == "TOPIC_ALREADY_EXISTS"
    assert len(admin.list_topics(timeout=30).topics["logs"].partitions) == 3
    collector.kill()
    collector.start().wait_ready()
    assert "logs" in admin.list_topics(timeout=30).topics
    admin.delete_topics(["logs"])["logs"].result(30)
    assert "logs" not in admin.list_topics(timeout=30).topics
    with pytest.raises(KafkaException) as unknown:
        admin.delete_topics(["logs"])["logs"].result(30)
    assert error_name(unknown) == "UNKNOWN_TOPIC_OR_PART"


def test_a_deleted_topic_comes_back_empty(admin: AdminClient, collector: Collector) -> None:
    create(admin, "logs")
    produce_at(collector.bootstrap, [1_000, 2_000])
    admin.delete_topics(["logs"])["logs"].result(30)
    create(admin, "logs")
    latest = admin.list_offsets({TopicPartition("logs", 0): OffsetSpec.latest()})
    assert [found.result(30).offset for found in latest.values()] == [0]


def test_partitions_are_added_and_never_taken_away(admin: AdminClient) -> None:
    create(admin, "logs")
    admin.create_partitions([NewPartitions("logs", 5)])["logs"].result(30)
    assert len(admin.list_topics("logs", timeout=30).topics["logs"].partitions) == 5
    with pytest.raises(KafkaException) as fewer:
        admin.create_partitions([NewPartitions("logs", 2)])["logs"].result(30)
    assert error_name(fewer) == "INVALID_PARTITIONS"


def test_configs_are_described_with_their_defaults(admin: AdminClient) -> None:
    create(admin, "logs", retention_ms="3600000")
    resource = ConfigResource(ResourceType.TOPIC, "logs")
    configs = admin.describe_configs([resource])[resource].result(30)
    assert (configs["retention.ms"].value, configs["retention.ms"].is_default) == ("3600000", False)
    assert (configs["cleanup.policy"].value, configs["cleanup.policy"].is_default) == ("delete", True)


def test_offsets_are_found_by_time(admin: AdminClient, collector: Collector) -> None:
    create(admin, "logs")
    produce_at(collector.bootstrap, [1_000, 2_000, 3_000])
    part = TopicPartition("logs", 0)

    def offset(spec: OffsetSpec) -> int:
        return admin.list_offsets({part: spec})[part].result(30).offset

    assert offset(OffsetSpec.earliest()) == 0
    assert offset(OffsetSpec.latest()) == 3
    assert [offset(OffsetSpec.for_timestamp(time_ms)) for time_ms in (0, 1_000, 1_001, 3_000)] == [0, 0, 1, 2]
    assert offset(OffsetSpec.for_timestamp(3_001)) == -1
    assert offset(OffsetSpec.max_timestamp()) == 2


def test_groups_are_listed_described_and_deleted(admin: AdminClient, collector: Collector) -> None:
    create(admin, "logs")
    consumer = Consumer(
        {"bootstrap.servers": collector.bootstrap, "group.id": "readers", "client.id": "me", "log_level": 2}
    )
    consumer.subscribe(["logs"])

    def has_all() -> bool:
        consumer.poll(0.1)
        return len(consumer.assignment()) == 3

    wait_until(has_all, "the member has all partitions")
    listed = admin.list_consumer_groups().result(30).valid
    assert [(group.group_id, group.state.name) for group in listed] == [("readers", "STABLE")]
    described = admin.describe_consumer_groups(["readers"])["readers"].result(30)
    assert [(member.client_id, len(member.assignment.topic_partitions)) for member in described.members] == [("me", 3)]
    with pytest.raises(KafkaException) as busy:
        admin.delete_consumer_groups(["readers"])["readers"].result(30)
    assert error_name(busy) == "NON_EMPTY_GROUP"
    consumer.commit(offsets=[TopicPartition("logs", 0, 0)], asynchronous=False)
    consumer.close()
    admin.delete_consumer_groups(["readers"])["readers"].result(30)
    assert admin.list_consumer_groups().result(30).valid == []


def test_the_cluster_describes_itself(admin: AdminClient, collector: Collector) -> None:
    cluster = admin.describe_cluster().result(30)
    assert [f"{node.host}:{node.port}" for node in cluster.nodes] == [collector.bootstrap]
    assert cluster.cluster_id


def test_topics_are_configured_while_they_are_used(admin: AdminClient, collector: Collector) -> None:
    create(admin, "logs")

    def altered(*entries: tuple[str, str | None, AlterConfigOpType]) -> None:
        changes = [ConfigEntry(key, value, incremental_operation=operation) for key, value, operation in entries]
        resource = ConfigResource(ResourceType.TOPIC, "logs", incremental_configs=changes)
        admin.incremental_alter_configs([resource])[resource].result(30)

    def in_force(key: str) -> str:
        resource = ConfigResource(ResourceType.TOPIC, "logs")
        return admin.describe_configs([resource])[resource].result(30)[key].value

    altered(("max.message.bytes", "2000", AlterConfigOpType.SET), ("retention.ms", "-1", AlterConfigOpType.SET))
    assert (in_force("max.message.bytes"), in_force("retention.ms")) == ("2000", "-1")
    refusals = []
    producer = Producer({"bootstrap.servers": collector.bootstrap, "log_level": 2})
    producer.produce("logs", b"x" * 3000, on_delivery=lambda error, _: refusals.append(error))
    assert producer.flush(60) == 0
    assert refusals[0].name() == "MSG_SIZE_TOO_LARGE"
    with pytest.raises(KafkaException) as unknown:
        altered(("retention.m", "5", AlterConfigOpType.SET))
    assert error_name(unknown) == "INVALID_CONFIG"
    assert "did you mean `retention.ms`" in str(unknown.value)

    altered(("max.message.bytes", None, AlterConfigOpType.DELETE))
    collector.kill()
    collector.start().wait_ready()
    assert (in_force("max.message.bytes"), in_force("retention.ms")) == ("2097152", "-1")
