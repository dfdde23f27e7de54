"""The measurements. Each part returns a section of the report; a yardstick that is missing is named in it."""

import itertools
import json
import subprocess
import threading
import time

from agents import agents
from brokers import brokers
from clients import clients
from growth import growth
from machine import AGENT_HTTP, HTTP, KAFKA, MIB, Missing, metric, until
from report import Section, mebi, milli, plain, rate, seconds
from scale import history, scale

FOLLOWED_RATE = 10 * 10**6
"""Bytes a second of all followed files together."""
FOLLOWED_BYTES = 256 * MIB
"""Log lines to take from, and to compress for comparison."""


def drain(machine):
    """A file that is there already, to acknowledged in the collector, against compressing it."""
    section = Section(
        "An agent drains a file",
        f"{machine.sizes.drained // MIB} MiB of generated log lines, in the page cache. Tailrace: from the agent's start "
        "(empty spool) to every line acknowledged and readable in the collector, which runs on the same cores and syncs "
        "each batch to the same disk. Yardstick: `zstd -1` of the same file to /dev/null, one thread. `agent CPU` is the "
        "agent alone.",
    )
    try:
        zstd = [machine.tool("zstd"), "-1", "--single-thread", "-q", "-f", "-o", "/dev/null"]
        file, lines = machine.lines(machine.sizes.drained)
        rounds = []
        for _ in range(machine.sizes.rounds):
            machine.warm(file)
            rounds.append((drain_once(machine, file, lines), machine.run([*zstd, str(file)])))
        section.ratio("wall time", "zstd -1", rounds, "wall", seconds)
        section.ratio("agent CPU", "zstd -1", rounds, "cpu", seconds)
        section.ratio("agent peak memory", "zstd -1", rounds, "rss", mebi)
        section.value("collector CPU", [ours["collector_cpu"] for ours, _ in rounds], seconds)
        section.value(
            "rate", [machine.sizes.drained / ours["wall"] for ours, _ in rounds], lambda rate: mebi(rate) + "/s"
        )
        file.unlink()
    except Missing as missing:
        section.skip(str(missing))
    return section


def drain_once(machine, file, lines):
    collector, _ = machine.collector(machine.fresh("collector"))
    with collector:
        started = time.monotonic()
        agent, _ = machine.agent(machine.fresh("agent"), file, "drain")
        with agent:
            count = lambda: machine.driver("count", "--address", KAFKA, "--topic", "drain")["records"]
            until(lambda: count() >= lines, "the agent did not deliver every line", 0.02)
            wall = time.monotonic() - started
            if count() != lines:
                raise AssertionError(f"{count()} records of {lines} lines")
            return {"wall": wall, "cpu": agent.cpu(), "rss": agent.peak_rss(), "collector_cpu": collector.cpu()}


def produce(machine):
    """Acknowledged batches a second, against the disk's own write and sync."""
    section = Section(
        "The collector acknowledges batches",
        "Incompressible batches of one record, acks=all, from one connection to four partitions. `one at a time` waits "
        "for each answer, so it compares a commit with a write + fdatasync; `32 in flight` lets commits gather. "
        "Yardstick: fio, sequential writes of the same size into a preallocated file on the same file system, each "
        "followed by fdatasync.",
    )
    for size in (16 << 10, MIB):
        for in_flight in (1, 32):
            pace = "one at a time" if in_flight == 1 else f"{in_flight} in flight"
            name = f"{size >> 10} KiB, {pace}"
            try:
                rounds = []
                for _ in range(machine.sizes.rounds):
                    rounds.append((produce_once(machine, size, in_flight), fio(machine, size)))
                section.ratio(f"{name}: rate", "fio", rounds, "rate", lambda rate: mebi(rate) + "/s")
                section.value(f"{name}: median latency", [ours["p50"] for ours, _ in rounds], milli)
                section.value(f"{name}: 99th percentile", [ours["p99"] for ours, _ in rounds], milli)
            except Missing as missing:
                section.skip(f"{name}: {missing}")
    return section


def produce_once(machine, size, in_flight):
    collector, _ = machine.collector(machine.fresh("collector"))
    with collector:
        load = ["produce", "--address", KAFKA, "--topic", "load", "--batch-bytes", size, "--in-flight", in_flight]
        machine.driver(*load, "--seconds", 0.2)
        made = machine.driver(*load, "--seconds", machine.sizes.produce_seconds)
    return rate(made) | {"p50": made["p50"], "p99": made["p99"]}


def written(machine):
    """What the disk gets for what is taken."""
    size = machine.sizes.fetched_cold
    section = Section(
        "Bytes to the disk for each that was taken",
        f"{4 * size // MIB} MiB in batches of one size, 32 in flight, to four partitions of an empty collector, which is then stopped. "
        "What the disk was given in all that time, by its own account: making WAL files, commits, segments, checkpoints and the "
        "file system's journal.",
    )
    try:
        for batch in (16 << 10, MIB):
            ratios = []
            for _ in range(machine.sizes.rounds):
                data = machine.fresh("collector")
                before = machine.disk_written()
                collector, _ = machine.collector(data)
                with collector:
                    load = ["--address", KAFKA, "--topic", "load", "--batch-bytes", batch, "--in-flight", 32]
                    made = machine.driver("produce", *load, "--bytes", 4 * size)
                ratios.append((machine.disk_written() - before) / made["bytes"])
            section.value(f"batches of {batch >> 10} KiB", ratios, "{:.2f}".format)
    except Missing as missing:
        section.skip(str(missing))
    return section


def fio(machine, size):
    file = machine.written("fio", 256 * MIB)
    command = [machine.tool("fio"), "--name=wal", f"--filename={file}", "--rw=write", f"--bs={size}", "--size=256m"]
    command += ["--fdatasync=1", "--ioengine=psync", "--overwrite=1", "--fallocate=none", "--time_based"]
    command += ["--output-format=json"]
    command += [f"--runtime={max(1, machine.sizes.produce_seconds):.0f}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return {"rate": json.loads(done.stdout)["jobs"][0]["write"]["bw_bytes"]}


def fetch(machine):
    """Reading what came last, and history, against loopback TCP."""
    section = Section(
        "A consumer reads",
        "One connection, one request at a time, up to 4 MiB of each of four partitions in an answer; batches of 64 KiB. "
        "`from memory`: what came last, still in the collector's memory, over and over. `from segments`: everything, after a "
        "restart, with the page cache of the data directory dropped (sync, then POSIX_FADV_DONTNEED on every file). "
        "Yardsticks: frames of 16 MiB over loopback TCP, received by the same code; fio, which reads a cold file of that size from "
        "its start to its end, 1 MiB at a time.",
    )
    size = 64 << 10
    load = ["--address", KAFKA, "--topic", "load"]
    tail, all_bytes = machine.sizes.fetched_tail, machine.sizes.fetched_cold
    try:
        data = machine.fresh("collector")
        collector, _ = machine.collector(data)
        with collector:
            machine.driver("produce", *load, "--batch-bytes", size, "--in-flight", 32, "--bytes", all_bytes)
            rounds = []
            for _ in range(machine.sizes.rounds):
                times = max(1, all_bytes // tail)
                last = ("--last-bytes", tail, "--batch-bytes", size, "--times", times)
                ours = machine.driver("fetch", *load, *last)
                rounds.append((rate(ours), rate(machine.driver("loopback", "--bytes", all_bytes))))
            section.ratio("from memory", "loopback TCP", rounds, "rate", lambda rate: mebi(rate) + "/s")
        rounds = []
        for _ in range(machine.sizes.rounds):
            machine.drop_cache(data)
            collector, _ = machine.collector(data)
            with collector:
                ours = machine.driver("fetch", *load)
            if ours["bytes"] < all_bytes * 0.99:
                raise AssertionError(f"fetched {ours['bytes']} bytes of {all_bytes}")
            rounds.append((rate(ours), fio_read(machine, all_bytes)))
        section.ratio("from segments, cold", "fio", rounds, "rate", lambda rate: mebi(rate) + "/s")
        machine.fresh("collector")
    except Missing as missing:
        section.skip(str(missing))
    return section


def fio_read(machine, size):
    file = machine.written("fio-read", size)
    command = [machine.tool("fio"), "--name=read", f"--filename={file}", "--rw=read", "--bs=1m", f"--size={size}"]
    command += ["--ioengine=psync", "--invalidate=1", "--output-format=json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return {"rate": json.loads(done.stdout)["jobs"][0]["read"]["bw_bytes"]}


def memory(machine):
    """What they hold in memory."""
    section = Section("Memory and idle CPU", "Resident memory, read from /proc; one core is 100 %.")
    try:
        collector, _ = machine.collector(machine.fresh("collector"))
        with collector:
            time.sleep(1)
            section.value("collector, just started", [collector.rss()], mebi)
            load = ["--address", KAFKA, "--topic", "load"]
            for size in (16 << 10, MIB):
                seconds_ = machine.sizes.produce_seconds * 2
                machine.driver("produce", *load, "--batch-bytes", size, "--in-flight", 32, "--seconds", seconds_)
                machine.driver("fetch", *load)
            section.value("collector, after produce and fetch at full speed (most)", [collector.peak_rss()], mebi)
            # Long enough to notice that it is quiet, to move the WAL into segments, and to drop the caches.
            time.sleep(machine.sizes.idle_seconds * 3)
            section.value("collector, idle after that", [collector.rss()], mebi)
            followed(machine, section)
            idle_files(machine, section)
    except Missing as missing:
        section.skip(str(missing))
    return section


def followed(machine, section):
    """Files that are written to all the time, ten times a second each."""
    line = "2026-11-22T12:00:00.000Z INFO http.server request completed user=4711 duration_ms=17\n"
    count = machine.sizes.followed
    following(machine, section, count, [line.encode() * 10], f"{count} files with 100 lines a second each")
    file, _ = machine.lines(FOLLOWED_BYTES)
    count = machine.sizes.followed * 10
    pieces = in_pieces(file.read_bytes(), FOLLOWED_RATE // 10 // count)
    following(machine, section, count, pieces, f"{count} files with {FOLLOWED_RATE // 10**6} MB/s in all")
    try:
        zstd = machine.run([machine.tool("zstd"), "-1", "--single-thread", "-q", "-f", "-o", "/dev/null", str(file)])
        share = zstd["cpu"] * FOLLOWED_RATE / FOLLOWED_BYTES
        section.value(f"for comparison, zstd -1 of {FOLLOWED_RATE // 10**6} MB/s: CPU", [share * 100], plain("%"))
    except Missing as missing:
        section.skip(str(missing))


def in_pieces(text, least):
    """Whole lines, so many bytes of them at least."""
    pieces, start = [], 0
    while (end := text.find(b"\n", start + least) + 1) > 0:
        pieces.append(text[start:end])
        start = end
    return pieces


def following(machine, section, count, pieces, what):
    """Each file gets one of the pieces ten times a second."""
    files = machine.fresh("followed")
    stop = threading.Event()

    def write():
        handles = [open(files / f"{number}.log", "ab", buffering=0) for number in range(count)]
        endless = itertools.cycle(pieces)
        due = time.monotonic()
        while not stop.is_set():
            for handle in handles:
                handle.write(next(endless))
            due += 0.1
            time.sleep(max(0, due - time.monotonic()))

    writer = threading.Thread(target=write)
    try:
        agent, _ = machine.agent(machine.fresh("agent"), files / "*.log", "followed")
        writer.start()
        with agent:
            # Long enough for names to be older than what may change unseen.
            time.sleep(5)
            before, started = agent.cpu(), time.monotonic()
            time.sleep(machine.sizes.idle_seconds / 2)
            busy = (agent.cpu() - before) / (time.monotonic() - started)
            section.value(f"agent, {what}: memory", [agent.peak_rss()], mebi)
            section.value(f"agent, {what}: CPU", [busy * 100], plain("%"))
    except Missing as missing:
        section.skip(f"agent, {what}: {missing}")
    finally:
        stop.set()
        if writer.is_alive():
            writer.join()


def idle_files(machine, section):
    count = machine.sizes.idle_files
    files = machine.fresh("idle")
    for number in range(count):
        (files / f"{number}.log").write_text(f"line {number} of a file that stays as it is\n")
    try:
        agent, ready = machine.agent(machine.fresh("agent"), files / "*.log", "idle")
        with agent:
            delivered = lambda: machine.driver("count", "--address", KAFKA, "--topic", "idle")["records"] >= count
            took = until(delivered, "the agent did not deliver every line", 0.1)
            section.value(f"agent, {count} files: until the one line of each is delivered", [ready + took], seconds)
            time.sleep(machine.sizes.idle_seconds / 2)
            before, started = agent.cpu(), time.monotonic()
            time.sleep(machine.sizes.idle_seconds)
            busy = (agent.cpu() - before) / (time.monotonic() - started)
            section.value(f"agent, {count} idle files: memory", [agent.rss()], mebi)
            section.value(f"agent, {count} idle files: CPU", [busy * 100], plain("%"))
    except Missing as missing:
        section.skip(f"agent, {count} idle files: {missing}")


def startup(machine):
    """From the start of the process to ready, after a clean stop and after a kill with a full WAL."""
    budget = machine.sizes.wal_budget
    section = Section(
        "A collector starts",
        f"From exec to `/readyz`. `after kill -9`: while it takes 1 MiB batches as fast as it can, at the fullest WAL "
        f"seen within 15 s (wal.budget_bytes is {budget // MIB} MiB, the default is 1024 MiB), files in the page cache.",
    )
    try:
        clean, killed, backlogs = [], [], []
        for _ in range(machine.sizes.rounds):
            data = machine.fresh("collector")
            collector, _ = machine.collector(data, budget_bytes=budget)
            load = ["--address", KAFKA, "--topic", "load", "--batch-bytes", MIB, "--in-flight", 32]
            with collector:
                machine.driver("produce", *load, "--bytes", budget // 2)
            collector, took = machine.collector(data, budget_bytes=budget)
            clean.append(took)
            backlogs.append(kill_at_full_wal(machine, collector, load, budget))
            collector, took = machine.collector(data, budget_bytes=budget)
            killed.append(took)
            collector.stop()
        section.value("after a clean stop", clean, milli)
        section.value("after kill -9", killed, milli)
        section.value("WAL not yet in segments at the kill", backlogs, mebi)
        machine.fresh("collector")
    except Missing as missing:
        section.skip(str(missing))
    return section


def kill_at_full_wal(machine, collector, load, budget):
    """Kills it when the backlog is nearly the budget, or no longer grows."""
    producer = subprocess.Popen(
        [machine.bin / "tailrace-bench", "produce", *map(str, load), "--seconds", "60"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    most, last_growth = 0, time.monotonic()
    deadline = last_growth + 15
    while True:
        backlog = metric(HTTP, "tailrace_collector_wal_backlog_bytes")
        now = time.monotonic()
        if backlog > most:
            most, last_growth = backlog, now
        is_full = backlog >= budget * 0.85 or (now - last_growth > 5 and backlog >= most * 0.9)
        if is_full or now > deadline:
            break
        time.sleep(0.01)
    collector.kill()
    producer.wait()
    return backlog


def latency(machine):
    """From the program that writes a line to the consumer that wants it."""
    section = Section(
        "A line on its way",
        "1000 lines a second to one file; agent, collector and a consumer that waits for the next line, each line synced by both. "
        "From the write of the line to its arrival at the consumer, with the agent's `read.linger` as it is (20 ms), and with 4 ms.",
    )
    try:
        for what, config in (("", ""), ("linger of 4 ms: ", '[read]\nlinger = "4ms"\n')):
            rounds = [lines_on_their_way(machine, config) for _ in range(machine.sizes.rounds)]
            section.percentiles(what, [done for done, _ in rounds])
            section.value(f"{what}agent CPU", [busy * 100 for _, busy in rounds], plain("%"))
    except Missing as missing:
        section.skip(str(missing))
    return section


def lines_on_their_way(machine, config):
    """Also the agent's share of a core."""
    file = machine.fresh("written") / "a.log"
    collector, _ = machine.collector(machine.fresh("collector"))
    with collector:
        agent, _ = machine.agent(machine.fresh("agent"), file, "lines", config)
        with agent:
            load = ["--address", KAFKA, "--topic", "lines", "--file", file]
            before, started = agent.cpu(), time.monotonic()
            done = machine.driver("latency", *load, "--seconds", machine.sizes.idle_seconds / 2)
            return done, (agent.cpu() - before) / (time.monotonic() - started)


ALL = {
    "drain": drain,
    "agents": agents,
    "produce": produce,
    "written": written,
    "fetch": fetch,
    "brokers": brokers,
    "clients": clients,
    "latency": latency,
    "scale": scale,
    "history": history,
    "growth": growth,
    "memory": memory,
    "startup": startup,
}
