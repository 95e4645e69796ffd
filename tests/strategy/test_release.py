"""Definition 4, and late joiners of definition 5: who is released, caps over the plan and over cells."""

from __future__ import annotations

import pytest

from sim import messages as msg
from tests.strategy.cloud import NEW, Cloud

HOUR = 3600.0
NOTICE = msg.Notice


def many(cloud: Cloud) -> int:
    """How many have been released."""
    return len(cloud.released())


# --- cap over the plan ---------------------------------------------------------------------------------------------


def test_released_minus_terminal_stays_below_the_cap():
    """Definition 4: released - terminal < max_in_progress; every end makes room for one, whatever the end is."""
    cloud = Cloud(20, rollout={"max_in_progress": 4}, timeouts={"in_progress": "1h"})
    assert many(cloud) == 4
    cloud.succeed(0)
    assert many(cloud) == 5
    cloud.fail(1, 2)
    assert many(cloud) == 7
    cloud.center.cancel(3, 0.0)
    assert many(cloud.until(0.0)) == 8
    cloud.status(4, 1, 2)
    assert many(cloud.until(HOUR)) == 9  # timed out


def test_waiting_offline_devices_count():
    """Definition 4: QUEUED and NOTIFIED count against the cap: two that never come hold two places for ever."""
    cloud = Cloud(10, away=[0, 1], rollout={"max_in_progress": 2}).until(30 * HOUR)
    assert cloud.released() == [(0.0, 0), (0.0, 1)]


def test_counted_from_the_offer_where_the_preset_says_so():
    """Definition 4, `in_progress_counts: offered` (Quectel): who is offline holds no place."""
    cloud = Cloud(10, away=[0, 1], rollout={"max_in_progress": 2, "in_progress_counts": "offered"})
    assert many(cloud) == 10
    assert [i for _, i in cloud.told(NOTICE)] == [2, 3]


def test_room_is_offered_at_once_where_the_cloud_pushes():
    """Definition 4: counted from the offer, a place that gets free goes to the next that waits online, in order."""
    cloud = Cloud(6, rollout={"max_in_progress": 2, "in_progress_counts": "offered"}).until(5.0).succeed(1)
    assert cloud.told(NOTICE) == [(0.0, 0), (0.0, 1), (5.0, 2)]
    cloud.until(6.0).fail(0)
    assert cloud.told(NOTICE)[-1] == (6.0, 3)


def test_a_refusal_is_not_offered_again_at_once():
    """Definition 10: refused ones go back to the queue; the place goes to another, not to the same in a loop."""
    cloud = Cloud(3, rollout={"max_in_progress": 1, "in_progress_counts": "offered"})
    cloud.status(0, 1, 3)
    assert cloud.told(NOTICE) == [(0.0, 0), (0.0, 1)]


def test_those_that_need_nothing_make_room():
    """Definitions 3 and 4: a released module that turns out to need nothing is terminal."""
    cloud = Cloud(5, away=[0], rollout={"max_in_progress": 1})
    cloud.hello(0, version=NEW)
    assert [i for _, i in cloud.until(1.0).released()] == [0, 1]


# --- caps by cell --------------------------------------------------------------------------------------------------

LEVELS = {"max_in_progress_per_cell": {"0": 3, "1": 2, "2": 1}}


def test_caps_by_coverage_level():
    """Definition 4: below max_in_progress_per_cell[level], each level of a cell on its own."""
    cloud = Cloud(12, cells=[0] * 12, away=range(12), rollout=LEVELS)
    for level in range(3):
        for i in range(4):
            cloud.hello(4 * level + i, level=level)
    assert [i for _, i in cloud.told(NOTICE)] == [0, 1, 2, 4, 5, 8]


def test_an_unknown_level_counts_as_the_worst():
    """Definition 4: Huawei allows one where it cannot tell."""
    cloud = Cloud(4, cells=[0] * 4, away=range(4), rollout=LEVELS)
    for i in range(4):
        cloud.hello(i, level=-1 if i else 2)
    assert [i for _, i in cloud.told(NOTICE)] == [0]


def test_cells_do_not_share_their_caps():
    """Definition 4: per cell; who is in none has no cap."""
    cloud = Cloud(9, cells=[0, 0, 0, 1, 1, 1, -1, -1, -1], rollout={"max_in_progress_per_cell": 1})
    assert [i for _, i in cloud.told(NOTICE)] == [0, 3, 6, 7, 8]


def test_one_number_counts_all_levels_together():
    """Definition 4: an int caps the cell, whatever the levels are."""
    cloud = Cloud(4, cells=[0] * 4, away=range(4), rollout={"max_in_progress_per_cell": 2})
    for i in range(4):
        cloud.hello(i, level=i % 3)
    assert [i for _, i in cloud.told(NOTICE)] == [0, 1]


def test_a_free_place_in_a_cell_goes_to_the_next_of_that_cell():
    """Definition 4: at once where the cloud pushes, and never to another cell's module."""
    cloud = Cloud(6, cells=[0, 1, 0, 1, 0, 1], rollout={"max_in_progress_per_cell": 1}).until(7.0).succeed(1)
    assert cloud.told(NOTICE) == [(0.0, 0), (0.0, 1), (7.0, 3)]


def test_a_module_that_changes_its_level_leaves_from_where_it_was_counted():
    """Definition 4: the level when the offer went out is the one that is given back."""
    cloud = Cloud(3, cells=[0] * 3, away=range(3), rollout=LEVELS)
    cloud.hello(0, level=2)
    cloud.status(0, 1, 2)
    cloud.hello(0, level=0)
    cloud.hello(1, level=2)
    assert len(cloud.told(NOTICE)) == 1
    cloud.status(0, 4, 5, 8, 9, 11)
    assert cloud.told(NOTICE, 1) != [] and cloud.center.rollout.cells.sum() == 1


def test_held_ones_are_noted():
    """Definition 4: why a module was not offered stands in the log."""
    cloud = Cloud(2, cells=[0, 0], rollout={"max_in_progress_per_cell": 1})
    assert cloud.lines("held: its cell, or its label, has as many under way as allowed", 1) == [0.0]


# --- late joiners --------------------------------------------------------------------------------------------------


def continuous(modules: int, late, **more) -> Cloud:
    """A plan that takes late joiners."""
    return Cloud(modules, late=late, target_selection="continuous", **more)


def test_late_joiners_pass_the_rate():
    """Definition 5: `rate_applies_to: snapshot` (AWS): released at once, although others wait for their slot."""
    cloud = continuous(10, [8, 9], rollout={"maximum_per_minute": 1}).until(30.0)
    cloud.hello(8)
    cloud.hello(9)
    assert cloud.released() == [(0.0, 0), (30.0, 8), (30.0, 9)]
    assert cloud.until(60.0).released()[-1] == (60.0, 1)  # and take nobody's slot


def test_late_joiners_obey_the_rate():
    """Definition 5: `rate_applies_to: all`: at the end of the line."""
    cloud = continuous(4, [2, 3], rollout={"maximum_per_minute": 1, "rate_applies_to": "all"}).until(30.0)
    cloud.hello(3)
    cloud.hello(2)
    assert cloud.until(600.0).released() == [(0.0, 0), (60.0, 1), (120.0, 3), (180.0, 2)]


@pytest.mark.parametrize("applies_to", ["snapshot", "all"])
def test_late_joiners_obey_the_cap(applies_to):
    """Definition 4: only the rate is passed, not the cap."""
    cloud = continuous(5, [3, 4], rollout={"max_in_progress": 3, "rate_applies_to": applies_to})
    cloud.hello(3)
    cloud.hello(4)
    assert many(cloud) == 3
    assert many(cloud.succeed(0)) == 4
    assert many(cloud.succeed(1)) == 5


@pytest.mark.parametrize("applies_to", ["snapshot", "all"])
def test_late_joiners_wait_for_the_window(applies_to):
    """Definition 4: inside the window, if it gates the release."""
    night = {"maintenance_windows": [{"start": "02:00", "duration": "1h"}]}
    cloud = continuous(2, [1], schedule=night, rollout={"rate_applies_to": applies_to}).until(HOUR)
    cloud.hello(1)
    assert sorted(cloud.until(3 * HOUR).released()) == [(2 * HOUR, 0), (2 * HOUR, 1)]


def test_late_joiners_wait_for_a_resume():
    """Definition 8: a paused plan releases nobody, late or not."""
    cloud = continuous(2, [1]).operator("suspend").until(60.0)
    cloud.hello(1)
    assert many(cloud) == 1
    assert cloud.until(90.0).operator("resume").released()[-1] == (90.0, 1)


def test_late_joiners_belong_to_the_last_group():
    """Definition 6: they are released when it is open."""
    cloud = continuous(4, [3], rollout={"groups": [{"count": 2}, {}]})
    cloud.hello(3)
    assert many(cloud) == 2
    cloud.until(50.0).succeed(0, 1)
    assert sorted(cloud.released()[2:]) == [(50.0, 2), (50.0, 3)]


def test_late_joiners_are_offered_in_the_order_they_joined():
    """Definitions 4 and 5: at a tick of the push grid those who joined first come first, whatever their number."""
    cloud = continuous(
        6,
        [2, 3, 4, 5],
        rollout={"max_in_progress": 1, "in_progress_counts": "offered"},
        delivery={"polling_time": "1h"},
    )
    cloud.until(0.5 * HOUR)
    for number in (4, 2, 5, 3):
        cloud.hello(number)
    cloud.until(1.5 * HOUR)
    for number in (0, 1, 4, 2, 5):
        cloud.succeed(number).until(cloud.now + HOUR)
    assert [i for _, i in cloud.told(NOTICE)] == [0, 1, 4, 2, 5, 3]


def test_who_joins_a_plan_that_is_over_gets_nothing():
    """Definition 4: the plan must be running."""
    cloud = continuous(2, [1]).operator("terminate")
    assert cloud.hello(1) == [] and cloud.counts.targets == 1


def test_a_snapshot_leaves_late_joiners_out():
    """Definition 4 and `target_selection`: who joins later is not in a snapshot, and is in a continuous plan."""
    from tests.support import run

    joins = (
        "fleet.groups.0.joins={distribution: mixture, parts: [{weight: 1, distribution: constant, value: 0h}, "
        "{weight: 1, distribution: uniform, low: 1h, high: 1d}]}"
    )
    snapshot = run(joins, "horizon=2d").records.modules
    everybody = run(joins, "horizon=2d", "plan.strategy.target_selection=continuous").records.modules
    assert len(everybody) == 200 and 60 < len(snapshot) < 140
    assert set(snapshot["module"]) < set(everybody["module"])
    later = everybody[~everybody["module"].isin(set(snapshot["module"]))]
    assert (later["first_contact_s"].dropna() > 0).all() and (later["outcome"] == "succeeded").sum() > 30


# --- max_devices, end, overwrite -----------------------------------------------------------------------------------


def test_max_devices_ends_the_plan():
    """Rollout setting: after this many completed, failed or not, the plan ends (Mender); who is in progress goes on."""
    cloud = Cloud(10, rollout={"max_devices": 3})
    cloud.walk(5, 5)
    cloud.succeed(0).fail(1)
    assert cloud.plan() == "Upgrading"
    cloud.until(4.0).succeed(2)
    assert cloud.plan() == "Ended" and cloud.decided("max_devices_reached") == [(4.0, "max_devices_reached")]
    assert cloud.states() == {"succeeded": 2, "failed": 1, "downloading": 1, "canceled": 6}
    cloud.status(5, 8, 9, 11)
    assert cloud.state(5) == "succeeded"


@pytest.mark.parametrize(
    ("mode", "at_once", "later"),
    [("keep", "queued", "notified"), ("fail", "failed", "failed"), ("replace", "notified", "notified")],
)
def test_overwrite_modes(mode, at_once, later):
    """A module that is busy with an earlier plan: its execution waits, fails at once, or takes over."""
    cloud = Cloud(2, overwrite_mode=mode, busy={0: HOUR})
    assert (cloud.state(0), cloud.state(1)) == (at_once, "notified")
    assert cloud.until(HOUR).state(0) == later
    if mode == "keep":
        assert cloud.told(NOTICE, 0) == [(HOUR, 0)]


def test_a_busy_module_waits_for_the_grid():
    """Overwrite mode keep on a push grid: the first tick at or after the earlier plan's end."""
    cloud = Cloud(1, busy={0: 1500.0}, delivery={"push_interval": "10min"}).until(HOUR)
    assert cloud.told(NOTICE, 0)[0] == (1800.0, 0)


def test_push_grid():
    """Delivery: offers leave on multiples of push_interval; a request is answered at once."""
    cloud = Cloud(3, away=[1, 2], delivery={"push_interval": "10min"})
    assert cloud.told(NOTICE) == [(0.0, 0)]
    cloud.until(60.0).hello(1, asks=False)
    cloud.hello(2)
    cloud.until(700.0)
    assert cloud.told(NOTICE, 1) == [(600.0, 1)] and cloud.told(NOTICE, 2)[0] == (60.0, 2)


def test_no_push():
    """Delivery, need_push false: nobody is told who does not ask."""
    cloud = Cloud(2, delivery={"need_push": False}).until(10 * HOUR)
    assert cloud.told(NOTICE) == []
    cloud.hello(0, asks=False)
    assert cloud.told(NOTICE) == []
    assert len(cloud.hello(0)) == 1


def test_operator_approval_comes_before_the_offer():
    """Delivery, confirmation operator: WAIT_FOR_CONFIRMATION until approved, then the offer."""
    cloud = Cloud(1, approval_s=2 * HOUR, delivery={"confirmation": "operator"})
    assert cloud.state(0) == "wait_for_confirmation" and cloud.told(NOTICE) == []
    assert cloud.until(2 * HOUR).told(NOTICE) == [(2 * HOUR, 0)]


def test_approval_is_counted_from_the_release():
    """Delivery, confirmation operator: nobody approves what is not released."""
    cloud = Cloud(2, approval_s=HOUR, delivery={"confirmation": "operator"}, rollout={"maximum_per_minute": 1})
    assert cloud.until(2 * HOUR).told(NOTICE) == [(HOUR, 0), (HOUR + 60.0, 1)]
