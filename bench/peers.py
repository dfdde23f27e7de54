"""Agents of others, each set up as carefully as it can be: positions on disk, acknowledgement by all replicas, and lines sent
as they are. They are taken from `PATH`, or from an environment variable that names the binary."""

import os
import shutil
from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class Peer:
    """`config` gives text and file name of a configuration that follows files and keeps its state in a directory."""

    name: str
    variable: str
    program: str
    version: str
    guarantee: str
    config: Callable
    command: Callable

    def binary(self):
        return os.environ.get(self.variable) or shutil.which(self.program)

    def prepare(self, work, include, kafka, topic):
        """The command that starts it, and starts it again on the same state."""
        name, text = self.config(work, include, kafka, topic)
        path = work / name
        path.write_text(text)
        return [str(word) for word in self.command(self.binary(), path, work)]


def rsyslog(work, include, kafka, topic):
    return "rsyslog.conf", f"""
global(workDirectory="{work}" maxMessageSize="64k")
module(load="imfile")
module(load="omkafka")
template(name="line" type="string" string="%msg%")
ruleset(name="forward" queue.type="linkedList" queue.size="100000" queue.dequeueBatchSize="4096") {{
  action(type="omkafka" broker=["{kafka}"] topic="{topic}" template="line" partitions.auto="on"
         action.resumeRetryCount="-1" action.resumeInterval="1" resubmitOnFailure="on" confParam=["enable.idempotence=true", "compression.codec=zstd", "linger.ms=20"])
}}
input(type="imfile" file="{include}" tag="bench" ruleset="forward" persistStateInterval="100")
"""


def fluent_bit(work, include, kafka, topic):
    return "fluent-bit.conf", f"""
[SERVICE]
    flush 1
    storage.path {work}/storage
    storage.sync full
[INPUT]
    name tail
    path {include}
    read_from_head on
    refresh_interval 1
    db {work}/positions.db
    db.sync full
    storage.type filesystem
    buffer_max_size 1MB
[OUTPUT]
    name kafka
    match *
    brokers {kafka}
    topics {topic}
    format raw
    raw_log_key log
    rdkafka.enable.idempotence true
    rdkafka.compression.codec zstd
"""


def vector(work, include, kafka, topic):
    return "vector.toml", f"""
data_dir = "{work}"
[sources.files]
type = "file"
include = ["{include}"]
read_from = "beginning"
glob_minimum_cooldown_ms = 1000
max_line_bytes = 1000000
[sinks.kafka]
type = "kafka"
inputs = ["files"]
bootstrap_servers = "{kafka}"
topic = "{topic}"
compression = "zstd"
encoding.codec = "raw_message"
acknowledgements.enabled = true
librdkafka_options."enable.idempotence" = "true"
"""


def otel(work, include, kafka, topic):
    return "otel.yaml", f"""
extensions:
  file_storage:
    directory: {work}
    fsync: true
receivers:
  filelog:
    include: ["{include}"]
    start_at: beginning
    max_log_size: 1MiB
    storage: file_storage
    retry_on_failure:
      enabled: true
exporters:
  kafka:
    brokers: ["{kafka}"]
    logs:
      topic: {topic}
      encoding: raw
    producer:
      compression: zstd
      required_acks: -1
    sending_queue:
      storage: file_storage
service:
  extensions: [file_storage]
  telemetry:
    metrics:
      level: none
  pipelines:
    logs:
      receivers: [filelog]
      exporters: [kafka]
"""


PEERS = [
    Peer(
        "rsyslog",
        "PEER_RSYSLOG",
        "rsyslogd",
        "-v",
        "imfile that notes its positions every 100 lines, a queue in memory, omkafka with an idempotent producer",
        rsyslog,
        lambda binary, config, work: [binary, "-n", "-f", config, "-iNONE"],
    ),
    Peer(
        "Fluent Bit",
        "PEER_FLUENT_BIT",
        "fluent-bit",
        "--version",
        "tail with a database and synced storage, kafka with an idempotent producer",
        fluent_bit,
        lambda binary, config, work: [binary, "-c", config],
    ),
    Peer(
        "Vector",
        "PEER_VECTOR",
        "vector",
        "--version",
        "file, kafka with acknowledgements and an idempotent producer",
        vector,
        lambda binary, config, work: [binary, "--config", config, "--quiet"],
    ),
    Peer(
        "OpenTelemetry Collector",
        "PEER_OTELCOL",
        "otelcol",
        "--version",
        "filelog and kafka with file_storage for positions and queue, synced",
        otel,
        lambda binary, config, work: [binary, "--config", config],
    ),
]
