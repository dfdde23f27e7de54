"""Many at once: producers, partitions, and readers of history beside the head."""

import contextlib
import json
import subprocess

from machine import KAFKA, MIB, Missing
from report import Section, mebi, milli, rate

READERS = 10


def history(machine):
    """What is produced while others read from the start."""
    size = machine.sizes.fetched_cold
    section = Section(
        "The head while history is read",
        "50 connections that each send 4 KiB every 50 ms to one topic: alone, and while "
        f"{READERS} consumers read {size // MIB} MiB of another from start to end, again and again, as fast as they can, the first time "
        "from the disk. Collector, producers and consumers share the cores, of which the consumers leave none.",
    )
    try:
        rounds = []
        for _ in range(machine.sizes.rounds):
            data = machine.fresh("collector")
            collector, _ = machine.collector(data)
            with collector:
                load = ["--address", KAFKA, "--topic", "history", "--batch-bytes", 64 << 10, "--in-flight", 32]
                machine.driver("produce", *load, "--bytes", size)
            machine.drop_cache(data)
            collector, _ = machine.collector(data)
            with collector:
                alone = head(machine)
                with readers(machine):
                    rounds.append((head(machine), alone))
        for name, key in (("median", "p50"), ("99th percentile", "p99")):
            section.ratio(f"{READERS} readers: {name}", "without", rounds, key, milli)
    except Missing as missing:
        section.skip(str(missing))
    return section


def head(machine):
    load = ["--address", KAFKA, "--topic", "head", "--batch-bytes", 4096, "--in-flight", 1, "--connections", 50]
    return machine.driver("produce", *load, "--interval-ms", 50, "--seconds", machine.sizes.produce_seconds * 3)


@contextlib.contextmanager
def readers(machine):
    """Consumers of history, until they are not needed any more."""
    command = [machine.bin / "tailrace-bench", "fetch", "--address", KAFKA, "--topic", "history", "--times", "1000"]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(READERS)]
    try:
        yield
    finally:
        for reader in running:
            if reader.poll() is not None:
                raise AssertionError("a reader ended early")
            reader.kill()
            reader.wait()


def scale(machine):
    """Many producers, and many partitions."""
    section = Section(
        "Many producers, many partitions",
        "1000 connections that each send 1 KiB every 100 ms to four partitions, and fio's write + fdatasync of 4 KiB, 50 times a "
        "second, beside them. Batches of 16 KiB, 32 in flight, round robin over 1000 partitions, against one partition. A "
        f"collector with {machine.sizes.partitions} partitions of 1 KiB each.",
    )
    try:
        rounds = [many_producers(machine) for _ in range(machine.sizes.rounds)]
        section.percentiles("1000 producers: ", [ours for ours, _ in rounds])
        section.ratio("1000 producers: 99th percentile", "fio beside it", rounds, "p99", milli)
        rounds = [(into_partitions(machine, 1000), into_partitions(machine, 1)) for _ in range(machine.sizes.rounds)]
        section.ratio("1000 partitions: rate", "one partition", rounds, "rate", lambda rate: mebi(rate) + "/s")
        count = machine.sizes.partitions
        data = machine.fresh("collector")
        collector, _ = machine.collector(data, count)
        with collector:
            load = ["--address", KAFKA, "--topic", "load", "--batch-bytes", 1024, "--in-flight", 32]
            machine.driver("produce", *load, "--bytes", 1024 * count)
            section.value(f"{count} partitions: peak memory", [collector.peak_rss()], mebi)
            section.value(f"{count} partitions: memory", [collector.rss()], mebi)
        collector, took = machine.collector(data, count)
        with collector:
            section.value(f"{count} partitions: start after a clean stop", [took], milli)
            section.value(f"{count} partitions: memory then", [collector.rss()], mebi)
            machine.driver("produce", *load, "--bytes", 1024 * count)
            collector.kill()
        collector, took = machine.collector(data, count)
        with collector:
            section.value(f"{count} partitions: start after kill -9", [took], milli)
    except Missing as missing:
        section.skip(str(missing))
    return section


def many_producers(machine):
    file = machine.written("fio", 256 * MIB)
    collector, _ = machine.collector(machine.fresh("collector"))
    with collector:
        load = ["--address", KAFKA, "--topic", "load", "--batch-bytes", 1024, "--in-flight", 1, "--connections", 1000]
        seconds_ = machine.sizes.produce_seconds * 3
        command = [machine.tool("fio"), "--name=beside", f"--filename={file}", "--rw=write", "--bs=4k", "--size=256m"]
        command += ["--fdatasync=1", "--ioengine=psync", "--overwrite=1", "--fallocate=none", "--time_based"]
        command += ["--rate_iops=50", f"--runtime={seconds_:.0f}", "--output-format=json"]
        beside = subprocess.Popen(command, stdout=subprocess.PIPE)
        ours = machine.driver("produce", *load, "--interval-ms", 100, "--seconds", seconds_)
        told, _ = beside.communicate()
    job = json.loads(told)["jobs"][0]
    p99 = sum(part["percentile"]["99.000000"] for part in (job["write"]["clat_ns"], job["sync"]["lat_ns"]))
    return ours, {"p99": p99 / 1e9}


def into_partitions(machine, partitions):
    collector, _ = machine.collector(machine.fresh("collector"), partitions)
    with collector:
        load = ["--address", KAFKA, "--topic", "load", "--batch-bytes", 16 << 10, "--in-flight", 32]
        machine.driver("produce", *load, "--bytes", 32 << 20)
        return rate(machine.driver("produce", *load, "--seconds", machine.sizes.produce_seconds))
