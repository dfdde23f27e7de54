"""syslog-ng's kafka-c, as it is configured to hand a machine's log on."""

import pathlib
import shutil
import socket

import pytest

from tests.clients.librdkafka import consume
from tests.lib.processes import Collector, Process, free_port, listens, wait_until

pytestmark = pytest.mark.needs("syslog-ng")
LINES = [b"<14>Nov 25 10:00:00 web1 app[%d]: request %d took 3 ms" % (number % 7, number) for number in range(5_000)]


def test_kafka_c_hands_on_each_line_once_and_in_order(tmp_path: pathlib.Path) -> None:
    port = free_port()
    collector = Collector(tmp_path, "[topics]\npartitions = 1")
    config = tmp_path / "syslog-ng.conf"
    config.write_text(
        f"""@version: current
        source lines {{ network(ip("127.0.0.1") port({port}) transport("tcp") flags(no-parse)); }};
        destination collector {{
          kafka-c(bootstrap-servers("{collector.bootstrap}") topic("syslog") message("$MSG")
                  config(enable.idempotence("true")));
        }};
        log {{ source(lines); destination(collector); flags(flow-control); }};
        """
    )
    program = pathlib.Path(shutil.which("syslog-ng") or "")
    libraries = program.parents[1] / "lib" / "syslog-ng"
    modules = next(path.parent for path in libraries.glob("*/libkafka.so"))
    command = [str(program), "-F", "-f", str(config), f"--module-path={modules}"]
    command += [f"--{kind}={tmp_path}/syslog-ng.{kind}" for kind in ("persist-file", "pidfile", "control")]
    syslog_ng = Process("syslog-ng", ["env", f"LD_LIBRARY_PATH={libraries}", *command], tmp_path)
    with collector, syslog_ng:
        collector.wait_ready()
        wait_until(lambda: listens(port), f"syslog-ng listens\n{syslog_ng.log_tail()}")
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"".join(line + b"\n" for line in LINES))
        assert consume({"bootstrap.servers": collector.bootstrap}, len(LINES), "syslog") == LINES
        syslog_ng.check_alive()
