"""syslog-ng, which Debian does not let be installed: its modules and libraries are beside its program."""

import contextlib
import pathlib
import shutil
from collections.abc import Iterator

from tests.lib.processes import Process, listens, wait_until


@contextlib.contextmanager
def syslog_ng(work: pathlib.Path, port: int, destination: str) -> Iterator[Process]:
    """Takes lines on `port` and hands them on as they are."""
    config = work / "syslog-ng.conf"
    config.write_text(
        f"""@version: current
        source lines {{ network(ip("127.0.0.1") port({port}) transport("tcp") flags(no-parse)); }};
        destination target {{ {destination}; }};
        log {{ source(lines); destination(target); flags(flow-control); }};
        """
    )
    program = pathlib.Path(shutil.which("syslog-ng") or "")
    libraries = program.parents[1] / "lib" / "syslog-ng"
    modules = next(path.parent for path in libraries.glob("*/libkafka.so"))
    command = [str(program), "-F", "-f", str(config), f"--module-path={modules}"]
    command += [f"--{kind}={work}/syslog-ng.{kind}" for kind in ("persist-file", "pidfile", "control")]
    with Process("syslog-ng", ["env", f"LD_LIBRARY_PATH={libraries}", *command], work) as process:
        wait_until(lambda: listens(port), f"syslog-ng listens\n{process.log_tail()}")
        yield process
        process.check_alive()
