"""Agents that hand the same file on to the same collector, one after the other."""

import subprocess
import time

from machine import KAFKA, MIB, Missing, Running, until
from peers import PEERS
from report import Section, mebi, seconds


def agents(machine):
    """What it costs to hand on a file."""
    size = machine.sizes.handed_on
    section = Section(
        "Agents hand a file on",
        f"{size // MIB} MiB of generated log lines, in the page cache, to the same collector on the same cores, zstd on the wire. CPU "
        "is the agent's, from its start until the last line is there. Tailrace writes each batch to its spool and syncs it "
        "before it is sent, and sends it again under its sequence after a crash: no line is lost or doubled. "
        + "; ".join(f"{peer.name}: {peer.guarantee}" for peer in PEERS)
        + ". Peers are taken from `PATH`, or from a variable such as `PEER_VECTOR`.",
    )
    try:
        file, lines = machine.lines(size)
        machine.warm(file)
        rounds = []
        for _ in range(machine.sizes.rounds):
            rounds.append({peer: handed_on(machine, start, file, lines) for peer, start in chosen(section).items()})
            section.skipped = sorted(set(section.skipped))
        for peer in [peer for peer in rounds[0] if peer != "Tailrace"]:
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
    for peer in PEERS:
        if peer.binary():
            found[peer.name] = lambda machine, file, peer=peer: started(machine, peer, file)
        else:
            section.skip(f"{peer.name}: there is no {peer.program} in PATH, and no {peer.variable}")
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


def started(machine, peer, file):
    command = peer.prepare(machine.fresh(peer.program), file, KAFKA, "handed-on")
    with open(machine.work / f"{peer.program}.log", "wb") as log:
        return Running(subprocess.Popen(command, stdout=log, stderr=log))
