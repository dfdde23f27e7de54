"""Tailrace beside Apache Kafka, under the load of Apache Kafka's own tools, so that the client is nobody's favourite."""

import contextlib
import re
import subprocess
import sys

import jetstream
from machine import KAFKA, MIB, PATIENCE, ROOT, Missing, Running, until
from report import Section, mebi, milli, seconds

sys.path.insert(0, str(ROOT))

from tests.lib.apache_kafka import VERSION, ApacheKafka, libraries
from tests.lib.processes import listens

RECORD_BYTES = 1024
PARTITIONS = 4
STEADY = 10_000
"""Records a second, where latency is looked at."""
TOOLS = "org.apache.kafka.tools"
SHIPPED, FLUSHED = "Apache Kafka", "Apache Kafka, flushing"


def brokers(machine):
    """What the tools of Apache Kafka measure of it and of us."""
    section = Section(
        "A broker under the load of Apache Kafka's tools",
        f"`kafka-producer-perf-test`, records of {RECORD_BYTES} bytes, acks=all, one topic of {PARTITIONS} partitions, everything "
        f"else as it is shipped; then `kafka-consumer-perf-test` of the same; then {STEADY} records a second for the latency. "
        "Tools and broker share the cores, so a broker that needs less leaves more to the tool. `CPU` is the broker's, while "
        f"it takes records. `{SHIPPED}` ({VERSION}, a heap of 1 GiB) acknowledges what lies in its page cache, `{FLUSHED}` "
        "(`log.flush.interval.messages=1`) what is on the disk, as Tailrace always does. `NATS JetStream` (2.15.1) gets its load from "
        "`nats bench js pub async`, messages of the same length to a stream in files, 500 at a time; it syncs every two minutes as "
        "it is shipped, and each message with `sync_interval: always`.",
    )
    try:
        java = java_tools(machine)
        started = {
            "Tailrace": lambda: tailrace(machine),
            SHIPPED: lambda: apache_kafka(machine, ""),
            FLUSHED: lambda: apache_kafka(machine, "log.flush.interval.messages=1"),
        }
        rounds = []
        for _ in range(machine.sizes.rounds):
            rounds.append({name: measured(machine, java, start) for name, start in started.items()})
        for peer in (SHIPPED, FLUSHED):
            pairs = [(one["Tailrace"], one[peer]) for one in rounds]
            section.ratio("records taken", peer, pairs, "taken", lambda rate: mebi(rate) + "/s")
            section.ratio("CPU for 1 GiB taken", peer, pairs, "cpu", seconds)
            section.ratio("peak memory", peer, pairs, "rss", mebi)
            section.ratio("bytes to the disk for each that was taken", peer, pairs, "written", "{:.2f}".format)
            section.ratio("records read", peer, pairs, "read", lambda rate: mebi(rate) + "/s")
            section.ratio(f"{STEADY} a second: median latency", peer, pairs, "p50", milli)
            section.ratio(f"{STEADY} a second: 99th percentile", peer, pairs, "p99", milli)
        beside_jetstream(machine, section, [one["Tailrace"] for one in rounds])
    except Missing as missing:
        section.skip(str(missing))
    return section


def beside_jetstream(machine, section, ours):
    """The same records by the tool of NATS; synced each, as that knows no other way, it gets fewer of them."""
    try:
        fetched = jetstream.tools(machine)
        records = machine.sizes.perf_records
        for peer, sync_interval, messages in (
            ("NATS JetStream", None, records),
            ("NATS JetStream, syncing", "always", records // 20),
        ):
            theirs = [jetstream.measured(machine, fetched, sync_interval, messages) for _ in ours]
            pairs = list(zip(ours, theirs))
            section.ratio("records taken", peer, pairs, "taken", lambda rate: mebi(rate) + "/s")
            section.ratio("CPU for 1 GiB taken", peer, pairs, "cpu", seconds)
            section.ratio("peak memory", peer, pairs, "rss", mebi)
            section.ratio("bytes to the disk for each that was taken", peer, pairs, "written", "{:.2f}".format)
    except Missing as missing:
        section.skip(str(missing))


def java_tools(machine):
    """The command that runs a tool of Apache Kafka, which is fetched on first use."""
    machine.tool("mvn")
    try:
        return [machine.tool("java"), "-Xmx512m", "-cp", f"{libraries().absolute()}/*"]
    except subprocess.SubprocessError as error:
        raise Missing(f"Apache Kafka {VERSION} cannot be fetched: {error}") from error


@contextlib.contextmanager
def tailrace(machine):
    collector, _ = machine.collector(machine.fresh("collector"))
    with collector:
        yield KAFKA, collector


@contextlib.contextmanager
def apache_kafka(machine, settings):
    with ApacheKafka(machine.fresh("apache-kafka"), settings, heap="1g") as broker:
        port = int(broker.bootstrap.rsplit(":", 1)[1])
        until(lambda: listens(port), "Apache Kafka listens")
        yield broker.bootstrap, Running(broker.child)


def measured(machine, java, start):
    records = machine.sizes.perf_records
    written_before = machine.disk_written()
    with start() as (bootstrap, broker):
        produced(java, bootstrap, records // 10)
        before = broker.cpu()
        taken = produced(java, bootstrap, records)
        cpu = (broker.cpu() - before) / (records * RECORD_BYTES / (1 << 30))
        read = consumed(java, bootstrap, records)
        steady_records = int(STEADY * machine.sizes.produce_seconds * 2)
        steady = produced(java, bootstrap, steady_records, STEADY)
        outcome = {"cpu": cpu, "rss": broker.peak_rss(), "taken": taken["rate"], "read": read}
    # It has stopped: what it still had to do with what it took is done.
    written = (machine.disk_written() - written_before) / ((records // 10 + records + steady_records) * RECORD_BYTES)
    return outcome | {"p50": steady["p50"], "p99": steady["p99"], "written": written}


def produced(java, bootstrap, records, throughput=-1):
    """Bytes a second, and the latency of a record."""
    command = [*java, f"{TOOLS}.ProducerPerformance", "--topic", "load", f"--num-records={records}"]
    command += [f"--record-size={RECORD_BYTES}", f"--throughput={throughput}"]
    command += ["--command-property", f"bootstrap.servers={bootstrap}", "acks=all"]
    said = tool_says(command)
    sent, rate = re.findall(r"(\d+) records sent, .*?\(([\d.]+) MB/sec\)", said)[-1]
    if int(sent) != records:
        raise AssertionError(f"{sent} of {records} records were sent")
    p50, p99 = (float(re.findall(rf"(\d+) ms {percentile}th", said)[-1]) for percentile in ("50", "99"))
    return {"rate": float(rate) * MIB, "p50": p50 / 1000, "p99": p99 / 1000}


def consumed(java, bootstrap, records):
    """Bytes a second, without the time that it takes to join a group."""
    command = [*java, f"{TOOLS}.ConsumerPerformance", "--bootstrap-server", bootstrap, "--topic", "load"]
    command += [f"--num-records={records}", f"--timeout={PATIENCE * 1000}"]
    header, values = (line.split(", ") for line in tool_says(command).splitlines()[-2:])
    return float(dict(zip(header, values))["fetch.MB.sec"]) * MIB


def tool_says(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=10 * PATIENCE)
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout
