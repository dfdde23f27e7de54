"""What the tests share: a collector of their own, and how a test that cannot run here is reported."""

import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.lib.apache_kafka import ApacheKafka
from tests.lib.processes import BIN, Agent, Collector

SKIPS = os.environ.get("TAILRACE_TEST_SKIPS")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*tools): commands that the test calls")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for tool in marker.args:
            if shutil.which(tool) is None:
                pytest.skip(f"missing: {tool}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Every skip goes on the list that the test command ends with."""
    if report.skipped and SKIPS:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        kind = "missing" if "missing: " in reason else "impossible"
        with open(SKIPS, "a") as skips:
            skips.write(f"{kind}\tclients, {report.nodeid}: {reason.removeprefix('Skipped: ')}\n")


@pytest.fixture
def collector(tmp_path: pathlib.Path) -> Iterator[Collector]:
    with Collector(tmp_path) as running:
        yield running.wait_ready()


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    with ApacheKafka(tmp_path_factory.mktemp("apache-kafka")) as running:
        yield running.wait_ready()


@pytest.fixture
def start_agent(tmp_path: pathlib.Path, collector: Collector) -> Iterator[Callable[[str], Agent]]:
    """Starts an agent with these `[[files]]` for the test's collector."""
    agents: list[Agent] = []

    def start(inputs: str) -> Agent:
        agents.append(Agent(tmp_path, collector.bootstrap, inputs).start().wait_ready())
        return agents[-1]

    yield start
    for agent in agents:
        agent.__exit__()


@pytest.fixture
def tailrace(collector: Collector) -> Callable[..., bytes]:
    """Runs the `tailrace` command; gives what it printed."""

    def run(*arguments: str, stdin: bytes = b"") -> bytes:
        command = [str(BIN / "tailrace"), *arguments, "--bootstrap", collector.bootstrap]
        return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True, timeout=120).stdout

    return run
