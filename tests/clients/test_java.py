"""Apache Kafka's own client, in the newest version and in those that people still run."""

import functools
import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from tests.clients import scenario
from tests.lib.processes import Collector

pytestmark = pytest.mark.needs("javac", "mvn")
HERE = pathlib.Path(__file__).parent / "java"
LIBRARIES = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "test-java"
VERSIONS = ["4.1.1", "3.9.1", "2.8.2"]
# What a console asks for; the client of 2.8 knows less.
CONSOLE_VERSIONS = ["4.1.1", "3.9.1"]
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
    "describeClientQuotas",
    "listTransactions",
]


def libraries(version: str) -> pathlib.Path:
    """A directory with the client of this version and what it needs, fetched once."""
    directory = LIBRARIES / version
    if not any(directory.glob("kafka-clients-*.jar")):
        copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
        options = [f"-Dkafka.version={version}", f"-DoutputDirectory={directory.absolute()}"]
        subprocess.run(["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), *options, copy], check=True, timeout=300)
    return directory


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with Collector(tmp_path_factory.mktemp("java")) as collector:
        yield collector.wait_ready()


@functools.cache
def results(bootstrap: str, program: str, version: str) -> dict[str, str]:
    return scenario.run(["java", "-cp", f"{libraries(version)}/*", str(HERE / program), bootstrap])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("step", scenario.STEPS)
def test_suite(shared: Collector, version: str, step: str) -> None:
    assert results(shared.bootstrap, "Suite.java", version).get(step) == "ok"


@pytest.mark.parametrize("version", CONSOLE_VERSIONS)
@pytest.mark.parametrize("call", CALLS)
def test_console(shared: Collector, version: str, call: str) -> None:
    assert results(shared.bootstrap, "Console.java", version).get(call) == "ok"
