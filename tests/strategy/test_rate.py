"""Definition 5: the release rate, constant and growing."""

from __future__ import annotations

from collections import Counter

import pytest

from sim.messages import PLAN_RECEIVED
from tests.strategy.cloud import Cloud


def per_minute(cloud: Cloud) -> list[int]:
    """Releases in each minute aligned to the start of the plan, up to the last that has any."""
    minutes = Counter(int(at // 60) for at, _ in cloud.released())
    return [minutes[m] for m in range(max(minutes) + 1)]


def test_no_rate_releases_everybody_at_once():
    """Definition 5: without a rate nobody waits."""
    assert [at for at, _ in Cloud(500).released()] == [0.0] * 500


def test_floor_of_the_rate_in_every_aligned_minute():
    """Definition 5: at most the rate in any minute counted from activation, the rest in the last one."""
    cloud = Cloud(250, rollout={"maximum_per_minute": 100}).until(600)
    assert per_minute(cloud) == [100, 100, 50]


def test_evenly_spread_inside_the_minute():
    """Definition 5: 100 a minute is one every 0.6 s, the first at the minute's edge."""
    at = [t for t, _ in Cloud(201, rollout={"maximum_per_minute": 100}).until(600).released()]
    assert at == pytest.approx([i * 0.6 for i in range(201)])
    assert at[100] == 60.0 and at[200] == 120.0


def test_minutes_are_counted_from_the_start_of_the_plan():
    """Definition 5: aligned to activation, not to the clock."""
    at = [t for t, _ in Cloud(7, start=1234.5, rollout={"maximum_per_minute": 3}).until(2000).released()]
    assert at == pytest.approx([1234.5 + x for x in (0, 20, 40, 60, 80, 100, 120)])


def test_released_in_the_listed_order():
    """Definition 4: a stable order, here as listed."""
    assert [i for _, i in Cloud(30, rollout={"maximum_per_minute": 10}).until(600).released()] == list(range(30))


@pytest.mark.parametrize("by", ["number_of_notified", "number_of_succeeded"])
def test_the_worked_example_of_aws(by):
    """Definition 5: base 50, factor 2, 1000 -> 50, 100, 200, 400 a minute, from 1000, 2000, 3000 on.

    The thousandth is released in minute 19, the two thousandth in minute 29, the three thousandth in minute 34 (counted
    from 0), and each new rate holds from the minute after.
    """
    growing = {"base_rate_per_minute": 50, "increment_factor": 2, by: 1000}
    counted = "released" if by == "number_of_notified" else "delivered"
    cloud = Cloud(5000, rollout={"exponential_rate": growing, "notified_counts": counted})
    for minute in range(1, 39):
        cloud.until(60.0 * minute - 0.01)
        if by == "number_of_succeeded":
            cloud.succeed(*(i for i in range(len(cloud.released())) if cloud.state(i) == "notified"))
    assert per_minute(cloud) == [50] * 20 + [100] * 10 + [200] * 5 + [400] * 3


def test_whichever_criterion_comes_first():
    """Definition 5: notified or succeeded; the k-th step at k times its number, of either."""
    growing = {"base_rate_per_minute": 6, "increment_factor": 2, "number_of_notified": 12, "number_of_succeeded": 3}
    cloud = Cloud(200, away=range(200), rollout={"exponential_rate": growing})
    cloud.until(59.9)
    for i in range(3):
        cloud.hello(i)
        cloud.succeed(i)
    assert (cloud.counts.succeeded, cloud.counts.notified, cloud.counts.rate_step) == (3, 3, 1)
    cloud.until(119.9)
    for i in range(3, 12):
        cloud.hello(i)
        cloud.walk(i, PLAN_RECEIVED)
    assert (cloud.counts.notified, cloud.counts.rate_step) == (12, 1)  # 12 notified were worth the first step only
    for i in range(12, 18):
        cloud.hello(i)
        cloud.walk(i, PLAN_RECEIVED)
    cloud.until(179.9)
    for i in range(18, 24):
        cloud.hello(i)
        cloud.walk(i, PLAN_RECEIVED)
    cloud.until(239.9)
    assert per_minute(cloud) == [6, 12, 12, 24]


def test_a_step_is_due_at_exactly_its_number():
    """Definition 5: notified >= (k+1) x number; one fewer is not enough."""
    growing = {"base_rate_per_minute": 10, "increment_factor": 3, "number_of_notified": 11}
    cloud = Cloud(100, rollout={"exponential_rate": growing, "notified_counts": "released"})
    cloud.until(59.9)
    assert cloud.counts.rate_step == 0  # ten notified
    cloud.until(60.0)
    assert cloud.counts.notified == 11 and cloud.counts.rate_step == 1
    cloud.until(179.9)
    assert per_minute(cloud) == [10, 10, 30]


def test_several_steps_at_once():
    """Definition 5: a jump past several multiples takes all their steps."""
    growing = {"base_rate_per_minute": 1, "increment_factor": 2, "number_of_succeeded": 1}
    cloud = Cloud(100, rollout={"exponential_rate": growing})
    cloud.until(150.0)
    cloud.succeed(0, 1, 2).until(239.9)
    assert per_minute(cloud) == [1, 1, 1, 8]


def test_a_fraction_of_a_rate_is_floored():
    """Definition 5: floor(rate): 10 x 1.5^k is 10, 15, 22.5, 33.75."""
    growing = {"base_rate_per_minute": 10, "increment_factor": 1.5, "number_of_notified": 10}
    cloud = Cloud(500, rollout={"exponential_rate": growing, "notified_counts": "released"})
    cloud.until(119.9)
    assert per_minute(cloud)[:2] == [10, 15]
    assert cloud.counts.rate_step == 2
    cloud.until(179.9)
    assert per_minute(cloud)[2] == 22


def test_never_above_the_maximum():
    """Definition 5: min(maximum_per_minute, base x factor^k), and no step is announced beyond it."""
    growing = {"base_rate_per_minute": 10, "increment_factor": 4, "number_of_notified": 5}
    cloud = Cloud(300, rollout={"exponential_rate": growing, "maximum_per_minute": 50, "notified_counts": "released"})
    cloud.until(239.9)
    assert per_minute(cloud) == [10, 50, 50, 50]
    assert [d.value for d in cloud.center.decisions if d.decision == "rate_raised"] == [40.0, 50.0]


def test_growth_without_a_maximum_has_no_end():
    """Definition 5: a rate that has grown past anything a fleet can use is still a rate."""
    growing = {"base_rate_per_minute": 1000, "increment_factor": 5, "number_of_notified": 1}
    cloud = Cloud(3000, rollout={"exponential_rate": growing, "notified_counts": "released"})
    cloud.until(300.0)
    assert len(cloud.released()) == 3000


def test_slots_that_a_pause_left_unused_are_not_made_up():
    """Definitions 5 and 8: a pause within a minute loses its slots; the rest of the minute keeps its spacing."""
    cloud = Cloud(100, rollout={"maximum_per_minute": 6})
    cloud.until(15.0).operator("suspend").until(35.0).operator("resume").until(119.0)
    at = [t for t, _ in cloud.released()]
    assert at == [0.0, 10.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 110.0]


def test_a_pause_over_the_minutes_edge():
    """Definitions 5 and 8: what was not released in its minute does not burden the next."""
    cloud = Cloud(100, rollout={"maximum_per_minute": 4})
    cloud.until(20.0).operator("suspend").until(200.0).operator("resume").until(299.0)
    assert [t for t, _ in cloud.released()] == [0.0, 15.0, 210.0, 225.0, 240.0, 255.0, 270.0, 285.0]


def test_a_full_house_does_not_save_up_slots():
    """Definitions 4 and 5: room that appears late lets out one a slot, not a burst."""
    cloud = Cloud(10, rollout={"maximum_per_minute": 60, "max_in_progress": 2})
    cloud.until(30.5).succeed(0, 1).until(59.0)
    assert [t for t, _ in cloud.released()] == [0.0, 1.0, 31.0, 32.0]
