"""What is released of the agent: the Debian package on a clean system, and the manifest for Kubernetes."""

import configparser
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from tests.clients.logs import wait_for_lines
from tests.lib.processes import BIN, Collector, Process

REPOSITORY = pathlib.Path(__file__).parents[2]
STATE = "var/lib/tailrace/agent"
# What dpkg and passwd write for themselves, whatever is installed and removed.
NOT_OURS = ("proc/", "var/lib/dpkg/", "var/log/", "var/cache/", "etc/.pwd.lock")
UNIT = "usr/lib/systemd/system/tailrace-agent.service"
# As the unit has it: nothing can be written but the agent's state.
SANDBOX = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --bind "$1/$2" "$1/$2"
mount -o remount,bind,ro "$1"
shift 2
exec chroot "$@"
"""


@pytest.fixture(scope="session")
def package() -> pathlib.Path:
    """Of the binary that the other tests run."""
    target = BIN.resolve().parent
    environment = os.environ | {"CARGO_TARGET_DIR": str(target), "PROFILE": BIN.name, "TARGET": "host"}
    command = [str(REPOSITORY / "deploy/package"), "deb"]
    subprocess.run(command, env=environment, check=True, timeout=1200)
    (built,) = (target / "packages").glob("*.deb")
    return built


@pytest.fixture
def system(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """The smallest Debian."""
    if os.getuid() != 0:
        pytest.skip("impossible: only root can make a system to install a package on")
    root = tmp_path / "system"
    command = ["debootstrap", "--variant=minbase", "bookworm", str(root)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=1200)
    yield root
    shutil.rmtree(root)


def traces(root: pathlib.Path) -> dict[str, str]:
    """Every file, and what is in it."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        backup = name.startswith("etc/") and name.endswith("-")
        if not name.startswith(NOT_OURS) and not backup:
            regular = path.is_file() and not path.is_symlink()
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if regular else ""
    return found


def dpkg(root: pathlib.Path, *arguments: str) -> None:
    command = ["chroot", str(root), "dpkg", *arguments]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, env=environment, check=True, timeout=120)


def service(root: pathlib.Path) -> list[str]:
    """What systemd would run, with the user and the powers that the unit gives it."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(root / UNIT)
    options = unit["Service"]
    powers = [power.removeprefix("CAP_").lower() for power in options["AmbientCapabilities"].split()]
    assert options["CapabilityBoundingSet"] == options["AmbientCapabilities"]
    granted = ",".join(f"+{power}" for power in powers)
    limits = [f"--{what}=-all,{granted}" for what in ("inh-caps", "ambient-caps", "bounding-set")]
    user = [f"--reuid={options['User']}", f"--regid={options['Group']}", "--clear-groups", "--no-new-privs"]
    state = root / "var/lib" / options["StateDirectory"]
    state.mkdir(parents=True)
    shutil.chown(state, *owner(root, options["User"]))
    state.chmod(int(options["StateDirectoryMode"], 8))
    sandbox = ["unshare", "--mount", "sh", "-c", SANDBOX, "sandbox", str(root), STATE, str(root)]
    return [*sandbox, "setpriv", *user, *limits, *options["ExecStart"].split()]


def owner(root: pathlib.Path, user: str) -> tuple[int, int]:
    for line in (root / "etc/passwd").read_text().splitlines():
        name, _, uid, gid, *_ = line.split(":")
        if name == user:
            return int(uid), int(gid)
    raise AssertionError(f"the package has made no user {user}")


@pytest.mark.needs("debootstrap", "unshare")
def test_the_package_is_installed_does_its_work_and_leaves_no_trace(
    package: pathlib.Path, system: pathlib.Path, collector: Collector, tmp_path: pathlib.Path
) -> None:
    before = traces(system)
    shutil.copy(package, system / "agent.deb")
    dpkg(system, "--install", "/agent.deb")
    (system / "agent.deb").unlink()

    # A file that only root may read.
    lines = [b"line %d" % number for number in range(1000)]
    log = system / "var/log/app.log"
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    log.chmod(0o600)
    config = system / "etc/tailrace/agent.toml"
    config.write_text(
        f'[collector]\nbootstrap = ["{collector.bootstrap}"]\n[http]\nlisten = "127.0.0.1:0"\n'
        '[[files]]\ntopic = "logs"\ninclude = ["/var/log/app.log"]\n'
        '[[syslog]]\ntopic = "net"\nudp = "127.0.0.1:514"\n'
    )
    with Process("packaged-agent", service(system), tmp_path) as agent:
        wait_for_lines(collector.bootstrap, lines)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"<13>to a port that only root may take", ("127.0.0.1", 514))
        wait_for_lines(collector.bootstrap, [b"<13>to a port that only root may take"], "net")
        assert agent.stop() == 0
    assert {path.stat().st_uid for path in (system / STATE).rglob("*")} == {owner(system, "tailrace")[0]}
    log.unlink()

    dpkg(system, "--remove", "tailrace-agent")
    assert config.exists() and any((system / STATE).iterdir()), "what is removed may come back"
    dpkg(system, "--purge", "tailrace-agent")
    assert traces(system) == before


def test_the_manifest_for_kubernetes_has_a_configuration_that_the_agent_takes(tmp_path: pathlib.Path) -> None:
    documents = list(yaml.safe_load_all((REPOSITORY / "deploy/kubernetes/agent.yaml").read_text()))
    by_kind = {document["kind"]: document for document in documents}
    config = tmp_path / "agent.toml"
    config.write_text(by_kind["ConfigMap"]["data"]["agent.toml"])
    command = [str(BIN / "tailrace-agent"), "check", "--config", str(config)]
    subprocess.run(command, env={"NODE_NAME": "node-1"}, check=True, timeout=60)

    (container,) = by_kind["DaemonSet"]["spec"]["template"]["spec"]["containers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts["/var/log"]["readOnly"] and "readOnly" not in mounts["/var/lib/tailrace/agent"]
    assert f"{pathlib.Path(container['args'][1]).parent}" in mounts
