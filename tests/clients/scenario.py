"""What every client goes through, each in its own language, and what is looked at.

A suite is a program that is given the bootstrap address. It goes through these steps in order and prints a line for
each, `ok STEP` or `fail STEP: why`; a step that its client cannot do is not in its list.

* `create`: create the topic `suite` with two partitions and `retention.ms=3600000`; metadata shows both.
* `produce-CODEC`: 200 records `CODEC-0` … `CODEC-199` to partition 0, with none, gzip, snappy, lz4, zstd.
* `produce-idempotent`: the same as an idempotent producer.
* `consume`: all of them are read back in order.
* `group`: three members share the two partitions of `suite`, so one is left without; together they read 300 records
  that were produced to both partitions, each once.
* `resume`: one member reads 50 of 100 new records, commits and leaves; the next one reads exactly the other 50.
* `admin`: describe the topic's configuration, alter `retention.ms` and see it altered; list and describe groups; delete
  the group and the topic.
"""

import subprocess

from confluent_kafka.admin import AdminClient

from tests.lib.processes import wait_until

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# What the suites are run against, and what that needs. Apache Kafka is the yardstick: what fails with both is a fault
# of the suite.
BROKERS = {"tailrace": [], "apache-kafka": ["java", "mvn"]}
STEPS = [
    "create",
    *(f"produce-{codec}" for codec in CODECS),
    "produce-idempotent",
    "consume",
    "group",
    "resume",
    "admin",
]


def begin(bootstrap: str) -> None:
    """Takes away what a suite that failed may have left on a broker that others use too."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    if "suite" in admin.list_topics(timeout=60).topics:
        admin.delete_topics(["suite"])["suite"].result(60)
    wait_until(lambda: "suite" not in admin.list_topics(timeout=60).topics, "the topic of the suite before is gone")


def run(command: list[str], seconds: float = 240) -> dict[str, str]:
    """What became of each step: `ok`, or why not."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    results: dict[str, str] = {}
    for line in done.stdout.splitlines():
        word, _, rest = line.partition(" ")
        step, _, reason = rest.partition(": ")
        if word in ("ok", "fail"):
            results[step] = reason or "ok"
    if done.returncode != 0 and all(result == "ok" for result in results.values()):
        results["end"] = f"status {done.returncode}: {done.stderr[-2000:]}"
    return results
