"""logrotate itself, in both of its ways, while an agent follows."""

import pathlib
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.clients.logs import wait_for_lines
from tests.lib.processes import Agent, Collector

pytestmark = pytest.mark.needs("logrotate")
ROTATIONS = 5


def logrotate(log: pathlib.Path, how: str) -> None:
    config = log.with_name("logrotate.conf")
    config.write_text(f"{log} {{\n    rotate 100\n    {how}\n}}\n")
    config.chmod(0o600)
    state = log.with_name("logrotate.state")
    subprocess.run(["logrotate", "--force", "--state", str(state), str(config)], check=True, timeout=60)


def batch(number: int) -> list[bytes]:
    return [b"%d %d %s" % (number, line, b"x" * (line % 200)) for line in range(2_000)]


def text(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def follow(log: pathlib.Path) -> str:
    return f'[[files]]\ntopic = "logs"\ninclude = ["{log}"]\n'


def test_rename_and_create(tmp_path: pathlib.Path, collector: Collector, start_agent: Callable[[str], Agent]) -> None:
    """The program writes on into the renamed file until it is told to open the new one: nothing may be lost."""
    log = tmp_path / "app.log"
    log.touch()
    start_agent(follow(log))
    lines: list[bytes] = []
    for number in range(ROTATIONS):
        with open(log, "ab", buffering=0) as program:
            before, after = batch(2 * number), batch(2 * number + 1)
            program.write(text(before))
            logrotate(log, "create")
            program.write(text(after))
            lines += before + after
        wait_for_lines(collector.bootstrap, lines)


def test_rename_while_the_agent_is_down(tmp_path: pathlib.Path, collector: Collector) -> None:
    """The file is found under its new name by what it is, although that name does not match."""
    log = tmp_path / "app.log"
    log.write_bytes(text(batch(0)))
    agent = Agent(tmp_path, collector.bootstrap, follow(log))
    with agent.start().wait_ready():
        wait_for_lines(collector.bootstrap, batch(0))
        agent.kill()
        with open(log, "ab") as program:
            program.write(text(batch(1)))
        logrotate(log, "create")
        log.write_bytes(text(batch(2)))
        agent.start().wait_ready()
        wait_for_lines(collector.bootstrap, batch(0) + batch(1) + batch(2))


def test_several_rotations_while_the_agent_is_down(tmp_path: pathlib.Path, collector: Collector) -> None:
    """No agent ever saw the files in between under the name that it follows; they are found beside it."""
    log = tmp_path / "app.log"
    lines = batch(0)
    log.write_bytes(text(lines))
    agent = Agent(tmp_path, collector.bootstrap, follow(log))
    with agent.start().wait_ready():
        wait_for_lines(collector.bootstrap, lines)
        for how, first in (("create", 1), ("create\n    dateext\n    dateformat -%Y%m%d-%s", ROTATIONS + 1)):
            agent.kill()
            for number in range(first, first + ROTATIONS):
                logrotate(log, how)
                log.write_bytes(text(batch(number)))
                lines += batch(number)
                time.sleep(1)  # or a name with a time would be taken
            logrotate(log, how)
            agent.start().wait_ready()
            wait_for_lines(collector.bootstrap, lines)


def test_copytruncate(tmp_path: pathlib.Path, collector: Collector, start_agent: Callable[[str], Agent]) -> None:
    """What can be lost: what is written between logrotate's copy and its truncation (it is in no file any more), and
    what no agent had read when the file was truncated (it is in the copy only). The program pauses here, and the agent
    has read everything: nothing may be lost, however long or short the file is afterwards.
    """
    log = tmp_path / "app.log"
    log.touch()
    start_agent(follow(log))
    lines: list[bytes] = []
    with open(log, "ab", buffering=0) as program:
        for number in range(ROTATIONS):
            # Now shorter than before, now longer: from the length alone nobody can tell.
            more = batch(number)[: 2_000 if number % 2 else 1_000]
            program.write(text(more))
            lines += more
            wait_for_lines(collector.bootstrap, lines)
            logrotate(log, "copytruncate")
