"""Prometheus: promtool finds nothing to complain about, and the metrics count what happened."""

import pathlib
import subprocess
from collections.abc import Callable

import pytest

from tests.clients.logs import wait_for_lines
from tests.clients.test_confluent import produce, reader, take
from tests.lib.processes import Agent, Collector, Server, wait_http


def check(server: Server) -> None:
    text = wait_http(server.url("/metrics"), 30, server)
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.needs("promtool")
def test_the_alerts_fire_when_they_should() -> None:
    rules = pathlib.Path(__file__).parents[2] / "deploy/prometheus/alerts_test.yml"
    done = subprocess.run(["promtool", "test", "rules", rules], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("promtool")
def test_the_collectors_metrics(collector: Collector) -> None:
    produce(collector.bootstrap, [b"line"] * 100)
    consumer = reader(collector.bootstrap, "readers")
    consumer.subscribe(["logs"])
    take(consumer, 100)
    consumer.commit(asynchronous=False)
    check(collector)
    assert collector.metric("tailrace_collector_produced_records_total") == 100
    assert collector.metric("tailrace_collector_fetched_records_total") == 100
    assert collector.metric("tailrace_collector_group_members") == 1
    assert collector.metric("tailrace_collector_group_lag_records") == 0
    consumer.close()


@pytest.mark.needs("promtool")
def test_the_agents_metrics(tmp_path: pathlib.Path, collector: Collector, start_agent: Callable[[str], Agent]) -> None:
    (tmp_path / "app.log").write_bytes(b"one\ntwo\n")
    agent = start_agent(f'[[files]]\ntopic = "logs"\ninclude = ["{tmp_path}/app.log"]\n')
    wait_for_lines(collector.bootstrap, [b"one", b"two"])
    check(agent)
