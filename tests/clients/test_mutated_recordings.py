"""What real clients sent, sent again with something wrong in it."""

import pathlib
import random
import socket

from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer, KafkaProducer

from tests.clients.librdkafka import consume, produce
from tests.clients.recording import Recorder
from tests.lib.processes import SMALL_WAL, Collector, free_port, wait_until

REPLAYS = 400
LINES = [b"line %d" % number for number in range(100)]
KEPT = [b"kept %d" % number for number in range(100)]


def record(port: int) -> None:
    """One session of each client."""
    bootstrap = f"127.0.0.1:{port}"
    settings = {"bootstrap.servers": bootstrap, "log_level": 0}
    admin = AdminClient(settings)
    admin.create_topics([NewTopic("more", 2, 1)])["more"].result(60)
    produce({**settings, "compression.type": "lz4"}, LINES)
    assert consume(settings, len(LINES)) == LINES
    producer = KafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=False, compression_type="gzip")
    for line in LINES:
        producer.send("more", line, partition=0)
    producer.close()
    consumer = KafkaConsumer("more", bootstrap_servers=bootstrap, group_id="g", auto_offset_reset="earliest")
    assert next(consumer).value == LINES[0]
    consumer.close()


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


def test_mutated_recordings_cost_nobody_else_anything(tmp_path: pathlib.Path) -> None:
    port = free_port()
    with Collector(tmp_path, f'advertised = "127.0.0.1:{port}"\n' + SMALL_WAL) as collector:
        collector.wait_ready()
        recorder = Recorder(port, collector.port)
        settings = {"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}
        record(port)
        sessions = [list(frames) for frames in recorder.connections if frames]
        produce(settings, KEPT, "kept")
        before = collector.resident_bytes()
        source = random.Random(1)
        for _ in range(REPLAYS):
            frames = list(source.choice(sessions))
            wrong = source.randrange(len(frames))
            frames[wrong] = mutated(frames[wrong], source)
            replay(collector.port, frames[: wrong + source.randint(1, 3)])
            collector.check_alive()
        assert len({frame[4:6] for frames in sessions for frame in frames}) >= 12, "APIs in the recordings"
        assert consume(settings, len(KEPT), "kept") == KEPT
        # A batch may have been sent again, but nothing that nobody wrote can have come by: the CRC is in the way.
        for topic in ("logs", "more"):
            assert set(consume(settings, len(LINES), topic)) <= set(LINES)
        assert collector.resident_bytes() < before + (256 << 20)
        # Whoever left in the middle is forgotten.
        recorder.close()
        connections = "tailrace_collector_connections"
        wait_until(lambda: collector.metric(connections) == 0, "all connections are gone")
