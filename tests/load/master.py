"""A real Locust master as a process, for tests."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

LOCUSTFILE = Path("sim/load/locust_workers/locustfile.py").resolve()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def master(folder: Path, *options: str, headless: bool = True):
    """A master of the installed Locust on loopback: the process and the port workers join at."""
    port = free_port()
    command = [
        sys.executable, "-m", "locust", "--master", "-f", str(LOCUSTFILE), "--master-bind-host", "127.0.0.1",
        "--master-bind-port", str(port), "--fotasim-report", str(folder / "load.json"), *options,
    ]  # fmt: skip
    command += ["--headless", "--csv", str(folder / "stats"), "--only-summary"] if headless else []
    with (folder / "master.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            yield process, port
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(30)
