"""Advice is followed: the key it names, changed as it says, raises the metric it is about."""

from __future__ import annotations

import pytest

from sim.engines.run import simulate
from sim.report.model.advice import advise
from sim.scenario.load import check
from tests.acceptance.test_judgement import MAINS

BATTERY = MAINS.replace("power: mains", "power: battery")


@pytest.mark.parametrize(
    ("text", "overrides", "cause", "key", "cure", "metric"),
    [
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
    ],
)  # fmt: skip
def test_advice_that_is_followed_helps(text, overrides, cause, key, cure, metric):
    """The cause is found, the key is the right one, and changing it raises the metric."""
    before = simulate(check(text, "s.yaml", overrides), engine="simpy")
    told = {a.cause: a for a in advise(before.records.modules, before.scenario.model_dump(mode="json"), [])}
    assert cause in told and told[cause].key == key
    changed = [o for o in overrides if not o.startswith(f"{key}=")] + [cure]
    if cause == "source_mismatch":
        changed = [o for o in changed if "source_version" not in o]
    after = simulate(check(text, "s.yaml", changed), engine="simpy")
    assert (after.summary["metrics"][metric] or 0.0) > (before.summary["metrics"][metric] or 0.0)


def test_retries_that_hide_a_bad_image_are_told_first():
    """Every module succeeds in the end; the first statement is that a fifth did not at first."""
    found = simulate(check(MAINS, "s.yaml", ["fleet.failures.boot_failure=0.2"]), engine="simpy")
    first = advise(found.records.modules, found.scenario.model_dump(mode="json"), [])[0]
    assert first.cause == "first_attempts" and 20 < first.modules < 60
    assert "boot failure" in first.finding
