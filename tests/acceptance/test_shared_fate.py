"""Shared fate: lots with a common chance of failure, outages of the cloud, of regions and of power. Closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from sim.engines.world.build import build
from sim.errors import FotasimError, ScenarioError
from sim.stats.intervals import share_interval, wilson
from tests.support import HARMLESS, run, scenario

ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])
QUIET = (*HARMLESS, "fleet.groups.0.rsrp_dbm=-70", "fleet.groups.0.free_space=16 MB", "fleet.groups.0.power=mains",
         "fleet.groups.0.check_in=always", "fleet.physics.sinr_site_sd_db=0", "fleet.physics.rsrp_session_sd_db=0",
         "plan.strategy={preset: none}")  # fmt: skip

# --- lots -----------------------------------------------------------------------------------------------------------


ROOM = "cloud.capacity={downloads: 10000, egress: 100 Gbit/s, connections_per_s: 10000, request_workers: 1000}"


def failures_by_lot(*overrides: str, of: int, engine: str = "simpy") -> np.ndarray:
    """How many modules of each lot of so many did not boot the image."""
    found = run(
        *QUIET, ROOM, "horizon=1d", "plan.components.0.defects=[{boot_failure: 0.1}]", *overrides, engine=engine
    ).records.modules
    failed = (found["cause"] == "boot_failure").to_numpy()
    return failed.reshape(-1, of).sum(axis=1)


@ENGINES
def test_failures_of_a_lot_have_the_variance_of_a_beta_binomial(engine):
    """Lots of m = 10 with p = 0.1 and correlation r: variance m p (1 - p) (1 + (m - 1) r), which is 3.33 at r = 0.3 and 0.9 without."""
    asked = ("fleet.size=3000",)
    alone = failures_by_lot(*asked, of=10, engine=engine)
    alike = failures_by_lot(*asked, "fleet.lots={size: 10, correlation: 0.3}", of=10, engine=engine)
    assert alone.mean() == pytest.approx(1.0, abs=0.22) and alike.mean() == pytest.approx(1.0, abs=0.42)
    assert alone.var(ddof=1) == pytest.approx(0.9, rel=0.33)  # 4 standard errors of 300 lots
    assert alike.var(ddof=1) == pytest.approx(10 * 0.1 * 0.9 * (1 + 9 * 0.3), rel=0.5)


def test_a_release_that_suits_all_or_nobody_spreads_campaigns():
    """One lot for all: the share that fails is itself beta distributed over campaigns, with mean p and variance p (1 - p) r."""
    asked = scenario(
        *QUIET, "fleet.size=3", "fleet.lots={size: 1000000, correlation: 0.2}", "plan.components.0.defects=[{boot_failure: 0.1}]"
    )  # fmt: skip
    chances = 0.1 * np.array([build(asked, number).fleet.rare["lot_factor"] for number in range(1500)])
    assert (chances == chances[:, :1]).all(), "all modules of a campaign share it"
    assert chances[:, 0].mean() == pytest.approx(0.1, abs=4 * (0.09 * 0.2 / 1500) ** 0.5)
    assert chances[:, 0].var() == pytest.approx(0.1 * 0.9 * 0.2, rel=0.2)


@ENGINES
def test_the_interval_of_one_run_holds_the_chance_as_often_as_it_says(engine):
    """Lots of 20 with r = 0.3: an interval of 95 % around the beta-binomial's mean, over 60 campaigns; an independent one fails."""
    asked = (*QUIET, ROOM, "horizon=1d", "plan.components.0.defects=[{boot_failure: 0.1}]", "fleet.size=1000",
             "plan.strategy.retry.number_of_retries=0")  # fmt: skip
    wide = narrow = 0
    for seed in range(60 if engine == "compiled" else 3):
        outcome = run(*asked, "fleet.lots={size: 20, correlation: 0.3}", f"seed={seed}", engine=engine)
        low, high = outcome.summary["intervals"]["first_installation_failed"]
        failed = outcome.summary["counts"]["first_installations_failed"]
        least, most = wilson(failed, 1000)
        assert high - low == pytest.approx((most - least) * (1 + 19 * 0.3) ** 0.5, rel=0.12)
        wide += low <= 0.1 <= high
        narrow += least <= 0.1 <= most
        assert outcome.summary["intervals"]["touched"] == list(share_interval(1000, 1000))
    if engine == "compiled":
        assert wide >= 53 and narrow < 48  # 57 of 60 expected; 4 standard deviations below; 33 without


def test_lots_by_a_label_and_modules_in_none():
    """The values of a label are lots; whoever has no such label keeps the chance of the release."""
    text = """\
name: lots
fleet:
  size: 40
  groups:
    - {name: a, share: 0.25, technology: lte-m, labels: {batch: "7"}}
    - {name: b, share: 0.25, technology: lte-m, labels: {batch: "8"}}
    - {name: c, share: 0.25, technology: nb-iot, labels: {batch: "7"}}
    - {name: none, share: 0.25, technology: lte-m}
  lots: {label: batch, correlation: 0.3}
plan:
  name: fw
  components: [{component: fw, target_version: "1.1.0", size: 1 kB, defects: [{boot_failure: 0.2}]}]
"""
    fleet = build(scenario(text=text)).fleet
    by_group = [set(fleet.rare["lot_factor"][fleet.rows["group"] == number]) for number in range(4)]
    assert [len(factors) for factors in by_group] == [1, 1, 1, 1]
    assert by_group[0] == by_group[2] != by_group[1]
    assert by_group[3] == {1.0}


# --- outages --------------------------------------------------------------------------------------------------------


def online(outcome, at_s: float) -> int:
    """Modules online in the bin of the timeline that holds this time."""
    timeline = outcome.records.timeline
    return int(timeline["online"][np.searchsorted(timeline["time_s"], at_s, side="right") - 1])


LATER = ("plan.strategy.rollout.groups=[{count: 1, soak: 30d}, {}]", "fleet.ordinary_day=true")
"""All but one wait, and all go on talking to the cloud."""


@ENGINES
def test_an_outage_of_the_cloud_and_its_end(engine):
    """Nobody is online during it; six tries in the first minute, then one each half an hour: all are back 30 min after it."""
    outcome = run(*QUIET, *LATER, "fleet.size=300", "horizon=3d", "cloud.outages=[{at: 24h, lasts: 5h}]", engine=engine)
    hour = 3600.0
    assert online(outcome, 23.8 * hour) == 300
    assert online(outcome, 26.0 * hour) == online(outcome, 28.8 * hour) == 0
    assert online(outcome, 30.0 * hour) == 300
    tries, start = outcome.records.timeline, 23.5 * hour  # a bin may begin before the outage
    during = tries[(tries["time_s"] >= start) & (tries["time_s"] < 29 * hour)]["connects"].sum()
    assert during == pytest.approx(300 * (6 + 10), rel=0.05)  # the first six, then 10 half hours


@ENGINES
def test_power_comes_back_for_all_at_once(engine):
    """No attempts while it is off, and everybody attaches as it returns; those on batteries stay online."""
    asked = (*LATER, "fleet.size=200", "horizon=2d", "fleet.outages=[{at: 10h, lasts: 2h, of: power}]")
    outcome = run(*QUIET, *asked, engine=engine)
    hour = 3600.0
    timeline = outcome.records.timeline
    assert online(outcome, 11.5 * hour) == 0 and online(outcome, 12.3 * hour) == 200
    assert timeline[(timeline["time_s"] > 10.2 * hour) & (timeline["time_s"] < 11.7 * hour)]["connects"].sum() == 0
    battery = run(*QUIET, *asked, "fleet.groups.0.power=battery", "fleet.groups.0.battery_percent=100", engine=engine)
    assert online(battery, 11.5 * hour) == 200


@ENGINES
def test_a_region_is_hit_as_one(engine):
    """Cells of 10, each without network with a chance of 0.3: whole cells are offline, about 30 of 100."""
    outcome = run(
        *QUIET, *LATER, "fleet.size=1000", "horizon=1d", "fleet.cells={modules_per_cell: 10, random_access: false}",
        "fleet.outages=[{at: 6h, lasts: 12h, share: 0.3, together: cell}]", engine=engine,
    )  # fmt: skip
    hit = 1000 - online(outcome, 12 * 3600.0)
    assert hit % 10 == 0
    assert 300 - 4 * 46 <= hit <= 300 + 4 * 46  # sd of a binomial of 100 cells, times 10


@ENGINES
def test_maintenance_that_repeats(engine):
    """Every day from 2 to 3 o'clock: offline then, online at noon, and whoever is upgraded at night fails and tries again."""
    outcome = run(
        *QUIET, *LATER, "fleet.size=50", "horizon=4d", "fleet.outages=[{at: 2h, lasts: 1h, every: 1d}]", engine=engine
    )
    for day in range(4):
        assert online(outcome, (24 * day + 2.6) * 3600.0) == 0
        assert online(outcome, (24 * day + 12) * 3600.0) == 50


@ENGINES
def test_an_outage_breaks_downloads(engine):
    """2 MB at 300 kbit/s take a minute: an outage after 30 s breaks all of them, and they are had again after it."""
    found = run(
        *QUIET, "fleet.size=50", "horizon=2d", "plan.components.0.size=2 MB", "cloud.outages=[{at: 30s, lasts: 1h}]",
        "plan.strategy.retry.number_of_retries=3", engine=engine,
    ).records.modules  # fmt: skip
    assert (found["outcome"] == "succeeded").all()
    assert (found["download_errors"] == 1).all() and set(found["first_fault"]) == {"outage"}
    assert (found["upgraded_s"] > 3630.0).all()


@ENGINES
def test_a_sim_without_data(engine):
    """Two packages of 200 kB on a plan of 250 kB: the first is had, the second ends where the data does."""
    found = run(
        *QUIET, "fleet.size=30", "horizon=1d", 'fleet.groups.0.components={fw: "1.0.0", app: "1.0"}',
        'plan.components=[{component: fw, target_version: "1.1.0", size: 200 kB}, {component: app, target_version: "1.1", size: 200 kB}]',
        "fleet.physics.data_plan_bytes=250000", engine=engine,
    ).records.modules  # fmt: skip
    assert (found["components_done"] == 1).all() and set(found["cause"]) == {"data_plan_empty"}
    assert (found["bytes_useful"] + found["bytes_wasted"] == 250_000).all()


@ENGINES
@pytest.mark.parametrize("resumes", ["true", "false"])
def test_a_sim_whose_data_runs_out_in_the_middle(engine, resumes):
    """A package of 200 kB on a plan of 150 kB: what is left is had, to the byte, and no more than that."""
    found = run(
        *QUIET, "fleet.size=30", "horizon=1d", f"fleet.groups.0.resume_download={resumes}",
        "fleet.physics.data_plan_bytes=150000", engine=engine,
    ).records.modules  # fmt: skip
    assert set(found["cause"]) == {"data_plan_empty"}
    assert (found["bytes_useful"] + found["bytes_wasted"] == 150_000).all()


# --- who leaves -----------------------------------------------------------------------------------------------------


@ENGINES
def test_modules_that_leave(engine):
    """Asked once a day at a phase of their own, gone after a time uniform over a day: half of them are upgraded before."""
    found = run(
        *QUIET, ROOM, "fleet.size=2000", "horizon=3d", "fleet.groups.0.check_in={every: 24h, awake: 20min}",
        "fleet.groups.0.leaves={distribution: uniform, low: 0h, high: 24h}", engine=engine,
    ).records.modules  # fmt: skip
    upgraded = found["outcome"] == "succeeded"
    assert upgraded.mean() == pytest.approx(0.5, abs=4 * (0.25 / 2000) ** 0.5 + 0.01)
    assert set(found["cause"][upgraded]) == {""} and set(found["cause"][~upgraded]) == {"left_fleet"}
    assert set(found["outcome"][~upgraded]) <= {"pending", "never_online"}
    assert (found["ended_s"][~upgraded] <= 24 * 3600 + 60).all()


@ENGINES
@pytest.mark.parametrize(("leaves", "cause"), [("3h", "left_fleet"), ("30d", "offline")])
def test_modules_that_leave_while_they_are_away(engine, leaves, cause):
    """Away for weeks: whoever leaves within the horizon has left, and whoever leaves after it is still away."""
    found = run(
        *QUIET, "fleet.size=40", "horizon=2d", "fleet.failures.long_offline=1", "fleet.failures.long_offline_return_s=9999d",
        f"fleet.groups.0.leaves={leaves}", engine=engine,
    ).records.modules  # fmt: skip
    assert set(found["cause"]) == {cause}
    assert (found["ended_s"].dropna() == 3 * 3600.0).all()


# --- the ordinary day -----------------------------------------------------------------------------------------------


@ENGINES
def test_modules_that_are_done_go_on_checking_in(engine):
    """Upgraded on the first day, each module connects four times a day: for nine more days, where that is asked for."""
    asked = (*QUIET, "fleet.size=100", "horizon=10d", "fleet.groups.0.check_in={every: 6h, jitter: 10min}")
    left = run(*asked, engine=engine)
    real = run(*asked, "fleet.ordinary_day=true", engine=engine)
    assert left.summary["outcomes"]["succeeded"] == real.summary["outcomes"]["succeeded"] == 100

    def connects(outcome, from_s):
        timeline = outcome.records.timeline
        return int(timeline["connects"][timeline["time_s"] >= from_s].sum())

    assert connects(left, 86400.0) == 0
    assert connects(real, 86400.0) == pytest.approx(100 * 4 * 9, abs=40)


# --- what cannot be meant -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("fleet.lots={correlation: 0.1}", "either size or label"),
        ("fleet.lots={label: batch, correlation: 0.1}", "no group of the fleet has it"),
        ("fleet.outages=[{at: 1h, lasts: 2h, together: cell}]", "needs fleet.cells"),
        ("fleet.outages=[{at: 1h, lasts: 2h, every: 2h}]", "longer than the outage lasts"),
        ("cloud.outages=[{at: 1h}]", "lasts"),
    ],
)
def test_shared_fate_that_cannot_be_meant(given, words):
    """Half of a lot, a label nobody has, cells without cells, an outage that never ends."""
    with pytest.raises(ScenarioError, match=words):
        scenario(given)


def test_lots_by_number_need_numbers(tmp_path):
    """Devices of a file have ids of their own: their lots go by a column."""
    (tmp_path / "fleet.csv").write_text("imei\n861234567890123\n861234567890131\n")
    with pytest.raises(FotasimError, match="give label"):
        build(scenario(
            "fleet.groups.0={name: all, technology: lte-m, file: %s, columns: {module: imei}}" % (tmp_path / "fleet.csv"),
            "fleet.lots={size: 10, correlation: 0.1}", "fleet.size=0",
        ))  # fmt: skip
