"""Files that are larger than memory, a line that is too, and more files than most machines have."""

import pathlib
from collections import Counter
from collections.abc import Callable

from tests.lib.processes import Agent, Collector, wait_until
from tests.lib.reading import read_topic

Start = Callable[[str], Agent]
MEMORY_MAX = 128 << 20
ACKNOWLEDGED = "tailrace_agent_records_acknowledged_total"


def peak_bytes(agent: Agent) -> int:
    """The most memory that it has held."""
    assert agent.child is not None
    status = pathlib.Path(f"/proc/{agent.child.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def test_a_file_of_a_tebibyte_and_a_line_of_a_gibibyte_take_little_memory(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    large, long = logs / "large.log", logs / "long.log"
    with large.open("wb") as file:
        file.truncate(1 << 40)
    agent = start_agent(f'[[files]]\ntopic = "logs"\ninclude = ["{logs}/*.log"]\nstart_at = "end"\n')
    wait_until(lambda: agent.metric("tailrace_agent_files_followed") == 1, "it is followed")
    with large.open("ab") as file:
        file.write(b"\n" + b"".join(b"line %d\n" % number for number in range(1000)))
    with long.open("wb") as file:
        for number in range(1024):
            file.write(bytes([ord("a") + number % 26]) * (1 << 20))
        file.write(b"\nend\n")
    pieces, rest = divmod(1 << 30, 1_000_000)
    wait_until(lambda: agent.metric(ACKNOWLEDGED) >= 1000 + pieces + 2, "all is sent", 180)
    assert peak_bytes(agent) < MEMORY_MAX
    lengths: Counter[int] = Counter()
    lines = []
    for _, _, value in read_topic(collector.bootstrap, "logs"):
        lengths[len(value)] += 1
        if value.startswith(b"line "):
            lines.append(value)
    assert lines == [b"line %d" % number for number in range(1000)]
    assert (lengths[1_000_000], lengths[rest], lengths[len(b"end")]) == (pieces, 1, 1)


def test_ten_thousand_files_of_which_a_thousand_are_rotated_at_once(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path
) -> None:
    files = [tmp_path / f"app-{number // 1000}" / f"{number}.log" for number in range(10_000)]
    for directory in {file.parent for file in files}:
        directory.mkdir()
    for file in files:
        file.write_bytes(b"one of %s\n" % file.name.encode())
    # A tenth of them open at a time.
    agent = start_agent(f'[read]\nopen_files = 1000\n[[files]]\ntopic = "logs"\ninclude = ["{tmp_path}/app-*/*.log"]\n')
    wait_until(lambda: agent.metric(ACKNOWLEDGED) >= len(files), "all are read", 120)
    for file in files[:1000]:
        rotated = file.with_suffix(".log.1")
        file.rename(rotated)
        file.write_bytes(b"three of %s\n" % file.name.encode())
        with rotated.open("ab") as late:
            late.write(b"two of %s\n" % file.name.encode())
    for file in files[1000:1100]:
        with file.open("ab") as active:
            active.write(b"two of %s\n" % file.name.encode())
    wait_until(lambda: agent.metric(ACKNOWLEDGED) >= len(files) + 2100, "what is new is read", 120)
    assert peak_bytes(agent) < MEMORY_MAX
    order: dict[bytes, list[bytes]] = {}
    for _, _, value in read_topic(collector.bootstrap, "logs"):
        word, _, name = value.partition(b" of ")
        order.setdefault(name, []).append(word)
    expected = [[b"one", b"two", b"three"]] * 1000 + [[b"one", b"two"]] * 100 + [[b"one"]] * 8900
    assert [order[file.name.encode()] for file in files] == expected
