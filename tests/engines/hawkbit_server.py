"""hawkBit's update server from a jar, on loopback with its database in memory: started, let in, stopped."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

USER, PASSWORD = "admin", "admin"
START_S = 240.0


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
            "spring.datasource.url": "jdbc:h2:mem:fotasim;DB_CLOSE_DELAY=-1", "spring.datasource.driver-class-name": "org.h2.Driver",
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
