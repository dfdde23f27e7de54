"""Runs the schedule that the seed gives, then waits for quiet and looks at every line.

The log must hold every line once, in each file's order; the consumer's own database must hold each line once too.
"""

import argparse
import collections
import pathlib
import random
import shutil
import sqlite3
import sys
import tempfile
import time

from tests.crash_test import verify
from tests.crash_test.writers import Writer
from tests.lib.processes import Agent, Collector, Process

TOPIC = "crash"
# Small files, so that rolls, flushes and checkpoints happen all the time.
COLLECTOR = """
[topics]
partitions = 3
[wal]
file_bytes = "1MiB"
budget_bytes = "64MiB"
"""
# How long nothing may arrive, with everything running, before we say that it never will.
PATIENCE_S = 60


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many processes to kill (default 200)")
    parser.add_argument("--seed", type=int, default=None, help="reproduces a schedule (default: random, printed)")
    parser.add_argument("--writers", type=int, default=6, help="how many programs write logs (default 6)")
    parser.add_argument("--rate", type=int, default=400, help="lines per second and writer (default 400)")
    parser.add_argument("--keep", action="store_true", help="keep all files, also if nothing was found")
    return parser.parse_args()


class Crash:
    """One run."""

    def __init__(self, options: argparse.Namespace, work: pathlib.Path):
        self.options, self.work = options, work
        self.random = random.Random(options.seed)
        self.logs = work / "logs"
        self.logs.mkdir()
        self.collector = Collector(work, COLLECTOR)
        inputs = f'[[files]]\ntopic = "{TOPIC}"\ninclude = ["{self.logs}/*.log"]\n'
        self.agent = Agent(work, self.collector.bootstrap, inputs)
        self.database = work / "consumer.db"
        consumer = [sys.executable, "-m", "tests.crash_test.consumer", self.collector.bootstrap, TOPIC]
        self.consumer = Process("consumer", [*consumer, str(self.database)], work)
        self.processes = [self.agent, self.collector, self.consumer]
        self.writers = [
            Writer(number, self.logs, options.seed, options.rate) for number in range(options.writers)
        ]
        self.kills: collections.Counter[str] = collections.Counter()

    def run(self) -> list[str]:
        for starter in (*self.processes, *self.writers):
            starter.start()
        while sum(self.kills.values()) < self.options.kills:
            self.kill_some()
        for writer in self.writers:
            writer.stop()
        written = {writer.number: writer.lines_per_file for writer in self.writers}
        total = sum(sum(files) for files in written.values())
        self.wait_for_quiet(total)
        findings = verify.check(verify.read_log(self.collector.bootstrap, TOPIC), written)
        findings += [f"in the consumer's results: {finding}" for finding in verify.check(self.consumed(), written)]
        self.report(written, total)
        for process in self.processes:
            process.check_alive()
        statuses = {process.name: process.stop() for process in (self.agent, self.collector)}
        findings += [f"{name} stopped with status {status}" for name, status in statuses.items() if status != 0]
        self.consumer.kill()
        return findings

    def kill_some(self) -> None:
        """Kills one to three processes at once; often so soon after a start that it is still recovering."""
        soon = self.random.random() < 0.3
        time.sleep(self.random.uniform(0, 0.2) if soon else self.random.uniform(0.2, 1.5))
        count = self.random.choices([1, 2, 3], [8, 2, 1])[0]
        victims = self.random.sample(self.processes, count)
        for victim in victims:
            victim.check_alive()
            victim.kill()
            self.kills[victim.name] += 1
        time.sleep(self.random.choice([0, 0, 0.05, 0.5]))
        for victim in victims:
            victim.start()

    def consumed_count(self) -> int:
        with sqlite3.connect(self.database, timeout=30) as database:
            return database.execute("SELECT count(*) FROM line").fetchone()[0]

    def consumed(self) -> dict[int, list[bytes]]:
        values: dict[int, list[bytes]] = collections.defaultdict(list)
        with sqlite3.connect(self.database, timeout=30) as database:
            for part, value in database.execute("SELECT part, value FROM line ORDER BY part, at"):
                values[part].append(value)
        return values

    def wait_for_quiet(self, total: int) -> None:
        count, since = -1, time.monotonic()
        while count < total and time.monotonic() - since < PATIENCE_S:
            time.sleep(0.5)
            for process in self.processes:
                process.check_alive()
            now = self.consumed_count()
            if now != count:
                count, since = now, time.monotonic()
        time.sleep(1)  # a doubled line would come after the last one

    def report(self, written: dict[int, list[int]], total: int) -> None:
        files = sum(len(files) for files in written.values())
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        print(f"{total} lines in {files} files by {len(written)} writers; killed: {kills}")


def main() -> int:
    options = arguments()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 31)
    print(f"tests/crash --kills {options.kills} --seed {options.seed} --writers {options.writers}", flush=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="tailrace-crash-"))
    crash = Crash(options, work)
    findings = ["the run did not come to its end"]
    try:
        findings = crash.run()
    except AssertionError as error:
        findings = [str(error)]
    finally:
        for process in crash.processes:
            process.kill()
        if not findings and not options.keep:
            shutil.rmtree(work)
    for finding in findings:
        print(f"FOUND: {finding}")
    if findings or options.keep:
        print(f"files: {work}")
    print(f"crash: {0 if findings else 1} passed, {1 if findings else 0} failed")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
