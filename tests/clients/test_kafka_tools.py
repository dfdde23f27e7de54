"""The command line tools of Apache Kafka, as people use them on a collector."""

import json
import pathlib
import subprocess

import pytest

from tests.clients.kcat import consume, produce
from tests.lib.apache_kafka import libraries
from tests.lib.processes import SMALL_WAL, Collector

pytestmark = pytest.mark.needs("java", "mvn")
TOOLS = "org.apache.kafka.tools"


def tool(name: str, collector: Collector, *arguments: str, stdin: str = "") -> str:
    """What it printed; it must end well."""
    command = [
        "java",
        "-Xmx256m",
        "-cp",
        f"{libraries()}/*",
        name,
        "--bootstrap-server",
        collector.bootstrap,
        *arguments,
    ]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_kafka_topics(collector: Collector) -> None:
    topics = f"{TOOLS}.TopicCommand"
    tool(topics, collector, "--create", "--topic", "web", "--partitions", "2", "--config", "retention.ms=3600000")
    tool(topics, collector, "--alter", "--topic", "web", "--partitions", "3")
    assert "web" in tool(topics, collector, "--list").splitlines()
    described = tool(topics, collector, "--describe", "--topic", "web")
    assert "PartitionCount: 3" in described
    assert "retention.ms=3600000" in described
    tool(topics, collector, "--delete", "--topic", "web")
    assert "web" not in tool(topics, collector, "--list").splitlines()


def test_kafka_console_producer_and_consumer(collector: Collector) -> None:
    tool(f"{TOOLS}.ConsoleProducer", collector, "--topic", "web", stdin="one\ntwo\n")
    options = ["--topic", "web", "--from-beginning", "--max-messages", "2", "--group", "console"]
    assert sorted(tool(f"{TOOLS}.consumer.ConsoleConsumer", collector, *options).split()) == ["one", "two"]


def test_kafka_consumer_groups(collector: Collector) -> None:
    groups = f"{TOOLS}.consumer.group.ConsumerGroupCommand"
    produce(collector.bootstrap, "web", b"a\nb\nc\n", "-p", "0")
    reset = ["--group", "billing", "--topic", "web:0", "--reset-offsets", "--to-offset", "1", "--execute"]
    assert "web" in tool(groups, collector, *reset)
    assert "billing" in tool(groups, collector, "--list").splitlines()
    described = [line.split() for line in tool(groups, collector, "--describe", "--group", "billing").splitlines()]
    assert ["billing", "web", "0", "1", "3", "2"] in [row[:6] for row in described]
    tool(groups, collector, "--delete-offsets", "--group", "billing", "--topic", "web:0")
    tool(groups, collector, "--delete", "--group", "billing")


def test_kafka_configs(collector: Collector) -> None:
    configs = f"{TOOLS}.ConfigCommand"
    produce(collector.bootstrap, "web", b"a\n")
    web = ["--entity-type", "topics", "--entity-name", "web"]
    tool(configs, collector, *web, "--alter", "--add-config", "max.message.bytes=99999")
    assert "max.message.bytes=99999" in tool(configs, collector, *web, "--describe")
    broker = ["--entity-type", "brokers", "--entity-name", "1", "--describe", "--all"]
    assert "log.retention.ms" in tool(configs, collector, *broker)
    user = ["--entity-type", "users", "--entity-name", "ann"]
    password = "SCRAM-SHA-256=[iterations=4096,password=secret]"
    tool(configs, collector, *user, "--alter", "--add-config", password)
    tool(configs, collector, *user, "--alter", "--add-config", "consumer_byte_rate=2048")
    described = tool(configs, collector, *user, "--describe")
    assert "SCRAM-SHA-256=iterations=4096" in described
    assert "consumer_byte_rate=2048" in described
    clients = ["--entity-type", "clients", "--entity-default"]
    tool(configs, collector, *clients, "--alter", "--add-config", "producer_byte_rate=1024")
    described = tool(configs, collector, "--entity-type", "clients", "--describe")
    assert "producer_byte_rate=1024" in described
    tool(configs, collector, *clients, "--alter", "--delete-config", "producer_byte_rate")
    assert "1024" not in tool(configs, collector, "--entity-type", "clients", "--describe")


def test_kafka_acls(tmp_path: pathlib.Path) -> None:
    acls = '[acls]\nenabled = true\nsuper_users = ["User:ANONYMOUS"]\n'
    with Collector(tmp_path, acls + SMALL_WAL) as collector:
        collector.wait_ready()
        consumer = ["--allow-principal", "User:ann", "--consumer", "--topic", "web", "--group", "readers"]
        tool(f"{TOOLS}.AclCommand", collector, "--add", *consumer)
        producer = [
            "--allow-principal",
            "User:bob",
            "--producer",
            "--topic",
            "we",
            "--resource-pattern-type",
            "prefixed",
        ]
        tool(f"{TOOLS}.AclCommand", collector, "--add", *producer)
        listed = tool(f"{TOOLS}.AclCommand", collector, "--list")
        assert "name=web, patternType=LITERAL" in listed
        assert "name=we, patternType=PREFIXED" in listed
        tool(f"{TOOLS}.AclCommand", collector, "--remove", "--force", *consumer)
        assert "User:ann" not in tool(f"{TOOLS}.AclCommand", collector, "--list")


def test_kafka_delete_records_log_dirs_and_offsets(collector: Collector, tmp_path: pathlib.Path) -> None:
    produce(collector.bootstrap, "web", b"a\nb\nc\n", "-p", "0")
    asked = tmp_path / "delete.json"
    asked.write_text(json.dumps({"partitions": [{"topic": "web", "partition": 0, "offset": 2}], "version": 1}))
    assert "low_watermark: 2" in tool(f"{TOOLS}.DeleteRecordsCommand", collector, "--offset-json-file", str(asked))
    assert consume(collector.bootstrap, "web", "-p", "0") == b"c\n"
    assert '"topic":"web"' not in tool(f"{TOOLS}.LogDirsCommand", collector, "--describe", "--topic-list", "none")
    assert '"partition":"web-0"' in tool(f"{TOOLS}.LogDirsCommand", collector, "--describe", "--topic-list", "web")
    assert "web:0:3" in tool(f"{TOOLS}.GetOffsetShell", collector, "--topic", "web").splitlines()


def test_kafka_producer_perf_test(collector: Collector) -> None:
    load = ["--topic", "web", "--num-records", "20000", "--record-size", "200", "--throughput", "-1"]
    command = ["java", "-cp", f"{libraries()}/*", f"{TOOLS}.ProducerPerformance", *load]
    command += ["--producer-props", f"bootstrap.servers={collector.bootstrap}", "acks=all"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "20000 records sent" in done.stdout, done.stderr
    assert collector.metric("tailrace_collector_produced_records_total") == 20_000
