"""Senders of syslog, and an agent that takes it: nothing that came over a connection is lost while the agent lives, and
what is lost of datagrams is counted."""

import contextlib
import json
import pathlib
import random
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer
from cryptography.x509.oid import NameOID

from tests.clients.certificates import Authority
from tests.clients.librdkafka import consume
from tests.clients.syslog_ng import syslog_ng
from tests.lib.processes import Agent, Collector, Process, free_port, listens, wait_until

LINES = [b"<14>Nov 25 10:00:00 web1 app[%d]: request %d took 3 ms" % (number % 7, number) for number in range(5_000)]
Start = Callable[[str], Agent]


def lines_of(collector: Collector, count: int, topic: str = "net") -> list[bytes]:
    return consume({"bootstrap.servers": collector.bootstrap}, count, topic)


def send(port: int, lines: list[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"".join(line + b"\n" for line in lines))


@pytest.mark.needs("logger")
def test_logger_by_every_way(collector: Collector, start_agent: Start) -> None:
    port = free_port()
    address = f'"127.0.0.1:{port}"'
    start_agent(
        f'[[syslog]]\ntopic = "net"\nudp = {address}\ntcp = {address}\nlabels = {{ site = "b" }}\n'
        'format = "json"\ntransform = { parse = "syslog", time = "time" }\n'
    )
    ways = [["--udp"], ["--tcp"], ["--tcp", "--octet-count"]]
    formats = [["--rfc3164"], ["--rfc5424"]]
    for number, way in enumerate(way + more for way in ways for more in formats):
        command = [
            "logger",
            "--server",
            "127.0.0.1",
            "--port",
            str(port),
            *way,
            "--id=77",
            "-t",
            "app",
            "-p",
            "mail.warning",
        ]
        subprocess.run([*command, f"way {number}"], check=True)
        wait_until(lambda count=number + 1: len(lines_of(collector, count)) == count, f"message {number}")
    records = [json.loads(line) for line in lines_of(collector, 6)]
    assert [record["message"] for record in records] == [f"way {number}" for number in range(6)]
    for record in records:
        assert (record["app"], record["pid"], record["facility"], record["severity"]) == ("app", 77, "mail", "warning")
        assert (record["source_ip"], record["site"]) == ("127.0.0.1", "b")
        assert "parse_error" not in record


@pytest.mark.needs("rsyslogd")
@pytest.mark.parametrize("framing", ["traditional", "octet-counted"])
def test_rsyslog_hands_on_each_line_once_and_in_order(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path, framing: str
) -> None:
    port, own_port = free_port(), free_port()
    start_agent(f'[[syslog]]\ntopic = "net"\ntcp = "127.0.0.1:{port}"\n')
    config = tmp_path / "rsyslog.conf"
    config.write_text(
        f"""
        global(workDirectory="{tmp_path}")
        module(load="imptcp")
        template(name="whole" type="string" string="%rawmsg%")
        ruleset(name="forward") {{
          action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" template="whole" tcp_framing="{framing}")
        }}
        input(type="imptcp" address="127.0.0.1" port="{own_port}" ruleset="forward")
        """
    )
    rsyslog = Process("rsyslog", ["rsyslogd", "-n", "-f", str(config), "-i", str(tmp_path / "rsyslog.pid")], tmp_path)
    with rsyslog:
        wait_until(lambda: listens(own_port), f"rsyslog listens\n{rsyslog.log_tail()}")
        send(own_port, LINES)
        assert lines_of(collector, len(LINES)) == LINES


@pytest.mark.needs("syslog-ng")
def test_syslog_ng_by_mutual_tls_and_nobody_without_a_certificate(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path
) -> None:
    authority = Authority(tmp_path)
    authority.issue("agent", [(NameOID.COMMON_NAME, "agent")])
    authority.issue("sender", [(NameOID.COMMON_NAME, "sender")])
    port, own_port = free_port(), free_port()
    agent = start_agent(
        f'[[syslog]]\ntopic = "net"\ntcp = "127.0.0.1:{port}"\n[syslog.tls]\ncert = "{tmp_path}/agent.crt"\n'
        f'key = "{tmp_path}/agent.key"\nclient_ca = "{authority.path}"\nclient_auth = "required"\n'
    )
    trust = ssl.create_default_context(cafile=str(authority.path))
    with pytest.raises((ssl.SSLError, ConnectionError)), socket.create_connection(("127.0.0.1", port)) as plain:
        stranger = trust.wrap_socket(plain, server_hostname="localhost")
        stranger.sendall(b"<13>nobody knows me\n")
        stranger.recv(1)
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.sendall(b"<13>not even TLS\n")
        plain.settimeout(30)
        plain.recv(1000)
    failed = "tailrace_agent_syslog_handshakes_failed_total"
    wait_until(lambda: agent.metric(failed) == 2, f"two refusals\n{agent.log_tail()}")
    destination = (
        f'network("127.0.0.1" port({port}) transport("tls") template("$MSG\\n") tls(ca-file("{authority.path}")'
        f' cert-file("{tmp_path}/sender.crt") key-file("{tmp_path}/sender.key")))'
    )
    with syslog_ng(tmp_path, own_port, destination):
        send(own_port, LINES)
        assert lines_of(collector, len(LINES)) == LINES


@pytest.fixture
def without_collector(tmp_path: pathlib.Path) -> Iterator[tuple[Agent, int, Collector]]:
    """An agent with little room, a port that it takes syslog on, and a collector that is not there yet."""
    port, collector = free_port(), Collector(tmp_path)
    spool = '[spool]\nmax_bytes = "5MiB"\nfile_bytes = "1MiB"\n'
    agent = Agent(tmp_path, collector.bootstrap, f'{spool}[[syslog]]\ntopic = "net"\ntcp = "127.0.0.1:{port}"\n')
    with agent, collector:
        collector.stop()
        wait_until(lambda: listens(port), f"it listens\n{agent.log_tail()}")
        yield agent, port, collector


def test_who_sends_more_than_the_spool_takes_has_to_wait(without_collector: tuple[Agent, int, Collector]) -> None:
    agent, port, collector = without_collector
    # What is random does not become smaller.
    lines = [b"<13>%d %s" % (number, secrets_of(number)) for number in range(20_000)]
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setblocking(False)
        rest = memoryview(b"".join(line + b"\n" for line in lines))

        def send_some() -> bool:
            nonlocal rest
            try:
                rest = rest[connection.send(rest[: 1 << 16]) :]
            except BlockingIOError:
                time.sleep(0.01)
            return not rest

        full = ("tailrace_agent_spool_full", "tailrace_agent_receiving_blocked")
        wait_until(lambda: send_some() or all(agent.metric(name) == 1 for name in full), "it is full", 120)
        assert rest, "the sender has to wait"
        collector.start()
        wait_until(send_some, "all is sent", 120)
    assert lines_of(collector, len(lines)) == lines


def secrets_of(number: int) -> bytes:
    return random.Random(number).randbytes(300).hex().encode()


def test_what_was_sent_before_the_agent_is_stopped_is_there_after(
    without_collector: tuple[Agent, int, Collector],
) -> None:
    agent, port, collector = without_collector
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"".join(line + b"\n" for line in LINES) + b"<13>without an end")
        connected = "tailrace_agent_syslog_connections"
        wait_until(lambda: agent.metric(connected) == 1, "the connection is accepted")
        assert agent.stop() == 0
    collector.start()
    agent.start()
    assert lines_of(collector, len(LINES) + 1) == [*LINES, b"<13>without an end"]


def test_a_sender_that_never_pauses_does_not_hold_up_a_stop(collector: Collector, start_agent: Start) -> None:
    port = free_port()
    agent = start_agent(f'[[syslog]]\ntopic = "net"\ntcp = "127.0.0.1:{port}"\n')
    sent = 0

    def send_until_it_is_closed() -> None:
        nonlocal sent
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
            while True:
                connection.sendall(b"<13>%d\n" % sent)
                sent += 1
                time.sleep(0.001)

    sender = threading.Thread(target=send_until_it_is_closed)
    sender.start()
    wait_until(lambda: agent.metric("tailrace_agent_read_lines_total") > 100, "it sends")
    assert agent.stop() == 0
    sender.join()
    assert "takes no more" not in agent.log()
    arrived = lines_of(collector, 100)
    assert arrived == [b"<13>%d" % number for number in range(len(arrived))]


def test_what_the_kernel_drops_is_counted(collector: Collector, start_agent: Start) -> None:
    port, sent = free_port(), 40_000
    agent = start_agent(f'[[syslog]]\ntopic = "net"\nudp = "127.0.0.1:{port}"\n')
    assert agent.child is not None
    agent.child.send_signal(signal.SIGSTOP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(sent):
            sender.sendto(b"<13>%06d %s" % (number, b"x" * 1000), ("127.0.0.1", port))
    agent.child.send_signal(signal.SIGCONT)
    dropped, read = "tailrace_agent_syslog_datagrams_dropped_total", "tailrace_agent_read_lines_total"
    wait_until(lambda: agent.metric(dropped) + agent.metric(read) == sent, "each is read or counted")
    assert 0 < agent.metric(dropped) < sent
    assert len(lines_of(collector, int(agent.metric(read)))) == agent.metric(read)


def test_a_reload_changes_what_becomes_of_messages_and_keeps_connections(
    collector: Collector, start_agent: Start
) -> None:
    port, other_port = free_port(), free_port()
    agent = start_agent(f'[[syslog]]\ntopic = "net"\ntcp = "127.0.0.1:{port}"\nconnections_max = 1\n')
    config = agent.config_path.read_text()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"<13>one\n")
        assert lines_of(collector, 1) == [b"<13>one"]
        with socket.create_connection(("127.0.0.1", port)) as too_many:
            too_many.settimeout(60)
            assert too_many.recv(1) == b""
        assert agent.metric("tailrace_agent_syslog_connections_refused_total") == 1
        agent.config_path.write_text(config.replace('topic = "net"', 'topic = "net"\nlabels = { new = "yes" }'))
        assert agent.reload()
        wait_until(lambda: "took on the configuration" in agent.log(), "it holds")
        connection.sendall(b"<13>two\n")
        assert lines_of(collector, 2) == [b"<13>one", b"<13>two"]
        agent.config_path.write_text(config.replace(str(port), str(other_port)))
        assert agent.reload()
        wait_until(lambda: "waiting=[[syslog]]" in agent.log().replace('"', ""), f"it says so\n{agent.log_tail()}")
        connection.sendall(b"<13>three\n")
        assert lines_of(collector, 3) == [b"<13>one", b"<13>two", b"<13>three"]
    reader = Consumer({"bootstrap.servers": collector.bootstrap, "group.id": "h", "auto.offset.reset": "earliest"})
    reader.subscribe(["net"])
    messages = [wait_until(lambda: reader.poll(1), "a record") for _ in range(3)]
    headers = [dict(message.headers() or []) for message in messages]
    assert [one.get("new") for one in headers] == [None, b"yes", b"yes"]
    assert {one["source_ip"] for one in headers} == {b"127.0.0.1"}
    reader.close()


def test_a_sender_beyond_the_rate_has_to_wait_and_another_input_does_not(
    collector: Collector, start_agent: Start
) -> None:
    held, free = free_port(), free_port()
    agent = start_agent(
        f'[[syslog]]\ntopic = "held"\ntcp = "127.0.0.1:{held}"\nrate_limit = {{ bytes_per_second = "100kB" }}\n'
        f'[[syslog]]\ntopic = "free"\ntcp = "127.0.0.1:{free}"\n'
    )
    begun = time.monotonic()
    lines = [b"%d %s" % (number, b"x" * 990) for number in range(600)]
    # What the sockets hold is sent at once.
    sender = threading.Thread(target=send, args=(held, lines))
    sender.start()
    send(free, LINES)
    assert lines_of(collector, len(LINES), "free") == LINES
    assert lines_of(collector, len(lines), "held") == lines
    took = time.monotonic() - begun
    sender.join()
    # 600 kB at 100 kB a second, a second's worth at once: five seconds, whatever else the machine does.
    assert took > 4
    assert agent.metric("tailrace_agent_rate_limit_waits_total") > 0
