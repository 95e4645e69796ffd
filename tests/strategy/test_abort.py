"""Definition 7: abort criteria, their minimum, denominator, order and the grid they are looked at on."""

from __future__ import annotations

import pytest

from sim.strategy import abort
from sim.strategy.progress import Criterion, Progress
from sim.strategy.settings import Denominator
from tests.strategy.cloud import REFUSED, ROLLBACK, Cloud


def criterion(percent: float, minimum: int = 1, **more) -> dict:
    """A criterion as the file writes it."""
    return {"threshold_percentage": percent, "min_number_of_executed": minimum, **more}


def stopping(*criteria: dict, modules: int = 100, interval: str = "0s", **more) -> Cloud:
    """A plan with these criteria."""
    abort_section = {"criteria": list(criteria), "evaluation_interval": interval}
    return Cloud(modules, abort=abort_section, rollback=ROLLBACK, **more)


def fired(cloud: Cloud) -> list[tuple[float, int]]:
    """(time, number) of criteria that fired."""
    return [(d.time_s, d.subject) for d in cloud.center.decisions if d.decision == "criterion_fired"]


# --- when it fires -------------------------------------------------------------------------------------------------


def test_at_exactly_the_threshold():
    """Definition 7: 100 x failed / completed >= threshold: 2 of 10 at 20 %; 1 of 10 not."""
    for failures, expected in ((1, []), (2, [(0.0, 0)])):
        cloud = stopping(criterion(20, 10)).succeed(*range(10 - failures)).fail(*range(10 - failures, 10))
        assert fired(cloud) == expected


def test_not_before_the_minimum():
    """Definition 7: executed >= min_number_of_executed: with 9 through nothing fires, however bad; the tenth decides."""
    cloud = stopping(criterion(20, 10)).fail(*range(9))
    assert fired(cloud) == []
    cloud.until(7.0).succeed(9)  # 90 % of ten
    assert fired(cloud) == [(7.0, 0)]


def test_the_worked_example_of_the_guide():
    """Definition 7: at least 20 % of the complete executions failed after 100 executions are complete (AWS)."""
    cloud = stopping(criterion(20, 100, failure_type="failed"), modules=1000)
    cloud.fail(*range(19)).succeed(*range(19, 99))
    assert fired(cloud) == []  # 99 complete
    cloud.succeed(99)
    assert fired(cloud) == []  # 19 of 100
    cloud.fail(100)
    assert fired(cloud) == []  # 20 of 101
    cloud.fail(101)
    assert len(fired(cloud)) == 1  # 21 of 102
    assert cloud.states()["canceled"] == 1000 - 102


@pytest.mark.parametrize(
    ("denominator", "executed", "whole"),
    [("completed", 4, 4), ("notified", 20, 20), ("targets", 4, 100)],
)
def test_denominators(denominator, executed, whole):
    """Definition 7: of the completed (AWS's guide), the notified (its API reference) or all targets.

    100 targets, 20 notified, 4 completed, 2 of them failed; shares of 50, 10 and 2 %. The minimum counts the notified
    for `notified`, and the completed otherwise.
    """
    for minimum, percent, fires in (
        (executed, 200 / whole, True), (executed + 1, 200 / whole, False), (executed, 200 / whole + 0.01, False)
    ):  # fmt: skip
        cloud = Cloud(
            100, away=range(20, 100), abort={"criteria": [criterion(percent, minimum, denominator=denominator)]}
        )
        for i in range(20):
            cloud.walk(i, 1)
        cloud.succeed(0, 1).fail(2, 3)
        assert bool(fired(cloud)) is fires


def test_two_decimals_are_exact():
    """Definition 7: AWS allows two decimals; 14 of 10,000 is 0.14 %, whatever the product is in binary."""
    k = Criterion(threshold_percentage=0.14, min_number_of_executed=1)
    assert abort.fires(k, Progress(succeeded=9986, failed=14))
    assert not abort.fires(k, Progress(succeeded=9987, failed=13))


def test_nothing_executed_is_no_share():
    """Definition 7: an empty denominator fires nothing."""
    for denominator in ("completed", "notified", "targets"):
        assert fired(Cloud(1, late=[0], abort={"criteria": [criterion(0.01, denominator=denominator)]})) == []


@pytest.mark.parametrize(
    ("kind", "counted"), [("failed", {"failed"}), ("timed_out", {"timed_out"}), ("rejected", {"rejected"}),
                          ("all", {"failed", "timed_out", "rejected"})],
)  # fmt: skip
def test_failure_types(kind, counted):
    """Definitions 3 and 7: failed(type) is one state, or their sum for ALL; others only make the denominator larger."""
    for state in ("failed", "timed_out", "rejected"):
        cloud = stopping(
            criterion(100, 1, failure_type=kind), timeouts={"step": {"confirm": "1min"}}, modules=3,
            preconditions={"on_unmet": "reject", "min_battery_percent": 0, "min_rsrp_dbm": -140},
        )  # fmt: skip
        if state == "failed":
            cloud.fail(0)
        elif state == "rejected":
            cloud.status(0, 1, REFUSED)
        else:
            cloud.offline(1)
            cloud.offline(2)
            cloud.until(60.0)
        assert cloud.state(0) == state
        assert bool(fired(cloud)) is (state in counted)


def test_canceled_ones_count_nowhere():
    """Definition 3: cancelling makes neither the failures nor the completed more."""
    cloud = stopping(criterion(50, 2))
    cloud.fail(0)
    for i in range(1, 50):
        cloud.center.cancel(i, 0.0)
    assert fired(cloud.until(0.0)) == []
    cloud.succeed(50)
    assert fired(cloud) == [(0.0, 0)]  # one of two


def test_a_module_that_will_be_tried_again_is_not_completed():
    """Definition 3: a failed attempt with retries left makes no share of anything."""
    cloud = stopping(criterion(1, 1), retry={"number_of_retries": 2, "retry_interval": "10min"}).fail(0)
    assert fired(cloud) == [] and cloud.counts.failed == 0
    cloud.until(600.0).status(0, 12)
    cloud.until(1200.0)
    assert fired(cloud) == []
    cloud.status(0, 12)
    assert fired(cloud) == [(1200.0, 0)]


# --- order, once, never while paused -------------------------------------------------------------------------------


def test_first_hit_in_list_order_wins():
    """Definition 7: both are met; the first acts and the second has nothing left to do."""
    cloud = stopping(criterion(50, 2, action="force-cancel"), criterion(10, 2, action="pause")).succeed(0).fail(1)
    assert fired(cloud) == [(0.0, 0)]
    assert cloud.decided("paused", "canceled", "force_canceled") == [(0.0, "force_canceled")]


def test_a_later_criterion_fires_when_the_first_does_not():
    """Definition 7: order does not let an unmet criterion hide a met one."""
    cloud = stopping(criterion(90, 2), criterion(50, 2, action="pause")).succeed(0).fail(1)
    assert fired(cloud) == [(0.0, 1)]


def test_each_fires_once():
    """Definition 7: after the operator's resume the same criterion does not fire again, the next one may."""
    cloud = stopping(criterion(10, 1, action="pause"), criterion(60, 4, action="cancel")).fail(0)
    cloud.until(60.0).operator("resume")
    assert cloud.plan() == "Upgrading"
    cloud.fail(1, 2)
    assert fired(cloud) == [(0.0, 0)] and cloud.plan() == "Upgrading"
    cloud.fail(3)
    assert fired(cloud) == [(0.0, 0), (60.0, 1)] and cloud.plan() == "Terminated"


def test_never_while_paused():
    """Definitions 7 and 8: what fails in a pause is judged at resume, and not before."""
    cloud = stopping(criterion(10, 1)).until(1.0)
    for i in range(5):
        cloud.walk(i, 5)
    cloud.operator("suspend")
    cloud.status(0, 12)
    cloud.status(1, 12)
    assert fired(cloud.until(500.0)) == []
    cloud.operator("resume")
    assert fired(cloud) == [(500.0, 0)] and cloud.plan() == "Terminated"


def test_criteria_come_before_groups():
    """Definitions 6 and 7: the criterion's hit ends the evaluation; the group that would have opened stays closed."""
    cloud = stopping(criterion(10, 2), rollout={"groups": [{"count": 2, "success_threshold_percent": 50}, {}]})
    cloud.until(1.0)
    cloud.fail(0).succeed(1)
    assert cloud.decided("group_opened") == [(0.0, "group_opened")]
    assert fired(cloud) == [(1.0, 0)]


@pytest.mark.parametrize(
    ("action", "plan"),
    [("cancel", "Terminated"), ("force-cancel", "Terminated"), ("pause", "Suspended"), ("rollback", "Rolling back")],
)
def test_actions(action, plan):
    """Definition 7: CANCEL, FORCE_CANCEL, PAUSE, ROLLBACK."""
    assert stopping(criterion(10, 1, action=action)).fail(0).plan() == plan


def test_the_decision_keeps_the_counts_it_was_taken_at():
    """Definition 7: a stopped plan can be audited: completed, failed and the share."""
    cloud = stopping(criterion(30, 3)).succeed(0, 1).until(9.0).fail(2)
    (d,) = [d for d in cloud.center.decisions if d.decision == "criterion_fired"]
    assert (d.time_s, d.completed, d.succeeded, d.failed, d.targets) == (9.0, 3, 2, 1, 100)
    assert d.value == pytest.approx(100 / 3)


# --- the grid ------------------------------------------------------------------------------------------------------


def test_interval_zero_is_at_every_report():
    """Definition 7: evaluation_interval 0 looks at once."""
    assert fired(stopping(criterion(10, 1)).until(12.3).fail(0)) == [(12.3, 0)]


def test_the_grid_is_counted_from_the_start_of_the_plan():
    """Definition 7: evaluated at the next multiple of the interval, and only there."""
    for start in (0.0, 500.25):
        cloud = stopping(criterion(10, 1), interval="60s", start=start).until(start + 61.0).fail(0)
        assert fired(cloud.until(start + 119.9)) == []
        assert fired(cloud.until(start + 120.0)) == [(start + 120.0, 0)]


def test_between_two_evaluations_a_share_may_come_and_go():
    """Definition 7: what is not met at an evaluation did not happen: 1 of 1 at 5 s is 1 of 20 at 10 s."""
    cloud = stopping(criterion(10, 1), interval="10s").until(5.0).fail(0)
    cloud.until(6.0).succeed(*range(1, 20)).until(100.0)
    assert fired(cloud) == []


@pytest.mark.parametrize("moment", [61.0, 65.0])
def test_soak_does_not_look_off_the_grid(moment):
    """Definitions 6 and 7: a group whose soak ends between two points opens at the next; criteria wait for it too."""
    groups = [{"count": 2, "soak": "25s", "success_threshold_percent": 50}, {}]
    cloud = stopping(criterion(40, 3), interval="10s", rollout={"groups": groups}).until(33.0).succeed(0).until(moment)
    cloud.fail(1)
    cloud.until(200.0)
    assert cloud.decided("group_passed", "group_opened") == [
        (0.0, "group_opened"), (40.0, "group_passed"), (70.0, "group_opened")
    ]  # fmt: skip


def test_a_resume_does_not_look_off_the_grid():
    """Definitions 7 and 8: the operator's resume waits for the next point as everything does."""
    cloud = stopping(criterion(10, 1), interval="60s")
    cloud.walk(0, 5)
    cloud.until(70.0).operator("suspend")
    cloud.status(0, 12)
    cloud.until(130.0).operator("resume")
    assert fired(cloud) == []
    assert fired(cloud.until(180.0)) == [(180.0, 0)]


def test_a_share_and_a_number_of_failures():
    """Definition 7: with min_number_of_failed both must be reached; with 0 % the number alone decides."""
    both = Criterion(threshold_percentage=10, min_number_of_failed=3, denominator=Denominator.TARGETS)
    assert [abort.fires(both, Progress(targets=20, failed=n)) for n in (1, 2, 3)] == [False, False, True]
    assert [abort.fires(both, Progress(targets=100, failed=n)) for n in (3, 9, 10)] == [False, False, True]
    number = Criterion(threshold_percentage=0, min_number_of_failed=5)
    assert [abort.fires(number, Progress(targets=1000, succeeded=900, failed=n)) for n in (0, 4, 5)] == [
        False,
        False,
        True,
    ]
