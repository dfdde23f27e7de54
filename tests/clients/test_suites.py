"""The scenario with the clients of Go, Node, Rust and asyncio, each a program of its own."""

import functools
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.clients import scenario
from tests.lib.processes import Collector

HERE = pathlib.Path(__file__).parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")).absolute()
BUILD_S = 400


@functools.cache
def go_program(name: str) -> list[str]:
    program = TARGET / "test-go" / name
    subprocess.run(["go", "build", "-o", str(program), f"./{name}"], cwd=HERE / "go", check=True, timeout=BUILD_S)
    return [str(program)]


@functools.cache
def node_program(name: str) -> list[str]:
    """Node looks for packages above the program, so the program lies beside them."""
    place = node_packages()
    shutil.copytree(HERE / "node", place, dirs_exist_ok=True)
    return ["node", str(place / name)]


@functools.cache
def node_packages() -> pathlib.Path:
    """A directory with what the programs for Node need; librdkafka in one of them is built, with Debian's libraries."""
    place = TARGET / "test-node"
    lock, built = HERE / "node" / "package-lock.json", place / "built-lock.json"
    if not built.exists() or built.read_bytes() != lock.read_bytes():
        shutil.copytree(HERE / "node", place, dirs_exist_ok=True)
        install = ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(install, cwd=place, check=True, timeout=BUILD_S)
        confluent = place / "node_modules" / "@confluentinc" / "kafka-javascript"
        headers = pathlib.Path(shutil.which("node") or "").resolve().parents[1]
        environment = {**os.environ, "CKJS_LINKING": "dynamic", "npm_config_nodedir": str(headers)}
        build = ["npx", "--no-install", "node-pre-gyp", "install", "--build-from-source"]
        done = subprocess.run(build, cwd=confluent, env=environment, capture_output=True, text=True, timeout=BUILD_S)
        assert done.returncode == 0, done.stderr[-4000:]
        shutil.copy(lock, built)
    return place


@functools.cache
def rust_program(name: str) -> list[str]:
    target = TARGET / "test-rust"
    build = ["cargo", "build", "--quiet", "--locked", "--target-dir", str(target)]
    subprocess.run(build, cwd=HERE / "rust", check=True, timeout=BUILD_S)
    return [str(target / "debug" / name)]


def python_program(name: str) -> list[str]:
    return [sys.executable, str(HERE / name)]


# What to call, what it needs, and which steps its client cannot do.
CLIENTS: dict[str, tuple[Callable[[], list[str]], list[str], list[str]]] = {
    "franz-go": (lambda: go_program("franz"), ["go"], []),
    "sarama": (lambda: go_program("sarama"), ["go"], []),
    "kafka-go": (lambda: go_program("segmentio"), ["go"], ["produce-idempotent", "login-OAUTHBEARER"]),
    "kafkajs": (
        lambda: node_program("kafkajs.js"),
        ["node", "npm"],
        ["produce-snappy", "produce-lz4", "produce-zstd"],
    ),
    "confluent-js": (lambda: node_program("confluent.js"), ["node", "npm", "make", "g++"], []),
    "rskafka": (
        lambda: rust_program("rskafka-suite"),
        ["cargo"],
        ["produce-idempotent", "group", "resume", "admin"],
    ),
    "aiokafka": (lambda: python_program("aio_suite.py"), [], []),
}


def plain(work: pathlib.Path) -> tuple[Collector, scenario.Broker]:
    collector = Collector(work)
    return collector, scenario.Broker(collector.bootstrap)


Results = Callable[[str, str], dict[str, str]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Results:
    """What became of a client's steps, against a collector of its own, with and without security, or Apache Kafka."""

    @functools.cache
    def run(client: str, broker: str) -> dict[str, str]:
        program = CLIENTS[client][0]()
        if broker == "apache-kafka":
            shared = scenario.Broker(request.getfixturevalue("apache_kafka").bootstrap)
            scenario.begin(shared)
            return scenario.run([*program, *shared.arguments()])
        work = tmp_path_factory.mktemp(client)
        collector, own = scenario.secured(work) if broker == "tailrace-secured" else plain(work)
        with collector:
            collector.wait_ready()
            return scenario.run([*program, *own.arguments()])

    return run


def cases() -> list[object]:
    return [
        pytest.param(client, broker, step, marks=pytest.mark.needs(*tools, *more), id=f"{client}-{broker}-{step}")
        for broker, more in scenario.BROKERS.items()
        for client, (_, tools, lacking) in CLIENTS.items()
        for step in scenario.steps_on(broker)
        if step not in lacking
    ]


@pytest.mark.parametrize(("client", "broker", "step"), cases())
def test_suite(results: Results, client: str, broker: str, step: str) -> None:
    assert results(client, broker).get(step) == "ok"
