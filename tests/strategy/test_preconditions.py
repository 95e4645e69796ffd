"""Definition 10: preconditions, whose values they are compared with, and what becomes of a module that fails them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim import messages as msg
from sim.causes import Cause
from sim.messages import unmet
from tests.strategy.cloud import REFUSED, Cloud
from tests.support import HARMLESS, run

CLOUD = {"checked_by": "cloud", "min_battery_percent": 30, "min_rsrp_dbm": -113, "needed_space": 1000}
GOOD = {"battery": 30.0, "rsrp": -113.0, "free": 1000}
LIMITS = pytest.mark.parametrize(
    ("worse", "why"),
    [({"battery": 29.99}, "low battery"), ({"rsrp": -113.01}, "weak signal"), ({"free": 999}, "no space")],
)


@LIMITS
def test_below_the_limit_is_unmet(worse, why):
    """Definition 10: `<` is unmet, each limit on its own."""
    cloud = Cloud(1, away=[0], preconditions=CLOUD)
    assert cloud.hello(0, **{**GOOD, **worse}) == []
    assert cloud.lines(f"deferred: {why}") == [0.0] and cloud.state(0) == "queued"


def test_equal_to_the_limit_is_met():
    """Definition 10: exactly 30 %, -113 dBm and the space needed."""
    assert len(Cloud(1, away=[0], preconditions=CLOUD).hello(0, **GOOD)) == 1


def test_the_limits_as_the_device_compares_them():
    """Definition 10: the same comparison on the device."""
    assert unmet(30.0, -113.0, 1000.0, 30.0, -113.0, 1000) == Cause.NONE
    assert unmet(29.9, -113.0, 1000.0, 30.0, -113.0, 1000) == Cause.LOW_BATTERY
    assert unmet(30.0, -113.1, 1000.0, 30.0, -113.0, 1000) == Cause.WEAK_SIGNAL
    assert unmet(30.0, -113.0, 999.0, 30.0, -113.0, 1000) == Cause.NO_SPACE


def test_defer_is_no_failure():
    """Definition 10: back to QUEUED, counted as deferred, offered again at the next contact with new values."""
    cloud = Cloud(1, away=[0], preconditions=CLOUD)
    cloud.hello(0, battery=10)
    cloud.hello(0, battery=10)
    e = cloud.center.executions[0]
    assert e.deferrals == 2 and cloud.counts.failed == cloud.counts.rejected == 0
    assert len(cloud.hello(0, battery=31)) == 1


def test_deferred_at_the_tick_until_it_reports_anew():
    """Definition 10: the cloud knows only the last report: on the push grid nothing changes until there is another."""
    cloud = Cloud(1, away=[0], preconditions=CLOUD, delivery={"push_interval": "10min"})
    cloud.until(1.0).hello(0, battery=10, asks=False)
    cloud.until(3000.0)
    assert cloud.told(msg.Notice) == []
    cloud.hello(0, battery=50, asks=False)
    assert cloud.until(3700.0).told(msg.Notice)[0] == (3600.0, 0)


def test_reject():
    """Definition 10: REJECT ends it as REJECTED."""
    cloud = Cloud(1, away=[0], preconditions={**CLOUD, "on_unmet": "reject"})
    cloud.hello(0, battery=10)
    assert cloud.state(0) == "rejected" and cloud.counts.rejected == 1


def test_checked_by_the_device_alone():
    """Definition 10, DEVICE: the cloud offers whatever was reported; the device refuses on what is true."""
    cloud = Cloud(1, away=[0], preconditions={**CLOUD, "checked_by": "device"})
    assert len(cloud.hello(0, battery=1)) == 1
    cloud.status(0, 1, REFUSED)
    assert cloud.state(0) == "queued" and cloud.center.executions[0].deferrals == 1


def test_a_refused_offer_is_made_again_at_the_next_tick():
    """Definition 10: DEFER offers again at the next push tick."""
    cloud = Cloud(1, preconditions={**CLOUD, "checked_by": "device"}, delivery={"push_interval": "10min"})
    cloud.status(0, 1, REFUSED)
    assert cloud.until(700.0).told(msg.Notice) == [(0.0, 0), (600.0, 0)]


def test_stale_reports_are_a_modelled_failure():
    """Definition 10: BOTH: what the cloud let pass on an old report the device refuses on the true value."""
    cloud = Cloud(1, away=[0], preconditions={**CLOUD, "checked_by": "both", "on_unmet": "reject"})
    cloud.hello(0, **GOOD)
    cloud.status(0, 1, REFUSED)
    assert cloud.state(0) == "rejected"


@pytest.mark.parametrize(("checked_by", "offers"), [("cloud", 0), ("device", 1), ("both", 0)])
def test_in_a_whole_run(checked_by, offers):
    """Definition 10: a fleet with empty batteries: the cloud does not even offer, the device does not accept."""
    modules = run(
        *HARMLESS, "fleet.groups.0.battery_percent=20", "fleet.physics.gauge_sd_percent=0", "horizon=2d", "fleet.size=20",
        "fleet.groups.0.rsrp_dbm=-80", f"plan.strategy.preconditions={{checked_by: {checked_by}, on_unmet: reject}}",
    ).records.modules  # fmt: skip
    assert (modules["outcome"] == "rejected").all() and (modules["cause"] == "low_battery").all()
    assert (modules["offers"] == offers).all()


@pytest.mark.parametrize(("needed", "outcome"), [("package", "rejected"), ("none", "failed"), ("90 kB", "failed")])
def test_needed_space(needed, outcome):
    """Definition 10: PACKAGE is the size of the largest package, a size is itself, none asks for nothing.

    A module with 100 kB for a package of 200 kB: refused beforehand, or it fails in the attempt.
    """
    modules = run(
        *HARMLESS, "fleet.groups.0.free_space=100 kB", "fleet.groups.0.rsrp_dbm=-80", "horizon=2d", "fleet.size=10",
        "fleet.groups.0.battery_percent=90", "plan.strategy.retry.number_of_retries=0",
        f"plan.strategy.preconditions={{needed_space: {needed}, on_unmet: reject}}",
    ).records.modules  # fmt: skip
    assert (modules["outcome"] == outcome).all() and (modules["cause"] == "no_space").all()


FRACTION = ("fleet.physics.gauge_sd_percent=0", "fleet.physics.rsrp_session_sd_db=0", "horizon=2d")


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize("checked_by", ["cloud", "device"])
@pytest.mark.parametrize(
    ("limit", "value", "refused"),
    [
        ("min_battery_percent: 30.9", "battery_percent=30.85", True),
        ("min_battery_percent: 30.8", "battery_percent=30.85", False),
        ("min_rsrp_dbm: -100.4", "rsrp_dbm=-100.5", True),
        ("min_rsrp_dbm: -100.5", "rsrp_dbm=-100.5", False),
        ("min_rsrp_dbm: -100.6", "rsrp_dbm=-100.5", False),
    ],
)
def test_fractions_of_limits_count(engine, checked_by, limit, value, refused):
    """Definition 10: cloud and device compare with the limit as it is written; equal is met."""
    modules = run(
        *HARMLESS, *FRACTION, "fleet.groups.0.rsrp_dbm=-80", "fleet.groups.0.battery_percent=90", "fleet.size=20",
        f"fleet.groups.0.{value}", f"plan.strategy.preconditions={{{limit}, checked_by: {checked_by}, on_unmet: reject}}",
        engine=engine,
    ).records.modules  # fmt: skip
    assert (modules["outcome"] == ("rejected" if refused else "succeeded")).all()


def test_a_notice_names_the_limits_as_the_sdk_does():
    """Whole limits without decimals, as the SDK prints them; a simulated fraction in full."""
    whole = msg.ComponentNotice("fw", "1", "2", 30.0, -113.0, 5)
    assert msg.notify_callback(whole) == '7,10700,"fw","1","2",30,-113,5'
    assert msg.notify_callback(replace(whole, min_battery_percent=30.9)).endswith(",30.9,-113,5")
