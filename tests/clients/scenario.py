"""What every client goes through, each in its own language, and what is looked at.

A suite is a program that is given the bootstrap address, and where a login is asked for, the file of a certificate
authority, a user and a password for SCRAM-SHA-512 over TLS, and a token. It goes through these steps in order and
prints a line for each, `ok STEP` or `fail STEP: why`; a step that its client cannot do is not in its list.

* `create`: create the topic `suite` with two partitions and `retention.ms=3600000`; metadata shows both.
* `produce-CODEC`: 200 records `CODEC-0` … `CODEC-199` to partition 0, with none, gzip, snappy, lz4, zstd.
* `produce-idempotent`: the same as an idempotent producer.
* `consume`: all of them are read back in order.
* `group`: three members share the two partitions of `suite`, so one is left without; together they read 300 records
  that were produced to both partitions, each once.
* `resume`: one member reads 50 of 100 new records, commits and leaves; the next one reads exactly the other 50.
* `admin`: describe the topic's configuration, alter `retention.ms` and see it altered; list and describe groups; delete
  the group and the topic.
* `login-MECHANISM`, before `admin` and only where a login is asked for: ten more records, over TLS, by who logged in
  with PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER.
* `end`: not printed; it ends in time, with status 0, or with 1 if a step failed.
"""

import dataclasses
import pathlib
import subprocess

from confluent_kafka.admin import AdminClient
from cryptography.x509.oid import NameOID

from tests.clients.certificates import Authority
from tests.clients.provider import Provider, trusting
from tests.lib.processes import SMALL_WAL, Collector, wait_until

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# What the suites are run against, and what that needs. Apache Kafka is the yardstick: what fails with both is a fault
# of the suite.
BROKERS = {"tailrace": [], "apache-kafka": ["java", "mvn"], "tailrace-secured": []}
USER, PASSWORD = "suite", "correct horse"
LOGINS = [f"login-{mechanism}" for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")]
STEPS = [
    "create",
    *(f"produce-{codec}" for codec in CODECS),
    "produce-idempotent",
    "consume",
    "group",
    "resume",
    "admin",
    "end",
]


@dataclasses.dataclass(frozen=True)
class Broker:
    """Where a suite connects, and how it gets in."""

    bootstrap: str
    authority: pathlib.Path | None = None
    provider: Provider | None = None

    def arguments(self) -> list[str]:
        if self.authority is None or self.provider is None:
            return [self.bootstrap]
        return [self.bootstrap, str(self.authority), USER, PASSWORD, self.provider.token(USER, seconds=1_800)]

    def librdkafka(self) -> dict[str, str | int]:
        settings: dict[str, str | int] = {"bootstrap.servers": self.bootstrap, "log_level": 0}
        if self.authority is not None:
            settings |= {"security.protocol": "SASL_SSL", "ssl.ca.location": str(self.authority)}
            settings |= {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": USER, "sasl.password": PASSWORD}
        return settings


def steps_on(broker: str) -> list[str]:
    """The steps of a client that can do everything."""
    return [*STEPS[:-2], *LOGINS, *STEPS[-2:]] if broker == "tailrace-secured" else STEPS


def secured(work: pathlib.Path) -> tuple[Collector, Broker]:
    """A collector that lets nobody in but over TLS and with a login, by any mechanism."""
    authority = Authority(work)
    authority.issue("server", [(NameOID.COMMON_NAME, "collector")])
    provider = Provider()
    jwks = work / "jwks.json"
    jwks.write_text(provider.jwks())
    security = f"""
        sasl = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
        {trusting(jwks)}
        tls = {{ cert = "{work}/server.crt", key = "{work}/server.key" }}
        [[users]]
        name = "{USER}"
        password = "{PASSWORD}"
    """
    collector = Collector(work, security + SMALL_WAL)
    return collector, Broker(collector.bootstrap, authority.path, provider)


def begin(broker: Broker) -> None:
    """Takes away what a suite that failed may have left on a broker that others use too."""
    admin = AdminClient(broker.librdkafka())
    if "suite" in admin.list_topics(timeout=60).topics:
        admin.delete_topics(["suite"])["suite"].result(60)
    wait_until(lambda: "suite" not in admin.list_topics(timeout=60).topics, "the topic of the suite before is gone")


def run(command: list[str], seconds: float = 240) -> dict[str, str]:
    """What became of each step: `ok`, or why not; and of the program itself, as `end`."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds)
        output = done.stdout
        end = "ok" if done.returncode == 0 else f"status {done.returncode}: {done.stderr[-2000:].decode()}"
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
        end = f"not done after {seconds} s"
    results: dict[str, str] = {}
    for line in output.decode().splitlines():
        word, _, rest = line.partition(" ")
        step, _, reason = rest.partition(": ")
        if word in ("ok", "fail"):
            results[step] = reason or "ok"
    failed = any(result != "ok" for result in results.values())
    return results | {"end": "ok" if failed and end.startswith("status 1:") else end}
