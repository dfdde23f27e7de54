"""syslog-ng's kafka-c, as it is configured to hand a machine's log on."""

import pathlib
import socket

import pytest

from tests.clients.librdkafka import consume
from tests.clients.syslog_ng import syslog_ng
from tests.lib.processes import Collector, free_port

pytestmark = pytest.mark.needs("syslog-ng")
LINES = [b"<14>Nov 25 10:00:00 web1 app[%d]: request %d took 3 ms" % (number % 7, number) for number in range(5_000)]


def test_kafka_c_hands_on_each_line_once_and_in_order(tmp_path: pathlib.Path) -> None:
    port = free_port()
    with Collector(tmp_path, "[topics]\npartitions = 1") as collector:
        collector.wait_ready()
        destination = (
            f'kafka-c(bootstrap-servers("{collector.bootstrap}") topic("syslog") message("$MSG")'
            ' config(enable.idempotence("true")))'
        )
        with syslog_ng(tmp_path, port, destination):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"".join(line + b"\n" for line in LINES))
            assert consume({"bootstrap.servers": collector.bootstrap}, len(LINES), "syslog") == LINES
