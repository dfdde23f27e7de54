"""Runs the tests that others wrote for their own clients against a collector.

    python -m tests.suites librdkafka   DIR    # librdkafka's tests/ with its test-runner built
    python -m tests.suites franz-go     FILE   # built with: go test -c -o FILE ./pkg/kgo, in franz-go
    python -m tests.suites kafka-python DIR    # a checkout; $PYTHON has it and pytest installed

Nothing of theirs is in this repository: the lists beside this file say at which commit which of their tests pass, and
why the others are left out. What is on a list must pass.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable

from tests.lib.apache_kafka import VERSION, libraries
from tests.lib.processes import Collector

HERE = pathlib.Path(__file__).parent
OPEN = """
[topics]
partitions = 4
[groups]
session_timeout_min = "1s"
initial_rebalance_delay = "500ms"
[acls]
enabled = true
allow_without_entries = true
super_users = ["User:admin"]
"""
SASL = """
sasl = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
login_lifetime = "10s"
[[users]]
name = "testuser"
password = "testpass"
"""
TOOLS = {
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-acls.sh": "org.apache.kafka.tools.AclCommand",
}
Counts = tuple[int, int]
"""Passed, and failed."""


def listed(suite: str) -> dict:
    return tomllib.loads((HERE / f"{suite}.toml").read_text())


def kafka_tools(work: pathlib.Path) -> pathlib.Path:
    """What some tests call of Apache Kafka's command line, where they look for it."""
    scripts = work / "kafka" / "bin"
    scripts.mkdir(parents=True)
    for name, main in TOOLS.items():
        script = scripts / name
        script.write_text(f'#!/bin/sh\nexec java -Xmx256m -cp "{libraries().absolute()}/*" {main} "$@"\n')
        script.chmod(0o755)
    return scripts.parent


def librdkafka(tests: pathlib.Path, work: pathlib.Path, open_: Collector, sasl: Collector) -> Counts:
    suite = listed("librdkafka")
    # The limits of its quick mode are for a machine that does nothing else.
    patient = "test.topic.random=true\ntest.timeout.multiplier=3\n"
    plain_conf = f"metadata.broker.list={open_.bootstrap}\n{patient}"
    sasl_conf = f"""metadata.broker.list={sasl.bootstrap}
{patient}security.protocol=SASL_PLAINTEXT
sasl.mechanism=PLAIN
sasl.username=testuser
sasl.password=testpass
"""
    (work / "plain.conf").write_text(plain_conf)
    (work / "sasl.conf").write_text(sasl_conf)
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{tests.parent}/src:{tests.parent}/src-cpp",
        "TEST_KAFKA_VERSION": VERSION,
        "KAFKA_PATH": str(kafka_tools(work)),
        "BROKERS": open_.bootstrap,
    }

    def passes(test: str, conf: str, *options: str) -> bool:
        run = {**environment, "TESTS": test.split("_")[0], "RDKAFKA_TEST_CONF": str(work / conf)}
        command = ["./test-runner", "-p1", "-L", *options]
        command = ["timeout", "600", *command]
        done = subprocess.run(command, cwd=tests, env=run, capture_output=True, text=True)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
        ok = done.returncode == 0 and re.search(rf"^\| +{test} +\| +PASSED", plain, re.MULTILINE) is not None
        print(f"{test}: {'passed' if ok else 'FAILED'}", flush=True)
        if not ok:
            print("\n".join(plain.splitlines()[-30:]))
        return ok

    results = [passes(test, "plain.conf", "-Q") for test in suite["passes"]]
    results += [passes(test, "plain.conf") for test in suite["passes_slowly"]]
    results += [passes(test, "sasl.conf", "-Q") for test in suite["passes_with_sasl"]]
    return results.count(True), results.count(False)


def franz_go(binary: pathlib.Path, work: pathlib.Path, open_: Collector, sasl: Collector) -> Counts:
    skipped = "|".join(name for name in listed("franz-go")["left_out"] if "/" not in name)
    environment = {
        **os.environ,
        "KGO_SEEDS": open_.bootstrap,
        "KGO_TEST_RF": "1",
        "KGO_TEST_SCRAM": "testuser:testpass",
        "KGO_TEST_SCRAM_SEEDS": sasl.bootstrap,
    }
    command = [binary, "-test.v", "-test.timeout", "40m", "-test.skip", f"^({skipped})$"]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    done = subprocess.run(command, cwd=work, env=environment, timeout=3_000, **output)
    results = re.findall(r"^--- (PASS|FAIL|SKIP): (\S+)", done.stdout, re.MULTILINE)
    for result, name in results:
        print(f"{name}: {result}")
    outcomes = [result for result, _ in results]
    return outcomes.count("PASS"), len(outcomes) - outcomes.count("PASS") + (done.returncode != 0)


def kafka_python(checkout: pathlib.Path, work: pathlib.Path, open_: Collector, _: Collector) -> Counts:
    left_out = [f"--deselect=test/integration/{name}" for name in listed("kafka-python")["left_out"]]
    environment = {
        **os.environ,
        "KAFKA_ROOT": str(work),
        "KAFKA_VERSION": "4.3.0",
        "KAFKA_URI": f"kafka://{open_.bootstrap}",
    }
    python = os.environ.get("PYTHON", sys.executable)
    command = [python, "-m", "pytest", "-q", "--color=no", "--tb=short", "test/integration", *left_out]
    done = subprocess.run(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True, timeout=1_800)
    print(done.stdout)
    count = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", done.stdout)}
    failed = count.get("failed", 0) + count.get("error", 0)
    return count.get("passed", 0), failed or int(done.returncode != 0)


SUITES: dict[str, Callable[[pathlib.Path, pathlib.Path, Collector, Collector], Counts]] = {
    "librdkafka": librdkafka,
    "franz-go": franz_go,
    "kafka-python": kafka_python,
}


def main() -> int:
    if len(sys.argv) != 3 or sys.argv[1] not in SUITES:
        print(__doc__, file=sys.stderr)
        return 2
    suite, path = sys.argv[1], pathlib.Path(sys.argv[2]).absolute()
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        (work / "sasl").mkdir()
        # kafka-python's tests ask for the broker of that number.
        with Collector(work, OPEN, node_id=0) as open_, Collector(work / "sasl", SASL) as sasl:
            open_.wait_ready()
            sasl.wait_ready()
            passed, failed = SUITES[suite](path, work, open_, sasl)
    print(f"{suite}: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
