"""hawkBit's update server from a jar, on loopback with its database in memory: started, let in, stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

import pytest

USER, PASSWORD = "admin", "admin"
JAR = "FOTASIM_HAWKBIT_JAR"
"""Environment variable: path of hawkBit's update server, which no package registry has. Java 17 is needed, 21 from 1.1 on."""
START_S = 240.0


def jar() -> Path:
    """The jar; without it the test is skipped, in continuous integration too: it cannot be had there."""
    given = os.environ.get(JAR, "")
    if not given:
        pytest.skip(f"{JAR} is not set: the path of hawkBit's hawkbit-update-server jar")
    if not Path(given).is_file():
        pytest.fail(f"{JAR}={given}: there is no such file")
    return Path(given).resolve()


class HawkbitServer:
    """One server. Use as a context manager; everything it prints is in `log`."""

    def __init__(self, jar: Path, folder: Path, *, polling_time: str) -> None:
        self.jar, self.log = jar, folder / "hawkbit.log"
        self._polling_time = polling_time
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> HawkbitServer:
        settings = {
            "server.address": "127.0.0.1", "server.port": self._port,
            "spring.datasource.url": "jdbc:h2:mem:fotasim;DB_CLOSE_DELAY=-1;MODE=LEGACY", "spring.datasource.driver-class-name": "org.h2.Driver",
            "hawkbit.controller.pollingTime": self._polling_time, "hawkbit.controller.minPollingTime": self._polling_time,
            "hawkbit.artifact.fs.path": self._folder / "artifacts", "org.eclipse.hawkbit.repository.file.path": self._folder / "artifacts",
        }  # fmt: skip
        command = ["java", "-jar", str(self.jar), *(f"--{name}={value}" for name, value in settings.items())]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        try:
            self._until_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _until_up(self) -> None:
        login = b64encode(f"{USER}:{PASSWORD}".encode()).decode("ascii")
        asked = urllib.request.Request(
            f"{self.url}/rest/v1/targets?limit=1", headers={"Authorization": f"Basic {login}"}
        )
        until = time.monotonic() + START_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urllib.request.urlopen(asked, timeout=5.0):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(1.0)
        raise RuntimeError(f"hawkBit did not start: {self.log.read_text(errors='replace')[-2000:]}")
