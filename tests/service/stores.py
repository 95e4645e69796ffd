"""Programs around a cloud that tests start for themselves: a private PostgreSQL, a mosquitto."""

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

from tests.support import require

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class PostgreSQL:
    """A private, empty cluster in a folder of its own; `stop` removes it."""

    def __init__(self) -> None:
        initdb = require("initdb", "/usr/lib/postgresql/*/bin/initdb")
        self.binaries = Path(initdb).resolve().parent
        self.folder = Path(tempfile.mkdtemp(prefix="fotasim-pg-"))
        as_user = _unprivileged()
        if as_user:
            os.chown(self.folder, as_user["user"], as_user["group"])
        self.options = {
            "cwd": self.folder,
            "env": {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            **as_user,
            **QUIET,
        }
        subprocess.run(
            [initdb, "-D", self.folder / "db", "-U", "tester", "-A", "trust", "--no-sync"], check=True, **self.options
        )  # fmt: skip
        self.port = free_port()
        self.url = f"postgresql://tester@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Starts the server; returns when it answers."""
        self.server = subprocess.Popen(
            [self.binaries / "postgres", "-D", self.folder / "db", "-p", str(self.port), "-k", self.folder, "-c", "listen_addresses=127.0.0.1"],
            **self.options,
        )  # fmt: skip
        until(self._answers)

    def crash(self) -> None:
        """Ends the server at once, as a power failure would: no shutdown, recovery at the next start."""
        self.server.send_signal(signal.SIGQUIT)
        self.server.wait(30)

    def stop(self) -> None:
        """Ends the server and removes everything."""
        self.crash()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self) -> str:
        """URL of a new, empty database."""
        import psycopg

        name = f"t{time.monotonic_ns()}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url.rpartition("/")[0] + f"/{name}"

    def cut(self) -> None:
        """Ends every connection to it but the one that says so."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True


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

    def start(self) -> None:
        """Starts it; returns when it accepts connections."""
        self.process = subprocess.Popen([self.binary, "-c", self.config], **QUIET)
        until(self._answers)

    def _answers(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """Stops it in an orderly way: it writes its sessions down."""
        self.process.terminate()
        self.process.wait(30)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def until(true, within_s: float = 30.0) -> None:
    """Returns once it is true."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come up in time"
        time.sleep(0.05)


def _unprivileged() -> dict:
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
