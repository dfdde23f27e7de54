"""A real Apache Kafka, as the yardstick: one broker in KRaft mode, fetched from Maven, with a directory of its own."""

import os
import pathlib
import subprocess

from tests.lib.processes import Process, free_port, wait_until

VERSION = "4.4.0"
"""Of the broker, its tools, and the newest client that is run."""
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>tailrace</groupId><artifactId>yardstick</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${kafka.version}</version>
</dependency><dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>${kafka.version}</version>
</dependency></dependencies></project>
"""
CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"


def maven_libraries(pom: pathlib.Path, directory: pathlib.Path, version: str) -> None:
    """Copies what a project depends on into a directory, with this version of Apache Kafka."""
    copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    command = ["mvn", "-q", "-B", "-f", str(pom), f"-Dkafka.version={version}"]
    command += [f"-DoutputDirectory={directory.absolute()}", copy]
    subprocess.run(command, check=True, timeout=600)


def libraries() -> pathlib.Path:
    """A directory with the broker, its command line tools and what they need, fetched once."""
    directory = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "test-java" / f"kafka-{VERSION}"
    if not any(directory.glob("kafka-tools-4*.jar")):
        directory.mkdir(parents=True, exist_ok=True)
        pom = directory / "pom.xml"
        pom.write_text(POM)
        maven_libraries(pom, directory, VERSION)
    return directory


class ApacheKafka(Process):
    """A broker that may be killed and started again on the same log."""

    def __init__(self, work: pathlib.Path, settings: str = "", heap: str = "512m"):
        port, controller = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        config = work / "server.properties"
        config.write_text(f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={work}/apache-kafka
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=500
{settings}
""")
        self.java = ["java", f"-Xmx{heap}", "-cp", f"{libraries()}/*"]
        super().__init__("apache-kafka", [*self.java, "kafka.Kafka", str(config)], work)
        form = [*self.java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(config)]
        subprocess.run(form, check=True, capture_output=True, timeout=120)

    def wait_ready(self) -> "ApacheKafka":
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

        def answers() -> bool:
            self.check_alive()
            try:
                return bool(admin.list_topics(timeout=2).brokers)
            except Exception:
                return False

        wait_until(answers, "Apache Kafka answers", 120)
        return self
