"""Kills agent, collector and consumer by the schedule that the seed gives, while programs write and rotate logs, and
one writes to a journal.

Now and then the agent is told to take on its configuration again.

Then it waits for quiet, kills once more, stops in good order, and looks at every line: the collector's log and the
consumer's database must each hold every line once, as it was written, in its file's order, and the files of a program
in theirs. Of what is sent by syslog meanwhile it looks at what can be promised: `senders.py`.
"""

import argparse
import collections
import pathlib
import random
import re
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence

from tests.crash_test import TOPIC, journals, senders, verify
from tests.crash_test.schedule import Kill, schedule
from tests.crash_test.writers import ContainerWriter, EventWriter, Writer
from tests.lib.processes import SMALL_WAL, Agent, Collector, Process, free_port

# For how long nothing may arrive, with everything running, before we say that it never will.
PATIENCE_S = 120
# For how long nothing may arrive before we say that all is done.
QUIET_S = 5
# How many programs send syslog.
SENDERS = 2
# Of so many writers the last ones are of a kind of their own.
KINDS = [Writer] * 6 + [EventWriter] * 2 + [ContainerWriter] * 2


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many times to kill (default 200)")
    parser.add_argument("--minutes", type=float, help="kill for so long instead")
    parser.add_argument("--seed", type=int, help="gives the same schedule again (default: random, and printed)")
    parser.add_argument("--only", choices=["agent", "collector", "consumer"], help="kill no other")
    parser.add_argument("--writers", type=int, default=10, help="how many programs write logs (default 10)")
    parser.add_argument("--rate", type=int, default=400, help="lines per second and writer (default 400)")
    parser.add_argument("--keep", action="store_true", help="keep all files, also if nothing was found")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 31)
    return options


class Crash:
    """One run."""

    def __init__(self, options: argparse.Namespace, work: pathlib.Path):
        self.options, self.work = options, work
        self.database = work / "consumer.db"
        self.collector = Collector(work, "[topics]\npartitions = 3\n" + SMALL_WAL)
        self.syslog_port = free_port()
        self.journal = work / "journal"
        self.agent = Agent(work, self.collector.bootstrap, self.inputs())
        module = "tests.crash_test.consumer"
        command = [sys.executable, "-m", module, self.collector.bootstrap, str(self.database)]
        self.consumer = Process("consumer", command, work)
        self.processes = {one.name: one for one in (self.agent, self.collector, self.consumer)}
        self.victims = [options.only] if options.only else sorted(self.processes)
        self.writers = [self.writer(number) for number in range(options.writers)]
        self.journals = [
            journals.JournalProgram(options.writers, self.journal, options.seed, options.rate)
            for _ in range(journals.are_possible())
        ]
        self.writers += self.journals
        self.senders = [
            senders.Sender(number, self.syslog_port, options.seed, options.rate) for number in range(SENDERS)
        ]
        self.kills: collections.Counter[str] = collections.Counter()
        self.reloads = 0
        self.readers_killed = 0
        self.lost_messages = 0

    def inputs(self) -> str:
        """Of half of the writers rotated names are selected as well, of the others only the name that they write to."""
        inputs = '[read]\nscan_interval = "2s"\n[spool]\nfile_bytes = "4MiB"\nmax_bytes = "64MiB"\n'
        for directory, pattern in (("kept", "*"), ("away", "*.log")):
            for kind in dict.fromkeys(KINDS):
                path = self.directory(directory, kind)
                path.mkdir()
                inputs += f'[[files]]\ntopic = "{TOPIC}"\ninclude = ["{path}/{pattern}"]\n{kind.CONFIG}'
        if journals.are_possible():
            self.journal.mkdir()
            inputs += f'[[journald]]\ntopic = "{TOPIC}"\ndirectory = "{self.journal}"\n'
        return f'{inputs}[[syslog]]\ntopic = "{senders.TOPIC}"\ntcp = "127.0.0.1:{self.syslog_port}"\n'

    def directory(self, name: str, kind: type[Writer]) -> pathlib.Path:
        return self.work / f"{name}-by-{kind.__name__}"

    def writer(self, number: int) -> Writer:
        seed, rate, kind = self.options.seed, self.options.rate, KINDS[number % len(KINDS)]
        kept, away = self.directory("kept", kind), self.directory("away", kind)
        if number % 2 == 0:
            return kind(number, kept, seed, rate, (1, 5), lambda file: f".{file}", lambda *_: True)
        # Often several times while the agent is down or looks away: it finds what came after a file that it has known.
        lives_s = (0.01, 1)
        suffix = (
            (lambda file: f".{1000 + file}") if number % 4 == 1 else (lambda file: f"-20261124-{1795480800 + file}")
        )
        return kind(number, away, seed, rate, lives_s, suffix, self.has_begun)

    def has_begun(self, writer: int, file: int) -> bool:
        """Whether something was read of the writer's first file, or this is another."""
        return file > 0 or self.arrived(writer, file)

    def run(self) -> list[str]:
        for program in (*self.writers, *self.senders):
            program.start()
        self.kill_by_schedule()
        for program in (*self.writers, *self.senders):
            program.stop()
        self.wait_for_quiet()
        # Whatever the agent still holds in doubt would now come a second time.
        self.strike(Kill(0, tuple(self.victims), 0))
        self.wait_for_quiet()
        findings = self.stop_in_order()
        with self.collector:
            self.collector.wait_ready()
            if not re.search(r"\bframes=0\b", self.collector.log()):
                findings.append("after a stop in good order the collector had something to recover")
            findings += verify.check(verify.read_log(self.collector.bootstrap), self.writers)
            found, self.lost_messages = senders.check(self.collector.bootstrap, self.senders)
            findings += found
        with sqlite3.connect(self.database) as database:
            kept = verify.check(verify.read_database(database), self.writers)
        findings += [f"in the consumer's results: {finding}" for finding in kept]
        return findings

    def kill_by_schedule(self) -> None:
        begun = time.monotonic()
        reloads = random.Random(f"{self.options.seed} reloads")
        with open(self.work / "kills.log", "w", buffering=1) as log:
            for count, kill in enumerate(schedule(self.options.seed, self.victims)):
                minutes = (time.monotonic() - begun) / 60
                if minutes > self.options.minutes if self.options.minutes else count >= self.options.kills:
                    return
                log.write(f"{count + 1}: {kill}\n")
                self.watch(kill.after_s)
                if reloads.random() < 0.3:
                    self.reloads += self.agent.reload()
                    self.watch(reloads.choice([0, 0.01, 0.3]))
                if reloads.random() < 0.1:
                    self.readers_killed += self.agent.kill_children()
                log.write(f"    {time.strftime('%H:%M:%S', time.gmtime())} UTC\n")
                self.strike(kill)
                if (count + 1) % 20 == 0:
                    print(f"  {count + 1} kills, {self.written()} lines written, {self.consumed()} read", flush=True)

    def watch(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for process in self.processes.values():
                process.check_alive()
            time.sleep(min(left, 0.2))

    def strike(self, kill: Kill) -> None:
        # The consumer knows no stop in good order.
        asked = [self.processes[name] for name in kill.victims if name != "consumer" and kill.asked_s is not None]
        for process in asked:
            process.ask_to_stop()
        time.sleep(kill.asked_s or 0)
        for name in kill.victims:
            self.processes[name].kill(asked=self.processes[name] in asked)
            self.kills[name] += 1
        time.sleep(kill.down_s)
        for name in kill.victims:
            self.processes[name].start()

    def query(self, statement: str, *values: int) -> int:
        """A number out of the consumer's database; 0 as long as there is nothing."""
        try:
            with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=60) as database:
                row = database.execute(statement, values).fetchone()
                return int(row[0]) if row else 0
        except sqlite3.OperationalError:
            return 0

    def arrived(self, writer: int, file: int) -> bool:
        return bool(self.query("SELECT 1 FROM file WHERE writer = ? AND file = ?", writer, file))

    def consumed(self) -> int:
        return self.query("SELECT count(*) FROM line")

    def written(self, writers: Sequence[Writer] | None = None) -> int:
        return sum(sum(writer.lines_per_file) for writer in (self.writers if writers is None else writers))

    def sent(self) -> int:
        return sum(sum(sender.lines_per_connection) for sender in self.senders)

    def wait_for_quiet(self) -> None:
        """Until all was read and nothing more happens, or too little for too long."""
        before, since, done = (-1, 0.0), time.monotonic(), False
        while time.monotonic() - since < (QUIET_S if done else PATIENCE_S):
            self.watch(0.5)
            read, waiting = now = self.consumed(), self.agent.metric("tailrace_agent_batches_waiting")
            done = read >= self.written() and waiting == 0
            if now != before:
                before, since = now, time.monotonic()

    def stop_in_order(self) -> list[str]:
        self.consumer.kill()
        statuses = {server.name: server.stop() for server in (self.agent, self.collector)}
        return [f"{name} stopped with status {status}" for name, status in statuses.items() if status != 0]

    def unseen(self) -> int:
        return self.agent.log_path.read_text(errors="replace").count("rotated before it was seen")

    def report(self) -> str:
        files = sum(len(writer.lines_per_file) for writer in self.writers)
        directories = {writer.path.parent for writer in self.writers}
        size = sum(path.stat().st_size for directory in directories for path in directory.iterdir())
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        store = self.collector.data_dir / "store"
        checkpoints = [path.name for path in store.rglob("checkpoints/*")]
        segments = sum(1 for path in store.rglob("segments/*") if path.is_file())
        return (
            f"{self.written()} lines, {size >> 20} MiB, in {files} files by {len(self.writers)} writers\n"
            f"{self.sent()} messages by {SENDERS} senders, of which {self.lost_messages} were lost on their way to an "
            "agent that was killed or stopped\n"
            f"killed: {kills}; the agent took on its configuration again {self.reloads} times\n"
            f"{self.written(self.journals)} of the lines were entries of a journal, whose reader was killed "
            f"{self.readers_killed} times by itself\n"
            f"the agent found {self.unseen()} files that were rotated before it saw them\n"
            f"the collector: {self.collector.starts} starts, newest checkpoint {max(checkpoints, default='none')}, "
            f"{segments} segments"
        )


def main() -> int:
    options = arguments()
    length = f"--minutes {options.minutes}" if options.minutes else f"--kills {options.kills}"
    only = f" --only {options.only}" if options.only else ""
    load = f"--writers {options.writers} --rate {options.rate}"
    print(f"tests/crash {length} --seed {options.seed} {load}{only}", flush=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="tailrace-crash-"))
    crash = Crash(options, work)
    try:
        with crash.agent, crash.collector, crash.consumer:
            findings = crash.run()
    except AssertionError as error:
        findings = [str(error)]
    print(crash.report())
    for finding in findings:
        print(f"FOUND: {finding}")
    if findings or options.keep:
        print(f"files: {work}, the kills and their times in kills.log")
    else:
        shutil.rmtree(work)
    print(f"crash: {0 if findings else 1} passed, {1 if findings else 0} failed")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
