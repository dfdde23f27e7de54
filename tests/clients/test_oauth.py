"""Logins with tokens of an identity provider, by clients that nobody here wrote."""

import pathlib
import socket
import struct
import subprocess
import time
from collections.abc import Iterator

import jwt
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from kafka import KafkaConsumer, KafkaProducer
from kafka.sasl.oauth import AbstractTokenProvider

from tests.clients.librdkafka import consume, produce
from tests.clients.provider import Provider, trusting
from tests.lib.apache_kafka import libraries
from tests.lib.processes import BIN, SMALL_WAL, Collector, wait_until

LINES = [b"line %d" % number for number in range(200)]


class Site:
    """A provider, and a collector that takes its tokens."""

    def __init__(self, work: pathlib.Path):
        self.provider = Provider()
        self.jwks = work / "jwks.json"
        self.jwks.write_text(self.provider.jwks())
        security = f"""
            sasl = ["OAUTHBEARER"]
            {trusting(self.jwks)}
            [acls]
            enabled = true
            super_users = ["User:ann"]
        """
        self.collector = Collector(work, security + SMALL_WAL)

    def librdkafka(self, token: str | None = None, seconds: float = 300) -> dict[str, object]:
        return {
            "bootstrap.servers": self.collector.bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "OAUTHBEARER",
            "oauth_cb": lambda _: (token or self.provider.token(seconds=seconds), time.time() + seconds),
            "log_level": 0,
        }

    def topics(self, settings: dict[str, object]) -> list[str]:
        admin = AdminClient(settings)
        admin.poll(1)
        return list(admin.list_topics(timeout=3).topics)


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with made.collector.start().wait_ready():
        yield made


def test_librdkafka_logs_in_with_a_token(site: Site) -> None:
    produce(site.librdkafka(), LINES)
    assert consume(site.librdkafka(), len(LINES)) == LINES


def test_kafka_python_logs_in_with_a_token(site: Site) -> None:
    class Tokens(AbstractTokenProvider):
        def token(self) -> str:
            return site.provider.token()

    settings = {
        "bootstrap_servers": site.collector.bootstrap,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "OAUTHBEARER",
        "sasl_oauth_token_provider": Tokens(),
    }
    producer = KafkaProducer(**settings, acks="all")
    for line in LINES:
        producer.send("logs", line, partition=0)
    producer.flush(60)
    producer.close()
    consumer = KafkaConsumer(
        "logs", **settings, group_id="readers", auto_offset_reset="earliest", consumer_timeout_ms=120_000
    )
    taken = [message.value for _, message in zip(LINES, consumer, strict=False)]
    consumer.close()
    assert taken == LINES


@pytest.mark.needs("java", "mvn")
def test_the_java_client_logs_in_with_a_token(site: Site, tmp_path: pathlib.Path) -> None:
    produce(site.librdkafka(), LINES)
    token = tmp_path / "token.jwt"
    token.write_text(site.provider.token())
    package = "org.apache.kafka.common.security.oauthbearer"
    settings = tmp_path / "client.properties"
    settings.write_text(
        f"""
        security.protocol=SASL_PLAINTEXT
        sasl.mechanism=OAUTHBEARER
        sasl.oauthbearer.token.endpoint.url=file://{token}
        sasl.login.callback.handler.class={package}.OAuthBearerLoginCallbackHandler
        sasl.jaas.config={package}.OAuthBearerLoginModule required;
        """
    )
    allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{token}"
    command = ["java", allowed, "-cp", f"{libraries()}/*", "org.apache.kafka.tools.TopicCommand", "--list"]
    command += ["--bootstrap-server", site.collector.bootstrap, "--command-config", str(settings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "logs" in done.stdout.splitlines(), done.stdout + done.stderr


def test_tailrace_shows_a_token_in_place_of_a_password(site: Site) -> None:
    produce(site.librdkafka(), LINES)
    command = [str(BIN / "tailrace"), "topics", "list", "-o", "json", "--bootstrap", site.collector.bootstrap]
    command += ["--sasl-mechanism", "OAUTHBEARER"]
    for token, status in [(site.provider.token(), 0), (Provider().token(), 1)]:
        environment = {"TAILRACE_USER": "ann", "TAILRACE_PASSWORD": token}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stderr
        assert token not in done.stdout + done.stderr
    assert "wrong user, password or token" in done.stderr


def test_a_token_that_does_not_hold_lets_nobody_in_and_the_log_says_why(site: Site) -> None:
    for token, reason in [
        (site.provider.token(seconds=-60), "ExpiredSignature"),
        (site.provider.token(iss="https://evil.example.net"), "InvalidIssuer"),
        (site.provider.token(aud="mail"), "InvalidAudience"),
        (Provider().token(), "InvalidSignature"),
        (Provider("two").token(), "has the provider new keys?"),
        (jwt.encode({"sub": "ann", "exp": time.time() + 60}, None, "none"), "alg"),
    ]:
        with pytest.raises(KafkaException):
            site.topics(site.librdkafka(token))
        wait_until(lambda reason=reason: reason in site.collector.log(), reason)
        assert token not in site.collector.log()
        assert token.rsplit(".", 1)[0] not in site.collector.log()


def test_new_keys_are_taken_without_a_restart(site: Site) -> None:
    produce(site.librdkafka(), LINES)
    site.provider = Provider("two")
    with pytest.raises(KafkaException):
        site.topics(site.librdkafka())
    site.jwks.write_text(site.provider.jwks())
    assert "logs" in site.topics(site.librdkafka())


def test_another_user_has_the_rights_of_another(site: Site) -> None:
    produce(site.librdkafka(), LINES)
    assert "logs" not in site.topics(site.librdkafka(site.provider.token("bob")))


def test_a_login_holds_as_long_as_its_token(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.collector.port), timeout=30) as connection:
        stream = connection.makefile("rb")

        def ask(api: int, version: int, body: bytes) -> bytes:
            request = struct.pack(">hhih", api, version, 1, -1) + body
            connection.sendall(struct.pack(">i", len(request)) + request)
            return stream.read(struct.unpack(">i", stream.read(4))[0])

        ask(17, 1, struct.pack(">h", 11) + b"OAUTHBEARER")
        message = b"n,,\1auth=Bearer " + site.provider.token(seconds=100).encode() + b"\1\1"
        answer = ask(36, 1, struct.pack(">i", len(message)) + message)
    lifetime_ms = struct.unpack(">q", answer[-8:])[0]
    # Clocks may differ by half a minute.
    assert 60_000 < lifetime_ms < 131_000
