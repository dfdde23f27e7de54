"""Journals of systemd: each entry becomes a record once and in order, whatever is killed."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.lib.journal import JournalWriter
from tests.lib.processes import Agent, Collector, wait_until
from tests.lib.reading import read_messages, read_topic

pytestmark = pytest.mark.needs("journalctl", "systemd-journal-remote")

Start = Callable[[str], Agent]


def values(collector: Collector, topic: str = "system") -> list[bytes]:
    return [value for _, _, value in read_topic(collector.bootstrap, topic)]


def wait_for_entries(collector: Collector, agent: Agent, count: int) -> None:
    wait_until(lambda: agent.metric("tailrace_agent_records_acknowledged_total") >= count, f"{count} entries", 120)


def test_entries_become_records_with_their_fields_and_time(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path
) -> None:
    directory = tmp_path / "journal"
    with JournalWriter(directory) as journal:
        journal.write(
            b"first", PRIORITY="3", SYSLOG_IDENTIFIER="app", _PID="7", MESSAGE_ID="m", _CMDLINE="app --password x"
        )
        journal.write(b"two\nlines \xff", PRIORITY="6")
        journal.write(b"not this one", _SYSTEMD_UNIT="other.service")
        journal.write("ä".encode() * 100)
        before = time.time()
        journal.wait_written()
        agent = start_agent(
            f'[[journald]]\ntopic = "raw"\ndirectory = "{directory}"\nunits = ["app.service"]\n'
            'fields = ["MESSAGE_ID"]\nlabels = { site = "b" }\nmax_message_bytes = "65B"\n'
            'transform = { remove = ["unit"] }\n'
            f'[[journald]]\nname = "again"\ntopic = "json"\ndirectory = "{directory}"\nformat = "json"\n'
            'priority = "err"\n'
        )
        wait_for_entries(collector, agent, 6)
        agent.wait_ready()
    raw = list(read_messages(collector.bootstrap, "raw"))
    headers = [dict(record.headers() or []) for record in raw]
    host = headers[0]["host"]
    assert headers[0] == {
        "host": host,
        "site": b"b",
        "identifier": b"app",
        "pid": b"7",
        "severity": b"err",
        "MESSAGE_ID": b"m",
    }
    assert headers[1] == {"host": host, "site": b"b", "severity": b"info"}
    assert [record.value() for record in raw[:2]] == [b"first", b"two\nlines \xff"]
    pieces = [record.value() or b"" for record in raw[2:]]
    assert (b"".join(pieces), [len(piece) for piece in pieces]) == ("ä".encode() * 100, [64, 64, 64, 8])
    assert abs(raw[0].timestamp()[1] / 1000 - before) < 60
    (record,) = [json.loads(value) for value in values(collector, "json")]
    assert record == {
        "message": "first",
        "host": host.decode(),
        "unit": "app.service",
        "identifier": "app",
        "pid": "7",
        "severity": "err",
    }


def test_no_entry_is_lost_or_doubled_when_agent_journalctl_or_collector_are_killed(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path
) -> None:
    directory = tmp_path / "journal"
    agent = start_agent(f'[[journald]]\ntopic = "system"\ndirectory = "{directory}"\n')
    stop = threading.Event()

    def write() -> None:
        source = random.Random(4)
        number = 0
        with JournalWriter(directory) as journal:
            while not stop.is_set():
                count = source.randint(1, 200)
                journal.write(*(b"entry %d" % n for n in range(number, number + count)))
                number += count
                time.sleep(source.expovariate(20))
        written.append(number)

    written: list[int] = []
    writer = threading.Thread(target=write)
    writer.start()
    source = random.Random(5)
    restarts = 0
    victims = [0, 1, 2, 3] * 6
    source.shuffle(victims)
    for victim in victims:
        time.sleep(source.uniform(0.05, 0.6))
        match victim:
            case 0 | 1:
                agent.kill()
                agent.start()
            case 2:
                restarts += agent.kill_children()
            case 3:
                collector.kill()
                collector.start()
    stop.set()
    writer.join()
    assert restarts > 0
    (count,) = written
    collector.wait_ready()
    wait_until(lambda: len(values(collector)) >= count, f"{count} entries", 120)
    assert values(collector) == [b"entry %d" % number for number in range(count)]
    assert agent.stop() == 0


def test_what_is_there_before_is_left_out_if_that_is_wanted_and_nothing_after(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path
) -> None:
    directory = tmp_path / "journal"
    with JournalWriter(directory) as journal:
        journal.write(b"old", b"older")
        journal.wait_written()
        agent = start_agent(
            f'[[journald]]\ntopic = "system"\ndirectory = "{directory}"\nstart_at = "end"\n'
            'transform = { drop = [{ matches = "noise" }] }\n'
        )
        wait_until(lambda: agent.metric("tailrace_agent_stretches_total") >= 1, "the end is spooled")
        agent.kill()
        journal.write(b"new", b"noise", b"newer")
        journal.wait_written()
        agent.start()
        wait_for_entries(collector, agent, 2)
        # What was dropped is passed by, too: a filter that drops all does not begin anew each time.
        journal.write(*[b"noise"] * 100)
        dropped = "tailrace_agent_events_dropped_total"
        wait_until(
            lambda: agent.metric(dropped) == 101 and agent.metric("tailrace_agent_stretches_total") >= 2, "dropped"
        )
        assert agent.stop() == 0
        agent.start().wait_ready()
        journal.write(b"last")
        wait_for_entries(collector, agent, 1)
        assert agent.metric(dropped) == 0
    assert values(collector) == [b"new", b"newer", b"last"]


def test_a_reload_changes_what_entries_become_and_reads_none_of_them_again(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path
) -> None:
    directory = tmp_path / "journal"
    with JournalWriter(directory) as journal:
        journal.write(b"one")
        journal.wait_written()
        agent = start_agent(f'[[journald]]\ntopic = "system"\ndirectory = "{directory}"\nlabels = {{ site = "a" }}\n')
        wait_for_entries(collector, agent, 1)
        agent.config_path.write_text(agent.config_path.read_text().replace('site = "a"', 'site = "b"'))
        assert agent.reload()
        wait_until(lambda: "took on" in agent.log(), "it has read its configuration again")
        journal.write(b"two")
        wait_for_entries(collector, agent, 2)
    sites = [dict(record.headers() or [])["site"] for record in read_messages(collector.bootstrap, "system")]
    assert sites == [b"a", b"b"]


@pytest.fixture
def namespace() -> Iterator[tuple[str, pathlib.Path]]:
    """A journal where the system has its own, under a name that nobody else uses."""
    machine = pathlib.Path("/etc/machine-id")
    if os.getuid() != 0 or not machine.exists():
        pytest.skip("impossible: only root, on a machine with an id, can add a journal to the system's")
    name = f"tailrace-{os.getpid()}"
    directory = pathlib.Path(f"/var/log/journal/{machine.read_text().strip()}.{name}")
    yield name, directory
    shutil.rmtree(directory)


def test_what_was_written_before_the_last_start_of_the_machine_is_read_too(
    collector: Collector, start_agent: Start, namespace: tuple[str, pathlib.Path]
) -> None:
    name, directory = namespace
    this_boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "").strip().encode()
    with JournalWriter(directory, "system") as journal:
        journal.write(b"before")
        journal.boot_id = this_boot
        journal.write(b"after")
        journal.wait_written()
        agent = start_agent(f'[[journald]]\ntopic = "system"\nnamespace = "{name}"\n')
        wait_for_entries(collector, agent, 2)
        journal.write(b"now")
        wait_for_entries(collector, agent, 3)
        agent.kill()
        agent.start().wait_ready()
        journal.write(b"later")
        wait_for_entries(collector, agent, 1)
    assert values(collector) == [b"before", b"after", b"now", b"later"]


def stopped_behind_two(collector: Collector, start_agent: Start, directory: pathlib.Path) -> tuple[Agent, pathlib.Path]:
    """An agent that has read `one` and `two` and was stopped, and the file of the journal with them."""
    with JournalWriter(directory, "a") as journal:
        journal.write(b"one", b"two")
        journal.wait_written()
    agent = start_agent(f'[[journald]]\ntopic = "system"\ndirectory = "{directory}"\n')
    wait_for_entries(collector, agent, 2)
    assert agent.stop() == 0
    return agent, journal.file


def test_entries_that_were_removed_before_they_were_read_are_told_of(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path
) -> None:
    directory = tmp_path / "journal"
    agent, file = stopped_behind_two(collector, start_agent, directory)
    file.unlink()
    with JournalWriter(directory, "b") as journal:
        journal.write(b"three")
        journal.wait_written()
        agent.start().wait_ready()
        wait_for_entries(collector, agent, 1)
    assert "not in the journal any more" in agent.log()
    assert values(collector) == [b"one", b"two", b"three"]


def test_entries_that_journald_has_moved_to_another_file_are_not_read_again(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path
) -> None:
    """As it does with what was written before /var was there."""
    directory = tmp_path / "journal"
    agent, file = stopped_behind_two(collector, start_agent, directory)
    export = subprocess.run(["journalctl", f"--file={file}", "--output=export"], capture_output=True, check=True)
    file.unlink()
    with JournalWriter(directory, "b") as moved:
        assert moved.child.stdin is not None
        moved.child.stdin.write(export.stdout)
        moved.written = 2
        moved.write(b"three")
        moved.wait_written()
        agent.start().wait_ready()
        wait_for_entries(collector, agent, 1)
    assert "not in the journal any more" not in agent.log()
    assert values(collector) == [b"one", b"two", b"three"]


def test_a_journal_that_cannot_be_read_is_complained_of_and_tried_again(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path
) -> None:
    directory = tmp_path / "journal"
    agent = start_agent(f'[[journald]]\ntopic = "system"\ndirectory = "{directory}"\n')
    wait_until(lambda: agent.metric("tailrace_agent_journald_restarts_total") >= 1, "it is started again")
    assert "starting it again in 1 s" in agent.log() and str(directory) in agent.log()
    with JournalWriter(directory) as journal:
        journal.write(b"there at last")
        wait_for_entries(collector, agent, 1)
    assert values(collector) == [b"there at last"]
