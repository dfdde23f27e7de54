"""rsyslog's omkafka, as it is configured to hand a machine's log on."""

import pathlib
import socket

import pytest

from tests.clients.librdkafka import consume
from tests.lib.processes import Collector, Process, free_port, listens, wait_until

pytestmark = pytest.mark.needs("rsyslogd")
LINES = [b"<14>Nov 25 10:00:00 web1 app[%d]: request %d took 3 ms" % (number % 7, number) for number in range(5_000)]


def test_omkafka_hands_on_each_line_once_and_in_order(collector: Collector, tmp_path: pathlib.Path) -> None:
    port = free_port()
    config = tmp_path / "rsyslog.conf"
    config.write_text(
        f"""
        global(workDirectory="{tmp_path}")
        module(load="imptcp")
        module(load="omkafka")
        template(name="whole" type="string" string="%rawmsg%")
        ruleset(name="forward") {{
          action(type="omkafka" broker=["{collector.bootstrap}"] topic="syslog" template="whole" partitions.auto="off"
                 partitions.usefixed="0" resubmitOnFailure="on" confParam=["enable.idempotence=true"])
        }}
        input(type="imptcp" address="127.0.0.1" port="{port}" ruleset="forward")
        """
    )
    rsyslog = Process("rsyslog", ["rsyslogd", "-n", "-f", str(config), "-i", str(tmp_path / "rsyslog.pid")], tmp_path)
    with rsyslog:
        wait_until(lambda: listens(port), f"rsyslog listens\n{rsyslog.log_tail()}")
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"".join(line + b"\n" for line in LINES))
        assert consume({"bootstrap.servers": collector.bootstrap}, len(LINES), "syslog") == LINES
        rsyslog.check_alive()
