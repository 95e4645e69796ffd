"""The live demo: a mock cloud, a real package of 1 MB uploaded to it, a plan, and 500 modules over real sockets.

Starts everything on loopback and free ports, stops everything, and leaves the report of the run: `make demo-live`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

SCENARIO = Path(__file__).with_name("live_demo.yaml")
PACKAGE_BYTES = 1_000_000
FOTASIM = [sys.executable, "-m", "sim.cli"]


async def file_plan(http: str, token: str, package: Path) -> int:
    """Does over the API what the console's user does: project to activated plan. Returns the plan's id."""
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(f"{http}/api/v1/", headers=headers, raise_for_status=True) as session:

        async def post(path: str, **given: Any) -> dict[str, Any]:
            async with session.post(path, json=given) as answer:
                return dict(await answer.json())

        project = (await post("projects", name="Live demo"))["id"]
        product = (await post("products", project_id=project, name="Router"))["id"]
        part = {"identifier": "fw", "name": "Module firmware", "kind": "firmware"}
        model = await post("models", project_id=project, name="Router", device_model="R500", components=[part])
        form = aiohttp.FormData({"project_id": str(project), "name": "Release 1.1", "target_version": "1.1.0"})
        form.add_field("files", package.read_bytes(), filename=package.name)
        async with session.post("versions", data=form) as answer:
            version = await answer.json()
        file = version["files"][0]
        print(f"uploaded {file['name']}: {file['size_bytes']:,} bytes, MD5 {file['md5']}")
        choice = {"component_id": model["components"][0]["id"], "version_id": version["id"]}
        plan = await post(
            "plans", project_id=project, product_id=product, model_id=model["id"], name="Release 1.1 to all",
            components=[choice],
        )  # fmt: skip
        await post(f"plans/{plan['id']}/activate")
        return int(plan["id"])


async def counts(http: str, token: str, plan: int) -> dict[str, int]:
    """Devices of the plan by stage, as the cloud counts them."""
    url = f"{http}/api/v1/plans/{plan}/counts"
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}, raise_for_status=True) as session,
        session.get(url) as answer,
    ):
        return dict((await answer.json())["stages"])


def main() -> int:
    """Runs the demo; the exit status of the live run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", type=int, default=500)
    parser.add_argument("--out", default="reports/live-demo")
    parser.add_argument("--time-scale", default="30")
    given = parser.parse_args()
    token = secrets.token_urlsafe(24)
    environment = {**os.environ, "FOTASIM_TOKEN": token}
    with tempfile.TemporaryDirectory(prefix="fotasim-demo-") as folder:
        package = Path(folder) / "release-1.1.bin"
        package.write_bytes(os.urandom(PACKAGE_BYTES))
        cloud = subprocess.Popen(
            [
                *FOTASIM, "cloud", "--mqtt", "0", "--http", "0", "--json", "--data", f"{folder}/cloud",
                "--time-scale", given.time_scale,
            ],
            env=environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert cloud.stdout is not None
            http = json.loads(cloud.stdout.readline())["http"]
            print(f"mock cloud at {http}")
            plan = asyncio.run(file_plan(http, token, package))
            live = subprocess.run(
                [
                    *FOTASIM, "live", str(SCENARIO), "--cloud", http, "--plan", str(plan), "--modules", str(given.modules),
                    "--time-scale", given.time_scale, "--duration", "90s", "--out", given.out, "--overwrite",
                ],
                env=environment, check=False,
            )  # fmt: skip
            print(f"the cloud counts {asyncio.run(counts(http, token, plan))}")
            return live.returncode
        finally:
            cloud.terminate()
            cloud.wait(30)


if __name__ == "__main__":
    sys.exit(main())
