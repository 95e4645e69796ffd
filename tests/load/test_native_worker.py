"""The native worker against the master of the installed Locust, over its real protocol."""

from __future__ import annotations

import asyncio
import csv
import json

import pytest

from sim.engines.live import latency
from sim.engines.live.live_cloud import find_target
from sim.engines.live.live_engine import Settings
from sim.engines.live.reconciliation import Reconciliation
from sim.engines.live.snapshot import Snapshot
from sim.errors import ProtocolError
from sim.load.load_fleet import LoadFleet
from sim.load.locust_workers import native_worker as worker_module
from sim.load.locust_workers.native_worker import Worker
from sim.load.locust_workers.worker_protocol import Message, Statistics, decode, rounded_ms
from sim.load.locust_workers.worker_reports import Gathered
from tests.live_cloud import LiveCloud
from tests.load.master import master
from tests.support import HARMLESS, scenario

LEGS = [
    leg for leg in latency.LEGS if leg not in ("poll", "configData", "deploymentBase", "feedback")
]  # those are DDI's
FLEET = scenario(
    *HARMLESS, "fleet.size=24", "fleet.groups.0.power=mains", "fleet.groups.0.rsrp_dbm=-90",
    "fleet.groups.0.free_space=10 MB",
)  # fmt: skip


class Stub:
    """A fleet without modules: every one that begins measures one second."""

    def __init__(self, statistics):
        self.statistics, self.count, self.opened, self.most = statistics, 0, [], 0

    async def open(self, index, of):
        self.opened.append((index, of))

    def resize(self, count):
        for _ in range(max(0, count - self.count)):
            self.statistics.add("connect", 0.25)
        self.count = count
        self.most = max(self.most, count)
        return count

    def halt(self):
        self.halted = True

    async def close(self, *, compare):
        self.count = 0
        return Reconciliation(note="not asked" if compare else "not wanted")

    def snapshot(self):
        return Snapshot(0.0, 0.0, self.count, 0, {"idle": self.count}, self.count, 0, 0, 0, 0.0, {})


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """On a busy host a master may need longer for ten heartbeats than a test is about; test_run.py is about those."""
    monkeypatch.setattr(worker_module, "MASTER_SILENT_BEATS", 90)


async def serve(port, fleets, workers):
    await asyncio.gather(*(Worker("127.0.0.1", port, fleet).run() for fleet in fleets[:workers]))


def rows(folder):
    with (folder / "stats_stats.csv").open() as file:
        return {row["Name"]: row for row in csv.DictReader(file)}


def test_the_installed_master_spawns_stops_and_adds_up_two_workers(tmp_path):
    made = []

    def stub(statistics):
        made.append(Stub(statistics))
        return made[-1]

    with master(tmp_path, "-u", "10", "-r", "10", "-t", "4s", "--expect-workers", "2") as (process, port):
        asyncio.run(asyncio.wait_for(serve(port, [stub, stub], 2), 60))
        assert process.wait(30) == 0
    assert sorted(fleet.opened[0] for fleet in made) == [(0, 2), (1, 2)]
    assert [fleet.most for fleet in made] == [5, 5]
    found = rows(tmp_path)
    assert (found["connect"]["Request Count"], found["Aggregated"]["Request Count"]) == ("10", "10")
    assert float(found["connect"]["50%"]) == 250
    report = json.loads((tmp_path / "load.json").read_text())
    assert [worker["final"] for worker in report["workers"].values()] == [True, True]


def test_a_fleet_under_locust_shows_every_leg_and_both_histograms_add_up(tmp_path):
    async def run():
        cloud = LiveCloud(FLEET)
        await cloud.start()
        try:
            target = await find_target(cloud.url, Settings())
            with master(tmp_path, "-u", "24", "-r", "24", "--expect-workers", "2") as (process, port):
                fleet = [lambda s: LoadFleet(FLEET, target, Settings(time_scale=50.0), s, compare=True)] * 2
                work = asyncio.ensure_future(serve(port, fleet, 2))
                while sum(statuses[-1:] == [11] for statuses in cloud.statuses) < 24 and not work.done():
                    await asyncio.sleep(0.1)
                process.terminate()  # Locust's way to end a run that has no end
                await asyncio.wait_for(work, 90)
                assert await asyncio.to_thread(process.wait, 30) == 0
        finally:
            await cloud.stop()
        return cloud

    cloud = asyncio.run(run())
    report = json.loads((tmp_path / "load.json").read_text())
    found = rows(tmp_path)
    for leg in LEGS:
        parts = [worker["counts"][leg] for worker in report["workers"].values()]
        assert report["legs"][leg]["count"] == sum(parts) == int(found[leg]["Request Count"]), leg
        assert sum(parts) >= 24, leg
    assert report["reconciliation"]["agrees"]
    counted = {check["what"]: (check["client"], check["cloud"]) for check in report["reconciliation"]["checks"]}
    assert counted["successes acknowledged / counted"] == (24, 24)
    assert len(set(cloud.logins)) == 24  # the workers share the fleet, nobody is there twice


def test_merged_histograms_equal_the_sum_of_the_parts():
    clock = [100.0]
    parts = [Statistics(lambda: clock[0]) for _ in range(3)]
    whole, gathered = Statistics(lambda: clock[0]), Gathered(lambda: clock[0])
    for k in range(3000):
        seconds = 0.001 * 1.003**k
        parts[k % 3].add("notice", seconds)
        whole.add("notice", seconds)
    parts[1].fail("notice", "no answer")
    for number, part in enumerate(parts):
        report = json.loads(json.dumps(part.report()))
        report["fotasim"]["final"] = True
        gathered.take(f"w{number}", report)
    merged = gathered.merged()
    assert merged.count("notice") == 3000
    assert merged.failed("notice") == {"no answer": 1}
    for percent in (1.0, 50.0, 90.0, 99.0, 99.9, 100.0):
        assert merged.quantile_s("notice", percent) == whole.quantile_s("notice", percent)
    assert gathered.faults() == []


def test_a_worker_that_leaves_in_mid_run_is_named(tmp_path):
    """SIGTERM or Ctrl-C at a worker: it reports what it has, and the run is not whole."""

    async def run():
        with master(tmp_path, "-u", "4", "-r", "4", "-t", "5s", "--expect-workers", "2") as (process, port):
            stays, leaves = (Worker("127.0.0.1", port, Stub) for _ in range(2))
            tasks = [asyncio.ensure_future(worker.run()) for worker in (stays, leaves)]
            while leaves.state != "running":
                await asyncio.sleep(0.05)
            tasks[1].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert await asyncio.to_thread(process.wait, 60) == 0
        return leaves.id

    left = asyncio.run(asyncio.wait_for(run(), 90))
    report = json.loads((tmp_path / "load.json").read_text())
    assert (report["complete"], report["workers"][left]["final"]) == (False, True)
    assert report["workers"][left]["counts"]["connect"] == 2
    assert f"worker {left} left in mid-run, and 2 modules with it" in report["faults"]


def test_clocks_that_differ_are_told():
    gathered = Gathered(lambda: 100.0)
    gathered.take("w", {"fotasim": {"time": 97.5, "final": True, "legs": {}}, "user_count": 1})
    assert gathered.faults() == ["worker w: its clock is -2.5 s off the master's"]


def test_rounding_is_locusts_own():
    """Two significant digits: figures from the docstring of locust.stats.bucket_response_time."""
    assert [rounded_ms(x) for x in (0.4, 99.4, 147.0, 3432.0, 58760.0)] == [0, 99, 150, 3400, 59000]


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x01", Message("a", None, "b").encode()[:-1], b"\x93\x01\xc0\xc0"])
def test_what_no_master_sends_is_refused(data):
    with pytest.raises(ProtocolError):
        decode(data)
