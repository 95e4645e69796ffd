"""What devices really do wrong: they hang, give up on long downloads, come back in step. Closed forms and edges."""

from __future__ import annotations

import pytest

from sim.stats.intervals import wilson
from tests.support import HARMLESS, run

QUIET = (*HARMLESS, "fleet.groups.0.rsrp_dbm=-70", "fleet.groups.0.free_space=16 MB", "fleet.groups.0.power=mains",
         "fleet.groups.0.check_in=always", "fleet.physics.sinr_site_sd_db=0", "fleet.physics.rsrp_session_sd_db=0")  # fmt: skip


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize(("limit_s", "upgraded"), [(0, 200), (60, 0), (120, 200)])
def test_a_device_that_allows_a_download_a_minute(limit_s, upgraded, engine):
    """1.55 MB at 17.4 kB/s need 89 s: with 60 s nobody finishes, and the cause says so; with 120 s everybody does."""
    outcome = run(
        *QUIET, "fleet.size=200", "horizon=2d", "fleet.groups.0.technology=cat4", "fleet.physics.uart_bit_s=174000",
        f"fleet.physics.download_limit_s={limit_s}", "plan.components.0.size=1.55 MB", engine=engine,
    )  # fmt: skip
    assert outcome.summary["outcomes"]["succeeded"] == upgraded
    assert outcome.summary["causes"].get("download_too_long", 0) == 200 - upgraded


def test_downloads_that_resume_outlive_the_limit():
    """Three times thirty seconds are as good as ninety where what arrived is kept."""
    outcome = run(
        *QUIET, "fleet.size=50", "horizon=2d", "fleet.groups.0.technology=cat4", "fleet.physics.uart_bit_s=174000",
        "fleet.physics.download_limit_s=30", "plan.components.0.size=1.55 MB", "fleet.groups.0.resume_download=true",
    )  # fmt: skip
    assert outcome.summary["outcomes"]["succeeded"] == 50


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_share_hangs_until_the_power_is_cycled(engine):
    """30 % hang at each attempt: 0.3^6 of them six times in a row; whoever does is silent for the time it takes."""
    found = run(
        *QUIET, "fleet.size=2000", "horizon=120d", "fleet.failures.hang=0.3", "fleet.failures.hang_median_s=24h", engine=engine
    ).records.modules  # fmt: skip
    first_try = found["upgraded_s"] < 3600.0
    low, high = wilson(int(first_try.sum()), 2000, 0.9999)
    assert low <= 0.7 <= high
    failed = int((found["outcome"] == "failed").sum())
    low, high = wilson(failed, 2000, 0.9999)
    assert low <= 0.3**6 <= high
    assert set(found["cause"][found["outcome"] == "failed"]) <= {"hung"}


def test_hanging_modules_stay_where_the_cloud_saw_them():
    """Without a timeout the cloud sees a module that hangs as updating, for ever if nobody comes."""
    found = run(
        *QUIET, "fleet.size=200", "horizon=7d", "fleet.failures.hang=1", "fleet.failures.hang_median_s=365d"
    ).records.modules
    assert (found["cloud_state"] == "updating").mean() > 0.95
    assert found["upgraded_s"].isna().all()


# --- what the cloud is told, and what is true -----------------------------------------------------------------------


def near(hits: int, of: int, share: float) -> bool:
    """Whether a count lies where the share would put it, in all but one of 10,000 cases."""
    low, high = wilson(hits, of, 0.9999)
    return low <= share <= high


def modules(*overrides: str, engine: str = "simpy"):
    """The table of modules of a quiet fleet with overrides."""
    return run(*QUIET, *overrides, engine=engine).records.modules


ONCE = "plan.strategy.retry.number_of_retries=0"
ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])


@ENGINES
def test_success_that_is_told_before_the_restart(engine):
    """40 % do not boot, half of them had reported success: 20 % fail and the cloud counts them as upgraded."""
    found = modules(
        "fleet.size=2000", "horizon=2d", "fleet.failures.early_success=0.5", "fleet.failures.boot_failure=0.4", ONCE, engine=engine
    )  # fmt: skip
    failed, believed = found["outcome"] == "failed", found["cloud_state"] == "succeeded"
    assert near(int((found["outcome"] == "succeeded").sum()), 2000, 0.6)
    assert near(int((failed & believed).sum()), 2000, 0.2)
    assert set(found["cause"][failed]) == {"boot_failure"} and found["fell_back"][failed].all()
    assert found["upgraded_s"][failed].isna().all() and (found["components_done"][failed] == 0).all()
    on_target = found["outcome"] == "succeeded"
    assert (found["upgraded_s"] > found["updating_s"] + 30.0)[
        on_target
    ].all()  # when it has booted, not when it said so


@ENGINES
def test_a_success_that_did_not_last_is_taken_back(engine):
    """With `withdraw_success` the next report of the old version makes the cloud count what is true."""
    found = modules(
        "fleet.size=400", "horizon=2d", "fleet.failures.early_success=1", "fleet.failures.boot_failure=0.4",
        "plan.strategy.abort.withdraw_success=true", ONCE, engine=engine,
    )  # fmt: skip
    assert (found["cloud_state"].astype(str) == found["outcome"].astype(str)).all()
    assert near(int((found["outcome"] == "failed").sum()), 400, 0.4)


@ENGINES
def test_an_artefact_of_another_version_is_installed_again_and_again(engine):
    """Three retries: four installations on hardware B, all of the wrong image; hardware A has the right one."""
    found = modules(
        "fleet.size=200", "horizon=2d", "fleet.groups.0.hardware={A: 0.5, B: 0.5}", "plan.strategy.retry.number_of_retries=3",
        "plan.components.0.defects=[{hardware: B, other_version: 1.0}]", engine=engine,
    )  # fmt: skip
    wrong = found[found["hardware"] == "B"]
    assert set(wrong["cause"]) == {"other_version"} and set(wrong["installations"]) == {4}
    assert not wrong["fell_back"].any()
    assert (found["outcome"][found["hardware"] == "A"] == "succeeded").all()


# --- versions -------------------------------------------------------------------------------------------------------


@ENGINES
def test_devices_that_refuse_a_downgrade(engine):
    """1.10.0 is newer than 1.9.0, 1.8.9 is not: with anti-rollback the one refuses it before it writes, the other takes it."""
    asked = ("fleet.size=300", "horizon=2d", 'fleet.groups.0.components={fw: {"1.10.0": 0.5, "1.8.9": 0.5}}',
             "plan.components.0.target_version=1.9.0")  # fmt: skip
    found = modules(*asked, "fleet.groups.0.anti_rollback=true", engine=engine)
    refused = found["outcome"] == "failed"
    assert near(int(refused.sum()), 300, 0.5) and set(found["cause"][refused]) == {"downgrade_refused"}
    assert found["upgraded_s"][refused].isna().all() and not found["fell_back"].any()
    assert (modules(*asked, engine=engine)["outcome"] == "succeeded").all()


def test_devices_that_refuse_the_previous_package_of_a_rollback():
    """The plan rolls back, and a device with anti-rollback keeps the new image."""
    asked = ("fleet.size=100", "horizon=3d", 'plan.strategy.rollback=[{component: fw, version: "1.0.0", size: 100 kB}]',
             'plan.strategy.abort.criteria=[{failure_type: all, threshold_percentage: 5, min_number_of_executed: 50, action: rollback}]',
             "plan.components.0.defects=[{boot_failure: 0.3}]", ONCE)  # fmt: skip
    with_it, without = modules(*asked, "fleet.groups.0.anti_rollback=true"), modules(*asked)
    assert int(without["upgraded_s"].notna().sum()) == 0
    assert int(with_it["upgraded_s"].notna().sum()) > 20


@ENGINES
def test_a_defect_of_one_base_version(engine):
    """The image does not boot on what ran 0.9 before; all others take it."""
    found = modules(
        "fleet.size=300", "horizon=2d", 'fleet.groups.0.components={fw: {"1.0.0": 0.7, "0.9": 0.3}}',
        'plan.components.0.defects=[{from_version: "0.9", boot_failure: 1.0}]', engine=engine,
    )  # fmt: skip
    failed = found["outcome"] == "failed"
    assert near(int(failed.sum()), 300, 0.3) and set(found["cause"][failed]) == {"boot_failure"}
    assert (found["outcome"][~failed] == "succeeded").all()


# --- hours after success --------------------------------------------------------------------------------------------


@ENGINES
def test_failures_hours_after_success(engine):
    """30 % fail after 12 h in the median: half of them within 12 h of a success in the first hour; a third is lost."""
    asked = ("fleet.size=3000", "fleet.failures.late_failure=0.3", "fleet.failures.late_brick=0.333333")
    found = modules(*asked, "horizon=90d", engine=engine)
    failed = found["outcome"] == "failed"
    assert near(int(failed.sum()), 3000, 0.3)
    assert near(int((found["cause"][failed] == "bricked").sum()), int(failed.sum()), 1 / 3)
    assert set(found["cause"][failed]) == {"bricked", "late_failure"}
    assert (found["fell_back"] == (found["cause"] == "late_failure")).all()
    assert (found["cloud_state"] == "succeeded").all()
    within = modules(*asked, "horizon=12.4h", engine=engine)
    assert near(int((within["outcome"] == "failed").sum()), 3000, 0.15)


@ENGINES
@pytest.mark.parametrize(("soak", "later"), [("0s", 400), ("14d", 0)])
def test_only_a_soak_as_long_as_the_failure_takes_spares_the_next_group(soak, later, engine):
    """All fail within days of their success: without a soak the second group has it by then, with one it never starts."""
    found = modules(
        "fleet.size=500", "horizon=30d", "fleet.failures.late_failure=1", "plan.strategy.abort.withdraw_success=true",
        'plan.strategy.rollout.groups=[{count: 100, error_threshold_percent: 20, error_action: cancel, soak: "' + soak + '"}, {}]',
        engine=engine,
    )  # fmt: skip
    assert int(found["updating_s"].notna().sum()) == 100 + later


@ENGINES
def test_an_image_that_drains_the_battery(engine):
    """2 mA at 3.8 V from the success on: the energy is that power times the time left, and a small cell is empty by then."""
    asked = ("fleet.size=100", "fleet.groups.0.power=battery", "fleet.groups.0.check_in={every: 6h}", "fleet.groups.0.battery_percent=90",
             "fleet.failures.long_offline=0")  # fmt: skip
    plain = modules(*asked, "horizon=10d", engine=engine)
    drained = modules(*asked, "horizon=10d", "fleet.physics.new_image_ma=2", engine=engine)
    added = drained["energy_j"] - plain["energy_j"]
    assert added.to_numpy() == pytest.approx(0.002 * 3.8 * (864000.0 - plain["upgraded_s"].to_numpy()), rel=1e-9)
    assert (drained["battery_end_percent"] < plain["battery_end_percent"]).all()
    empty = modules(
        *asked, "horizon=60d", "fleet.groups.0.battery.capacity=2 Wh", "fleet.physics.new_image_ma=2", engine=engine
    )
    assert (empty["outcome"] == "failed").all() and set(empty["cause"]) == {"battery_dead"}
    assert (empty["battery_end_percent"] == 0).all() and (empty["cloud_state"] == "succeeded").all()


# --- connections ----------------------------------------------------------------------------------------------------


@ENGINES
def test_reports_whose_acknowledgement_is_lost_come_twice(engine):
    """The cloud's log has each report once, or twice where every acknowledgement is lost; the outcome is the same."""
    asked = ("fleet.size=50", "horizon=1d")
    once = run(*QUIET, *asked, engine=engine, events=True)
    twice = run(*QUIET, *asked, "fleet.failures.acknowledgement_lost=1", engine=engine, events=True)

    def reports(outcome):
        events = outcome.records.events
        return int(((events["source"] == "cloud") & (events["status"] >= 0)).sum())

    assert reports(twice) == 2 * reports(once)
    assert twice.summary["outcomes"] == once.summary["outcomes"]


@ENGINES
def test_two_devices_of_one_identity_cut_each_other_off(engine):
    """A session lasts 30 s in the mean until it is taken over: time online = 30 s times the sessions begun."""
    records = run(
        *QUIET, "fleet.size=200", "horizon=6h", "fleet.failures.duplicate_identity=1", 'plan.strategy.rollout.groups=[{count: 1, soak: 30d}, {}]',
        engine=engine,
    ).records  # fmt: skip
    online_s = float((records.timeline["online"] * records.timeline["width_s"]).sum())
    sessions = int(records.timeline["connects"].sum())
    assert sessions > 20_000
    assert online_s / sessions == pytest.approx(30.0, rel=0.03)


@ENGINES
@pytest.mark.parametrize(("keepalive", "share"), [("317s", 60 / 317), ("50s", 1.0)])
def test_a_nat_that_forgets_idle_connections_loses_pushes(keepalive, share, engine):
    """With a ping every 317 s and a NAT that forgets after 60 s, a push arrives in 60 of 317 cases; a ping every 50 s saves all.

    One push a minute, on the minute; who loses it is told when it reports again, at any second.
    """
    found = modules(
        "fleet.size=600", "horizon=20h", "fleet.physics.nat_timeout_s=60s", f"cloud.keepalive={keepalive}",
        "plan.strategy.rollout.maximum_per_minute=1", "plan.strategy.delivery.push_interval=0s", engine=engine,
    )  # fmt: skip
    at_once = found["notified_s"].to_numpy() % 60.0 < 1.0
    assert near(int(at_once.sum()), 600, share + (1.0 - share) / 60.0)


@ENGINES
def test_devices_that_ask_for_more_than_the_notice(engine):
    """The plan asks for 30 %, the firmware for 80: of a charge uniform over 0 to 100 a fifth is upgraded; mains has no limit."""
    asked = ("fleet.size=2000", "horizon=1d", "fleet.physics.device_min_battery_percent=80", "fleet.physics.gauge_sd_percent=0",
             "plan.strategy.preconditions.on_unmet=reject")  # fmt: skip
    found = modules(
        *asked, "fleet.groups.0.power=battery", "fleet.groups.0.battery_percent={distribution: uniform, low: 0, high: 100}",
        engine=engine,
    )  # fmt: skip
    assert near(int((found["outcome"] == "succeeded").sum()), 2000, 0.2)
    assert set(found["cause"][found["outcome"] == "rejected"]) == {"low_battery"}
    assert (modules(*asked, engine=engine)["outcome"] == "succeeded").all()


@ENGINES
def test_modules_without_service_are_not_online_at_activation(engine):
    """Always on, and far below any coverage: nobody is connected, and the cloud has heard of nobody."""
    records = run(
        "fleet.size=50", "horizon=1d", "fleet.groups.0.check_in=always", "fleet.groups.0.rsrp_dbm=-140", engine=engine
    ).records
    assert records.timeline["online"].max() == 0
    assert set(records.modules["outcome"]) == {"never_online"}
