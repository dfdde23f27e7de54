"""Apache Kafka's own client, in the newest version and in those that people still run."""

import functools
import os
import pathlib
from collections.abc import Callable, Iterator

import pytest

from tests.clients import scenario
from tests.lib.apache_kafka import VERSION, maven_libraries
from tests.lib.processes import Collector

pytestmark = pytest.mark.needs("javac", "mvn")
HERE = pathlib.Path(__file__).parent / "java"
LIBRARIES = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "test-java"
VERSIONS = [VERSION, "3.9.1", "2.8.2"]
# What a console asks for; the client of 2.8 knows less.
CONSOLE_VERSIONS = [VERSION, "3.9.1"]
CALLS = [
    "describeCluster",
    "describeConfigs",
    "describeLogDirs",
    "listTopics",
    "describeTopics",
    "listOffsets",
    "consumer groups",
    "deleteRecords",
    "describeProducers",
    "describeFeatures",
    "describeUserScramCredentials",
    "describeAcls",
    "describeMetadataQuorum",
    "clientQuotas",
    "listTransactions",
    "end",
]


# Where Apache Kafka does what is refused here, and what is said of that is in docs/KAFKA.md.
ONLY_THERE = ["describeMetadataQuorum", "listTransactions"]


def libraries(version: str) -> pathlib.Path:
    """A directory with the client of this version and what it needs, fetched once."""
    directory = LIBRARIES / version
    if not any(directory.glob("kafka-clients-*.jar")):
        maven_libraries(HERE / "pom.xml", directory, version)
    return directory


def command(program: str, version: str) -> list[str]:
    return ["java", "-cp", f"{libraries(version)}/*", str(HERE / program)]


Named = Callable[[str], scenario.Broker]


@pytest.fixture(scope="module")
def broker_named(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Named]:
    secured, secured_broker = scenario.secured(tmp_path_factory.mktemp("java-secured"))
    with Collector(tmp_path_factory.mktemp("java")) as collector, secured:
        collector.wait_ready()
        secured.wait_ready()
        own = {"tailrace": scenario.Broker(collector.bootstrap), "tailrace-secured": secured_broker}
        yield lambda name: own.get(name) or scenario.Broker(request.getfixturevalue("apache_kafka").bootstrap)


@functools.cache
def results(broker: scenario.Broker, program: str, version: str) -> dict[str, str]:
    scenario.begin(broker)
    return scenario.run([*command(program, version), *broker.arguments()])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("broker", "step"), [(on, step) for on in scenario.BROKERS for step in scenario.steps_on(on)])
def test_suite(broker_named: Named, broker: str, version: str, step: str) -> None:
    assert results(broker_named(broker), "Suite.java", version).get(step) == "ok"


@pytest.mark.parametrize("broker", ["tailrace", "apache-kafka"])
@pytest.mark.parametrize("version", CONSOLE_VERSIONS)
@pytest.mark.parametrize("call", CALLS)
def test_console(broker_named: Named, broker: str, version: str, call: str) -> None:
    result = results(broker_named(broker), "Console.java", version).get(call, "not reached")
    if broker == "apache-kafka" and call in ONLY_THERE:
        assert "it was not refused" in result
    else:
        assert result == "ok"
