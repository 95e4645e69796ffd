"""A fleet is found in mid-life at activation, and modules come back as their habits say: closed forms of both."""

from __future__ import annotations

import pytest

from sim.stats.intervals import wilson
from tests.support import HARMLESS, run

QUIET = (
    *HARMLESS,
    "fleet.groups.0.rsrp_dbm=-85",
    "fleet.groups.0.free_space=10 MB",
    "fleet.groups.0.battery_percent=90",
)


def modules(*overrides: str, engine: str = "simpy"):
    """The table of modules of a run in which nothing goes wrong."""
    return run(*QUIET, *overrides, engine=engine).records.modules


def within(count: int, of: int, expected: float) -> bool:
    """Whether a share agrees with its closed form."""
    low, high = wilson(count, of, 0.9999)
    return low <= expected <= high


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize(
    ("check_in", "at_once", "first_hour"),
    [
        ("{every: 24h, awake: 12h}", 12 / 24, 13 / 24),
        ("{every: 24h, awake: 6h, jitter: 2h}", 6 / 24, 7 / 24),
        ("{sleepy: {tau: 4h, active: 1h}}", 1 / 4, 2 / 4),
        ("{every: 24h}", 60 / 86400, 3660 / 86400),
        ("{every: 24h, jitter: 12h}", 60 / 86400, 3660 / 86400),
        ("always", 1.0, 1.0),
    ],
)
def test_sessions_under_way_at_activation(check_in, at_once, first_hour, engine):
    """Awake a of every T: a/T are reached in the first moment, (a + t)/T by t; jitter moves nothing of that."""
    found = modules("fleet.size=4000", "horizon=1d", f"fleet.groups.0.check_in={check_in}", engine=engine)
    contact = found["first_contact_s"]
    assert within(int((contact <= 0.0).sum()), 4000, at_once)
    assert within(int((contact <= 3600.0).sum()), 4000, first_hour)


def test_modules_on_a_long_absence_come_back_into_the_middle_of_a_session():
    """Whoever returns while it would be awake is online at once: a/T of them are there at the very moment."""
    found = modules(
        "fleet.size=2000", "horizon=2d", "fleet.groups.0.check_in={every: 24h, awake: 12h}", "fleet.groups.0.joins=10h",
        "plan.strategy.target_selection=continuous",
    )  # fmt: skip
    assert found["first_contact_s"].min() >= 36000.0
    assert within(int((found["first_contact_s"] < 36060.0).sum()), 2000, 0.5)


def test_check_ins_at_random_are_their_mean_time_apart():
    """A mean of 1 h counts from check-in to check-in, 15 minutes awake included: 24 sessions a day, a quarter awake."""
    found = modules(
        "fleet.size=2000", "horizon=4d", "fleet.groups.0.check_in={poisson: 1h, awake: 15min}",
        "plan.strategy.preconditions={min_battery_percent: 95, checked_by: cloud}", "fleet.physics.gauge_sd_percent=0",
    )  # fmt: skip
    per_day = found["sessions"].to_numpy() / 4.0
    error = per_day.std() / 2000**0.5
    assert abs(per_day.mean() - 24.0) < 4.0 * error + 0.25  # 0.25: the session under way at the start counts as one
    assert within(int((found["first_contact_s"] <= 0.0).sum()), 2000, 0.25)


ROAD = "fleet.groups.0.check_in={diurnal: {peaks: ['09:00'], spread: 1s, online: 2h, probability: 1}}"


@pytest.mark.parametrize(("start", "on_the_road"), [("09:30", 1.0), ("07:30", 0.0), ("23:30", 0.0)])
def test_vehicles_on_the_road_at_activation(start, on_the_road):
    """Trips from 9 to about 11: at half past nine everybody is there, before and long after nobody is."""
    found = modules(
        "fleet.size=300", "horizon=1d", ROAD, f"plan.strategy.schedule.start_time=2026-01-05T{start}",
        "fleet.groups.0.power=vehicle",
    )  # fmt: skip
    assert (found["first_contact_s"] <= 0.0).mean() == pytest.approx(on_the_road, abs=0.01)


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize("check_in", ["{diurnal: {probability: 1}}", ROAD.partition("=")[2]])
def test_vehicles_try_again_after_a_failed_boot(check_in, engine):
    """30 % of the boots fail and five retries are allowed: 0.3^6 fail in the end, and nobody hangs."""
    outcome = run(
        *QUIET, "fleet.size=1500", "horizon=14d", f"fleet.groups.0.check_in={check_in}", "fleet.groups.0.power=vehicle",
        "fleet.failures.boot_failure=0.3", engine=engine,
    )  # fmt: skip
    found = outcome.summary["outcomes"]
    assert found["succeeded"] + found["failed"] == 1500
    assert within(found["failed"], 1500, 0.3**6)


def test_vehicles_stay_to_the_end_of_the_trip_after_an_upgrade():
    """A module that upgrades at the start of its trip is there for the second component in the same trip."""
    outcome = run(
        *QUIET, "fleet.size=200", "horizon=1d", ROAD, "fleet.groups.0.power=vehicle", "fleet.groups.0.components={a: '1', b: '1'}",
        "plan.components=[{component: a, target_version: '2', size: 10 kB}, {component: b, target_version: '2', size: 10 kB}]",
    )  # fmt: skip
    assert outcome.summary["outcomes"]["succeeded"] > 190  # a trip of two hours is long enough for nearly all


def test_a_url_that_is_lost_goes_out_again():
    """A module that asks for its plan although its URL is out gets the URL again; without timeouts nobody hangs."""
    outcome = run(
        *QUIET, "fleet.size=400", "horizon=14d", "fleet.failures.message_loss_lte=0.3", "fleet.failures.boot_failure=0.3",
        "plan.strategy.preset=none", "plan.strategy.retry.number_of_retries=10",
    )  # fmt: skip
    states = outcome.records.modules["cloud_state"].value_counts()
    assert states.get("confirmed", 0) == 0
