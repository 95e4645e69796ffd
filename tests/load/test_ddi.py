"""A DDI server under load: every request of its modules is a line of Locust's statistics, and a search speaks DDI."""

from __future__ import annotations

import asyncio
import csv
import json
import threading
from contextlib import contextmanager

import pytest
from aiohttp import web

from sim.engines.live.live_cloud import find_target
from sim.engines.live.live_engine import Settings
from sim.engines.live.slo import parse
from sim.load.capacity.findings import KINDS
from sim.load.capacity.live_probe import LiveProbe
from sim.load.capacity.simulated_probe import SimulatedProbe
from sim.load.load_fleet import LoadFleet
from sim.load.locust_workers.native_worker import Worker
from sim.stats.evidence import Answer, judge
from tests.ddi_server import DocumentedServer
from tests.hawkbit_double import HawkbitDouble
from tests.live_cloud import package_bytes
from tests.load.master import master
from tests.support import HARMLESS, scenario

FLEET = (
    *HARMLESS, "cloud.kind=ddi", "plan.strategy.preset=goosebit", "fleet.size=24", "fleet.groups.0.power=mains",
    "fleet.groups.0.rsrp_dbm=-90", "fleet.groups.0.free_space=10 MB", "fleet.groups.0.check_in=always",
)  # fmt: skip
SLO = parse("p99(notify)<2s, error_rate<0.1%")


def test_a_polled_fleet_under_locust_shows_each_kind_of_request_as_the_server_counted_it(tmp_path):
    async def run():
        server, given = DocumentedServer(package_bytes(200_000)), scenario(*FLEET)
        await server.start()
        try:
            target = await find_target(server.url, Settings(), None, given)
            with master(tmp_path, "-u", "24", "-r", "24", "--expect-workers", "2") as (process, port):
                work = asyncio.gather(*(
                    Worker("127.0.0.1", port, lambda s: LoadFleet(given, target, Settings(time_scale=200.0), s, compare=True)).run()
                    for _ in range(2)
                ))  # fmt: skip
                while list(server.status.values()).count("FINISHED") < 24 and not work.done():
                    await asyncio.sleep(0.1)
                process.terminate()  # Locust's way to end a run that has no end
                await asyncio.wait_for(work, 60)
                assert await asyncio.to_thread(process.wait, 30) == 0
        finally:
            await server.stop()
        return server

    server = asyncio.run(asyncio.wait_for(run(), 120))
    report = json.loads((tmp_path / "load.json").read_text())
    with (tmp_path / "stats_stats.csv").open() as file:
        found = {row["Name"]: row for row in csv.DictReader(file)}
    counted = {
        "poll": sum(map(len, server.polls.values())), "feedback": sum(map(len, server.feedback.values())),
        "deploymentBase": 24, "download": len(server.ranges),
    }  # fmt: skip
    assert counted["feedback"] == 24 * 6
    for leg, count in counted.items():
        assert int(found[leg]["Request Count"]) == report["legs"][leg]["count"], leg
        if leg == "poll":  # one may have been cut off on its way back
            assert count - 24 <= report["legs"][leg]["count"] <= count
        else:
            assert report["legs"][leg]["count"] == count, leg
    assert report["legs"]["configData"]["count"] >= 24
    assert sum(int(row["Failure Count"]) for row in found.values()) == 0


@contextmanager
def in_thread(server):
    """A server with a loop of its own, for what blocks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10.0)
    yield server
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10.0)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10.0)
    loop.close()


@pytest.fixture
def running_server():
    with in_thread(DocumentedServer(package_bytes(200_000))) as server:
        yield server


def test_a_capacity_probe_speaks_ddi_and_counts_what_the_server_counts(running_server):
    probe = LiveProbe(scenario(*FLEET), running_server.url, KINDS["modules"], SLO, Settings(time_scale=200.0))
    try:
        measured = probe(12.0, 3.0)
    finally:
        probe.close()
    assert list(running_server.status.values()) == ["FINISHED"] * 12
    assert measured.figures["upgraded"] == 12.0
    assert measured.values["error_rate<0.1%"] == 0.0
    assert measured.values["p99(notify)<2s"] is not None


# --- the server's own counts -------------------------------------------------------------------------------------------


class GoosebitDouble(DocumentedServer):
    """The documented server with goosebit's login and device list; of so many successes one is answered and not kept."""

    def __init__(self, package, forgets_every=0):
        super().__init__(package)
        self.forgets_every = forgets_every

    def routes(self, app):
        app.router.add_post("/login", self._login)
        app.router.add_get("/api/v1/devices", self._devices)

    async def _login(self, request):
        return web.json_response({"access_token": "t"})

    async def _devices(self, request):
        done = [name for name, state in self.status.items() if state == "FINISHED"]
        forgotten = set(done[:: self.forgets_every]) if self.forgets_every else set()
        words = {name: "Running" if name in forgotten or name not in done else "Finished" for name in self.status}
        return web.json_response({"devices": [{"id": name, "last_state": word} for name, word in words.items()]})


def hawkbit(forgets_every):
    double = HawkbitDouble()
    double.assign("fw", "1.1.0", package_bytes(200_000))
    double.forgets_every = forgets_every
    return double


@pytest.mark.parametrize("kind", ["hawkbit", "goosebit"])
@pytest.mark.parametrize("forgets_every", [0, 4])
def test_each_probe_is_beside_the_servers_own_count(kind, forgets_every, monkeypatch):
    """Of 12 successes that it acknowledged a server keeps 9: the probe is broken, whatever the latencies are."""
    monkeypatch.setenv("FOTASIM_DDI_USER", "admin")
    monkeypatch.setenv("FOTASIM_DDI_PASSWORD", "admin")
    server = hawkbit(forgets_every) if kind == "hawkbit" else GoosebitDouble(package_bytes(200_000), forgets_every)
    with in_thread(server):
        probe = LiveProbe(
            scenario(*FLEET, f"cloud.server={kind}"), server.url, KINDS["modules"], SLO, Settings(time_scale=200.0)
        )
        try:
            measured = probe(12.0, 3.0)
        finally:
            probe.close()
    assert measured.legs["upgrade"]["count"] == 12
    lost = ("the cloud lost updates: it acknowledged 12 successes of this probe and counts 9",)
    assert measured.faults == (lost if forgets_every else ())
    assert not any("count" in hint for hint in measured.hints)


@pytest.mark.parametrize("handling", ["forced", "attempt"])
@pytest.mark.parametrize(("taking", "downloads"), [(0.0, 0), (0.5, 6)])
def test_wake_ups_take_nothing_even_where_the_update_is_forced(running_server, handling, taking, downloads):
    """Twelve modules wake up; those that are only there to ask leave even a forced update alone."""
    running_server.handling = handling
    given = scenario(*FLEET, "fleet.groups.0.check_in={every: 24h, awake: 2s}")
    probe = LiveProbe(given, running_server.url, KINDS["wakeups"], SLO, Settings(time_scale=20.0), taking=taking)
    try:
        measured = probe(2400.0, 3.0)
    finally:
        probe.close()
    assert len(running_server.polls) == measured.legs["wake"]["count"] == 12
    assert len(running_server.ranges) == downloads
    assert measured.legs.get("download", {"count": 0})["count"] == downloads


def test_without_a_login_the_missing_count_is_said(running_server):
    probe = LiveProbe(scenario(*FLEET), running_server.url, KINDS["modules"], SLO, Settings(time_scale=200.0))
    try:
        measured = probe(3.0, 3.0)
    finally:
        probe.close()
    assert "the server's own count is not known, so lost updates would not show" in measured.hints


def test_the_prediction_of_a_polled_server_breaks_where_its_workers_end():
    """One worker of 100 ms bears ten requests a second; an upgrade costs eight before its reboot and three after it."""
    given = scenario(*FLEET, "cloud.capacity={request_workers: 1, request_time: 100ms, connections_per_s: 1000}")
    probe = SimulatedProbe(given, KINDS["releases"], SLO)
    calm, full = probe(30.0, 120.0), probe(120.0, 120.0)
    assert judge(calm.evidence)[0] is not Answer.BROKEN
    # What waits longer than a device does fails as well.
    assert judge(full.evidence) == (Answer.BROKEN, ("p99(notify)<2s", "error_rate<0.1%"))
