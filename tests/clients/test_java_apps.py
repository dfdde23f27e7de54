"""What people build on the Java client: a word count with Kafka Streams, and files through Kafka Connect."""

import collections
import json
import os
import pathlib
import shutil
import urllib.error
import urllib.request

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from tests.lib.apache_kafka import maven_libraries
from tests.lib.processes import Collector, Process, free_port, wait_until
from tests.lib.reading import read_messages

pytestmark = pytest.mark.needs("javac", "mvn")
HERE = pathlib.Path(__file__).parent / "java"
PATIENCE_S = 180
VERSION = "4.3.1"
"""The newest that Maven has whole."""


def libraries() -> str:
    """The class path with Streams and Connect, fetched once."""
    directory = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "test-java" / f"apps-{VERSION}"
    if not any(directory.glob("connect-file-*.jar")):
        maven_libraries(HERE / "apps-pom.xml", directory, VERSION)
    return f"{directory.absolute()}/*"


def create(bootstrap: str, *topics: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for done in admin.create_topics([NewTopic(topic, 2, 1) for topic in topics]).values():
        done.result(60)


def policy(bootstrap: str, topic: str) -> str:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    return admin.describe_configs([resource])[resource].result(60)["cleanup.policy"].value


class Words:
    """Lines that were written, and the count of each of their words."""

    def __init__(self, bootstrap: str):
        self.producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
        self.counts: collections.Counter[bytes] = collections.Counter()

    def write(self, count: int) -> None:
        for number in range(count):
            words = [b"word%d" % (number % modulus) for modulus in (7, 11, 13)]
            self.counts.update(words)
            self.producer.produce("lines", b" ".join(words), b"%d" % number)
        assert self.producer.flush(60) == 0


def counted(bootstrap: str) -> dict[bytes, int]:
    newest = {message.key(): message.value() for message in read_messages(bootstrap, "counts")}
    return {word: int.from_bytes(value, "big") for word, value in newest.items()}


def test_a_word_count_with_kafka_streams(collector: Collector, tmp_path: pathlib.Path) -> None:
    create(collector.bootstrap, "lines", "counts")
    words = Words(collector.bootstrap)
    state = tmp_path / "state"
    command = ["java", "-Xmx256m", "-cp", libraries(), str(HERE / "WordCount.java"), collector.bootstrap, str(state)]
    for _ in range(2):
        words.write(2_000)
        with Process("word-count", command, tmp_path) as application:
            wait_until(lambda: counted(collector.bootstrap) == words.counts, "every word is counted", PATIENCE_S)
            application.check_alive()
            # In good order, since without transactions a kill may count again what was not committed.
            assert application.stop() == 143
        # The second time it has its counts from the changelog alone, which the collector has moved into segments.
        shutil.rmtree(state)
        assert collector.stop() == 0
        collector.start().wait_ready()
    assert policy(collector.bootstrap, "word-count-counts-changelog") == "compact"


def call(url: str, body: dict | None = None) -> dict:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())


def test_files_through_kafka_connect(collector: Collector, tmp_path: pathlib.Path) -> None:
    source, sink, port = tmp_path / "in.txt", tmp_path / "out.txt", free_port()
    create(collector.bootstrap, "file-lines")
    config = tmp_path / "worker.properties"
    config.write_text(f"""
bootstrap.servers={collector.bootstrap}
group.id=connect
listeners=http://127.0.0.1:{port}
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.storage.topic=connect-offsets
config.storage.topic=connect-configs
status.storage.topic=connect-status
offset.storage.replication.factor=1
config.storage.replication.factor=1
status.storage.replication.factor=1
offset.flush.interval.ms=500
""")
    main = "org.apache.kafka.connect.cli.ConnectDistributed"
    worker = Process("connect", ["java", "-Xmx384m", "-cp", libraries(), main, str(config)], tmp_path)
    url = f"http://127.0.0.1:{port}"

    def up() -> bool:
        worker.check_alive()
        try:
            return "version" in call(url)
        except OSError:
            return False

    def connector(name: str, kind: str, **settings: str) -> bool:
        kind = f"org.apache.kafka.connect.file.FileStream{kind}Connector"
        try:
            call(f"{url}/connectors", {"name": name, "config": {"connector.class": kind, **settings}})
        except urllib.error.HTTPError as error:
            # While the worker's group still rebalances it says so.
            assert error.code == 409, error.read()
            return False
        return True

    def arrived(lines: list[str]) -> bool:
        return sink.exists() and sorted(sink.read_text().splitlines()) == sorted(lines)

    lines = [f"line {number}" for number in range(1_000)]
    source.write_text("".join(f"{line}\n" for line in lines))
    with worker:
        wait_until(up, "the worker answers", PATIENCE_S)
        read = {"file": str(source), "topic": "file-lines"}
        wait_until(lambda: connector("from-file", "Source", **read), "the source is taken", PATIENCE_S)
        write = {"file": str(sink), "topics": "file-lines"}
        wait_until(lambda: connector("to-file", "Sink", **write), "the sink is taken", PATIENCE_S)
        wait_until(lambda: arrived(lines), "all lines are in the other file", PATIENCE_S)
        assert worker.stop() == 143
    # Both connectors, and how far each has come, are in compacted topics.
    assert {policy(collector.bootstrap, f"connect-{what}") for what in ("offsets", "configs", "status")} == {"compact"}
    assert collector.stop() == 0
    collector.start().wait_ready()
    more = [f"line {number}" for number in range(1_000, 1_500)]
    with source.open("a") as file:
        file.write("".join(f"{line}\n" for line in more))
    with worker:
        wait_until(lambda: arrived(lines + more), "the rest is there too, and nothing twice", PATIENCE_S)
        assert worker.stop() == 143
