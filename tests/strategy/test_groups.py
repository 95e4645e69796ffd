"""Definition 6: rollout groups, their sizes, thresholds, soak time and actions."""

from __future__ import annotations

import pytest

from sim.errors import ScenarioError
from sim.strategy.groups import CUMULATIVE, HAWKBIT, REMAINING, sizes
from tests.strategy.cloud import ROLLBACK, Cloud

HOUR = 3600.0


def grouped(*groups: dict, modules: int = 20, **more) -> Cloud:
    """A plan in these groups."""
    rollout = {**more.pop("rollout", {}), "groups": list(groups)}
    return Cloud(modules, rollout=rollout, **more)


def opened(cloud: Cloud) -> list[float]:
    """When each group opened."""
    return [at for at, _ in cloud.decided("group_opened")]


def members(cloud: Cloud, number: int) -> list[int]:
    """Modules of a group."""
    return [e.index for e in cloud.center.executions if e.group == number]


# --- sizes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("targets", "percents", "expected"),
    [
        (1000, [1, 9, 40, None], [10, 90, 400, 500]),
        (5, [10, 90], [1, 4]),  # 0.5 is rounded up
        (15, [10, 10, None], [2, 2, 11]),  # 1.5 twice
        (14, [10, None], [1, 13]),  # 1.4 is rounded down
        (1500, [2.3, None], [35, 1465]),  # 34.5, which binary numbers make 34.499…
        (3, [50, 50], [2, 1]),  # the last takes the rest
        (1, [1, 10, None], [0, 0, 1]),
        (0, [50, None], [0, 0]),
        (7, [None], [7]),
        (3, [40, 40, None], [1, 1, 1]),
        (2, [50, 50, None], [1, 1, 0]),
        (1, [50, 50, None], [1, 0, 0]),  # rounding up twice does not ask for more than there are
    ],
)
def test_percentages_of_the_targets(targets, percents, expected):
    """Definition 6: of the plan's targets at start, rounded half up; the last group takes the rest."""
    assert sizes(targets, percents, [None] * len(percents)) == expected


@pytest.mark.parametrize(
    ("targets", "percents", "expected"),
    [
        (1000, [10, 10, 10, None], [100, 90, 81, 729]),
        (5, [50, 50, None], [3, 1, 1]),
        (100, [100, 50, None], [100, 0, 0]),
    ],
)
def test_percentages_of_what_remains(targets, percents, expected):
    """Definition 6: hawkBit's older reading, `percent_of: remaining`."""
    assert sizes(targets, percents, [None] * len(percents), REMAINING) == expected


@pytest.mark.parametrize(
    ("targets", "percents", "expected"),
    [
        (500, [10, 30, 60], [50, 150, 300]),
        (500, [10, 33.3, 100], [50, 167, 283]),  # percentages of the rest sent to a server that takes them of all
        (1000, [25, 33.3, 50, 100], [250, 333, 417, 0]),
        (10, [25, 25, 50], [3, 2, 5]),  # a third of the seven left, and not a quarter of ten
        (7, [100 / 3] * 3, [2, 2, 3]),  # percentages are kept in single precision: 49.999998 % of five
        (100, [99.5, 0.4, 0.1], [100, 0, 0]),
    ],
)
def test_percentages_as_hawkbit_cuts_them(targets, percents, expected):
    """Definition 6: `percent_of: hawkbit`: of all targets, rounded as a share of what is left."""
    assert sizes(targets, percents, [None] * len(percents), HAWKBIT) == expected


def test_percentages_rounded_down():
    """Definition 6: Mender rounds down and refuses a phase of nobody."""
    assert sizes(19, [15, 50, None], [None] * 3, down=True) == [2, 9, 8]
    cloud = grouped({"percent": 15}, {"percent": 50}, {}, modules=19, rollout={"rounding": "down"})
    assert [len(members(cloud, i)) for i in range(3)] == [2, 9, 8]
    with pytest.raises(
        ScenarioError, match=r"groups\.0\.percent: found 5 % of 19 modules, which is rounded down to none"
    ):
        grouped({"percent": 5}, {}, modules=19, rollout={"rounding": "down"})


def test_a_share_of_those_a_filter_takes():
    """Definition 6: a filter with a size takes that many of its modules; the same filter again, what is left of them."""
    odd = {"modules": [f"m{i:07d}" for i in range(1, 20, 2)]}
    cloud = grouped({"percent": 30, "filter": odd}, {"count": 2}, {"filter": odd}, {})
    assert [members(cloud, i) for i in range(3)] == [[1, 3, 5], [0, 2], [7, 9, 11, 13, 15, 17, 19]]
    cut = grouped({"percent": 25, "filter": odd}, {"percent": 25, "filter": odd}, {"percent": 50, "filter": odd}, {},
                  rollout={"percent_of": "hawkbit"})  # fmt: skip
    assert [len(members(cut, i)) for i in range(4)] == [3, 2, 5, 10]


def test_counts_take_what_is_there():
    """Definition 6: absolute sizes, of which the fleet may have fewer."""
    assert sizes(7, [None, None, None], [5, 5, None]) == [5, 2, 0]


def test_groups_are_filled_in_the_order_of_release():
    """Definitions 4 and 6: group order, then the stable order within."""
    cloud = grouped({"percent": 25}, {"percent": 50}, {}, modules=8)
    assert [members(cloud, i) for i in range(3)] == [[0, 1], [2, 3, 4, 5], [6, 7]]
    assert cloud.released() == [(0.0, 0), (0.0, 1)]


def test_groups_by_filter():
    """Definition 6: members by name; whoever no filter takes is in the last group."""
    cloud = grouped({"filter": {"modules": ["m0000007", "m0000003"]}}, {}, modules=8)
    assert members(cloud, 0) == [3, 7]
    assert [i for _, i in cloud.released()] == [3, 7]


# --- success -------------------------------------------------------------------------------------------------------


def test_success_at_exactly_the_threshold_opens_the_next():
    """Definition 6: succeeded / targets >= threshold: 5 of 10 at 50 %, not 4."""
    cloud = grouped({"percent": 50, "success_threshold_percent": 50}, {})
    cloud.until(10.0).succeed(0, 1, 2, 3)
    assert opened(cloud) == [0.0]
    cloud.until(20.0).succeed(4)
    assert opened(cloud) == [0.0, 20.0]
    assert len(cloud.released()) == 20


def test_a_threshold_that_binary_numbers_cannot_hold():
    """Definition 6: 7 of 100 is 7 %, whatever 0.07 looks like in binary; 6 is not."""
    for passed, enough in ((7, True), (6, False)):
        cloud = grouped({"count": 100, "success_threshold_percent": 7}, {}, modules=200)
        cloud.succeed(*range(passed))
        assert (len(opened(cloud)) == 2) is enough
    from sim.strategy.groups import failed
    from sim.strategy.groups import passed as has_passed
    from sim.strategy.progress import Group

    assert has_passed(Group(members=9999, targets=5000, succeeded=7, success_threshold_percent=0.14))
    assert not failed(Group(targets=10000, failed=57, error_threshold_percent=0.57))


def test_all_of_a_group_finished_is_passed():
    """Definition 6: … or all of it terminal, however few succeeded."""
    cloud = grouped({"count": 4, "success_threshold_percent": 100}, {})
    cloud.until(5.0).succeed(0).fail(1, 2)
    assert opened(cloud) == [0.0]
    cloud.until(6.0)
    cloud.center.cancel(3, 6.0)
    assert opened(cloud.until(6.0)) == [0.0, 6.0]


def test_the_denominator_is_the_whole_group():
    """Definition 6: of the group's targets, not of those that are finished."""
    cloud = grouped({"count": 10, "success_threshold_percent": 60, "error_threshold_percent": 30}, {})
    cloud.succeed(0, 1, 2, 3, 4).fail(5, 6, 7)
    assert opened(cloud) == [0.0] and cloud.decided("group_failed") == []  # 50 % and 30 % of ten


def test_targets_exclude_those_that_need_nothing():
    """Definitions 3 and 6: modules on the target version already are not targets of their group."""
    cloud = grouped({"count": 10, "success_threshold_percent": 50}, {}, away=range(10))
    for i in range(8):
        cloud.hello(i, version="1.1.0")
    cloud.hello(8)
    assert opened(cloud) == [0.0]
    cloud.succeed(8)  # one of the two targets
    assert opened(cloud) == [0.0, 0.0]


def test_an_empty_group_has_passed():
    """Definition 6: zero targets = success."""
    cloud = grouped({"percent": 0}, {"percent": 0}, {}, modules=5)
    assert opened(cloud) == [0.0, 0.0, 0.0]
    assert len(cloud.released()) == 5


def test_an_empty_group_soaks_like_any_other():
    """Definition 6: its soak time runs from the moment it opened, because it passed there and then."""
    cloud = grouped({"percent": 0, "soak": "1h"}, {}, modules=5).until(2 * HOUR)
    assert opened(cloud) == [0.0, HOUR]


def test_a_group_of_modules_that_need_nothing_has_passed():
    """Definition 6: zero targets also comes about by the versions the modules report."""
    cloud = grouped({"count": 2}, {}, away=range(20)).until(30.0)
    cloud.hello(0, version="1.1.0")
    cloud.hello(1, version="1.1.0")
    assert opened(cloud.until(30.0)) == [0.0, 30.0]


def test_a_plan_without_anybody():
    """Definition 6: no modules at all, and nothing to divide by."""
    cloud = grouped({"percent": 10, "error_threshold_percent": 0}, {}, modules=1, late=[0])
    assert opened(cloud) == [0.0, 0.0]
    assert cloud.decided("paused") == []


# --- error ---------------------------------------------------------------------------------------------------------


def test_error_strictly_above_its_threshold():
    """Definition 6: failed / targets > threshold: 3 of 10 at 30 % is not an error, the fourth is."""
    cloud = grouped({"count": 10, "error_threshold_percent": 30}, {})
    cloud.until(1.0).fail(0, 1, 2)
    assert cloud.decided("group_failed", "paused") == []
    cloud.until(2.0).fail(3)
    assert cloud.decided("group_failed", "paused") == [(2.0, "group_failed"), (2.0, "paused")]


def test_error_threshold_zero_tolerates_none():
    """Definition 6: > 0 %: the first failure."""
    cloud = grouped({"count": 10, "error_threshold_percent": 0}, {}).fail(0)
    assert cloud.plan() == "Suspended"


def test_error_threshold_hundred_is_never_exceeded():
    """Definition 6: nothing is above 100 %."""
    cloud = grouped({"count": 3, "error_threshold_percent": 100, "success_threshold_percent": 100}, {}).fail(0, 1, 2)
    assert cloud.decided("group_failed") == []
    assert len(opened(cloud)) == 2  # all of it is finished


@pytest.mark.parametrize("kind", ["failed", "timed_out", "rejected"])
def test_every_kind_of_failure_counts(kind):
    """Definition 6: failed(ALL) is FAILED, TIMED_OUT and REJECTED."""
    cloud = grouped(
        {"count": 10, "error_threshold_percent": 0}, {}, timeouts={"in_progress": "1h"},
        preconditions={"on_unmet": "reject", "min_battery_percent": 0, "min_rsrp_dbm": -140},
    )  # fmt: skip
    if kind == "failed":
        cloud.fail(0)
    elif kind == "timed_out":
        cloud.status(0, 1, 2)
        cloud.until(2 * HOUR)
    else:
        cloud.status(0, 1, 3)
    assert cloud.state(0) == kind
    assert len(cloud.decided("group_failed")) == 1


def test_error_is_tested_before_success():
    """Definition 6: a group that reaches both at one evaluation has failed."""
    both = {"count": 2, "success_threshold_percent": 50, "error_threshold_percent": 40}
    cloud = grouped(both, {}, abort={"evaluation_interval": "10s"})
    cloud.until(1.0).succeed(0).fail(1).until(30.0)
    assert cloud.decided("group_failed", "group_passed", "group_opened", "paused") == [
        (0.0, "group_opened"), (10.0, "group_failed"), (10.0, "paused"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("action", "decision", "plan"),
    [
        ("pause", "paused", "Suspended"), ("cancel", "canceled", "Terminated"),
        ("force-cancel", "force_canceled", "Terminated"), ("rollback", "rolled_back", "Rolling back"),
    ],
)  # fmt: skip
def test_error_actions(action, decision, plan):
    """Definition 6: PAUSE, CANCEL, FORCE_CANCEL, ROLLBACK."""
    cloud = grouped({"count": 4, "error_threshold_percent": 0, "error_action": action}, {}, rollback=ROLLBACK)
    cloud.until(3.0).fail(0)
    assert cloud.decided("group_failed", decision) == [(3.0, "group_failed"), (3.0, decision)]
    assert cloud.plan() == plan
    assert opened(cloud) == [0.0]


def test_an_earlier_group_can_fail_later():
    """Definition 6: a group stays under watch after the next one has opened."""
    one = {"count": 10, "success_threshold_percent": 10, "error_threshold_percent": 20}
    cloud = grouped(one, {}).succeed(0).fail(1, 2)
    assert len(opened(cloud)) == 2 and cloud.plan() == "Upgrading"
    cloud.fail(3)
    assert cloud.plan() == "Suspended"


def test_a_group_fails_once():
    """Definition 6: after the operator has resumed, further failures of the same group do not pause again."""
    cloud = grouped({"count": 10, "error_threshold_percent": 0}, {}).fail(0)
    cloud.until(60.0).operator("resume")
    assert opened(cloud) == [0.0, 60.0]  # the operator's word opens the next group
    cloud.fail(1, 2, 3)
    assert cloud.plan() == "Upgrading" and len(cloud.decided("group_failed")) == 1


# --- soak, start time, success action ------------------------------------------------------------------------------


def test_soak_runs_from_the_moment_of_passing():
    """Definition 6: the next group opens soak time after the threshold was reached, not after the group is done."""
    cloud = grouped({"count": 4, "success_threshold_percent": 50, "soak": "1h"}, {})
    cloud.until(100.0).succeed(0, 1).until(200.0).succeed(2, 3).until(100.0 + HOUR - 0.001)
    assert opened(cloud) == [0.0]
    assert opened(cloud.until(100.0 + HOUR)) == [0.0, 100.0 + HOUR]


def test_a_group_that_fails_during_its_soak_opens_nothing():
    """Definition 6: soaking is watching: errors in that time still count."""
    cloud = grouped({"count": 4, "success_threshold_percent": 50, "error_threshold_percent": 0, "soak": "1h"}, {})
    cloud.succeed(0, 1).until(1800.0).fail(2).until(5 * HOUR)
    assert opened(cloud) == [0.0] and cloud.plan() == "Suspended"


def test_pause_during_a_soak_does_not_stop_its_clock():
    """Definition 8: timers keep running; a soak that ends in the pause takes effect at resume."""
    cloud = grouped({"count": 2, "soak": "1h"}, {}).succeed(0, 1)
    cloud.until(600.0).operator("suspend").until(3 * HOUR)
    assert opened(cloud) == [0.0]
    assert opened(cloud.operator("resume")) == [0.0, 3 * HOUR]


def test_a_pause_that_ends_within_the_soak_changes_nothing():
    """Definition 8: resumed before the soak is over, the group opens at the time it would have."""
    cloud = grouped({"count": 2, "soak": "1h"}, {}).succeed(0, 1)
    cloud.until(600.0).operator("suspend").until(1200.0).operator("resume").until(2 * HOUR)
    assert opened(cloud) == [0.0, HOUR]


def test_start_time_holds_a_group():
    """Definition 6: passed, soaked and its own start_time reached, counted from the start of the plan."""
    for start in (0.0, 5000.0):
        cloud = grouped({"count": 2}, {"start_time": "2h"}, start=start).succeed(0, 1).until(start + 2 * HOUR - 0.001)
        assert opened(cloud) == [start]
        assert opened(cloud.until(start + 2 * HOUR)) == [start, start + 2 * HOUR]


def test_start_time_of_the_first_group():
    """Definition 6: nobody is released before it."""
    cloud = grouped({"count": 2, "start_time": "1h"}, {}, modules=4).until(HOUR)
    assert cloud.released() == [(HOUR, 0), (HOUR, 1)]


def test_start_time_does_not_open_a_group_whose_turn_has_not_come():
    """Definition 6: both must be met."""
    cloud = grouped({"count": 2}, {"start_time": "1h"}).until(5 * HOUR)
    assert opened(cloud) == [0.0]


def test_phases_by_the_clock_alone():
    """Definition 6: threshold 0 and start times give Mender's phases."""
    phases = ({"percent": 10, "success_threshold_percent": 0},
              {"percent": 40, "success_threshold_percent": 0, "start_time": "6h"}, {"start_time": "1d"})  # fmt: skip
    cloud = grouped(*phases).until(40 * HOUR)
    assert opened(cloud) == [0.0, 6 * HOUR, 24 * HOUR]


def test_success_action_pause_waits_for_the_operator():
    """Definition 6: `success_action: pause` pauses the plan instead of opening the next group."""
    cloud = grouped({"count": 2, "success_action": "pause"}, {}).until(10.0).succeed(0, 1).until(HOUR)
    assert cloud.decided("group_passed", "paused") == [(10.0, "group_passed"), (10.0, "paused")]
    assert opened(cloud) == [0.0]
    assert opened(cloud.operator("resume")) == [0.0, HOUR]


def test_success_action_of_the_last_group():
    """Definition 6: there is no next group to hold back."""
    cloud = grouped({"count": 2}, {"success_action": "pause"}, modules=4).succeed(0, 1, 2, 3)
    assert cloud.decided("paused") == []


def test_an_action_in_the_first_group_keeps_others_closed():
    """Definition 6: several groups that pass at once open one after the other, up to the one that pauses."""
    cloud = grouped({"percent": 0}, {"percent": 0, "success_action": "pause"}, {}, modules=3)
    assert opened(cloud) == [0.0, 0.0]
    assert cloud.plan() == "Suspended" and cloud.released() == []


def test_a_group_that_opens_at_a_date():
    """Definition 6: `start_at` is a local time of the schedule's zone; one that is past opens at once."""
    schedule = {"start_time": "2026-01-05T00:00", "time_zone": "+05:30"}
    first = {"percent": 10, "success_threshold_percent": 0}
    cloud = grouped(first, {"start_at": "2026-01-07T00:00"}, schedule=schedule).until(60 * HOUR)
    assert opened(cloud) == [0.0, 48 * HOUR]
    assert opened(grouped(first, {"start_at": "2025-12-31T00:00"}, schedule=schedule).until(HOUR)) == [0.0, 0.0]


@pytest.mark.parametrize(("percents", "expected"), [([5, 25, 100], [50, 200, 750]), ([10, 10, None], [100, 0, 900])])
def test_cumulative_percentages_count_the_earlier_groups_in(percents, expected):
    """5, 25 and 100 per cent of 1,000: 50, then 200 more, then the rest; each border is rounded once."""
    assert sizes(1000, percents, [None] * 3, CUMULATIVE) == expected
    assert sizes(7, [50, 75, None], [None] * 3, CUMULATIVE) == [4, 1, 2]  # 3.5 and 5.25 modules


def test_cumulative_percentages_do_not_fall():
    """25, then 5 per cent is a mistake."""
    with pytest.raises(ScenarioError, match="no percentage is below the one before"):
        Cloud(20, rollout={"percent_of": "cumulative", "groups": [{"percent": 25}, {"percent": 5}, {}]})
