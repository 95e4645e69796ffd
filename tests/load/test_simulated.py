"""The search on the simulated cloud finds limits that arithmetic gives."""

from __future__ import annotations

import pytest

from sim.load.search import Bounds, search
from sim.load.simulated import SimulatedProbe
from sim.load.slo import parse
from sim.load.wave import KINDS, probe_scenario, wake_times
from tests.support import scenario

SLO = parse("p99(notify)<1s, error_rate<0.1%")


def found(kind, bounds, *overrides):
    return search(SimulatedProbe(scenario(*overrides), KINDS[kind], SLO), SLO, bounds)


def test_a_limit_of_200_requests_per_second_is_found():
    """A notice and a URL for each upgrade; downloads too short for a status of their own every five seconds."""
    verdict = found(
        "releases", Bounds(start=3000.0, precision=0.03, hold_s=20.0, confirm_s=40.0), "plan.components.fw.size=5 kB",
        "cloud.capacity.request_workers=1", "cloud.capacity.request_time=5ms",
    )  # fmt: skip
    assert verdict.confirmed
    assert 2 * verdict.capacity / 60 == pytest.approx(200.0, rel=0.1)
    assert verdict.first_broken.broken == ("p99(notify)<1s",)


def test_a_limit_of_300_downloads_at_once_is_found():
    verdict = found(
        "modules", Bounds(start=100.0, precision=0.03, hold_s=5.0, confirm_s=10.0), "cloud.capacity.downloads=300"
    )
    assert verdict.confirmed
    assert verdict.capacity == pytest.approx(300.0, rel=0.1)
    assert verdict.first_broken.broken == ("error_rate<0.1%",)


def test_modules_wake_up_evenly_whatever_happens():
    assert wake_times(KINDS["releases"], 120.0, 10.0) == [k / 2 for k in range(20)]
    assert wake_times(KINDS["wakeups"], 1200.0, 10.0) == wake_times(KINDS["releases"], 120.0, 10.0)
    wave = wake_times(KINDS["modules"], 50.0, 10.0)
    assert (len(wave), wave[0]) == (50, 0.0)
    assert wave[-1] < 2.0


def test_the_modules_of_a_probe_fail_for_no_reason_of_their_own():
    given = probe_scenario(scenario("fleet.failures.never_online=0.5", "plan.mode=confirm"), 7)
    assert given.fleet.size == 7
    assert given.fleet.failures.overrides()["never_online"] == 0.0
    assert (given.plan.mode, given.fleet.groups[0].check_in.kind) == ("silent", "always")
