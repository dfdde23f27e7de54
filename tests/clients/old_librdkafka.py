"""librdkafka as it was: Python packages of that time bring it along, and its C functions are called as they are."""

import ctypes
import os
import pathlib
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from ctypes import c_char_p, c_int, c_int32, c_int64, c_size_t, c_void_p

PLACE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")).absolute() / "test-librdkafka"
PRODUCER, CONSUMER = 0, 1
COPY, BLOCK = 2, 4
PATIENCE_S = 60


class Message(ctypes.Structure):
    _fields_ = (
        ("err", c_int),
        ("rkt", c_void_p),
        ("partition", c_int32),
        ("payload", c_void_p),
        ("len", c_size_t),
        ("key", c_void_p),
        ("key_len", c_size_t),
        ("offset", c_int64),
        ("private", c_void_p),
    )


DELIVERED = ctypes.CFUNCTYPE(None, c_void_p, ctypes.POINTER(Message), c_void_p)
SIGNATURES = {
    "rd_kafka_conf_new": (c_void_p, []),
    "rd_kafka_conf_set": (c_int, [c_void_p, c_char_p, c_char_p, c_char_p, c_size_t]),
    "rd_kafka_conf_set_dr_msg_cb": (None, [c_void_p, DELIVERED]),
    "rd_kafka_new": (c_void_p, [c_int, c_void_p, c_char_p, c_size_t]),
    "rd_kafka_destroy": (None, [c_void_p]),
    "rd_kafka_topic_new": (c_void_p, [c_void_p, c_char_p, c_void_p]),
    "rd_kafka_topic_destroy": (None, [c_void_p]),
    "rd_kafka_produce": (
        c_int,
        [c_void_p, c_int32, c_int, c_char_p, c_size_t, c_char_p, c_size_t, c_void_p],
    ),
    "rd_kafka_flush": (c_int, [c_void_p, c_int]),
    "rd_kafka_poll_set_consumer": (c_int, [c_void_p]),
    "rd_kafka_topic_partition_list_new": (c_void_p, [c_int]),
    "rd_kafka_topic_partition_list_add": (c_void_p, [c_void_p, c_char_p, c_int32]),
    "rd_kafka_topic_partition_list_destroy": (None, [c_void_p]),
    "rd_kafka_subscribe": (c_int, [c_void_p, c_void_p]),
    "rd_kafka_consumer_poll": (ctypes.POINTER(Message), [c_void_p, c_int]),
    "rd_kafka_message_destroy": (None, [ctypes.POINTER(Message)]),
    "rd_kafka_commit": (c_int, [c_void_p, c_void_p, c_int]),
    "rd_kafka_consumer_close": (c_int, [c_void_p]),
}


def fetched(version: str) -> pathlib.Path:
    """The library of this version."""
    place = PLACE / version
    library = place / "librdkafka.so.1"
    if not library.exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(place)]
        pip += ["--only-binary=:all:", "--implementation=cp", "--python-version=38", "--abi=cp38"]
        pip += ["--platform=manylinux1_x86_64", "--platform=manylinux2010_x86_64", f"confluent-kafka=={version}"]
        subprocess.run(pip, check=True, timeout=120)
        with zipfile.ZipFile(next(place.glob("*.whl"))) as package:
            name = next(name for name in package.namelist() if "/librdkafka-" in name)
            library.write_bytes(package.read(name))
    return library


class OldLibrdkafka:
    def __init__(self, version: str):
        self.library = ctypes.CDLL(str(fetched(version)))
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(self.library, name)
            function.restype, function.argtypes = result, arguments

    def _client(self, kind: int, settings: Mapping[str, object], delivered: object = None) -> int:
        conf = self.library.rd_kafka_conf_new()
        reason = ctypes.create_string_buffer(512)
        for name, value in settings.items():
            status = self.library.rd_kafka_conf_set(conf, name.encode(), str(value).encode(), reason, 512)
            assert status == 0, reason.value
        if delivered is not None:
            self.library.rd_kafka_conf_set_dr_msg_cb(conf, delivered)
        client = self.library.rd_kafka_new(kind, conf, reason, 512)
        assert client, reason.value
        return client

    def produce(self, settings: Mapping[str, object], lines: list[bytes], topic: str = "logs") -> None:
        """Writes lines to partition 0, and returns when all of them are acknowledged."""
        outcomes: list[int] = []
        delivered = DELIVERED(lambda _, message, __: outcomes.append(message.contents.err))
        client = self._client(PRODUCER, settings, delivered)
        handle = self.library.rd_kafka_topic_new(client, topic.encode(), None)
        for line in lines:
            status = self.library.rd_kafka_produce(handle, 0, COPY | BLOCK, line, len(line), None, 0, None)
            assert status == 0
        assert self.library.rd_kafka_flush(client, PATIENCE_S * 1_000) == 0
        self.library.rd_kafka_topic_destroy(handle)
        self.library.rd_kafka_destroy(client)
        assert outcomes == [0] * len(lines)

    def consume(self, settings: Mapping[str, object], count: int, topic: str = "logs") -> list[bytes]:
        """The next lines of a group, which are then committed."""
        client = self._client(CONSUMER, {"auto.offset.reset": "earliest", "enable.auto.commit": "false", **settings})
        self.library.rd_kafka_poll_set_consumer(client)
        topics = self.library.rd_kafka_topic_partition_list_new(1)
        self.library.rd_kafka_topic_partition_list_add(topics, topic.encode(), -1)
        assert self.library.rd_kafka_subscribe(client, topics) == 0
        self.library.rd_kafka_topic_partition_list_destroy(topics)
        lines: list[bytes] = []
        end = time.monotonic() + PATIENCE_S
        while len(lines) < count and time.monotonic() < end:
            if message := self.library.rd_kafka_consumer_poll(client, 100):
                if message.contents.err == 0:
                    lines.append(ctypes.string_at(message.contents.payload, message.contents.len))
                self.library.rd_kafka_message_destroy(message)
        assert self.library.rd_kafka_commit(client, None, 0) == 0
        self.library.rd_kafka_consumer_close(client)
        self.library.rd_kafka_destroy(client)
        return lines
