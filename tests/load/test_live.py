"""The search on a running mock cloud with an injected limit, and what a stall and a starved generator look like."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from sim.engines.live.latency import Latencies
from sim.engines.live.live_cloud import find_target
from sim.engines.live.live_engine import Settings
from sim.engines.live.self_check import Health, SelfCheck
from sim.engines.live.slo import parse
from sim.load.capacity.live_probe import LiveProbe
from sim.load.capacity.search import Bounds, search
from sim.load.capacity.wake_ups import KINDS, probe_scenario
from sim.load.load_fleet import LoadFleet
from sim.scenario.load import dump
from tests.live_cloud import LiveCloud
from tests.service.cloud import TOKEN, CloudProcess
from tests.support import scenario

SLO = parse("p99(notify)<2s, error_rate<0.1%")


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    """Starts `fotasim cloud` for a scenario with faults."""
    monkeypatch.setenv("FOTASIM_TOKEN", TOKEN)
    started = []

    def start(given, *faults):
        file = tmp_path / "scenario.yaml"
        file.write_text(dump(given), encoding="utf-8")
        options = [part for fault in faults for part in ("--fault", fault)]
        process = CloudProcess(tmp_path / "cloud", "--scenario", str(file), "--activate", *options)
        started.append(process)
        return process.start()["http"]

    yield start
    for process in started:
        process.stop()


def look(given, url, kind, bounds, settings):
    probe = LiveProbe(given, url, KINDS[kind], SLO, settings)
    try:
        found = search(probe, SLO, bounds)
    finally:
        probe.close()
    if not found.complete:
        pytest.skip(found.reason)  # this host cannot measure now: no evidence either way
    return found


@pytest.mark.slow
def test_an_injected_limit_of_200_requests_per_second_is_found(cloud):
    """At the capacity the cloud sees the rate it is limited to: messages and downloads, counted by the modules."""
    given = scenario("plan.components.fw.size=20 kB")
    url = cloud(given, "max_requests_per_s=200")
    bounds = Bounds(start=700.0, high=1400.0, precision=0.06, hold_s=10.0, confirm_s=25.0)
    found = look(given, url, "releases", bounds, Settings(time_scale=60.0))
    assert found.confirmed
    held = [p for p in found.points if p.phase == "confirm" and p.kept and p.load == found.capacity]
    assert held[-1].measured.figures["requests_per_s"] == pytest.approx(200.0, rel=0.1)


@pytest.mark.slow
def test_an_injected_limit_of_300_downloads_at_once_is_found(cloud):
    """4 MB at the modelled radio's goodput take longer than the wave, and no socket buffer swallows them."""
    given = scenario("plan.components.fw.size=4 MB", "fleet.groups.0.rsrp_dbm=-85")
    url = cloud(given, "max_downloads=300")
    bounds = Bounds(start=230.0, high=460.0, precision=0.06, hold_s=8.0, confirm_s=8.0)
    found = look(given, url, "modules", bounds, Settings(radio=True))
    assert found.confirmed
    assert found.capacity == pytest.approx(300.0, rel=0.1)
    assert found.first_broken.measured.legs["download"]["failures"] > 0


class Stalling(LiveCloud):
    """Takes in nothing for two seconds, then works off what has come."""

    def __init__(self, given):
        super().__init__(given)
        self.stalled, self.kept = False, []

    def on_message(self, client_id, topic, payload):
        if self.stalled:
            self.kept.append((client_id, topic, payload))
        else:
            super().on_message(client_id, topic, payload)

    async def stall(self, after_s, seconds):
        await asyncio.sleep(after_s)
        self.stalled = True
        await asyncio.sleep(seconds)
        self.stalled = False
        for message in self.kept:
            super().on_message(*message)


def test_a_stall_shows_in_the_percentiles_as_theory_says():
    """Open loop, forty requests a second for ten seconds, answered at once but for a pause of two seconds.

    A fifth of them meets the pause and waits evenly between 0 and 2 s: the quantile q above 0.8 is 2 s x (q - 0.8) / 0.2.
    A closed loop would have sent few requests into the pause, and its p90 would have seen nothing.
    """
    given = probe_scenario(scenario(), 400)

    async def run():
        cloud, found, check = Stalling(given), Latencies(), SelfCheck()
        await cloud.start()
        fleet = LoadFleet(given, await find_target(cloud.url, Settings()), Settings(), found)
        await fleet.open()
        check.start()
        zero = cloud.loop.time() + 0.1
        for k in range(400):
            cloud.loop.call_at(zero + k / 40, fleet.begin, k, zero + k / 40)
        while found.count("login") < 10:
            await asyncio.sleep(0.01)
        await cloud.stall(3.0, 2.0)
        while found.count("notice") < 400:
            await asyncio.sleep(0.05)
        await check.stop()
        health = check.look()
        await fleet.close()
        await cloud.stop()
        return found, health

    for _ in range(3):
        found, health = asyncio.run(asyncio.wait_for(run(), 60))
        if not health.faults:
            break
    else:
        pytest.skip(health.faults[0])  # this host cannot measure now: no evidence either way
    for percent in (85.0, 90.0, 95.0, 99.0):
        theory = 2.0 * (percent / 100 - 0.8) / 0.2
        assert found.quantile_s("notice", percent) == pytest.approx(theory, abs=0.25)
    assert found.quantile_s("notice", 75.0) < 0.25


def test_a_blocked_event_loop_voids_the_run():
    async def starve():
        check = SelfCheck()
        check.start()
        for _ in range(3):
            await asyncio.sleep(0.01)
            time.sleep(0.4)  # what a starved generator looks like: nothing runs
        await asyncio.sleep(0.06)
        found = check.look()
        await check.stop()
        return found

    health = asyncio.run(starve())
    assert health.lag_p99_s > 0.1
    assert any("timers were late" in fault for fault in health.faults)


@pytest.mark.parametrize(
    ("changed", "word"), [({"lag_p99_s": 0.2}, "late"), ({"cpu": 0.97}, "core"), ({"files": 950}, "open files"),
                          ({"connections": 27_000}, "ports"), ({}, None)],
)  # fmt: skip
def test_each_resource_of_the_generator_is_watched(changed, word):
    healthy = {
        "span_s": 10.0, "lag_p99_s": 0.01, "lag_max_s": 0.02, "cpu": 0.5, "files": 100, "file_limit": 1000,
        "connections": 100, "port_limit": 28_232,
    }  # fmt: skip
    faults = Health(**healthy | changed).faults
    assert (len(faults), word is None or word in faults[0]) == (int(word is not None), True)
    assert json.dumps(Health(**healthy).as_dict())
