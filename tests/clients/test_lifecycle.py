"""Starting and stopping, and what is said when that cannot be done: it names the file, the key, and what helps."""

import pathlib
import re
import socket
import subprocess

import pytest

from tests.clients.logs import wait_for_lines
from tests.clients.test_confluent import produce
from tests.lib.processes import SMALL_WAL, Agent, Collector, Server, wait_http, wait_until


def refusal(server: Server) -> str:
    """What a server says that does not start."""
    with server:
        assert server.wait_end() == 1
    return server.log()


def test_after_a_stop_in_good_order_nothing_is_recovered(collector: Collector) -> None:
    produce(collector.bootstrap, [b"line %d" % number for number in range(1_000)])
    assert collector.stop() == 0
    collector.start().wait_ready()
    assert re.search(r"recovered the WAL .*frames=0\b", collector.log())


def test_after_a_kill_what_was_not_yet_in_segments_is_recovered(collector: Collector) -> None:
    produce(collector.bootstrap, [b"line %d" % number for number in range(1_000)])
    collector.kill()
    collector.start().wait_ready()
    assert re.search(r"recovered the WAL .*frames=[1-9]", collector.log())


def test_a_stop_while_clients_wait_is_prompt_enough_to_end(collector: Collector) -> None:
    with socket.create_connection(("127.0.0.1", collector.port)):
        assert collector.stop() == 0


def test_a_stop_ends_a_collector_whose_places_are_all_taken(tmp_path: pathlib.Path) -> None:
    collector = Collector(tmp_path, "connections_max = 1\n" + SMALL_WAL)
    address = ("127.0.0.1", collector.port)
    with collector.start().wait_ready(), socket.create_connection(address), socket.create_connection(address):
        wait_until(lambda: collector.metric("tailrace_collector_connections") == 1, "the only place is taken")
        assert collector.stop() == 0


def test_one_address_gets_no_more_connections_than_it_may(tmp_path: pathlib.Path) -> None:
    collector = Collector(tmp_path, "connections_per_address_max = 1\n" + SMALL_WAL)
    address = ("127.0.0.1", collector.port)
    with collector.start().wait_ready(), socket.create_connection(address) as first:
        wait_until(lambda: collector.metric("tailrace_collector_connections") == 1, "the first is there")
        with socket.create_connection(address, timeout=60) as second:
            assert second.recv(1) == b""
        assert "connections_per_address_max" in collector.log()
        first.close()
        wait_until(lambda: collector.metric("tailrace_collector_connections") == 0, "the first is gone")


def test_a_second_collector_on_a_data_dir_is_refused(collector: Collector, tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    said = refusal(Collector(other, data_dir=collector.data_dir))
    assert f"another collector uses {collector.data_dir}" in said
    assert "data_dir" in said
    collector.check_alive()


def test_a_data_dir_of_a_newer_version_is_refused(collector: Collector) -> None:
    assert collector.stop() == 0
    (collector.data_dir / "FORMAT").write_text("99\n")
    said = refusal(collector)
    assert f"{collector.data_dir}/FORMAT" in said
    assert "99" in said
    assert "version" in said


@pytest.mark.parametrize("which", ["kafka", "http"])
def test_a_port_that_is_taken_is_named(tmp_path: pathlib.Path, which: str) -> None:
    collector = Collector(tmp_path)
    port = {"kafka": collector.port, "http": collector.http_port}[which]
    with socket.create_server(("127.0.0.1", port)):
        said = refusal(collector)
    assert f"127.0.0.1:{port}" in said
    assert f"{which}.listen" in said


@pytest.mark.parametrize("argument", ["check", None])
def test_a_mistyped_key_is_named_with_its_line_and_the_nearest(tmp_path: pathlib.Path, argument: str | None) -> None:
    collector = Collector(tmp_path, "[topics]\nretentoin = '7d'\n" + SMALL_WAL)
    if argument:
        collector.command.insert(1, argument)
    said = refusal(collector)
    line = collector.config_path.read_text().splitlines().index("retentoin = '7d'") + 1
    assert f"{collector.config_path}:{line}" in said
    assert "retentoin" in said
    assert "did you mean `retention`" in said


def test_check_of_a_good_file_starts_nothing(tmp_path: pathlib.Path) -> None:
    collector = Collector(tmp_path)
    collector.command.insert(1, "check")
    done = subprocess.run(collector.command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{collector.config_path}: ok\n")
    assert not collector.data_dir.exists()


def follow(directory: pathlib.Path, extra: str = "") -> str:
    return f'[[files]]\ntopic = "logs"\ninclude = ["{directory}/app*.log"]\n{extra}'


def test_a_second_agent_on_a_data_dir_is_refused(tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with Agent(tmp_path, "127.0.0.1:1", follow(tmp_path)) as agent:
        wait_http(agent.url("/healthz"), 60, agent)
        said = refusal(Agent(other, "127.0.0.1:1", follow(other), agent.data_dir))
        assert f"{agent.data_dir}" in said
        assert "in use by another agent" in said
        agent.check_alive()
        assert agent.stop() == 0


def test_a_mistyped_key_of_the_agent_is_named_with_its_line_and_the_nearest(tmp_path: pathlib.Path) -> None:
    agent = Agent(tmp_path, "127.0.0.1:1", follow(tmp_path, "exlude = ['*.gz']\n"))
    said = refusal(agent)
    line = agent.config_path.read_text().splitlines().index("exlude = ['*.gz']") + 1
    assert f"{agent.config_path}:{line}" in said
    assert "did you mean `exclude`" in said


def test_lines_written_before_there_was_a_collector_arrive(tmp_path: pathlib.Path) -> None:
    lines = [b"line %d" % number for number in range(1_000)]
    (tmp_path / "app.log").write_bytes(b"".join(line + b"\n" for line in lines))
    collector = Collector(tmp_path)
    with Agent(tmp_path, collector.bootstrap, follow(tmp_path)) as agent:
        wait_until(lambda: agent.metric("tailrace_agent_batches_waiting") > 0, "the agent reads")
        agent.kill()
        with agent, collector:
            collector.wait_ready()
            wait_for_lines(collector.bootstrap, lines)
