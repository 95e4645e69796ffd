"""Rollouts that once looked like a Go and must not: judged from end to end, by value."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest

from sim.cli.common import outcome_lines
from sim.engines.run import simulate
from sim.scenario.load import check
from sim.stats.counts import counts, metrics
from tests.support import HARMLESS, run

MAINS = """\
name: mains
horizon: 2d
fleet:
  size: 200
  failures: {never_online: 0, long_offline: 0, boot_failure: 0, brick: 0, user_refusal: 0, source_mismatch: 0}
  groups:
    - {name: g, share: 1.0, technology: cat4, power: mains, check_in: always, components: {fw: "001"}, rsrp_dbm: -70,
       free_space: 16 MB}
plan:
  name: fw
  components: [{component: fw, type: firmware, package: full, target_version: "003", size: 100 kB}]
"""
CANARY = (
    "plan.strategy.rollout.groups=[{name: canary, percent: 10, error_threshold_percent: 5, error_action: pause, "
    "success_threshold_percent: 90}, {name: rest, percent: 90}]"
)
NO_RETRIES = "plan.strategy.retry.number_of_retries=0"


def mains(*overrides, replications=1):
    """A run of the mains-powered fleet on the reference engine."""
    return simulate(check(MAINS, "mains.yaml", overrides), engine="simpy", replications=replications)


# --- exposure --------------------------------------------------------------------------------------------------------


def test_a_plan_that_paused_on_failures_is_stopped_not_a_go():
    """Half of the canary does not boot: the plan pauses, the rest is never touched, and the gates on harm are no excuse."""
    found = mains(
        CANARY, NO_RETRIES, "fleet.failures.boot_failure=0.5", "gates={bricked: '<= 0.5', duration_p95: '<= 1d'}"
    )
    assert found.summary["verdict"] == "stopped"
    assert found.summary["counts"]["touched"] < 40


def test_hardly_anybody_touched_is_hardly_anything_judged():
    """Hardly any battery is full: few install, so that no module bricked is no news."""
    found = run("plan.strategy.preconditions.min_battery_percent=100", "gates={bricked: '<= 0.1', failed: '<= 0.1'}")
    assert found.summary["counts"]["installed"] < 20
    assert found.summary["verdict"] == "invalid"
    assert [gate["state"] for gate in found.summary["gates"]] == ["too little"] * 2


def test_bricks_are_of_those_that_installed():
    """A tenth of the installations bricks in a canary of a tenth: 10 % of them, 1 % of the plan."""
    found = mains("fleet.size=1000", CANARY.replace("5, error", "3, error"), NO_RETRIES, "fleet.failures.brick=0.1",
                  "fleet.failures.frailty_variance=0", "gates={bricked: '<= 0.02'}")  # fmt: skip
    bricked, targets = found.summary["metrics"]["bricked"], found.summary["metrics"]["bricked_of_targets"]
    assert 0.04 < bricked < 0.2
    assert targets == pytest.approx(bricked * found.summary["counts"]["installed"] / 1000)
    assert found.summary["gates"][0]["state"] == "not met"


# --- retries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chance", [0.15, 0.3])
def test_retries_do_not_hide_a_bad_image(chance):
    """Nearly all succeed in the end; the first attempt, the first installation and the roll-backs tell what it took."""
    harm = (f"fleet.failures.boot_failure={chance}", "fleet.size=1000", "gates={first_attempt_success: '>= 0.95'}")
    with_retries, without = mains(*harm), mains(*harm, NO_RETRIES)
    assert with_retries.summary["metrics"]["success_rate"] > 0.99
    for found in (with_retries, without):
        measured = found.summary["metrics"]
        assert measured["first_installation_failed"] == pytest.approx(chance, abs=0.035)
        assert measured["rolled_back"] == pytest.approx(chance, abs=0.035)
        assert measured["first_attempt_success"] <= 1.0 - chance + 0.035
        assert found.summary["verdict"] == "no-go"
    assert with_retries.summary["metrics"]["attempts_per_module"] > 1.0 + 0.9 * chance


@pytest.mark.parametrize("metric", ["first_attempt_success", "first_installation_failed", "rolled_back", "bricked"])
@pytest.mark.parametrize("chance", [0.05, 0.2, 0.5])
def test_more_retries_never_improve_the_first_attempt(metric, chance):
    """On the same random numbers, with none, one and five further attempts."""
    harm = (f"fleet.failures.boot_failure={chance}", "fleet.failures.brick=0.02", "fleet.failures.link_drop_factor=0")
    values = [
        mains(*harm, f"plan.strategy.retry.number_of_retries={retries}").summary["metrics"][metric]
        for retries in (0, 1, 5)
    ]
    worse_is_more = metric != "first_attempt_success"
    assert all(b >= a - 1e-12 if worse_is_more else b <= a + 1e-12 for a, b in pairwise(values))


def test_the_terminal_tells_what_retries_hide():
    """Nearly all succeed; beside the outcomes stand failed first attempts and roll-backs, each out of what it is a share of."""
    found = mains("fleet.failures.boot_failure=0.2", "fleet.size=1000", "fleet.failures.frailty_variance=0")
    counted, lines = found.summary["counts"], list(outcome_lines(found.summary))
    first = counted["first_attempts"] - counted["first_attempts_succeeded"]
    assert 150 < counted["rolled_back"] <= first < 260
    assert (
        f"  first attempt failed: {first} of {counted['first_attempts']:,} modules whose first attempt has ended "
        f"({100 * first / counted['first_attempts']:.2f} %)" in lines
    )
    assert any(
        line.startswith(f"  rolled back: {counted['rolled_back']} of 1,000 modules that began to install")
        for line in lines
    )


# --- truth and the cloud's view --------------------------------------------------------------------------------------


def test_what_the_cloud_gave_up_is_not_its_success():
    """A download of 89 s under a step limit of 60 s: the modules finish, the cloud has timed all of them out."""
    found = mains("fleet.physics.uart_bit_s=174000", "plan.components.0.size=1.55 MB", "plan.strategy.preset=none",
                  "plan.strategy.timeouts.step.download=60s", "gates={success_of_finished: '>= 0.95'}")  # fmt: skip
    measured = found.summary["metrics"]
    assert measured["success_rate"] > 0.95
    assert measured["success_of_finished"] == measured["cloud_success_rate"] == 0.0
    assert measured["late_success"] > 0.95 and measured["cloud_mistaken"] > 0.95
    assert found.summary["verdict"] == "no-go"


@pytest.mark.parametrize(
    ("outcome", "cloud_state", "late", "mistaken", "silent"),
    [
        ("succeeded", "succeeded", 0, 0, 0), ("succeeded", "timed_out", 1, 1, 0), ("succeeded", "failed", 1, 1, 0),
        ("succeeded", "canceled", 1, 1, 0), ("succeeded", "updating", 0, 1, 1), ("failed", "failed", 0, 0, 0),
        ("failed", "updating", 0, 1, 1), ("failed", "succeeded", 0, 1, 0), ("pending", "queued", 0, 0, 0),
    ],
)  # fmt: skip
def test_where_the_cloud_is_wrong(outcome, cloud_state, late, mistaken, silent):
    """Each end in truth beside each end in the cloud, a revoked success among them."""
    from tests.report.made import module

    table = pd.DataFrame([module(outcome=outcome, cloud_state=cloud_state)])
    counted = counts(table)
    assert (counted["late"], counted["cloud_mistaken"]) == (late, mistaken)
    assert metrics(table, counted, {})["silent_losses"] == silent


# --- who counts ------------------------------------------------------------------------------------------------------


def test_a_delta_that_does_not_fit_leaves_modules_behind():
    """Modules on 001 cannot take 002 to 003: they are incompatible, neither a success nor up to date."""
    found = mains("fleet.groups.0.components={fw: {'001': 0.25, '002': 0.5, '003': 0.25}}", "plan.components.0.package=delta",
                  "plan.components.0.source_version='002'")  # fmt: skip
    outcomes, measured = found.summary["outcomes"], found.summary["metrics"]
    behind, current = outcomes["incompatible"], outcomes["not_needed"]
    assert 30 < behind < 70 and 30 < current < 70
    assert measured["incompatible"] == behind / (200 - current)
    assert measured["success_rate"] == outcomes["succeeded"] / (200 - current) <= 1.0 - measured["incompatible"]
    assert measured["coverage"] == (outcomes["succeeded"] + current) / 200


def test_a_fleet_that_is_up_to_date_has_nothing_to_judge():
    """The gate is not missed, and the release is not shown to be good either."""
    found = mains("fleet.groups.0.components={fw: '003'}", "gates={success_rate: '>= 0.95'}")
    assert found.summary["gates"][0]["state"] == "nothing to judge"
    assert found.summary["verdict"] == "invalid"


# --- time ------------------------------------------------------------------------------------------------------------


def test_the_time_of_half_the_fleet_is_not_that_of_half_the_successes():
    """One module in five is never online: half of the targets take longer than half of the successes."""
    found = run(*HARMLESS, "fleet.failures.never_online=0.2")
    measured, times = found.summary["metrics"], found.records.modules["upgraded_s"]
    assert measured["duration_p50"] < measured["time_to_50"] == times.sort_values().iloc[99]
    assert measured["time_to_90"] is None


# --- slices, campaigns -----------------------------------------------------------------------------------------------


def test_a_gate_by_hardware_sees_the_bad_revision():
    """A tenth of the fleet is of a revision that does not boot: the whole meets the limit, the revision does not."""
    defect = "plan.components.0.defects=[{hardware: C, boot_failure: 0.5}]"
    mix = "fleet.groups.0.hardware={A: 0.9, C: 0.1}"
    found = mains(mix, defect, "fleet.size=1000", "gates={rolled_back: {limit: '<= 0.1', by: hardware}}")
    assert found.summary["metrics"]["rolled_back"] < 0.1
    assert {gate["of"]: gate["state"] for gate in found.summary["gates"]} == {"A": "met", "C": "not met"}
    assert found.summary["verdict"] == "no-go"


def test_a_gate_by_component_judges_each_by_itself():
    """The second component does not boot in a third of the modules: the first is not blamed."""
    two = (
        "plan.components=[{component: fw, type: firmware, package: full, target_version: '003', size: 50 kB}, "
        "{component: app, type: firmware, package: full, target_version: '2', size: 50 kB, defects: [{boot_failure: 0.9}]}]"
    )
    found = mains(two, "fleet.groups.0.components={fw: '001', app: '1'}", NO_RETRIES,
                  "gates={success_rate: {limit: '>= 0.9', by: component}}")  # fmt: skip
    assert {gate["of"]: gate["state"] for gate in found.summary["gates"]} == {"fw": "met", "app": "not met"}


def test_campaigns_are_counted_per_campaign():
    """Three campaigns of 200 modules: no count above 200, no share above 100 %."""
    found = mains(replications=3)
    lines = list(outcome_lines(found.summary))
    assert lines[0] == "  mean of 3 campaigns"
    for line in lines[1:]:
        if line.endswith("%"):
            *_, count, percent, _sign = line.split()
            assert float(count.replace(",", "")) <= 200 and float(percent) <= 100
