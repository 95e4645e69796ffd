"""goosebit, a DDI server from PyPI, on loopback with SQLite: installed into an environment of its own, started, stopped.

    python -m demos.goosebit_server [--port 60053] [--poll-time 00:00:10]     # until Ctrl-C

Its own environment, because its pins and ours do not go together. One worker only: it keeps its devices in memory.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE.parent / ".goosebit"
PINS = HERE / "goosebit-constraints.txt"
USER, PASSWORD = "admin", "admin"
START_S = 60.0


class Unavailable(Exception):
    """goosebit cannot be had here; the text says why."""


def environment(folder: Path = ENVIRONMENT) -> Path:
    """The environment's folder of programs, made on first use. Raises Unavailable."""
    programs = folder / "bin"
    if (folder / ".ready").exists():
        return programs
    uv = shutil.which("uv")
    made = (
        [uv, "venv", "--quiet", "--allow-existing", str(folder)] if uv else [sys.executable, "-m", "venv", str(folder)]
    )
    pip = [uv, "pip", "install", "--quiet", "--python", str(programs / "python")] if uv else [
        str(programs / "python"), "-m", "pip", "install", "--quiet"
    ]  # fmt: skip
    for command in (made, [*pip, "-c", str(PINS), "goosebit"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"goosebit cannot be installed: {(done.stderr or done.stdout)[-300:].strip()}")
    (folder / ".ready").touch()
    return programs


class GoosebitServer:
    """One server with its database in a folder. Use as a context manager."""

    def __init__(
        self, folder: Path, *, poll_time: str = "00:00:03", settings: Mapping[str, str] | None = None, port: int = 0
    ) -> None:
        self.folder = folder
        self.port = port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._poll_time = poll_time
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> GoosebitServer:
        self._programs = environment()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_files()
        self._migrate()
        self.start()
        self._first_user()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the server (again); returns when it answers."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "uvicorn", "goosebit:app", "--host", "127.0.0.1", "--port", str(self.port),
                 "--no-access-log", "--log-level", "warning"],
                cwd=self.folder, env=self._environ(), stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + START_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1.0):
                    return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise Unavailable(f"goosebit did not start: {(self.folder / 'server.log').read_text(errors='replace')[-500:]}")

    def wait(self) -> None:
        """Until the server ends."""
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """Ends the server."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(("GOOSEBIT_", "FOTASIM_", "PYTHON"))}
        return {**kept, "OTEL_SDK_DISABLED": "true", **self._settings}

    def _write_files(self) -> None:
        migrations = next((self._programs.parent / "lib").glob("python*/site-packages/goosebit/db/migrations"))
        (self.folder / "goosebit.yaml").write_text(
            f"port: {self.port}\ntenant: DEFAULT\npoll_time: '{self._poll_time}'\n"
            f"db_uri: sqlite://{self.folder.resolve()}/db.sqlite3\nartifacts_dir: {self.folder.resolve()}/artifacts\n"
            "logging:\n  version: 1\n  root: {level: ERROR}\n",
            encoding="utf-8",
        )
        (self.folder / "pyproject.toml").write_text(
            f'[tool.aerich]\ntortoise_orm = "goosebit.db.config.TORTOISE_CONF"\nlocation = "{migrations}"\n'
            'src_folder = "."\n',
            encoding="utf-8",
        )

    def _migrate(self) -> None:
        done = subprocess.run(
            [self._programs / "aerich", "-c", "pyproject.toml", "upgrade"],
            cwd=self.folder, env=self._environ(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Unavailable(f"goosebit's database cannot be made: {(done.stderr or done.stdout)[-300:]}")

    def _first_user(self) -> None:
        form = urlencode({"username": USER, "password": PASSWORD}).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/setup", form, timeout=START_S):
                pass
        except urllib.error.HTTPError as error:
            if error.code not in (302, 303, 307, 405):  # there is one already
                raise Unavailable(f"goosebit's first user: {error}") from None


def main() -> int:
    """Serves until Ctrl-C; what it kept is gone then."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=60053)
    parser.add_argument("--poll-time", default="00:00:10", help="the server's sleep between two polls, HH:MM:SS")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print("goosebit: installing (once) and starting", file=sys.stderr)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="goosebit-") as folder,
            GoosebitServer(Path(folder), poll_time=given.poll_time, port=given.port) as server,
        ):
            print(f"goosebit: {server.url}, login {USER}, {PASSWORD}; Ctrl-C ends it", file=sys.stderr, flush=True)
            server.wait()
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
