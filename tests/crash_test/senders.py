"""Programs that send numbered messages by syslog over TCP, and connect again when the agent was killed.

Nobody can promise them each message, for they are not told what became of it. What is promised: what arrives of one
connection is its beginning, in order and once; and if the agent was not what ended it, all of it.
"""

import random
import select
import socket
import threading
import time
from collections.abc import Iterator

from tests.crash_test.lines import Line, decode, encode
from tests.crash_test.verify import shortened
from tests.lib.reading import read_topic

TOPIC = "crash-syslog"


class Sender(threading.Thread):
    """Sends until told to stop; each connection is a file of its lines."""

    def __init__(self, number: int, port: int, seed: int, lines_per_second: int):
        super().__init__(daemon=True, name=f"sender-{number}")
        self.number, self.port, self.rate = number, port, lines_per_second
        self.random = random.Random(f"{seed} sender {number}")
        self.stopping = threading.Event()
        self.lines_per_connection: list[int] = []
        self.broken: set[int] = set()

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port)) as connection:
                    self.lines_per_connection.append(0)
                    self.send_lines(connection)
                    # Whoever closes with something unread in the other direction takes back what it has sent.
                    connection.shutdown(socket.SHUT_WR)
            except ConnectionRefusedError:
                time.sleep(0.02)
            except OSError:
                self.broken.add(len(self.lines_per_connection) - 1)

    def send_lines(self, connection: socket.socket) -> None:
        while not self.stopping.is_set():
            count = self.random.randint(1, 20)
            burst = b"".join(self.message() for _ in range(count))
            connection.sendall(burst)
            self.wait(connection, self.random.expovariate(self.rate / count))
        self.wait(connection, 0)

    def wait(self, connection: socket.socket, seconds: float) -> None:
        if select.select([connection], [], [], seconds)[0]:
            raise ConnectionResetError("the agent has closed it")

    def message(self) -> bytes:
        connection = len(self.lines_per_connection) - 1
        line = Line(self.number, connection, self.lines_per_connection[connection])
        self.lines_per_connection[connection] += 1
        message = b"<13>" + encode(line, self.random.randbytes(self.random.randint(0, 200)).hex().encode())
        return b"%d %s" % (len(message), message) if self.number % 2 else message + b"\n"

    def stop(self) -> None:
        self.stopping.set()
        self.join()


def arrived(bootstrap: str) -> Iterator[tuple[Line, bool]]:
    """Every message in the order of the log, and whether it is whole: a stop in good order may cut the last one."""
    for part, at, value in read_topic(bootstrap, TOPIC):
        text = value.removeprefix(b"<13>")
        try:
            yield decode(text), True
        except ValueError:
            words = text.split(b" ", 3)
            if len(words) == 4 and all(word.isdigit() for word in words[:3]):
                yield Line(*map(int, words[:3])), False
            elif not b"<13>".startswith(value[:4]):
                raise AssertionError(f"partition {part} offset {at} holds {value[:80]!r}, which nobody sent") from None


def check(bootstrap: str, senders: list[Sender]) -> tuple[list[str], int]:
    """What is promised and was not kept, in words; and how many messages were lost with their connections."""
    findings: list[str] = []
    whole: dict[tuple[int, int], int] = {}
    ended: set[tuple[int, int]] = set()
    for line, is_whole in arrived(bootstrap):
        connection = (line.writer, line.file)
        expected = whole.get(connection, 0)
        if connection in ended or line.number != expected:
            findings.append(f"sender {connection}: message {line.number} where {expected} should be")
        if is_whole:
            whole[connection] = line.number + 1
        else:
            ended.add(connection)
    lost = 0
    for sender in senders:
        for connection, sent in enumerate(sender.lines_per_connection):
            missing = sent - whole.get((sender.number, connection), 0)
            lost += missing
            if missing and connection not in sender.broken:
                findings.append(f"sender {sender.number}: of connection {connection} the last {missing} are lost")
    return shortened(findings), lost
