"""Whether anything becomes slower with what lies behind it."""

import subprocess

from machine import HTTP, KAFKA, MIB, Missing, metric
from report import Section, mebi, milli, rate

BATCH = ["--batch-bytes", MIB, "--in-flight", 32]
# Of so much the disk has to have room before holes are made of it.
STEP_BYTES = 4 << 30


def growth(machine):
    """A collector with much behind it, beside an empty one."""
    size = machine.sizes.grown
    section = Section(
        "With much behind it",
        f"A collector that has taken {size >> 30} GiB in batches of 1 MiB of zeros, of whose segments the file system makes holes "
        "meanwhile (fallocate --dig-holes), so that offsets, segments, manifests and checkpoints are real and the disk is not full. "
        "Yardstick: an empty one. 16 KiB batches, 32 in flight; 50 connections that each send 4 KiB every 50 ms.",
    )
    try:
        grown = machine.fresh("grown")
        fill(machine, grown, size)
        rounds = [(measured(machine, grown), measured(machine, machine.fresh("collector"))) for _ in range(machine.sizes.rounds)]
        section.ratio("start after a clean stop", "empty", rounds, "start", milli)
        section.ratio("16 KiB, 32 in flight: rate", "empty", rounds, "rate", lambda rate: mebi(rate) + "/s")
        section.ratio("50 producers: 99th percentile", "empty", rounds, "p99", milli)
        section.ratio("bytes to the disk for each that was taken", "empty", rounds, "written", "{:.2f}".format)
        section.ratio("memory, just started", "empty", rounds, "rss", mebi)
        section.ratio("peak memory", "empty", rounds, "peak", mebi)
        machine.fresh("grown")
    except Missing as missing:
        section.skip(str(missing))
    return section


def fill(machine, data, size):
    dig = [machine.tool("fallocate"), "--dig-holes"]
    load = ["--address", KAFKA, "--topic", "history", *BATCH, "--zeros"]
    collector, _ = machine.collector(data)
    with collector:
        dug = set()
        for begin in range(0, size, STEP_BYTES):
            machine.driver("produce", *load, "--bytes", min(STEP_BYTES, size - begin))
            for segment in set((data / "store/segments").glob("*")) - dug:
                subprocess.run([*dig, segment], check=True)
                dug.add(segment)
        taken = metric(HTTP, "tailrace_collector_log_size_bytes")
        if taken < size * 0.99:
            raise AssertionError(f"{taken} bytes are there of {size}")


def measured(machine, data):
    load = ["--address", KAFKA, "--topic"]
    # Once for the topics to be there.
    collector, _ = machine.collector(data)
    with collector:
        for topic in ("load", "head"):
            machine.driver("produce", *load, topic, *BATCH, "--bytes", MIB)
    collector, start = machine.collector(data)
    with collector:
        rss = collector.rss()
        before = machine.disk_written()
        loaded = machine.driver(
            "produce", *load, "load", "--batch-bytes", 16 << 10, "--in-flight", 32, "--seconds", machine.sizes.produce_seconds * 3
        )
        written = (machine.disk_written() - before) / loaded["bytes"]
        head = [*load, "head", "--batch-bytes", 4096, "--in-flight", 1, "--connections", 50, "--interval-ms", 50]
        p99 = machine.driver("produce", *head, "--seconds", machine.sizes.produce_seconds * 3)["p99"]
        return {"start": start, "rate": rate(loaded)["rate"], "p99": p99, "written": written, "rss": rss, "peak": collector.peak_rss()}
