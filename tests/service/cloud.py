"""Mock clouds for the tests: in this process, or as a process of their own that can be killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from sim.service.server import Options, running

TOKEN = "test-token-0123456789"
AUTH = {"Authorization": f"Bearer {TOKEN}"}


@asynccontextmanager
async def served(folder: Path, **options):
    """A cloud in this process, and a client of its API with the token."""
    async with (
        running(Options(folder, token=TOKEN, **options)) as server,
        httpx.AsyncClient(base_url=server.cloud.http_url, headers=AUTH, timeout=30) as client,
    ):
        yield server, client


async def prepare(client, *, size=100_000, activate=True, name="p", **plan) -> int:
    """Project, product, model, version and plan over the API; the plan's id."""

    async def post(path, given):
        answer = await client.post(f"/api/v1{path}", json=given)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    project = (await post("/projects", {"name": name}))["id"]
    product = (await post("/products", {"project_id": project, "name": "tracker"}))["id"]
    part = {"identifier": "fw", "name": "Firmware"}
    model = await post("/models", {"project_id": project, "name": "m", "device_model": "BG95", "components": [part]})
    answer = await client.post(
        "/api/v1/versions", data={"project_id": project, "name": "1.1", "target_version": "1.1.0"},
        files=[("files", ("fw.bin", os.urandom(size)))],
    )  # fmt: skip
    assert answer.status_code == 201, answer.text
    choice = {"component_id": model["components"][0]["id"], "version_id": answer.json()["id"]}
    made = await post(
        "/plans",
        {"project_id": project, "product_id": product, "model_id": model["id"], "name": name, "components": [choice], **plan},
    )  # fmt: skip
    if activate:
        await post(f"/plans/{made['id']}/activate", {})
    return made["id"]


async def settled(client, plan, wanted, *, within_s=60.0):
    """The counts of a plan once they contain `wanted`; fails when they do not in time."""
    end = time.monotonic() + within_s
    while True:
        counts = (await client.get(f"/api/v1/plans/{plan}/counts")).json()
        if wanted.items() <= counts["states"].items():
            return counts
        assert time.monotonic() < end, counts
        await asyncio.sleep(0.05)


class CloudProcess:
    """`fotasim cloud` as a user starts it, on fixed ports, so that it can be killed and started again."""

    def __init__(self, folder: Path, *arguments: str, ports=(0, 0)):
        self.folder, self.arguments, self.ports = folder, arguments, ports

    def command(self) -> list[str]:
        """The program."""
        return [sys.executable, "-m", "sim.cli"]

    def start(self) -> dict:
        """Starts it and returns what it prints: addresses, plan."""
        command = [
            *self.command(), "cloud", "--json", "--data", str(self.folder),
            "--mqtt", str(self.ports[0]), "--http", str(self.ports[1]), *self.arguments,
        ]  # fmt: skip
        environment = {**os.environ, "FOTASIM_TOKEN": TOKEN}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        line = self.process.stdout.readline()
        assert line, f"the cloud did not start: {self.process.wait()}"
        told = json.loads(line)
        self.ports = tuple(int(told[name].rpartition(":")[2]) for name in ("mqtt", "http"))
        return told

    def kill(self) -> None:
        """SIGKILL: no goodbye, no flush."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        self.process.stdout.close()
        return status
