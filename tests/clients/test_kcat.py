"""kcat: what goes in comes out, byte for byte, also after the collector was killed."""

import pytest

from tests.clients.kcat import consume, kcat, produce
from tests.clients.sample import as_text, log_lines, sorted_text
from tests.lib.processes import Collector

pytestmark = pytest.mark.needs("kcat")
LINES = as_text(log_lines(20_000))


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_codec_comes_back_byte_for_byte(collector: Collector, codec: str) -> None:
    produce(collector.bootstrap, "logs", LINES, "-p", "0", "-z", codec)
    assert consume(collector.bootstrap, "logs", "-p", "0") == LINES


def test_without_a_partition_lines_are_spread_and_all_are_there(collector: Collector) -> None:
    produce(collector.bootstrap, "logs", LINES, "-X", "sticky.partitioning.linger.ms=0", "-X", "linger.ms=1")
    assert sorted_text(consume(collector.bootstrap, "logs")) == sorted_text(LINES)


def test_keys_headers_and_timestamps_come_back(collector: Collector) -> None:
    kcat(collector.bootstrap, "-P", "-t", "logs", "-p", "0", "-K", "=", "-H", "host=web1", stdin=b"key=value\n")
    shown = consume(collector.bootstrap, "logs", "-p", "0", "-f", "%k %s %h %o %p\n")
    assert shown == b"key value host=web1 0 0\n"


def test_what_was_acknowledged_survives_kill_and_stop(collector: Collector) -> None:
    third = len(log_lines(20_000)) // 3
    parts = [as_text(log_lines(20_000)[begin : begin + third]) for begin in (0, third, 2 * third)]
    produce(collector.bootstrap, "logs", parts[0], "-p", "0", "-z", "zstd")
    collector.kill()
    collector.start().wait_ready()
    produce(collector.bootstrap, "logs", parts[1], "-p", "0", "-z", "zstd")
    assert collector.stop() == 0
    collector.start().wait_ready()
    produce(collector.bootstrap, "logs", parts[2], "-p", "0", "-z", "zstd")
    assert consume(collector.bootstrap, "logs", "-p", "0") == b"".join(parts)


def test_a_group_goes_on_where_it_was(collector: Collector) -> None:
    produce(collector.bootstrap, "logs", b"a\nb\n", "-p", "0")
    group = ("-G", "readers", "logs", "-X", "auto.offset.reset=earliest", "-e")
    assert kcat(collector.bootstrap, *group) == b"a\nb\n"
    produce(collector.bootstrap, "logs", b"c\n", "-p", "0")
    collector.kill()
    collector.start().wait_ready()
    assert kcat(collector.bootstrap, *group) == b"c\n"


def test_listing_names_broker_topic_and_partitions(collector: Collector) -> None:
    produce(collector.bootstrap, "logs", b"a\n")
    listing = kcat(collector.bootstrap, "-L").decode()
    assert f"broker 1 at {collector.bootstrap}" in listing
    assert 'topic "logs" with 4 partitions' in listing
