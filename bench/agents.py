"""Agents that hand the same file on to the same collector, one after the other."""

import os
import shutil
import subprocess
import time

from machine import KAFKA, MIB, Missing, Running, until
from report import Section, mebi, seconds


def agents(machine):
    """What it costs to hand on a file."""
    size = machine.sizes.handed_on
    section = Section(
        "Agents hand a file on",
        f"{size // MIB} MiB of generated log lines, in the page cache, to the same collector on the same cores, zstd on the wire. CPU "
        "is the agent's, from its start until the last line is there. Tailrace writes each batch to its spool and syncs it "
        "before it is sent, and sends it again under its sequence after a crash: no line is lost or doubled. rsyslog (imfile, "
        "omkafka, idempotent producer) and Fluent Bit (tail with a database, kafka) keep what they have read in memory, and their "
        "positions apart from what was acknowledged. Fluent Bit is taken from `PATH` or `PEER_FLUENT_BIT`.",
    )
    try:
        file, lines = machine.lines(size)
        machine.warm(file)
        rounds = []
        for _ in range(machine.sizes.rounds):
            rounds.append({peer: handed_on(machine, start, file, lines) for peer, start in chosen(section).items()})
            section.skipped = sorted(set(section.skipped))
        for peer in rounds[0].keys() - {"Tailrace"}:
            pairs = [(one["Tailrace"], one[peer]) for one in rounds]
            section.ratio("CPU for 1 GiB", peer, pairs, "cpu", seconds)
            section.ratio("rate", peer, pairs, "rate", lambda rate: mebi(rate) + "/s")
            section.ratio("peak memory", peer, pairs, "rss", mebi)
        file.unlink()
    except Missing as missing:
        section.skip(str(missing))
    return section


def chosen(section):
    """Those that are here."""
    found = {"Tailrace": lambda machine, file: machine.agent(machine.fresh("agent"), file, "handed-on")[0]}
    for name, variable, command, start in (
        ("rsyslog", "PEER_RSYSLOG", "rsyslogd", rsyslog),
        ("Fluent Bit", "PEER_FLUENT_BIT", "fluent-bit", fluent_bit),
    ):
        binary = os.environ.get(variable) or shutil.which(command)
        if binary:
            found[name] = lambda machine, file, start=start, binary=binary: start(machine, file, binary)
        else:
            section.skip(f"{name}: there is no {command} in PATH, and no {variable}")
    return found


def handed_on(machine, start, file, lines):
    collector, _ = machine.collector(machine.fresh("collector"))
    with collector:
        # A topic that is there: what a client does until one is made is not measured.
        machine.driver("produce", "--address", KAFKA, "--topic", "handed-on", "--batch-bytes", 100, "--in-flight", 1, "--bytes", 100)
        count = lambda: machine.driver("count", "--address", KAFKA, "--topic", "handed-on")["records"] - 1
        begun = time.monotonic()
        with start(machine, file) as agent:
            until(lambda: count() >= lines or agent.process.poll() is not None, "every line is handed on", 0.05)
            took = time.monotonic() - begun
            if agent.process.poll() is not None:
                raise Missing(f"an agent ended by itself, after {count()} of {lines} lines")
            size = file.stat().st_size
            return {"rate": size / took, "cpu": agent.cpu() / (size / (1 << 30)), "rss": agent.peak_rss()}


def rsyslog(machine, file, binary):
    work = machine.fresh("rsyslog")
    config = work / "rsyslog.conf"
    config.write_text(
        f"""
        global(workDirectory="{work}" maxMessageSize="64k")
        module(load="imfile")
        module(load="omkafka")
        template(name="line" type="string" string="%msg%")
        ruleset(name="forward" queue.type="linkedList" queue.size="100000" queue.dequeueBatchSize="4096") {{
          action(type="omkafka" broker=["{KAFKA}"] topic="handed-on" template="line" partitions.auto="on"
                 resubmitOnFailure="on" confParam=["enable.idempotence=true", "compression.codec=zstd", "linger.ms=20"])
        }}
        input(type="imfile" file="{file}" tag="bench" ruleset="forward")
        """
    )
    return started(machine, "rsyslog", [binary, "-n", "-f", config, "-i", work / "rsyslog.pid"])


def fluent_bit(machine, file, binary):
    work = machine.fresh("fluent-bit")
    config = work / "fluent-bit.conf"
    config.write_text(
        f"""
[SERVICE]
    flush 1
[INPUT]
    name tail
    path {file}
    read_from_head on
    db {work}/positions.db
    mem_buf_limit 64MB
[OUTPUT]
    name kafka
    match *
    brokers {KAFKA}
    topics handed-on
    rdkafka.enable.idempotence true
    rdkafka.compression.codec zstd
"""
    )
    return started(machine, "fluent-bit", [binary, "-c", config])


def started(machine, name, command):
    with open(machine.work / f"{name}.log", "wb") as log:
        return Running(subprocess.Popen(command, stdout=log, stderr=log))
