"""Advice is followed: the key it names, changed as it says, raises the metric it is about."""

from __future__ import annotations

import pytest

from sim.engines.run import simulate
from sim.metrics import METRICS
from sim.report.model.advice import _ACTIONS, CONSEQUENCES, advise
from sim.scenario.load import check
from tests.acceptance.test_judgement import MAINS

BATTERY = MAINS.replace("power: mains", "power: battery")
MCU = MAINS.replace("type: firmware", "type: mcu").replace("free_space: 16 MB", "free_space: 16 MB, mcu_buffer: 1 kB")
F, S = "fleet.failures.", "plan.strategy."
ONCE, EVEN = f"{S}retry.number_of_retries=0", f"{F}frailty_variance=0"
CONFIRM = ["plan.mode=confirm", "horizon=8h", "plan.user_delay=1min", f"{F}user_refusal=0.8", EVEN, ONCE]
NARROW = [
    "fleet.groups.0.technology=nb-iot",
    "fleet.groups.0.rsrp_dbm=-118",
    "plan.components.0.size=400 kB",
    f"{F}link_drop_factor=20",
    f"{S}preconditions.min_rsrp_dbm=-140",
    "fleet.groups.0.check_in={every: 6h}",
]
SLOW = ["fleet.physics.uart_bit_s=20000", "fleet.physics.download_limit_s=200", "plan.components.0.size=1 MB"]
HERD = [
    "fleet.size=20",
    "fleet.groups.0.technology=nb-iot",
    "fleet.groups.0.check_in={every: 12h, at: '03:00', jitter: 0s}",
    "fleet.cells={modules_per_cell: 20, nprach_preambles: 1, nprach_back_off_s: 0}",
    "horizon=10801.2s",
]
SAG = [
    "fleet.groups.0.partition=in-place",
    "fleet.groups.0.battery_percent={distribution: uniform, low: 8, high: 60}",
    "fleet.groups.0.battery.capacity=1000 Wh",
    f"{F}power_loss_low_battery=0.8",
    f"{F}brick_in_place=0",
    f"{F}brick_on_power_loss=0",
    ONCE,
    f"{S}preconditions.min_battery_percent=5",
]


ROWS = [
    # the window is shut: not the cap, not the horizon
    (MAINS, ["horizon=1h", "plan.strategy.rollout.max_in_progress=50", "plan.strategy.schedule.maintenance_windows=[{cron: '0 12 * * *', duration: 1h}]"],
     "waiting", "plan.strategy.schedule.maintenance_windows", "plan.strategy.schedule.maintenance_windows=[]", "success_rate"),
    # dead modules hold the slots
    (MAINS, ["plan.strategy.rollout.max_in_progress=5", "fleet.failures.brick=0.3", "plan.strategy.retry.number_of_retries=0", "fleet.failures.frailty_variance=0"],
     "waiting", "plan.strategy.timeouts.in_progress", "plan.strategy.timeouts.in_progress=1h", "success_rate"),
    # the limit of the cloud is shorter than the download
    (MAINS, ["fleet.physics.uart_bit_s=174000", "plan.components.0.size=1.55 MB", "plan.strategy.preset=none",
             "plan.strategy.timeouts.step.download=60s"],
     "late_success", "plan.strategy.timeouts.step.download", "plan.strategy.timeouts.step.download=5min", "success_of_finished"),
    # limits on charge, signal and room
    (BATTERY, ["plan.strategy.preconditions.min_battery_percent=90"], "low_battery",
     "plan.strategy.preconditions.min_battery_percent", "plan.strategy.preconditions.min_battery_percent=10", "success_rate"),
    (MAINS, ["fleet.groups.0.rsrp_dbm={distribution: normal, mean: -100, sd: 8}", "plan.strategy.preconditions.min_rsrp_dbm=-95"],
     "weak_signal", "plan.strategy.preconditions.min_rsrp_dbm", "plan.strategy.preconditions.min_rsrp_dbm=-120", "success_rate"),
    (MAINS, ["fleet.groups.0.free_space=50 kB"], "no_space", "plan.components.0.size", "plan.components.0.size=20 kB", "success_rate"),
    # a delta for another base
    (MAINS, ["plan.components.0.package=delta", "plan.components.0.source_version='002'"], "source_mismatch",
     "plan.components.0.package", "plan.components.0.package=full", "success_rate"),
    # released too slowly, cut off, away, busy
    (MAINS, ["horizon=30min", f"{S}rollout.max_in_progress=2"], "waiting", f"{S}rollout.max_in_progress",
     f"{S}rollout.max_in_progress=50", "success_rate"),
    (MAINS, [f"{S}rollout.max_in_progress=5", f"{F}brick=0.3", EVEN, f"{S}timeouts.in_progress=1h"], "waiting",
     f"{S}retry.number_of_retries", ONCE, "success_rate"),
    (MAINS, ["horizon=3min"], "in_progress", "horizon", "horizon=2h", "success_rate"),
    (MAINS, [f"{F}long_offline=0.5"], "offline", "horizon", "horizon=60d", "success_rate"),
    (MAINS, [f"{S}schedule.end_time=5min", f"{S}rollout.max_in_progress=5"], "plan_expired", f"{S}schedule.end_time",
     f"{S}schedule.end_time=1d", "success_rate"),
    (MAINS, ["plan.earlier_plan={share: 0.5, ends: 1d}", f"{S}overwrite_mode=fail"], "busy_with_earlier_plan",
     f"{S}overwrite_mode", f"{S}overwrite_mode=replace", "success_rate"),
    # refused, hung
    (MAINS, [*CONFIRM, f"{S}preconditions.on_unmet=reject"], "user_refused", f"{S}preconditions.on_unmet",
     f"{S}preconditions.on_unmet=defer", "success_rate"),
    (MAINS, [f"{F}hang=0.5", f"{F}hang_median_s=1h", ONCE], "hung", f"{S}retry.number_of_retries",
     f"{S}retry.number_of_retries=3", "success_rate"),
    # the link, the cell, the cloud
    (BATTERY, NARROW, "link_lost", "fleet.groups.0.resume_download", "fleet.groups.0.resume_download=true", "success_rate"),
    (MAINS, SLOW, "download_too_long", "fleet.groups.0.resume_download", "fleet.groups.0.resume_download=true", "success_rate"),
    (BATTERY, HERD, "cell_congested", "fleet.groups.0.check_in.jitter", "fleet.groups.0.check_in.jitter=1h", "success_rate"),
    (MAINS, ["cloud.capacity.downloads=1", ONCE], "server_busy", "cloud.capacity.downloads", "cloud.capacity.downloads=500", "success_rate"),
    (MAINS, ["cloud.capacity.request_workers=1", "cloud.capacity.request_time=20s", ONCE], "url_timeout",
     "cloud.capacity.request_workers", "cloud.capacity.request_workers=200", "success_rate"),
    # power: fewer failures of those that are touched
    (BATTERY, SAG, "power_loss", f"{S}preconditions.min_battery_percent", f"{S}preconditions.min_battery_percent=30", "failed"),
    (BATTERY, ["fleet.groups.0.battery_percent={distribution: uniform, low: 1, high: 60}", "fleet.groups.0.battery.capacity=0.2 Wh",
               f"{S}preconditions.min_battery_percent=0"],
     "battery_dead", f"{S}preconditions.min_battery_percent", f"{S}preconditions.min_battery_percent=40", "failed"),
    # what no key of the strategy cures: the cause taken away
    *((MAINS, [f"{F}{name}=0.3", ONCE], cause, "", f"{F}{name}=0", "success_rate") for cause, name in (
        ("server_error", "server_error"), ("checksum", "checksum_error"), ("image_mismatch", "image_mismatch"),
        ("flash_error", "flash_error"), ("boot_failure", "boot_failure"), ("bricked", "brick"), ("never_online", "never_online"),
        ("other_version", "other_version"))),
    (MAINS, [f"{F}duplicate_identity=0.3", f"{F}duplicate_takeover_s=2", "plan.components.0.size=4 MB"], "duplicate_identity",
     "", f"{F}duplicate_identity=0", "success_rate"),
    (MAINS, ["fleet.groups.0.anti_rollback=true", "fleet.groups.0.components={fw: '005'}"], "downgrade_refused", "",
     "plan.components.0.target_version='006'", "success_rate"),
    # what shows later, or to all together
    (MAINS, [f"{F}late_failure=0.3", f"{F}late_failure_median_s=1h"], "late_failure", f"{S}abort.withdraw_success",
     f"{S}abort.withdraw_success=true", "cloud_mistaken"),
    (MAINS, ["cloud.outages=[{at: 1s, lasts: 1d}]", "horizon=2h"], "outage", "horizon", "horizon=3d", "success_rate"),
    (MAINS, ["fleet.physics.data_plan_bytes=150000", f"{F}checksum_error=0.5"], "data_plan_empty", "plan.components.0.size", "plan.components.0.size=20 kB",
     "success_rate"),
    (MAINS, ["fleet.groups.0.leaves={distribution: uniform, low: 0h, high: 10min}"], "left_fleet", "", "fleet.groups.0.leaves=null",
     "success_rate"),
    (MAINS, ["fleet.groups.0.rsrp_dbm=-134", f"{S}preconditions.min_rsrp_dbm=-140"], "no_service", "",
     "fleet.groups.0.rsrp_dbm=-90", "success_rate"),
    (MCU, ["fleet.physics.mcu_read_s=300"], "mcu_timeout", "", "fleet.physics.mcu_read_s=0.05", "success_rate"),
]  # fmt: skip
"""Scenario, overrides, cause, key that the advice names, what following it means, the metric that gains."""

DECIDED = (*CONSEQUENCES, "rolled_back", "url_gone")
"""Causes that a stop or a person brought about: the advice is to look at what led to it."""


@pytest.mark.parametrize(("text", "overrides", "cause", "key", "cure", "metric"), ROWS)
def test_advice_that_is_followed_helps(text, overrides, cause, key, cure, metric):
    """The cause is found, the key is the right one, and changing it raises the metric."""
    before = simulate(check(text, "s.yaml", overrides), engine="simpy")
    told = {a.cause: a for a in advise(before.records.modules, before.scenario.model_dump(mode="json"), [])}
    assert cause in told and told[cause].key == key
    changed = [o for o in overrides if not o.startswith(f"{key}=")] + [cure]
    if cause == "source_mismatch":
        changed = [o for o in changed if "source_version" not in o]
    after = simulate(check(text, "s.yaml", changed), engine="simpy")
    gain = (after.summary["metrics"][metric] or 0.0) - (before.summary["metrics"][metric] or 0.0)
    assert gain > 0.0 if METRICS[metric].better == "more" else gain < 0.0


def test_retries_that_hide_a_bad_image_are_told_first():
    """Every module succeeds in the end; the first statement is that a fifth did not at first."""
    found = simulate(check(MAINS, "s.yaml", ["fleet.failures.boot_failure=0.2"]), engine="simpy")
    first = advise(found.records.modules, found.scenario.model_dump(mode="json"), [])[0]
    assert first.cause == "first_attempts" and 20 < first.modules < 60
    assert "boot failure" in first.finding


def test_every_cause_of_the_table_has_its_row():
    """What is advised is followed above, for every cause but those that a decision brought about."""
    covered = {row[2] for row in ROWS}
    assert set(_ACTIONS) - covered <= set(DECIDED)
    assert covered - set(_ACTIONS) == {"late_success"}  # told by a rule of its own
