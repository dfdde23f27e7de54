"""What real clients sent, sent again with something wrong in it."""

import pathlib
import random
import re
import socket
from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer, KafkaProducer

from tests.clients import scenario, test_java, test_suites
from tests.clients.librdkafka import consume, produce
from tests.clients.recording import Recorder
from tests.lib.apache_kafka import VERSION
from tests.lib.processes import SMALL_WAL, Collector, free_port, wait_until
from tests.lib.reading import read_messages

REPLAYS = 120
LINES = [b"line %d" % number for number in range(100)]
KEPT = [b"kept %d" % number for number in range(100)]


def librdkafka(bootstrap: str) -> None:
    settings = {"bootstrap.servers": bootstrap, "log_level": 0}
    admin = AdminClient(settings)
    admin.create_topics([NewTopic("suite", 2, 1)])["suite"].result(60)
    produce({**settings, "compression.type": "lz4"}, LINES, "suite")
    assert consume(settings, len(LINES), "suite") == LINES


def kafka_python(bootstrap: str) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=False, compression_type="gzip")
    for line in LINES:
        producer.send("suite", line, partition=0)
    producer.close()
    consumer = KafkaConsumer("suite", bootstrap_servers=bootstrap, group_id="g", auto_offset_reset="earliest")
    assert next(consumer).value == LINES[0]
    consumer.close()


def scenario_of(program: Callable[[], list[str]]) -> Callable[[str], None]:
    def run(bootstrap: str) -> None:
        results = scenario.run([*program(), bootstrap])
        assert set(results.values()) == {"ok"}, results

    return run


# One session of each client, and what it needs.
CLIENTS: dict[str, tuple[Callable[[str], None], list[str]]] = {
    "librdkafka": (librdkafka, []),
    "kafka-python": (kafka_python, []),
    "java": (scenario_of(lambda: test_java.command("Suite.java", VERSION)), ["javac", "mvn"]),
    **{name: (scenario_of(program), tools) for name, (program, tools, _) in test_suites.CLIENTS.items()},
}


def mutated(frame: bytes, source: random.Random) -> bytes:
    """The frame with bytes changed, taken away, put in or repeated; its length may be true or not."""
    body = bytearray(frame[4:])
    for _ in range(source.randint(1, 3)):
        # Most of what is decoded stands at the beginning.
        at = source.randrange(min(len(body), source.choice([16, 64, 100_000])))
        match source.randrange(4):
            case 0:
                body[at] = source.choice([0, 1, 0x7F, 0x80, 0xFF, source.randrange(256)])
            case 1:
                del body[at : at + source.randint(1, 8)]
            case 2:
                body[at:at] = source.randbytes(source.randint(1, 8))
            case 3:
                body[at:at] = body[at : at + 32]
        if not body:
            body = bytearray(1)
    length = len(body) if source.random() < 0.9 else source.randrange(1 << 31)
    return length.to_bytes(4, "big") + bytes(body)


def replay(port: int, frames: list[bytes]) -> None:
    """Sends them, takes what comes, and leaves; in between the connection may be closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(b"".join(frames))
            connection.settimeout(0.05)
            while connection.recv(1 << 16):
                pass
        except OSError:
            pass


@pytest.mark.parametrize(
    "client", [pytest.param(name, marks=pytest.mark.needs(*tools)) for name, (_, tools) in CLIENTS.items()]
)
def test_mutated_recordings_cost_nobody_else_anything(tmp_path: pathlib.Path, client: str) -> None:
    port = free_port()
    with Collector(tmp_path, f'advertised = "127.0.0.1:{port}"\n' + SMALL_WAL) as collector:
        collector.wait_ready()
        recorder = Recorder(port, collector.port)
        CLIENTS[client][0](f"127.0.0.1:{port}")
        sessions = [list(frames) for frames in recorder.connections if frames]
        settings = {"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}
        produce(settings, KEPT, "kept")
        before = collector.resident_bytes()
        source = random.Random(1)
        for _ in range(REPLAYS):
            frames = list(source.choice(sessions))
            wrong = source.randrange(len(frames))
            frames[wrong] = mutated(frames[wrong], source)
            replay(collector.port, frames[: wrong + source.randint(1, 3)])
            collector.check_alive()
        assert len({frame[4:6] for frames in sessions for frame in frames}) >= 5, "APIs in the recording"
        assert consume(settings, len(KEPT), "kept") == KEPT
        # A batch may have been sent again, but nothing that nobody wrote can have come by: the CRC is in the way.
        produce(settings, LINES, "suite")
        written = re.compile(rb"(line |[a-z0-9]+-)\d+")
        strange = [
            m.value() for m in read_messages(collector.bootstrap, "suite") if not written.fullmatch(m.value() or b"")
        ]
        assert strange == []
        assert collector.resident_bytes() < before + (256 << 20)
        # Whoever left in the middle is forgotten.
        recorder.close()
        connections = "tailrace_collector_connections"
        wait_until(lambda: collector.metric(connections) == 0, "all connections are gone")
