"""The scenario of tests/clients/scenario.py with aiokafka."""

import asyncio
import ssl
import sys
import traceback
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

TOPIC = "suite"
GROUP = "three"
PATIENCE_S = 60
CONNECTION: dict[str, object] = {"bootstrap_servers": sys.argv[1] if len(sys.argv) > 1 else ""}
MECHANISMS: list[str] = []
if len(sys.argv) > 2:
    authority, user, password, bearer = sys.argv[2:]

    class Tokens(AbstractTokenProvider):
        async def token(self) -> str:
            return bearer

    CONNECTION |= {"security_protocol": "SASL_SSL", "ssl_context": ssl.create_default_context(cafile=authority)}
    CONNECTION |= {"sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": user, "sasl_plain_password": password}
    CONNECTION |= {"sasl_oauth_token_provider": Tokens()}
    MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
failed = False


async def step(name: str, run: Callable[[], Awaitable[None]]) -> None:
    global failed
    try:
        await asyncio.wait_for(run(), 3 * PATIENCE_S)
        print(f"ok {name}", flush=True)
    except Exception as error:
        failed = True
        traceback.print_exc()
        print(f"fail {name}: {error!r}".replace("\n", " "), flush=True)


def values(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


async def create() -> None:
    admin = AIOKafkaAdminClient(**CONNECTION)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, 2, 1, topic_configs={"retention.ms": "3600000"})])
    # Apache Kafka answers before its brokers know of the topic.
    while not (partitions := (await admin.describe_topics([TOPIC]))[0]["partitions"]):
        await asyncio.sleep(0.1)
    await admin.close()
    assert len(partitions) == 2, partitions


async def produce(partition: int, lines: list[str], **settings: object) -> None:
    async with AIOKafkaProducer(**{**CONNECTION, **settings}, acks="all", linger_ms=5) as producer:
        sent = [await producer.send(TOPIC, line.encode(), partition=partition) for line in lines]
        offsets = [(await one).offset for one in sent]
    assert offsets == list(range(offsets[0], offsets[0] + len(lines))), offsets


def reader(*topics: str, **settings: object) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(*topics, **CONNECTION, auto_offset_reset="earliest", enable_auto_commit=False, **settings)


async def take(consumer: AIOKafkaConsumer, count: int) -> list[str]:
    taken: list[str] = []
    while len(taken) < count:
        message = await asyncio.wait_for(consumer.getone(), PATIENCE_S)
        taken.append((message.value or b"").decode())
    return taken


async def consume(wanted: list[str]) -> None:
    async with reader() as consumer:
        consumer.assign([TopicPartition(TOPIC, 0)])
        assert await take(consumer, len(wanted)) == wanted


async def group() -> None:
    partitions = [TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)]
    async with reader(group_id=GROUP) as first:
        first.assign(partitions)
        await first.commit(await first.end_offsets(partitions))
    left, right = values("left", 150), values("right", 150)
    await produce(0, left)
    await produce(1, right)
    read: list[str] = []
    shares: dict[int, int] = {}

    # Who leaves last gets the shares of the others, so it counts that it was so once.
    shared = asyncio.Event()

    def done() -> bool:
        return len(read) >= 300 and shared.is_set()

    async def member(number: int) -> None:
        async with reader(TOPIC, group_id=GROUP) as consumer:
            while not done():
                for messages in (await consumer.getmany(timeout_ms=100)).values():
                    read.extend((message.value or b"").decode() for message in messages)
                shares[number] = len(consumer.assignment())
                if sorted(shares.values()) == [0, 1, 1]:
                    shared.set()
                if consumer.assignment():
                    await consumer.commit()

    await asyncio.wait_for(asyncio.gather(*(member(number) for number in range(3))), PATIENCE_S)
    assert sorted(read) == sorted(left + right), f"{len(read)} read"


async def resume() -> None:
    wanted = values("resume", 100)
    await produce(1, wanted)
    for half in (wanted[:50], wanted[50:]):
        async with reader(TOPIC, group_id=GROUP, max_poll_records=50) as consumer:
            assert await take(consumer, 50) == half
            await consumer.commit()


async def administer() -> None:
    admin = AIOKafkaAdminClient(**CONNECTION)
    await admin.start()
    for wanted in ("3600000", "7200000"):
        # Apache Kafka answers a change before its brokers know of it.
        value = ""
        while value != wanted:
            answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC)])
            value = {entry[0]: entry[1] for entry in answers[0].resources[0][4]}["retention.ms"]
        change = ConfigResource(ConfigResourceType.TOPIC, TOPIC, configs={"retention.ms": "7200000"})
        await admin.alter_configs([change])
    assert GROUP in [group[0] for group in await admin.list_consumer_groups()]
    described = await admin.describe_consumer_groups([GROUP])
    assert described[0].groups[0][2] == "Empty", described
    await admin.delete_topics([TOPIC])
    while TOPIC in await admin.list_topics():
        await asyncio.sleep(0.1)
    await admin.close()


async def main() -> None:
    sent: list[str] = []
    await step("create", create)
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        sent += values(codec, 200)
        kind = None if codec == "none" else codec
        await step(
            f"produce-{codec}", lambda codec=codec, kind=kind: produce(0, values(codec, 200), compression_type=kind)
        )
    sent += values("idempotent", 200)
    await step("produce-idempotent", lambda: produce(0, values("idempotent", 200), enable_idempotence=True))
    await step("consume", lambda: consume(sent))
    await step("group", group)
    await step("resume", resume)
    for mechanism in MECHANISMS:
        lines = values("login", 10)
        await step(f"login-{mechanism}", lambda lines=lines, kind=mechanism: produce(1, lines, sasl_mechanism=kind))
    await step("admin", administer)


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(failed)
