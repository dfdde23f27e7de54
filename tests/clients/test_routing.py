"""Where records go: topics by fields, keys where Kafka's own clients put them, batches in turn."""

import collections
import json
import pathlib
from collections.abc import Callable

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.clients.librdkafka import consume
from tests.lib.processes import Agent, Collector, wait_until
from tests.lib.reading import read_messages

Start = Callable[[str], Agent]
USERS = [f"user-{number}" for number in range(60)]


def create(collector: Collector, topic: str, partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": collector.bootstrap})
    for made in admin.create_topics([NewTopic(topic, partitions)]).values():
        made.result(60)


def partitions_of_keys(collector: Collector, topic: str) -> dict[bytes | None, set[int | None]]:
    found = collections.defaultdict(set)
    for message in read_messages(collector.bootstrap, topic):
        found[message.key()].add(message.partition())
    return dict(found)


def test_keys_go_where_kafkas_clients_put_them_also_if_no_broker_was_there_first(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path
) -> None:
    create(collector, "visits", 6)
    create(collector, "theirs", 6)
    theirs = Producer({"bootstrap.servers": collector.bootstrap, "partitioner": "murmur2_random"})
    for user in USERS:
        theirs.produce("theirs", b"", user)
    assert theirs.flush(60) == 0
    collector.stop()

    log = tmp_path / "visits.log"
    lines = [json.dumps({"user": user, "page": page}) for page in range(20) for user in USERS]
    log.write_text("".join(f"{line}\n" for line in lines))
    agent = Agent(
        tmp_path,
        collector.bootstrap,
        f"""
        [[files]]
        topic = {{ name = "visits", key = "{{user}}" }}
        include = ["{log}"]
        transform = {{ parse = "json" }}
        """,
    )
    with agent.start():
        spooled = "tailrace_agent_read_lines_total"
        wait_until(lambda: agent.metric(spooled) == len(lines), "all lines are read")
        # Some of them are in the spool, and nobody knows how many partitions there are.
        agent.kill()
        collector.start().wait_ready()
        agent.start().wait_ready()
        with log.open("a") as file:
            file.write('{"user": null}\n{"page": 1}\n{"user": ""}\n')
        assert len(consume({"bootstrap.servers": collector.bootstrap}, len(lines) + 3, "visits")) == len(lines) + 3
    ours = partitions_of_keys(collector, "visits")
    assert set(ours) == {*map(str.encode, USERS), None}
    for user, partitions in partitions_of_keys(collector, "theirs").items():
        assert ours[user] == partitions, user
    order = collections.defaultdict(list)
    for message in read_messages(collector.bootstrap, "visits"):
        order[message.key()].append(json.loads(message.value() or b"").get("page"))
    assert all(order[user.encode()] == list(range(20)) for user in USERS)


def test_the_topic_follows_from_path_labels_and_event(
    collector: Collector, start_agent: Start, tmp_path: pathlib.Path
) -> None:
    pods = tmp_path / "pods"
    for namespace in ("shop", "bank"):
        directory = pods / f"{namespace}_web-1_0123" / "nginx"
        directory.mkdir(parents=True)
        (directory / "0.log").write_text(f"2026-11-27T12:00:01Z stdout F of {namespace}\n")
    app = tmp_path / "app.log"
    app.write_text('{"tenant":"A B"}\n{"tenant":"c"}\n{"tenant":"one too many"}\n{}\nno json\n')
    agent = start_agent(
        f"""
        [[files]]
        topic = {{ name = "logs-{{namespace}}", otherwise = "logs" }}
        include = ["{pods}/*/*/*.log"]
        container = true
        [[files]]
        topic = {{ name = "{{team}}.{{tenant}}", otherwise = "app", max_topics = 2 }}
        labels = {{ team = "x" }}
        include = ["{app}"]
        transform = {{ parse = "json" }}
        """
    )
    settings = {"bootstrap.servers": collector.bootstrap}
    for topic, expected in [
        ("logs-shop", [b"of shop"]),
        ("logs-bank", [b"of bank"]),
        ("x.A_B", [b'{"tenant":"A B"}']),
        ("x.c", [b'{"tenant":"c"}']),
        ("app", [b'{"tenant":"one too many"}', b"{}", b"no json"]),
    ]:
        assert consume(settings, len(expected), topic) == expected
    assert agent.metric("tailrace_agent_topic_otherwise_total") == 3


def test_batches_in_turn_use_all_partitions(collector: Collector, start_agent: Start, tmp_path: pathlib.Path) -> None:
    create(collector, "spread", 4)
    log = tmp_path / "one.log"
    log.touch()
    start_agent(
        f"""
        [[files]]
        topic = {{ name = "spread", partition = "round_robin" }}
        include = ["{log}"]
        """
    )
    for line in range(12):
        with log.open("a") as file:
            file.write(f"{line}\n")
        consume({"bootstrap.servers": collector.bootstrap}, line + 1, "spread")
    found = [message.partition() for message in read_messages(collector.bootstrap, "spread")]
    assert sorted(collections.Counter(found)) == [0, 1, 2, 3]
    assert len(found) == 12
