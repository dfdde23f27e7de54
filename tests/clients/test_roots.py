"""Links that lead out of the directories of `read.roots`: whoever may make one must not have any file sent."""

import ctypes
import os
import pathlib
import shutil
import subprocess

from tests.clients.librdkafka import consume
from tests.lib.processes import Agent, Collector, wait_until
from tests.lib.reading import read_topic

LANDLOCK_CREATE_RULESET = 444
ASKS_FOR_VERSION = 1


def kernel_has_landlock() -> bool:
    """The version that the kernel has, if it has any."""
    return ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, ASKS_FOR_VERSION) >= 1


def confined(collector: Collector, work: pathlib.Path) -> tuple[Agent, pathlib.Path, pathlib.Path]:
    logs, secret = work / "logs", work / "secret"
    for directory in (logs, secret, work / "etc"):
        directory.mkdir()
    inputs = (
        f'[read]\nroots = ["{logs}"]\nscan_interval = "100ms"\n'
        f'[[files]]\ntopic = "app"\ninclude = ["{logs}/**/*.log"]\n'
    )
    return Agent(work / "etc", collector.bootstrap, inputs), logs, secret


def test_a_link_to_a_file_elsewhere_is_not_followed_and_that_is_said(
    collector: Collector, tmp_path: pathlib.Path
) -> None:
    agent, logs, secret = confined(collector, tmp_path)
    (secret / "shadow.log").write_text("root:secret\n")
    (logs / "app.log").write_text("one\n")
    (logs / "of-file.log").symlink_to(secret / "shadow.log")
    (logs / "of-dir").symlink_to(secret)
    (logs / "within.log").symlink_to("app.log")
    with agent.start():
        assert consume({"bootstrap.servers": collector.bootstrap}, 1, "app") == [b"one"]
        wait_until(lambda: "is in none of read.roots" in agent.log(), "it is said")
        # What a file was may be a link at the next look.
        for number in range(50):
            log = logs / f"new-{number % 5}.log"
            log.unlink(missing_ok=True)
            if number % 2:
                log.write_text(f"line {number}\n")
            else:
                log.symlink_to(secret / "shadow.log")
            (logs / "mark.log").write_text(f"{number}\n")
        # Rotated to where a link was.
        os.rename(logs / "app.log", logs / "app.log.1")
        (logs / "app.log").write_text("two\n")
        wait_until(lambda: b"two" in [value for _, _, value in read_topic(collector.bootstrap, "app")], "the next file")
        assert agent.stop() == 0
    values = [value for _, _, value in read_topic(collector.bootstrap, "app")]
    assert not [value for value in values if b"secret" in value]
    command = [*agent.command, "explain", str(logs / "of-file.log")]
    explained = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60)
    assert b"in none of read.roots" in explained.stdout


def test_the_kernel_keeps_it_within_where_it_can(collector: Collector, tmp_path: pathlib.Path) -> None:
    agent, logs, secret = confined(collector, tmp_path)
    config = tmp_path / "etc" / "agent.toml"
    with agent.start().wait_ready():
        (logs / "app.log").write_text("one\n")
        assert consume({"bootstrap.servers": collector.bootstrap}, 1, "app") == [b"one"]
        assert ("by the kernel (Landlock)" in agent.log()) == kernel_has_landlock()
        shutil.move(config, secret / "agent.toml")
        config.symlink_to(secret / "agent.toml")
        assert agent.reload()
        said = "Permission denied" if kernel_has_landlock() else "took on the configuration"
        wait_until(lambda: said in agent.log(), "what becomes of a configuration elsewhere")
        (logs / "app.log").write_text("one\ntwo\n")
        assert consume({"bootstrap.servers": collector.bootstrap}, 2, "app") == [b"one", b"two"]
