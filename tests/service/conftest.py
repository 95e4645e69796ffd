"""Fixtures of the service's tests: a private PostgreSQL, a mosquitto, a Chromium; each only where it is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.support import require


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def unprivileged() -> dict:
    """PostgreSQL refuses to run as root: the user it runs as then, as options of subprocess."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise AssertionError("root, and neither postgres nor nobody exists")


@pytest.fixture(scope="session")
def postgresql():
    """URL of a private, empty PostgreSQL cluster that is thrown away at the end."""
    initdb = require("initdb", "/usr/lib/postgresql/*/bin/initdb")
    binaries = Path(initdb).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="fotasim-pg-"))
    as_user = unprivileged()
    if as_user:
        os.chown(folder, as_user["user"], as_user["group"])
    options = {"cwd": folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, **as_user}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(
        [initdb, "-D", folder / "db", "-U", "tester", "-A", "trust", "--no-sync"], check=True, **options, **quiet
    )  # fmt: skip
    port = free_port()
    server = subprocess.Popen(
        [binaries / "postgres", "-D", folder / "db", "-p", str(port), "-k", folder, "-c", "listen_addresses=127.0.0.1"],
        **options, **quiet,
    )  # fmt: skip
    try:
        url = f"postgresql://tester@127.0.0.1:{port}/postgres"
        _until(lambda: _answers(url))
        yield url
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nothing in it is needed any more
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(url: str) -> bool:
    import psycopg

    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def new_database(postgresql):
    """URL of an empty database in the private cluster."""
    import psycopg

    name = f"t{time.monotonic_ns()}"
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgresql.rpartition("/")[0] + f"/{name}"


class Mosquitto:
    """A broker of its own that keeps its sessions over a restart."""

    def __init__(self, folder: Path):
        self.binary = require("mosquitto", "/usr/sbin/mosquitto")
        self.port = free_port()
        self.config = folder / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        self.config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n{user}"
            f"persistence true\npersistence_location {folder}/\nmax_queued_messages 0\n"
        )
        self.url = f"mqtt://127.0.0.1:{self.port}"

    def start(self):
        """Starts it; returns when it accepts connections."""
        self.process = subprocess.Popen(
            [self.binary, "-c", self.config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _until(self._answers)

    def _answers(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        """Stops it in an orderly way: it writes its sessions down."""
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def mosquitto(tmp_path):
    """A running broker."""
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


def _until(true, within_s: float = 30.0) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come up in time"
        time.sleep(0.05)
