"""Bytes that no client sends, while others are served."""

import random
import socket
import struct
from collections.abc import Iterator

import pytest

from tests.clients.kcat import consume, produce
from tests.clients.sample import as_text, log_lines
from tests.lib.processes import Collector, wait_until

pytestmark = pytest.mark.needs("kcat")
PRODUCE, METADATA, API_VERSIONS = 0, 3, 18


def frame(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def request(api: int, version: int, body: bytes) -> bytes:
    """A request with the header of most versions; the client id is null."""
    return frame(struct.pack(">hhih", api, version, 7, -1) + body)


def hostile_bytes() -> Iterator[tuple[str, bytes]]:
    source = random.Random(1)
    yield "nothing", b""
    yield "another protocol", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "a TLS hello", bytes.fromhex("160301020001000 1fc0303".replace(" ", "")) + source.randbytes(500)
    yield "a negative length", struct.pack(">i", -1)
    yield "the largest length", struct.pack(">i", 0x7FFFFFFF) + source.randbytes(100)
    yield "a length and no body", struct.pack(">i", 1000)
    yield "an empty frame", frame(b"")
    yield "half a header", frame(b"\0\3\0")
    yield "an unknown API", request(9999, 0, b"")
    yield "an unknown version of ApiVersions", request(API_VERSIONS, 99, source.randbytes(20))
    yield "an unknown version of Metadata", request(METADATA, 99, source.randbytes(20))
    yield "two thousand million topics", request(METADATA, 1, struct.pack(">i", 0x7FFFFFFF))
    yield "two thousand million partitions", request(PRODUCE, 3, struct.pack(">hhii", -1, -1, 1000, 0x7FFFFFFF))
    for number in range(100):
        yield f"noise {number}", frame(source.randbytes(source.randint(1, 2_000)))
    for api in range(70):
        for version in (0, 3, 9):
            yield f"noise for API {api} version {version}", request(api, version, source.randbytes(60))


def test_hostile_bytes_end_their_connection_and_nothing_else(collector: Collector) -> None:
    lines = as_text(log_lines(1_000))
    produce(collector.bootstrap, "logs", lines, "-p", "0")
    before = collector.resident_bytes()
    stalled = []
    for number, (name, hostile) in enumerate(hostile_bytes()):
        connection = socket.create_connection(("127.0.0.1", collector.port), timeout=30)
        connection.sendall(hostile)
        if number % 3 == 0:
            stalled.append(connection)  # it just stays
        else:
            connection.shutdown(socket.SHUT_WR)
            try:
                while connection.recv(1 << 16):
                    pass
            except ConnectionResetError:
                pass
            except TimeoutError as error:
                raise AssertionError(f"after {name} the connection neither answers nor ends") from error
            connection.close()
        collector.check_alive()
        if number % 100 == 0:
            assert consume(collector.bootstrap, "logs", "-p", "0") == lines, f"after {name}"
    produce(collector.bootstrap, "more", lines, "-p", "0")
    assert consume(collector.bootstrap, "more", "-p", "0") == lines
    assert collector.resident_bytes() < before + (64 << 20)
    for connection in stalled:
        connection.close()
    connections = "tailrace_collector_connections"
    wait_until(lambda: collector.metric(connections) == 0, "all connections are gone")
