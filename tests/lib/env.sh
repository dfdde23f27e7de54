# Sourced by the test commands: where things are, and how to say that something is missing.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
export TAILRACE_BIN=${TAILRACE_BIN:-$CARGO_TARGET_DIR/release}
venv=$CARGO_TARGET_DIR/test-venv

# A Python with the Kafka client that the tests read and write with, installed on first use.
test_python() {
  if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import confluent_kafka, pytest' 2>/dev/null; then
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$root/tests/requirements.txt"
  fi
}
