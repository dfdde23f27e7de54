"""Tailrace beside Apache Kafka, under the benchmarks that come with other clients: librdkafka's `rdkafka_performance` and
franz-go's `bench`. They are taken from `PATH`, or from an environment variable that names the binary."""

import os
import re
import shutil
import statistics
import subprocess
import time

from brokers import PARTITIONS, RECORD_BYTES, SHIPPED, TOOLS, apache_kafka, java_tools, tailrace, tool_says
from machine import MIB, Missing
from report import Section, mebi, seconds

SECONDS = 6
"""How long a tool runs that does not end by itself."""


def clients(machine):
    """What the tools of other clients measure of it and of us."""
    section = Section(
        "A broker under the load of other clients",
        f"`rdkafka_performance` of librdkafka, with an idempotent producer, and `bench` of franz-go, as it is (idempotent too), for {SECONDS} s: "
        f"records of {RECORD_BYTES} bytes, acks=all, one topic of {PARTITIONS} partitions; then a consumer that reads them from the start. "
        f"`{SHIPPED}` as it is shipped acknowledges what lies in its page cache. `CPU` is the broker's, while it takes records. The tools are "
        "taken from `PATH` (`rdkafka_performance`, `franz-go-bench`), or from `DRIVER_RDKAFKA` and `DRIVER_FRANZ_GO`.",
    )
    try:
        java = java_tools(machine)
        for name, variable, program, load in (
            ("librdkafka", "DRIVER_RDKAFKA", "rdkafka_performance", Rdkafka),
            ("franz-go", "DRIVER_FRANZ_GO", "franz-go-bench", FranzGo),
        ):
            binary = os.environ.get(variable) or shutil.which(program)
            if binary is None:
                section.skip(f"{name}: no {program} in PATH, nor {variable}")
                continue
            tool = load(binary, machine.sizes.perf_records)
            rounds = []
            for _ in range(machine.sizes.rounds):
                ours, theirs = (measured(java, tool, started) for started in (tailrace(machine), apache_kafka(machine, "")))
                rounds.append((ours, theirs))
            section.ratio(f"{name}: records taken", SHIPPED, rounds, "taken", lambda rate: mebi(rate) + "/s")
            section.ratio(f"{name}: CPU for 1 GiB taken", SHIPPED, rounds, "cpu", seconds)
            section.ratio(f"{name}: peak memory", SHIPPED, rounds, "rss", mebi)
            section.ratio(f"{name}: records read", SHIPPED, rounds, "read", lambda rate: mebi(rate) + "/s")
    except Missing as missing:
        section.skip(str(missing))
    return section


def measured(java, tool, started):
    with started as (bootstrap, broker):
        # Not every tool makes its topic.
        command = [*java, f"{TOOLS}.TopicCommand", "--bootstrap-server", bootstrap, "--create", "--topic", "load"]
        tool_says([*command, "--partitions", str(PARTITIONS)])
        tool.produce(bootstrap, warm_up=True)
        before = broker.cpu()
        taken, count = tool.produce(bootstrap)
        cpu = (broker.cpu() - before) / (count / (1 << 30))
        return {"taken": taken, "cpu": cpu, "read": tool.consume(bootstrap), "rss": broker.peak_rss()}


class Rdkafka:
    """Ends after so many records."""

    def __init__(self, binary, records):
        self.binary, self.records = binary, records

    def produce(self, bootstrap, warm_up=False):
        """Bytes a second, and how many in all."""
        records = self.records // 10 if warm_up else self.records
        return self._run(bootstrap, ["-P", "-s", RECORD_BYTES, "-a", "-1", "-X", "enable.idempotence=true"], records), records * RECORD_BYTES

    def consume(self, bootstrap):
        partitions = [word for number in range(PARTITIONS) for word in ("-p", number)]
        return self._run(bootstrap, ["-C", "-o", "beginning", *partitions], self.records)

    def _run(self, bootstrap, options, records):
        said = tool_says([self.binary, "-b", bootstrap, "-t", "load", "-c", str(records), *map(str, options)])
        return float(re.findall(r"([\d.]+) MB/s", said)[-1]) * 1e6


class FranzGo:
    """Goes on until it is told to stop, and says every second how fast it is."""

    def __init__(self, binary, _):
        self.binary = binary

    def produce(self, bootstrap, warm_up=False):
        """Bytes a second, and how many in all."""
        rates = self._run(bootstrap, ["-record-bytes", str(RECORD_BYTES)], 2 if warm_up else SECONDS)
        return statistics.median(rates), sum(rates)

    def consume(self, bootstrap):
        return statistics.median(self._run(bootstrap, ["-consume"], SECONDS / 2))

    def _run(self, bootstrap, options, duration):
        command = [self.binary, "-brokers", bootstrap, "-topic", "load", "-pprof", "", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        time.sleep(duration + 0.5)
        process.kill()
        said, _ = process.communicate()
        rates = [float(rate) * MIB for rate in re.findall(r"([\d.]+) MiB/s", said)]
        if not any(rates):
            raise AssertionError(said)
        return [rate for rate in rates if rate]
