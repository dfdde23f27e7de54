"""The agent in front of a real Apache Kafka: each line once, in its file's order, whatever is killed."""

import pathlib
from collections import defaultdict

import pytest

from tests.clients.logs import arrived, wait_for_lines
from tests.lib.apache_kafka import ApacheKafka
from tests.lib.processes import Agent, wait_until
from tests.lib.reading import read_topic

pytestmark = pytest.mark.needs("java", "mvn")
FILES = 4
LINES = 5_000


def test_each_line_arrives_once_though_the_agent_is_killed(apache_kafka: ApacheKafka, tmp_path: pathlib.Path) -> None:
    topic = "from-the-agent"
    inputs = f'[[files]]\ntopic = "{topic}"\ninclude = ["{tmp_path}/app*.log"]\n'
    paths = [tmp_path / f"app{number}.log" for number in range(FILES)]
    lines = {path: [b"%s %d" % (path.name.encode(), number) for number in range(LINES)] for path in paths}
    quarter = LINES // 4
    agent = Agent(tmp_path, apache_kafka.bootstrap, inputs)
    with agent:
        for part in range(4):
            for path in paths:
                with path.open("ab") as log:
                    log.write(b"".join(line + b"\n" for line in lines[path][part * quarter : (part + 1) * quarter]))
            # Killed while some of it is on its way.
            wait_until(lambda: agent.metric("tailrace_agent_read_lines_total") > 0, "the agent reads")
            agent.kill()
            agent.start()
        every = [line for path in paths for line in lines[path]]
        wait_until(lambda: len(arrived(apache_kafka.bootstrap, topic)) >= len(every), "all lines", 180)
        wait_for_lines(apache_kafka.bootstrap, every, topic)
        assert agent.stop() == 0
    by_file: dict[bytes, list[bytes]] = defaultdict(list)
    for _, _, value in read_topic(apache_kafka.bootstrap, topic):
        by_file[value.split()[0]].append(value)
    assert list(by_file.values()) and all(by_file[path.name.encode()] == lines[path] for path in paths)
