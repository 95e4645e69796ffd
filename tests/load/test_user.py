"""`ModuleUser` under the installed Locust: a process of its own, because Locust patches the sockets of a process."""

from __future__ import annotations

import asyncio
import csv
import subprocess
import sys
import time

from sim.scenario.load import dump
from tests.live_cloud import LiveCloud
from tests.support import HARMLESS, scenario

FLEET = scenario(
    *HARMLESS, "fleet.size=10", "fleet.groups.0.power=mains", "fleet.groups.0.rsrp_dbm=-90",
    "fleet.groups.0.free_space=10 MB",
)  # fmt: skip
LOCUSTFILE = """\
from sim.load import ModuleUser


class Tracker(ModuleUser):
    scenario = {scenario!r}
    time_scale = 50.0
"""


def counts(folder):
    """Requests by name, as Locust's file has them so far."""
    file = folder / "stats_stats.csv"
    rows = list(csv.DictReader(file.read_text().splitlines())) if file.exists() else []
    return {row["Name"]: int(row["Request Count"]) for row in rows if row.get("Request Count")}


def locust(folder, cloud):
    """Ten users of a locustfile as a user writes it, until all of them are upgraded; the process and what it printed."""
    (folder / "s.yaml").write_text(dump(FLEET))
    (folder / "locustfile.py").write_text(LOCUSTFILE.format(scenario=str(folder / "s.yaml")))
    command = [
        sys.executable, "-m", "locust", "-f", str(folder / "locustfile.py"), "--headless", "-u", "10", "-r", "10", "-t",
        "90s", "--host", cloud.url, "--csv", str(folder / "stats"), "--only-summary",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while process.poll() is None and counts(folder).get("report", 0) < 10 * 7:
            time.sleep(0.1)
        process.terminate()
        return process, process.communicate(timeout=60)[0]
    finally:
        process.kill()


def test_a_users_life_is_a_modules_and_every_leg_is_a_request(tmp_path):
    async def run():
        cloud = LiveCloud(FLEET)
        await cloud.start()
        try:
            return cloud, *await asyncio.to_thread(locust, tmp_path, cloud)
        finally:
            await cloud.stop()

    cloud, process, printed = asyncio.run(run())
    assert process.returncode == 0, printed
    found = counts(tmp_path)
    assert {leg: found[leg] for leg in ("notice", "url", "header", "download")} == dict.fromkeys(
        ("notice", "url", "header", "download"), 10
    )
    assert found["connect"] == found["login"] == 20  # before and after the update
    assert found["report"] == sum(map(len, cloud.statuses)) == 10 * 7


def test_asyncio_and_gevent_do_not_meet():
    """The package loads neither Locust nor gevent by itself; the user brings its gevent, and no event loop."""
    code = "import sim.load, sim.load.locust_workers.native_worker, sim.load.capacity.findings, sys; assert not {'locust', 'gevent'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
