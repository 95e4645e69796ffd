"""Rollouts that once looked like a Go and must not: judged from end to end, by value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sim.cli.common import outcome_lines
from sim.engines.run import simulate
from sim.scenario.load import check
from sim.stats.counts import counts, metrics, part_of_component
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


MIDST = ("plan.strategy.preset=none", "fleet.failures.boot_failure=1", "fleet.failures.frailty_variance=0", NO_RETRIES)


@pytest.mark.parametrize("metric", ["bricked", "bricked_of_installed", "rolled_back", "first_installation_failed", "failed",
                                    "failed_of_touched", "cloud_failed"])  # fmt: skip
def test_an_installation_in_the_midst_has_shown_nothing(metric):
    """Every installation of this release fails. Judged while all of them are under way it is no Go, whatever is asked."""
    whole = mains(*MIDST)
    early = float(whole.records.modules["updating_s"].quantile(0.5)) + 1.0
    found = mains(*MIDST, f"horizon={early:.0f}s", f"gates={{{metric}: '<= 0.05'}}")
    assert found.summary["counts"]["installed"] > 50
    assert found.summary["counts"]["installed_ended"] < found.summary["counts"]["installed"] / 2
    assert found.summary["verdict"] in ("invalid", "no-go")


def test_who_counts_in_a_share_of_harm():
    """Six that took the image: done, bricked, back on the old one, in the midst of it, given up in the midst of it, past
    the first component. Of ten that confirmed three are at it still, and what the cloud gave up unconfirmed is not of them."""
    rows = [
        {"outcome": "succeeded", "upgraded_s": 9.0, "components_done": 1}, {"outcome": "failed", "cause": "bricked"},
        {"outcome": "pending", "installation_failed": True, "fell_back": True}, {"outcome": "pending"}, {"outcome": "timed_out"},
        {"outcome": "pending", "components_done": 1},
    ]  # fmt: skip
    whole = {"confirmed_s": 1.0, "updating_s": 2.0, "upgraded_s": np.nan, "cause": "", "components_done": 0, "first_fault": "",
             "installation_failed": False, "fell_back": False, "cloud_state": "confirmed"}  # fmt: skip
    waiting = {"outcome": "rejected", "updating_s": np.nan}
    given_up = {"outcome": "timed_out", "cloud_state": "timed_out", "updating_s": np.nan}
    listed = [*rows, waiting, waiting, waiting, given_up, {**given_up, "confirmed_s": np.nan}]
    found = counts(pd.DataFrame([{**whole, **row} for row in listed]))
    assert (found["installed"], found["installed_ended"], found["bricked"]) == (6, 4, 1)
    assert (found["touched"], found["touched_ended"], found["touched_failed"]) == (10, 7, 3)
    assert (found["cloud_failed"], found["cloud_touched_failed"], found["cloud_touched_finished"]) == (2, 1, 1)


def test_a_rollout_that_touched_nobody_is_nothing_to_judge():
    """Gates on costs, times, loads and harm of all targets are no yes where no module confirmed the offer."""
    gates_ = "gates={bricked_of_targets: '<= 0.1', deferrals: '<= 1e6', wasted_share: '<= 0.5', silent_losses: '<= 10'}"
    found = mains(gates_, "plan.operator=[{at: 0s, do: suspend}]")
    assert found.summary["counts"]["touched"] == 0
    assert found.summary["verdict"] == "invalid"


def test_a_rollout_that_nobody_came_through_is_no_go_ahead():
    """All 200 confirm and download, and the window to install in opens after the run: nothing bricked because nothing was installed."""
    window = "plan.strategy.schedule={maintenance_windows: [{start: '22:00', duration: 4h, days: [fri]}], window_gates: install}"
    found = mains(window, "gates={bricked_of_targets: '<= 5 %', touched: '>= 90 %'}")
    counted = found.summary["counts"]
    assert (counted["touched"], counted["touched_ended"], counted["installed"]) == (200, 0, 0)
    assert {gate["state"] for gate in found.summary["gates"]} == {"met"}
    assert found.summary["verdict"] == "marginal"


def test_a_component_that_few_came_to_is_judged_on_all_that_need_it():
    """Of ten that need both components two have both, one has the first and bricks on the second, three are between the
    two, two bricked on the first, two were never seen; an eleventh needs nothing."""
    rows = [
        *[{"outcome": "succeeded", "component": 1, "components_done": 2}] * 2,
        {"outcome": "failed", "cause": "bricked", "component": 1, "components_done": 1},
        *[{"outcome": "pending", "components_done": 1}] * 3, *[{"outcome": "failed", "cause": "bricked"}] * 2,
        *[{"outcome": "never_online", "confirmed_s": np.nan, "updating_s": np.nan}] * 2,
        {"outcome": "not_needed", "confirmed_s": np.nan, "updating_s": np.nan},
    ]  # fmt: skip
    whole = {"confirmed_s": 1.0, "updating_s": 2.0, "upgraded_s": np.nan, "cause": "", "component": 0, "components_done": 0,
             "cloud_state": "confirmed"}  # fmt: skip
    modules = pd.DataFrame([{**whole, **row} for row in rows])
    first, second = (counts(part_of_component(modules, i)) for i in (0, 1))
    named = ("targets", "succeeded", "touched_ended", "touched_failed", "not_reached", "bricked")
    assert [first[name] for name in named] == [10, 6, 8, 2, 2, 2]
    assert [second[name] for name in named] == [10, 2, 3, 1, 7, 1]


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


@given(chance=st.floats(0.02, 0.6), brick=st.floats(0.0, 0.1), seed=st.integers(0, 2**32), more=st.integers(1, 6))
@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_more_retries_never_improve_the_first_attempt(chance, brick, seed, more):
    """On the same random numbers, with none and with further attempts: of the modules that install either way none looks
    better. (Modules whose only download breaks install with retries alone: they are further exposure, of either kind.)"""
    harm = (f"seed={seed}", f"fleet.failures.boot_failure={chance}", f"fleet.failures.brick={brick}",
            "fleet.failures.link_drop_factor=0")  # fmt: skip
    runs = [mains(*harm, f"plan.strategy.retry.number_of_retries={retries}") for retries in (0, more)]
    once, again = (found.records.modules for found in runs)
    both = once["updating_s"].notna() & again["updating_s"].notna()
    harmed_once, harmed_again = (
        [counts(table[both])[name] for name in ("first_installations_failed", "rolled_back", "bricked")]
        for table in (once, again)
    )
    assert all(b >= a for a, b in zip(harmed_once, harmed_again, strict=True))
    first_once, first_again = (found.summary["metrics"]["first_attempt_success"] for found in runs)
    assert first_again <= first_once + 1e-12


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
        line.startswith(
            f"  rolled back by themselves: {counted['rolled_back']} of 1,000 modules whose installation has ended"
        )
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


# --- what a Go does not say -------------------------------------------------------------------------------------------


def words_of(found, tmp_path):
    """The verdict on a run in the words of its page, and the statuses a command ends with."""
    from sim.engines.run import write
    from sim.records import Run
    from sim.report.model.run_report import build

    report = build(Run.load(write(found, tmp_path / "run")))
    return report, " ".join([report.told.headline, *report.told.reasons])


def test_harm_that_no_gate_judges_is_told(tmp_path):
    """One in six does not boot at first, the only gate is on time: a Go that names the failed installations, of how many."""
    found = mains("fleet.failures.boot_failure=0.15", "gates={duration_p95: '<= 1d'}")
    counted = found.summary["counts"]
    report, told = words_of(found, tmp_path)
    assert report.verdict == "go" and "Ship it" not in told
    assert f"no gate judges that {counted['first_installations_failed']} of 200 first installations failed" in told
    judged = mains(
        "fleet.failures.boot_failure=0.15", "gates={duration_p95: '<= 1d', first_installation_failed: '<= 50 %'}"
    )
    assert "first installations" not in words_of(judged, tmp_path / "judged")[1]


@pytest.mark.parametrize("action", ["plan.operator=[{at: 30min, do: terminate}]", "plan.operator=[{at: 30min, do: suspend}]",
                                    "plan.strategy.schedule.end_time=30min"])  # fmt: skip
def test_what_the_operator_cut_short_is_no_go_for_the_fleet(action, tmp_path):
    """Most of the fleet was never touched, and no gate asks for it; with one that asks, the gate is not met."""
    slow = ("plan.strategy.rollout.maximum_per_minute=3", action)
    report, told = words_of(mains(*slow, "gates={bricked: '<= 40 %'}"), tmp_path)
    touched = report.metrics["touched"].value * 200
    assert report.verdict == "marginal" and 10 < touched < 80
    assert f"only {touched:.0f} of 200 targets confirmed the offer" in told and "30 min after activation" in told
    assert report.exit_statuses == {"as it is": 4, "go": 4, "no-go": 1}
    assert mains(*slow, "gates={success_rate: '>= 90 %'}").summary["verdict"] == "no-go"


@pytest.mark.parametrize(("median", "verdict"), [("30d", "marginal"), ("10min", "no-go")])
def test_a_defect_that_shows_after_the_horizon_is_not_a_go(median, verdict, tmp_path):
    """Half the modules fail late: within the horizon they count, after it the run says that it cannot have seen them."""
    found = mains(
        "plan.components.0.defects=[{late_failure: 0.5}]", f"fleet.failures.late_failure_median_s={median}",
        "gates={success_rate: '>= 80 %'}",
    )  # fmt: skip
    counted, modules = found.summary["counts"], found.records.modules
    assert found.summary["verdict"] == verdict
    later = modules["fails_s"] - modules["upgraded_s"]
    assert counted["fail_later"] == (later <= 365 * 86400).sum() and not (modules["fails_s"] <= 2 * 86400).any()
    assert 70 < counted["fail_later"] + counted["touched_failed"] < 130
    if verdict == "marginal":
        assert (
            f"{counted['fail_later']} of {counted['succeeded']} upgraded modules will fail after the horizon"
            in words_of(found, tmp_path)[1]
        )


def test_a_horizon_twice_as_long_sees_who_was_said_to_fail_later():
    """What the shorter run announces is what the longer one finds."""
    late = ("plan.components.0.defects=[{late_failure: 0.5}]", "fleet.failures.late_failure_median_s=3d")
    short, long = (mains(*late, f"horizon={horizon}").records.modules for horizon in ("2d", "60d"))
    announced = short["fails_s"].notna() & (short["fails_s"] < 59 * 86400)
    assert announced.sum() > 30
    assert (long.loc[announced, "outcome"] == "failed").all() and (long.loc[announced, "cause"] == "late_failure").all()


def test_what_the_plan_takes_back_is_not_what_a_bootloader_takes_back():
    """Two figures: successes that the plan rolls back keep their first attempt, and are no failures of the image."""
    found = mains(
        "fleet.failures.boot_failure=0.3", "plan.strategy.rollout.maximum_per_minute=5", NO_RETRIES,
        "plan.strategy.abort.criteria=[{failure_type: failed, threshold_percentage: 5, min_number_of_executed: 60, action: rollback}]",
        "plan.strategy.rollback=[{component: fw, version: '001', size: 100 kB}]",
    )  # fmt: skip
    counted = found.summary["counts"]
    assert counted["rolled_back_by_plan"] > 30 and 5 < counted["rolled_back"] < 40
    assert counted["first_attempts"] == counted["touched"]
    assert counted["first_attempts_succeeded"] >= counted["rolled_back_by_plan"]
    assert found.summary["metrics"]["rolled_back"] != found.summary["metrics"]["rolled_back_by_plan"]


def test_modules_never_seen_that_run_the_target_need_nothing():
    """Of a fleet that is up to date some are never online: there is nobody to upgrade, and no gate to miss."""
    found = mains(
        "plan.components.0.target_version='001'", "fleet.failures.never_online=0.2", "gates={success_rate: '>= 90 %'}"
    )
    assert found.summary["outcomes"]["not_needed"] == 200 and found.summary["verdict"] == "invalid"
