"""Quotas: who uses more than its share is slowed down, loses nothing, and is in nobody else's way."""

import json
import pathlib
import random
import socket
import struct
import subprocess
import time
from typing import Any

from tests.clients import librdkafka
from tests.lib.processes import BIN, SMALL_WAL, Collector

RATE = 40_000
# What may come at once: ten seconds' worth.
WINDOW = 10 * RATE
LINES = [random.Random(number).randbytes(500).hex().encode() for number in range(650)]
BYTES = sum(map(len, LINES))
SASL = 'sasl = ["PLAIN"]\n' + "".join(f'[[users]]\nname = "{user}"\npassword = "pw"\n' for user in ("ann", "bob"))


def quotas(
    collector: Collector, *arguments: str, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "tailrace"), "quotas", *arguments, "--bootstrap", collector.bootstrap]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=check, timeout=60)


class Client:
    """What a client is told, and how long it takes."""

    def __init__(self, collector: Collector, client_id: str, **settings: object):
        self.throttled: list[float] = []
        self.settings: dict[str, Any] = {
            "bootstrap.servers": collector.bootstrap,
            "client.id": client_id,
            "throttle_cb": lambda event: self.throttled.append(event.throttle_time),
            **settings,
        }

    def produce(self, topic: str = "logs") -> float:
        """Seconds until all lines are there. Batches are small, so that a wait follows nearly each of them."""
        began = time.monotonic()
        librdkafka.produce({**self.settings, "batch.size": 20_000}, LINES, topic)
        return time.monotonic() - began

    def consume(self, topic: str = "logs") -> float:
        began = time.monotonic()
        taken = librdkafka.consume({**self.settings, "max.partition.fetch.bytes": 30_000}, len(LINES), topic)
        assert taken == LINES
        return time.monotonic() - began


# What is left when all is sent: the last batches in flight are answered before their time is over.
AT_LEAST = (BYTES - WINDOW) / RATE - 3


def test_a_producer_is_held_to_its_quota_and_nobody_else_is(collector: Collector) -> None:
    quotas(collector, "set", "--client-id", "noisy", "--produce", str(RATE))
    collector.kill()
    collector.start().wait_ready()
    quiet, noisy = Client(collector, "quiet"), Client(collector, "noisy")
    quiet.produce("other")
    assert noisy.produce() > AT_LEAST
    assert noisy.throttled
    assert not quiet.throttled
    assert collector.metric("tailrace_collector_throttle_seconds_count") > 0
    assert collector.metric("tailrace_collector_metered_clients") == 1
    quiet.consume()
    assert not quiet.throttled
    quotas(collector, "remove", "--client-id", "noisy")
    noisy.throttled.clear()
    noisy.produce("third")
    assert not noisy.throttled


def test_a_consumer_is_held_to_its_quota(collector: Collector) -> None:
    Client(collector, "writer").produce()
    quotas(collector, "set", "--client-id", "*", "--fetch", str(RATE))
    reader = Client(collector, "reader")
    assert reader.consume() > AT_LEAST
    assert reader.throttled


def test_the_most_specific_quota_holds_and_a_user_has_its_own(tmp_path: pathlib.Path) -> None:
    with Collector(tmp_path, SASL + SMALL_WAL) as collector:
        collector.wait_ready()
        login = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.password": "pw"}
        environment = {"TAILRACE_USER": "ann", "TAILRACE_PASSWORD": "pw"}

        def as_ann(*arguments: str) -> str:
            return quotas(collector, *arguments, "--sasl-mechanism", "PLAIN", **environment).stdout

        as_ann("set", "--principal", "*", "--produce", str(RATE))
        as_ann("set", "--principal", "bob", "--client-id", "trusted", "--produce", "1GiB")
        listed = {(it["principal"], it["client_id"]) for it in json.loads(as_ann("list", "-o", "json"))}
        assert listed == {("*", None), ("bob", "trusted")}
        trusted = Client(collector, "trusted", **login, **{"sasl.username": "bob"})
        trusted.produce("bobs")
        assert not trusted.throttled
        ann = Client(collector, "trusted", **login, **{"sasl.username": "ann"})
        assert ann.produce("anns") > AT_LEAST
        assert ann.throttled


def test_who_does_not_care_about_the_throttle_time_is_held_to_it_too(collector: Collector) -> None:
    """A client of old (before KIP-219) asks again at once."""
    Client(collector, "writer").produce()
    quotas(collector, "set", "--client-id", "*", "--fetch", str(RATE))
    partition = struct.pack(">iiqi", 1, 0, 0, 1 << 20)
    fetch = struct.pack(">iiiibi", -1, 1000, 1, 1 << 20, 0, 1) + struct.pack(">h", 4) + b"logs" + partition
    request = struct.pack(">hhih", 1, 4, 1, -1) + fetch
    frame = struct.pack(">i", len(request)) + request
    received, throttled, began = 0, 0, time.monotonic()
    with socket.create_connection(("127.0.0.1", collector.port), timeout=60) as connection:
        stream = connection.makefile("rb")
        while time.monotonic() < began + 8:
            connection.sendall(frame)
            answer = stream.read(struct.unpack(">i", stream.read(4))[0])
            received += len(answer)
            throttled += struct.unpack_from(">i", answer, 4)[0] > 0
    took = time.monotonic() - began
    assert throttled > 0
    # One batch more than there is room for, because a fetch never starves.
    assert received < WINDOW + took * RATE + 1_000_000


def test_refusals_say_what_to_do(collector: Collector) -> None:
    for arguments, reason in [
        (["set", "--principal", "ann"], "--produce"),
        (["set", "--produce", "1MiB"], "--principal"),
        (["set", "--principal", "ann", "--produce", "0"], "`none` is no limit"),
        (["set", "--principal", "x" * 1025, "--produce", "1"], "1 to 1024 bytes"),
        (["remove", "--principal", "ann"], "principal ann has no quotas"),
    ]:
        refused = quotas(collector, *arguments, check=False)
        assert refused.returncode != 0
        assert reason in refused.stderr, refused.stderr
    assert json.loads(quotas(collector, "list", "-o", "json").stdout) == []
