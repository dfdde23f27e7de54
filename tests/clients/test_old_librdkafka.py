"""The versions of librdkafka that people still run: what Debian 11 has, and what is older still."""

import pathlib

import pytest

from tests.clients import scenario
from tests.clients.old_librdkafka import OldLibrdkafka
from tests.clients.sample import log_lines
from tests.lib.processes import Collector

LINES = log_lines(2_000)


@pytest.fixture(scope="module", params=["1.6.1", "1.4.2"])
def librdkafka(request: pytest.FixtureRequest) -> OldLibrdkafka:
    return OldLibrdkafka(request.param)


@pytest.mark.parametrize(
    "setting", [*(f"compression.codec={codec}" for codec in scenario.CODECS), "enable.idempotence=true"]
)
def test_what_is_produced_is_consumed(librdkafka: OldLibrdkafka, collector: Collector, setting: str) -> None:
    broker = {"bootstrap.servers": collector.bootstrap}
    name, _, value = setting.partition("=")
    librdkafka.produce({**broker, name: value}, LINES)
    assert librdkafka.consume({**broker, "group.id": "readers"}, len(LINES)) == LINES


def test_a_group_goes_on_where_it_was(librdkafka: OldLibrdkafka, collector: Collector) -> None:
    broker = {"bootstrap.servers": collector.bootstrap}
    reader = {**broker, "group.id": "readers"}
    librdkafka.produce(broker, LINES[:1_000])
    assert librdkafka.consume(reader, 1_000) == LINES[:1_000]
    collector.kill()
    collector.start().wait_ready()
    librdkafka.produce(broker, LINES[1_000:])
    assert librdkafka.consume(reader, 1_000) == LINES[1_000:]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_every_mechanism_lets_it_in(librdkafka: OldLibrdkafka, tmp_path: pathlib.Path, mechanism: str) -> None:
    collector, broker = scenario.secured(tmp_path)
    settings = {**broker.librdkafka(), "sasl.mechanism": mechanism}
    with collector:
        collector.wait_ready()
        librdkafka.produce(settings, LINES)
        assert librdkafka.consume({**settings, "group.id": "readers"}, len(LINES)) == LINES
