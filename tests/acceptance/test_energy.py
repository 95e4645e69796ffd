"""A listed charge is the charge a module has, and energy is booked once: closed forms and edges of the battery."""

from __future__ import annotations

import pandas as pd
import pytest

from sim.errors import FotasimError
from sim.stats.intervals import wilson
from tests.support import HARMLESS, run, scenario

QUIET = (
    *HARMLESS,
    "fleet.groups.0.rsrp_dbm=-85",
    "fleet.groups.0.free_space=10 MB",
    "fleet.physics.gauge_sd_percent=0",
)
NOBODY = "plan.strategy.preconditions={min_battery_percent: 100, checked_by: cloud}"
VOLT = 3.8


def modules(*overrides: str, **options):
    """The table of modules of a run in which nothing goes wrong."""
    return run(*QUIET, *overrides, **options).records.modules


def test_waiting_modules_cost_the_rollout_nothing():
    """Fourteen days of check-ins of modules that are never offered anything: no energy of the rollout, all of the period.

    Four check-ins a day of 1 J, each 60 s awake at 16 mA; asleep at 10 uA.
    """
    found = modules("fleet.size=50", "horizon=14d", NOBODY, "fleet.groups.0.battery_percent=50")
    awake = 60.0 / 21600.0
    ordinary_j = 14 * 86400 * (1.0 / 21600.0 + VOLT * (awake * 0.016 + (1 - awake) * 10e-6))
    assert (found["energy_j"] == 0.0).all()
    assert found["energy_period_j"].to_numpy() == pytest.approx(ordinary_j, rel=1e-9)
    assert found["battery_end_percent"].to_numpy() == pytest.approx(50 - 100 * ordinary_j / (9.36 * 3600), rel=1e-9)


def test_slow_strategies_cost_no_more_energy():
    """The same upgrade a week later: the same energy of the rollout to a joule."""
    now, later = (
        modules("fleet.size=50", "horizon=20d", f"plan.strategy.rollout.groups=[{{start_time: {start}}}]",
                "fleet.groups.0.battery_percent=90")["energy_j"].mean()
        for start in ("0s", "7d")
    )  # fmt: skip
    assert later == pytest.approx(now, abs=1.0)


@pytest.mark.parametrize(
    ("technology", "rtt_s", "current_ma", "session_j"), [("lte-m", 0.12, 110.0, 1.0), ("nb-iot", 0.2, 60.0, 2.7)]
)
def test_idle_current_is_not_drawn_during_a_transfer(technology, rtt_s, current_ma, session_j):
    """A module that is awake anyway pays for the download what it draws beyond idling: current difference x time."""
    found = modules(
        "fleet.size=20", "horizon=4d", f"fleet.groups.0.technology={technology}",
        "fleet.groups.0.check_in={every: 24h, awake: 20h}", "fleet.groups.0.battery_percent=90", "fleet.physics.install_j=0",
        "fleet.physics.reboot_j=0", "fleet.physics.rsrp_session_sd_db=0", "fleet.physics.sinr_site_sd_db=0",
        "fleet.failures.message_loss_nb_iot=0", "fleet.failures.message_loss_nb_iot_bad=0",
    )  # fmt: skip
    whole = found[found["sessions"] == found["sessions"].min()]
    download_s = (whole["downloaded_s"] - whole["download_started_s"]).to_numpy() - 2 * rtt_s  # until the answer begins
    expected = download_s * (current_ma - 16.0) / 1000.0 * VOLT + session_j
    assert whole["energy_j"].to_numpy() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_always_online_on_a_primary_cell_lasts_days(engine):
    """16 mA at 3.8 V empty 9.36 Wh in 6.4 days, with eDRX at 1.7 mA in 60; nobody sleeps through a connection."""
    for edrx, lasts in (("0s", False), ("20s", True)):
        found = modules(
            "fleet.size=20", "horizon=8d", f"fleet.groups.0.check_in={{always: {{edrx: {edrx}}}}}", NOBODY,
            "fleet.groups.0.battery_percent=99", engine=engine,
        )  # fmt: skip
        assert (found["battery_end_percent"] > 0.0).all() == lasts
        dead = found["cause"] == "battery_dead"
        assert dead.all() != lasts
        if not lasts:
            assert found["ended_s"].between(6.2 * 86400, 6.7 * 86400).all()


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize(
    "name", ["current_factor", "install_j", "install_median_s", "idle_ma", "reboot_j", "goodput_factor"]
)
def test_zeros_are_zeros_in_both_engines(name, engine):
    """Figures that may be 0 divide nothing."""
    found = modules("fleet.size=20", "horizon=2d", f"fleet.physics.{name}=0", engine=engine)
    assert len(found) == 20
    assert (found["outcome"] == "succeeded").any() == (name != "goodput_factor")


@pytest.mark.parametrize(
    ("percent", "limit", "met"), [(30, 30, True), (30.5, 30.5, True), (29.9, 30, False), (31, 30, True)]
)
def test_a_charge_equal_to_the_limit_is_enough(percent, limit, met):
    """Exactly 30 % at a limit of 30 %: met, though the way to the first check-in has cost a hundredth of a per cent."""
    found = modules(
        "fleet.size=20", "horizon=1d", f"fleet.groups.0.battery_percent={percent}",
        f"plan.strategy.preconditions={{min_battery_percent: {limit}, on_unmet: reject}}",
    )  # fmt: skip
    assert (found["outcome"] == "rejected").all() != met


@pytest.mark.parametrize("recharge", ["null", "{every: 10d, down_to: 0}"])
def test_listed_charge_is_had(recharge):
    """Uniform from 0 to 100 %, all online, limit 30 %: 30 % are rejected, rechargeable or not, and none above the limit."""
    found = modules(
        "fleet.size=4000", "horizon=6h", "fleet.groups.0.check_in={always: {edrx: 20s}}",
        "fleet.groups.0.battery_percent={distribution: uniform, low: 0, high: 100}", f"fleet.groups.0.battery.recharge={recharge}",
        "plan.strategy.preconditions={min_battery_percent: 30, on_unmet: reject}",
    )  # fmt: skip
    rejected = found["outcome"] == "rejected"
    low, high = wilson(int(rejected.sum()), 4000, 0.999)
    assert low <= 0.3 <= high
    assert found["battery_percent"][rejected].max() < 30.0
    assert found["battery_percent"][~rejected].min() >= 29.9


@pytest.mark.parametrize(
    ("charge", "recharge"),
    [
        ("{distribution: uniform, low: 0, high: 100}", "{every: 10d}"), ("10", "{every: 10d, down_to: 20}"),
        ("90", "{every: 10d, to: 80}"), ("{distribution: normal, mean: 50, sd: 10}", "{every: 10d}"), ("5", "{every: 10d}"),
        ("{distribution: mixture, parts: [{weight: 1, distribution: constant, value: 3}, {weight: 1, distribution: uniform, low: 50, high: 60}]}", "{every: 10d}"),
    ],
)  # fmt: skip
def test_a_charge_outside_the_saw_tooth_is_refused(charge, recharge):
    """A charge that the charging cycle never passes through is a contradiction, with the key and the cure."""
    with pytest.raises(FotasimError, match=r"battery_percent.*battery\.recharge.*widen recharge"):
        scenario(f"fleet.groups.0.battery_percent={charge}", f"fleet.groups.0.battery.recharge={recharge}")


def test_a_device_outside_the_saw_tooth_is_refused(tmp_path):
    """The same for a fleet file: the row, its charge, how many there are."""
    file = tmp_path / "fleet.csv"
    pd.DataFrame({"imei": ["a", "b", "c"], "soc": [50, 3, 5]}).to_csv(file, index=False)
    with pytest.raises(FotasimError, match=r"b: battery_percent is 3.*2 of 3 modules"):
        run(
            "fleet.groups.0.share=null", "fleet.size=0", f"fleet.groups.0.file={file}", "fleet.groups.0.battery.recharge={every: 10d}",
            "fleet.groups.0.columns={module: imei, battery_percent: soc}",
        )  # fmt: skip


def test_an_empty_battery_closes_no_session_twice():
    """Modules that run empty while they attach, download or flash: the number online never falls below none."""
    outcome = run(
        *HARMLESS, "fleet.size=300", "horizon=10d", "fleet.groups.0.battery={capacity: 0.05 Wh}", "fleet.groups.0.technology=nb-iot",
        "fleet.groups.0.battery_percent={distribution: uniform, low: 0, high: 100}", "plan.strategy.preconditions.min_battery_percent=0",
    )  # fmt: skip
    assert outcome.summary["causes"]["battery_dead"] > 50
    assert outcome.records.timeline["online"].min() >= 0
