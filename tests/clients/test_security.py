"""TLS, logins and access control, with clients that nobody here wrote, and with the agent."""

import pathlib
import random
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka import KafkaError as ClientError
from confluent_kafka.admin import AdminClient
from cryptography.x509.oid import NameOID
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

from tests.clients.certificates import DAY, Authority
from tests.clients.kcat import kcat
from tests.clients.librdkafka import consume, produce
from tests.clients.logs import wait_for_lines
from tests.lib.processes import BIN, SMALL_WAL, Agent, Collector, wait_until

LINES = [b"line %d" % number for number in range(500)]
PASSWORD = "correct horse"
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
SERVER = [(NameOID.COMMON_NAME, "collector")]
AGENT = [(NameOID.ORGANIZATION_NAME, "Example"), (NameOID.COMMON_NAME, "agent")]


class Site:
    """A directory with an authority and what it signed, and a collector with logins over TLS."""

    def __init__(self, work: pathlib.Path, client_auth: str = "none", extra: str = ""):
        self.work = work
        self.authority = Authority(work)
        self.authority.issue("server", SERVER)
        self.authority.issue("agent", AGENT)
        sasl = [] if client_auth == "required" else MECHANISMS
        security = f"""
            sasl = {sasl}
            tls = {{ cert = "{work}/server.crt", key = "{work}/server.key",
                     client_ca = "{self.authority.path}", client_auth = "{client_auth}" }}
            [[users]]
            name = "admin"
            password = "{PASSWORD}"
            {extra}
        """
        self.collector = Collector(work, security + SMALL_WAL)

    def librdkafka(
        self, mechanism: str = "SCRAM-SHA-512", user: str = "admin", password: str = PASSWORD
    ) -> dict[str, str]:
        return {
            "bootstrap.servers": self.collector.bootstrap,
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.authority.path),
            "sasl.mechanism": mechanism,
            "sasl.username": user,
            "sasl.password": password,
            "log_level": "0",
        }

    def kafka_python(self, mechanism: str) -> dict[str, object]:
        return {
            "bootstrap_servers": self.collector.bootstrap,
            "security_protocol": "SASL_SSL",
            "ssl_context": ssl.create_default_context(cafile=self.authority.path),
            "sasl_mechanism": mechanism,
            "sasl_plain_username": "admin",
            "sasl_plain_password": PASSWORD,
        }

    def certificate(self, file: str = "agent") -> dict[str, str]:
        """What a client shows that has a certificate."""
        return {
            "security.protocol": "SSL",
            "ssl.ca.location": str(self.authority.path),
            "ssl.certificate.location": f"{self.work}/{file}.crt",
            "ssl.key.location": f"{self.work}/{file}.key",
        }

    def tailrace(
        self, *arguments: str, stdin: str = "", check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        command = [str(BIN / "tailrace"), *arguments, "--bootstrap", self.collector.bootstrap]
        command += ["--tls-ca", str(self.authority.path)]
        variables = {"TAILRACE_USER": "admin", "TAILRACE_PASSWORD": PASSWORD, **environment}
        return subprocess.run(
            command, input=stdin, env=variables, capture_output=True, text=True, check=check, timeout=120
        )


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with made.collector.start().wait_ready():
        yield made


def options(settings: dict[str, str]) -> list[str]:
    """The same for kcat."""
    pairs = [(key, value) for key, value in settings.items() if key not in ("bootstrap.servers", "log_level")]
    return [part for key, value in pairs for part in ("-X", f"{key}={value}")]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_librdkafka_logs_in_with_every_mechanism(site: Site, mechanism: str) -> None:
    produce(site.librdkafka(mechanism), LINES)
    assert consume(site.librdkafka(mechanism), len(LINES)) == LINES
    shown = kcat(site.collector.bootstrap, "-C", "-t", "logs", "-e", *options(site.librdkafka(mechanism)))
    assert shown.splitlines() == LINES


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_kafka_python_logs_in_with_every_mechanism(site: Site, mechanism: str) -> None:
    producer = KafkaProducer(**site.kafka_python(mechanism), acks="all")
    for line in LINES:
        producer.send("logs", line, partition=0)
    producer.flush(60)
    producer.close()
    consumer = KafkaConsumer(
        "logs",
        **site.kafka_python(mechanism),
        group_id="readers",
        auto_offset_reset="earliest",
        consumer_timeout_ms=120_000,
    )
    taken = [message.value for _, message in zip(LINES, consumer, strict=False)]
    consumer.close()
    assert taken == LINES


def ask(connection: ssl.SSLSocket, api: int, version: int, body: bytes) -> None:
    request = struct.pack(">hhih", api, version, 1, -1) + body
    connection.sendall(struct.pack(">i", len(request)) + request)


def receive(connection: ssl.SSLSocket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        piece = connection.recv(length - len(received))
        assert piece, f"the end after {len(received)} of {length} bytes"
        received += piece
    return received


def answer(connection: ssl.SSLSocket) -> bytes:
    return receive(connection, struct.unpack(">i", receive(connection, 4))[0])


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def test_the_end_of_an_answer_is_not_held_back_from_a_slow_reader(site: Site) -> None:
    """TLS keeps what the socket does not take at once, and nothing but a flush brings it out."""
    alone = {**site.librdkafka(), "batch.num.messages": "1"}
    produce(alone, [random.Random(7).randbytes(30_000)] * 200)
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(20)
    plain.connect(("127.0.0.1", site.collector.port))
    context = ssl.create_default_context(cafile=site.authority.path)
    with context.wrap_socket(plain, server_hostname="localhost") as connection:
        ask(connection, 17, 1, text("PLAIN"))
        answer(connection)
        login = f"\0admin\0{PASSWORD}".encode()
        ask(connection, 36, 0, struct.pack(">i", len(login)) + login)
        answer(connection)
        # One of these sizes is a little more than what the sockets take.
        for size in range(1 << 20, 6 << 20, 48 << 10):
            partition = struct.pack(">iiqi", 1, 0, 0, size)
            fetch = struct.pack(">iiiibi", -1, 1000, 1, 1 << 23, 0, 1) + text("logs") + partition
            ask(connection, 1, 4, fetch)
            # Long enough for the collector to have written all that they take.
            time.sleep(0.05)
            assert len(answer(connection)) > size // 2


def test_who_does_not_know_the_password_is_told_so_and_writes_nothing(site: Site) -> None:
    for user, password in [("admin", "wrong"), ("nobody", PASSWORD)]:
        producer = Producer({**site.librdkafka("PLAIN", user, password), "message.timeout.ms": 2_000})
        producer.produce("logs", b"intruder")
        producer.flush(60)
        settings = {**site.kafka_python("SCRAM-SHA-256"), "sasl_plain_username": user, "sasl_plain_password": password}
        with pytest.raises(KafkaError):
            KafkaProducer(**settings, max_block_ms=2_000).send("logs", b"intruder").get(10)
        refused = site.tailrace("topics", "list", check=False, TAILRACE_USER=user, TAILRACE_PASSWORD=password)
        assert refused.returncode == 1
        assert f"does not let {user} in" in refused.stderr
        assert "wrong user, password or token" in refused.stderr
    assert '"logs"' not in site.tailrace("topics", "list", "-o", "json").stdout
    log = site.collector.log()
    assert "wrong user or password" in log
    assert PASSWORD not in log
    assert site.collector.metric("tailrace_collector_logins_total") > 0


def test_nothing_is_answered_before_a_login(site: Site) -> None:
    settings = site.certificate()
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": site.collector.bootstrap, "log_level": 0, **settings}).list_topics(timeout=3)
    assert "before a login" in site.collector.log()


def test_who_is_not_on_tls_and_who_trusts_somebody_else_is_told_so(site: Site, tmp_path: pathlib.Path) -> None:
    plain = {**site.librdkafka(), "security.protocol": "SASL_PLAINTEXT"}
    other = tmp_path / "other"
    other.mkdir()
    stranger = {**site.librdkafka(), "ssl.ca.location": str(Authority(other, "other").path)}
    for settings in (plain, stranger):
        with pytest.raises(KafkaException):
            AdminClient(settings).list_topics(timeout=3)
    wait_until(lambda: "not on TLS" in site.collector.log(), "the log says so")
    site.authority = Authority(other, "other")
    refused = site.tailrace("topics", "list", check=False)
    assert "signed by nobody who is trusted here" in refused.stderr


def test_an_expired_certificate_is_noticed_and_a_new_one_taken_without_a_restart(site: Site) -> None:
    consumer = Consumer({**site.librdkafka(), "group.id": "steady", "auto.offset.reset": "earliest"})
    consumer.subscribe(["logs"])
    produce(site.librdkafka(), LINES[:100])
    site.authority.issue("server", SERVER, lifetime=-DAY)
    refused = site.tailrace("topics", "list", check=False)
    assert "has expired" in refused.stderr
    (site.work / "server.crt").write_text("nonsense")
    assert "has expired" in site.tailrace("topics", "list", check=False).stderr, "the one of before stays"
    assert "cannot be used" in site.collector.log()
    site.authority.issue("server", SERVER)
    produce(site.librdkafka(), LINES[100:])
    taken: list[bytes] = []

    def all_taken() -> bool:
        taken.extend(m.value() or b"" for m in consumer.consume(500, 0.2) if m.error() is None)
        return len(taken) >= len(LINES)

    wait_until(all_taken, "a consumer from before goes on", 120)
    consumer.close()
    assert taken == LINES


ACLS = '[acls]\nenabled = true\nsuper_users = ["User:admin"]\n'


def test_users_do_what_entries_allow_and_nothing_else(tmp_path: pathlib.Path) -> None:
    site = Site(tmp_path, extra=ACLS)
    with site.collector.start().wait_ready():
        site.tailrace("topics", "create", "logs")
        for user in ("writer", "reader"):
            site.tailrace("users", "set", user, stdin=f"secret of {user}\n")
        site.tailrace("acls", "allow", "writer", "write", "--topic", "lo*")
        site.tailrace("acls", "allow", "reader", "read", "--topic", "logs", "--group", "readers")
        writer, reader = (site.librdkafka("SCRAM-SHA-256", user, f"secret of {user}") for user in ("writer", "reader"))
        produce(writer, LINES)
        assert consume({**reader, "group.id": "readers"}, len(LINES)) == LINES
        with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED|authorization failed"):
            produce(reader, [b"forbidden"])
        with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED|authorization failed"):
            produce(writer, [b"forbidden"], topic="other")
        consumer = Consumer({**reader, "group.id": "others"})
        consumer.subscribe(["logs"])
        message = wait_until(lambda: consumer.poll(1), "an error")
        assert message.error().code() == ClientError.GROUP_AUTHORIZATION_FAILED
        consumer.close()
        for arguments in (["users", "list"], ["acls", "list"], ["users", "set", "admin"]):
            refused = site.tailrace(
                *arguments, stdin="x\n", check=False, TAILRACE_USER="reader", TAILRACE_PASSWORD="secret of reader"
            )
            assert "CLUSTER_AUTHORIZATION_FAILED" in refused.stderr, refused.stderr
        site.tailrace("acls", "deny", "*", "all", "--topic", "*")
        site.tailrace("users", "delete", "reader", "--yes")
        with pytest.raises(KafkaException):
            AdminClient(reader).list_topics(timeout=3)
        site.collector.kill()
        site.collector.start().wait_ready()
        with pytest.raises(KafkaException):
            produce(writer, [b"forbidden"])
        produce(site.librdkafka(), [b"the super user always gets in"])


def test_a_certificate_is_a_principal(tmp_path: pathlib.Path) -> None:
    entry = 'super_users = ["User:CN=agent,O=Example"]'
    site = Site(tmp_path, client_auth="required", extra=ACLS.replace('super_users = ["User:admin"]', entry))
    site.authority.issue("stranger", [(NameOID.COMMON_NAME, "stranger")])
    with site.collector.start().wait_ready():
        produce({"bootstrap.servers": site.collector.bootstrap, **site.certificate()}, LINES)
        shown = kcat(site.collector.bootstrap, "-C", "-t", "logs", "-e", *options(site.certificate()))
        assert shown.splitlines() == LINES
        with pytest.raises(KafkaException):
            produce({"bootstrap.servers": site.collector.bootstrap, **site.certificate("stranger")}, LINES)
        nameless = {"security.protocol": "SSL", "ssl.ca.location": str(site.authority.path)}
        with pytest.raises(KafkaException):
            AdminClient({"bootstrap.servers": site.collector.bootstrap, **nameless, "log_level": 0}).list_topics(
                timeout=3
            )


@pytest.mark.parametrize("how", ["certificate", "login"])
def test_an_agent_delivers_each_line_once_over_tls(tmp_path: pathlib.Path, how: str) -> None:
    site = Site(tmp_path, client_auth="required" if how == "certificate" else "none")
    (tmp_path / "app.log").write_bytes(b"".join(line + b"\n" for line in LINES))
    inputs = f'[[files]]\ntopic = "logs"\ninclude = ["{tmp_path}/app.log"]\n'
    tls = f'[collector.tls]\nca = "{site.authority.path}"\n'
    if how == "certificate":
        tls += f'cert = "{tmp_path}/agent.crt"\nkey = "{tmp_path}/agent.key"\n'
        settings = site.certificate()
    else:
        (tmp_path / "password").write_text(f"{PASSWORD}\n")
        tls += f'[collector.sasl]\nuser = "admin"\npassword_file = "{tmp_path}/password"\n'
        settings = site.librdkafka()
    more = [b"more %d" % number for number in range(500)]
    with site.collector.start().wait_ready(), Agent(tmp_path, site.collector.bootstrap, tls + inputs) as agent:
        wait_for_lines(site.collector.bootstrap, LINES, **settings)
        site.collector.kill()
        with (tmp_path / "app.log").open("ab") as log:
            log.write(b"".join(line + b"\n" for line in more))
        site.collector.start().wait_ready()
        wait_for_lines(site.collector.bootstrap, LINES + more, **settings)
        assert agent.stop() == 0
        assert PASSWORD not in agent.log() + site.collector.log()


def test_an_agent_takes_a_new_certificate_without_a_restart(tmp_path: pathlib.Path) -> None:
    site = Site(tmp_path, client_auth="required")
    site.authority.issue("other", AGENT)
    site.authority.issue("agent", AGENT, lifetime=-DAY)
    (tmp_path / "app.log").write_bytes(b"".join(line + b"\n" for line in LINES))
    tls = f'[collector.tls]\nca = "{site.authority.path}"\ncert = "{tmp_path}/agent.crt"\n'
    tls += f'key = "{tmp_path}/agent.key"\n'
    inputs = f'[[files]]\ntopic = "logs"\ninclude = ["{tmp_path}/app.log"]\n'
    with site.collector.start().wait_ready(), Agent(tmp_path, site.collector.bootstrap, tls + inputs) as agent:
        wait_until(lambda: "CertificateExpired" in agent.log(), "an expired certificate is refused, and it says so")
        site.authority.issue("agent", AGENT)
        wait_for_lines(site.collector.bootstrap, LINES, **site.certificate("other"))
        assert "files were read again" in agent.log()
        assert agent.stop() == 0
