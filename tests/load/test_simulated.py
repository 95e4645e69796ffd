"""The search on the simulated cloud finds limits that arithmetic gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.engines.live.slo import parse
from sim.errors import FotasimError
from sim.load.capacity.search import Bounds, search
from sim.load.capacity.simulated_probe import SimulatedProbe
from sim.load.capacity.wake_ups import KINDS, probe_scenario, takes_upgrade, wake_times
from sim.stats.evidence import Answer, judge
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
    assert verdict.first_broken.broken[0].startswith("the server falls behind: the latency of wake grew")


def test_a_limit_of_300_downloads_at_once_is_found():
    verdict = found(
        "modules", Bounds(start=100.0, precision=0.03, hold_s=5.0, confirm_s=10.0), "cloud.capacity.downloads=300"
    )
    assert verdict.confirmed
    assert verdict.capacity == pytest.approx(300.0, rel=0.1)
    assert verdict.first_broken.broken == ("error_rate<0.1%",)


CONNECT = parse("p99(connect)<2s, p99(notify)<2s, error_rate<0.1%")


@pytest.mark.parametrize(
    ("limit", "per_s"),
    [
        (("cloud.capacity.connections_per_s=100/s",), 100.0),
        (("cloud.capacity.request_workers=1", "cloud.capacity.request_time=5ms"), 200.0),
    ],
)  # fmt: skip
def test_a_limit_of_wake_ups_is_found(limit, per_s):
    """Each wake-up is a connection and a notice, taken or not."""
    bounds = Bounds(start=10_000.0, precision=0.03, hold_s=60.0, confirm_s=120.0)
    verdict = search(SimulatedProbe(scenario(*limit), KINDS["wakeups"], CONNECT), CONNECT, bounds)
    assert verdict.confirmed
    assert verdict.capacity / 600.0 == pytest.approx(per_s, rel=0.1)
    assert "the server falls behind" in verdict.first_broken.broken[0]


def test_fifty_thousand_modules_wake_up_in_ten_minutes():
    """All of them connect and get their notice; none takes the upgrade, and half a minute later each is asleep again."""
    where = scenario("cloud.capacity.connections_per_s=100/s", "fleet.groups.0.check_in.awake=30s")
    found = SimulatedProbe(where, KINDS["wakeups"], CONNECT)(50_000.0, 600.0)
    assert found.legs["connect"]["count"] == found.legs["notice"]["count"] == found.figures["modules"] == 50_000
    assert "download" not in found.legs
    assert judge(found.evidence) == (Answer.KEPT, ())
    assert found.faults == ()
    assert found.figures["peak_connections"] == pytest.approx(30.0 * 50_000 / 600.0, rel=0.1)  # Little's law


def test_wake_ups_that_take_the_upgrade_load_more():
    share = SimulatedProbe(scenario(), KINDS["wakeups"], CONNECT, taking=0.1)(6000.0, 60.0)
    assert share.legs["notice"]["count"] == 600
    assert share.legs["url"]["count"] == share.legs["download"]["count"] == 60


@pytest.mark.parametrize("kind", KINDS)
def test_both_engines_measure_the_same(kind):
    one, other = (
        SimulatedProbe(scenario(), KINDS[kind], CONNECT, engine=e)(300.0, 10.0) for e in ("simpy", "compiled")
    )
    assert one.legs == other.legs


def test_a_load_that_is_held_again_meets_other_chance():
    """The same run twice would double the samples and prove nothing more; the same search gives the same."""
    one, other = (SimulatedProbe(scenario(), KINDS["wakeups"], CONNECT) for _ in range(2))
    first, second = one(6000.0, 20.0), one(6000.0, 20.0)
    assert first.legs != second.legs
    assert (other(6000.0, 20.0).legs, other(6000.0, 20.0).legs) == (first.legs, second.legs)


def test_a_leg_the_simulation_does_not_time_is_refused():
    with pytest.raises(FotasimError, match="--no-predict"):
        SimulatedProbe(scenario(), KINDS["modules"], parse("p99(report)<2s"))


def test_modules_wake_up_whatever_happens():
    """Releases evenly, wake-ups each at a moment of its own, a wave within two seconds."""
    assert wake_times(KINDS["releases"], 120.0, 10.0).tolist() == [k / 2 for k in range(20)]
    times = wake_times(KINDS["wakeups"], 60_000.0, 50.0, seed=3)
    assert (len(times), times.tolist()) == (5000, sorted(times))
    assert stats.kstest(times / 50.0, "uniform").pvalue > 1e-3
    assert wake_times(KINDS["wakeups"], 60_000.0, 50.0, seed=4).tolist() != times.tolist()
    wave = wake_times(KINDS["modules"], 50.0, 10.0)
    assert (len(wave), wave[0]) == (50, 0.0)
    assert wave[-1] < 2.0


@given(count=st.integers(1, 3000), share=st.floats(0.0, 1.0))
def test_the_share_that_takes_the_upgrade_is_spread_evenly(count, share):
    takes = takes_upgrade(KINDS["wakeups"], count, share)
    for upto in (count, count // 2):
        assert abs(takes[:upto].sum() - share * upto) <= 1.0
    assert takes_upgrade(KINDS["releases"], count, share).all()


def test_the_modules_of_a_probe_fail_for_no_reason_of_their_own():
    made = probe_scenario(scenario("fleet.failures.never_online=0.5", "plan.mode=confirm"), 7)
    assert made.fleet.size == 7
    assert made.fleet.failures.overrides()["never_online"] == 0.0
    assert (made.plan.mode, made.fleet.groups[0].check_in.kind) == ("silent", "always")
