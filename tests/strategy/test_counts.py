"""Definitions 1, 2, 3 and 12: executions, what counts as a success, and who is counted where."""

from __future__ import annotations

import pytest

from tests.strategy.cloud import NEW, OLD, REFUSED, STEPS, Cloud
from tests.support import HARMLESS, run


def test_states_in_their_order():
    """Definition 1: scheduled, queued, notified, confirmed, downloading, downloaded, updating, succeeded."""
    cloud = Cloud(2, away=[0], rollout={"maximum_per_minute": 1})
    seen = [cloud.state(1), cloud.state(0)]
    cloud.hello(0)
    for status in STEPS:
        seen.append(cloud.state(0))
        cloud.status(0, status)
    assert [*dict.fromkeys([*seen, cloud.state(0)])] == [
        "scheduled", "queued", "notified", "confirmed", "downloading", "downloaded", "updating", "succeeded"
    ]  # fmt: skip


def test_a_user_is_waited_for():
    """Definition 1: WAIT_FOR_CONFIRMATION lies between NOTIFIED and CONFIRMED where somebody has to agree."""
    cloud = Cloud(1, mode="confirm")
    cloud.status(0, 1)
    assert cloud.state(0) == "wait_for_confirmation"
    cloud.status(0, 2)
    assert cloud.state(0) == "confirmed"


def test_success_is_the_reported_target_version():
    """Definition 2: "update done" with another version is a failed attempt."""
    for version, state in ((NEW, "succeeded"), (OLD, "failed"), ("", "failed")):
        cloud = Cloud(1)
        cloud.walk(0, 9)
        cloud.center.status(0, _report(version), 1.0)
        assert cloud.state(0) == state


def _report(version: str):
    from sim.messages import UPDATE_SUCCESS, StatusReport

    return StatusReport(UPDATE_SUCCESS, 0, version)


def test_each_device_once_with_its_final_outcome():
    """Definition 3: two failed attempts and a success are one completed execution, a success."""
    cloud = Cloud(3, retry={"number_of_retries": 2})
    cloud.status(0, 1, 2, 12)
    cloud.status(0, 12)
    c = cloud.counts
    assert (c.failed, c.succeeded, c.terminal) == (0, 0, 0)
    cloud.walk(0)
    assert (c.failed, c.succeeded, c.terminal) == (0, 1, 1)


def test_a_second_success_report_counts_once():
    """Definition 3: reports come twice on a lossy link."""
    cloud = Cloud(3).succeed(0)
    cloud.status(0, 11, 11)
    assert cloud.counts.succeeded == 1


def test_retried_ones_are_not_completed():
    """Definition 3: while a retry is pending the execution is in progress."""
    cloud = Cloud(3, retry={"number_of_retries": 1, "retry_interval": "1h"}).fail(0)
    assert cloud.state(0) == "confirmed" and cloud.counts.failed == 0 and cloud.counts.in_progress == 3


def test_canceled_ones_are_nowhere():
    """Definition 3: neither completed nor failed; they stay targets."""
    cloud = Cloud(4)
    cloud.center.cancel(0, 0.0)
    c = cloud.counts
    assert (c.succeeded, c.failed, c.timed_out, c.rejected, c.targets) == (0, 0, 0, 0, 4)
    assert c.terminal == 1


@pytest.mark.parametrize("version", [NEW, "0.5.0"])
def test_targets_are_those_that_can_be_upgraded(version):
    """Definition 3: neither NOT_NEEDED nor INCOMPATIBLE modules are targets."""
    cloud = Cloud(3, away=[0])
    if version != NEW:
        cloud.center.plan.components = (_delta(cloud.center.plan.components[0]),)
    cloud.hello(0, version=version)
    assert cloud.state(0) == "not_needed" and cloud.counts.targets == 2


def _delta(component):
    from dataclasses import replace

    return replace(component, source_version=OLD)


def test_notified_when_the_offer_reached_the_device():
    """Definition 3: delivered, not sent; the device's first answer shows it, and only the first counts."""
    cloud = Cloud(2)
    assert cloud.counts.notified == 0
    cloud.status(0, 1)
    assert cloud.counts.notified == 1
    cloud.offline(0)
    cloud.hello(0)
    cloud.status(0, 1, 2)
    assert cloud.counts.notified == 1


def test_notified_on_release_where_the_cloud_counts_so():
    """Definition 3: AWS calls a thing notified when its execution is queued, online or not."""
    assert Cloud(5, away=range(5), rollout={"notified_counts": "released"}).counts.notified == 5


def test_released_is_for_good():
    """Definition 3: ever left SCHEDULED; a deferral or the way back to the queue does not take it back."""
    cloud = Cloud(5)
    cloud.status(0, 1, REFUSED)
    assert cloud.state(0) == "queued" and cloud.counts.released == 5


def test_an_accepted_late_success_moves():
    """Definitions 3 and 11: from timed out to succeeded, counted once in both plan and group."""
    cloud = Cloud(2, timeouts={"in_progress": "1h", "accept_late": True})
    cloud.walk(0, 9)
    cloud.until(3600.0)
    c, g = cloud.counts, cloud.center.rollout.groups[0]
    assert (c.timed_out, g.failed) == (1, 1)
    cloud.status(0, 11)
    assert (c.timed_out, c.succeeded, g.failed, g.succeeded, c.terminal) == (0, 1, 0, 1, 1)


def test_late_joiners_become_targets_when_they_join():
    """Definition 3: before that, and when the plan ends without them, they are counted nowhere."""
    cloud = Cloud(4, late=[2, 3], target_selection="continuous")
    assert cloud.counts.targets == 2
    cloud.hello(2)
    assert cloud.counts.targets == 3
    cloud.operator("terminate")
    c = cloud.counts
    assert (c.targets, c.members, c.terminal) == (3, 3, 3)
    assert cloud.state(3) == "canceled"


def test_a_plan_that_is_over_counts_nobody_as_failed_who_never_joined():
    """Definition 3: also where waiting ones become failed (Quectel)."""
    cloud = Cloud(4, late=[2, 3], target_selection="continuous", in_flight={"waiting_become": "failed"})
    cloud.operator("terminate")
    assert cloud.counts.failed == 2
    assert cloud.states() == {"failed": 2, "canceled": 2}


def test_rates_shown():
    """Definition 12: success rate over those that needed it and coverage over all; both, and they differ."""
    half = run(*HARMLESS, 'fleet.groups.0.components={fw: {"1.0.0": 0.5, "1.1.0": 0.5}}',
               "plan.strategy.schedule.end_time=3h").summary  # fmt: skip
    needed = 200 - half["outcomes"]["not_needed"]
    assert 0 < half["outcomes"]["not_needed"] < 200
    assert half["success_rate"] == half["outcomes"]["succeeded"] / needed
    assert half["coverage"] == (half["outcomes"]["succeeded"] + half["outcomes"]["not_needed"]) / 200
