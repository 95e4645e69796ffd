"""Definitions 8 and 9: pause, cancel, force-cancel, rollback, end; what becomes of modules that have started."""

from __future__ import annotations

import pytest

from sim import messages as msg
from sim.cloud import execution as ex
from sim.cloud.execution import EndReason
from sim.messages import (
    DOWNLOAD_ERROR,
    DOWNLOADED,
    DOWNLOADING,
    REFUSED,
    SUBMITTED,
    UPDATE_ERROR,
    UPDATE_SUCCESS,
    UPDATING,
)
from sim.module.inputs import Input
from tests.strategy.cloud import NEW, ROLLBACK, Cloud

HOUR = 3600.0
RETRY = {"number_of_retries": 1, "retry_interval": "10min"}


def spread(**more) -> Cloud:
    """Seven modules: scheduled, queued, notified, awaiting the user, confirmed, downloading, retry pending; updating, done."""
    cloud = Cloud(9, away=[1], mode="confirm", rollout={"groups": [{"count": 8}, {}]}, rollback=ROLLBACK, **more)
    # 8 is scheduled (its group is closed), 1 is queued (offline), 0 is notified
    cloud.status(2, 1)
    cloud.walk(3, SUBMITTED)
    cloud.walk(4, DOWNLOADING)
    cloud.fail(5)
    cloud.walk(6, UPDATING)
    cloud.succeed(7)
    return cloud


def listed(cloud: Cloud) -> list[str]:
    """States of the modules by number."""
    return [cloud.state(i) for i in range(9)]


BEFORE_STATES = ["notified", "queued", "wait_for_confirmation", "confirmed", "downloading", "confirmed", "updating", "succeeded", "scheduled"]  # fmt: skip


# --- pause ---------------------------------------------------------------------------------------------------------


def test_nothing_is_released_while_paused():
    """Definition 8: neither by the rate, nor by room, nor by a group that passes."""
    cloud = Cloud(10, rollout={"maximum_per_minute": 6, "max_in_progress": 5, "groups": [{"count": 3}, {}]})
    cloud.until(25.0).operator("suspend")
    cloud.succeed(0, 1, 2).until(HOUR)
    assert len(cloud.released()) == 3 and len(cloud.decided("group_opened")) == 1
    assert cloud.operator("resume").until(HOUR + 1).released()[-1] == (HOUR, 3)


def test_nothing_is_offered_while_paused():
    """Definition 8, Quectel's Suspended: modules not yet upgrading wait, whatever they ask."""
    cloud = Cloud(2, away=[0]).operator("suspend")
    assert cloud.hello(0) == [] and cloud.state(0) == "queued"
    cloud.until(100.0).operator("resume")
    assert cloud.told(msg.Notice, 0) == [(100.0, 0)]


def test_no_retry_starts_while_paused():
    """Definition 8: a retry that comes due in the pause starts at resume; one that is not due yet, when it is."""
    cloud = Cloud(2, retry=RETRY).fail(0).until(500.0).fail(1).operator("suspend")
    cloud.until(800.0)
    assert len(cloud.told(msg.FirmwareUrl, 0)) == 1
    cloud.operator("resume").until(HOUR)
    assert cloud.told(msg.FirmwareUrl, 0)[1:] == [(800.0, 0)]
    assert cloud.told(msg.FirmwareUrl, 1)[1:] == [(1100.0, 1)]


def test_a_failure_in_the_pause_is_retried_after_it():
    """Definition 8: also with interval 0."""
    cloud = Cloud(1, retry={"number_of_retries": 1}).operator("suspend")
    cloud.fail(0)
    assert len(cloud.told(msg.FirmwareUrl)) == 1
    cloud.until(60.0).operator("resume")
    assert cloud.told(msg.FirmwareUrl)[1:] == [(60.0, 0)]


def test_timers_keep_running_while_paused():
    """Definition 8: an attempt times out in the pause."""
    cloud = Cloud(1, timeouts={"in_progress": "1h"})
    cloud.walk(0, DOWNLOADING)
    cloud.operator("suspend").until(HOUR)
    assert cloud.state(0) == "timed_out"


def test_pause_continue():
    """Definitions 8 and 9: who has started goes on and counts."""
    cloud = spread(retry=RETRY).operator("suspend")
    assert listed(cloud) == BEFORE_STATES
    cloud.status(4, DOWNLOADED, UPDATING, UPDATE_SUCCESS)
    cloud.status(3, 4, 5, 8, 9, 11)
    assert (cloud.state(3), cloud.state(4), cloud.counts.succeeded) == ("succeeded", "succeeded", 3)


def test_pause_stop_requeues():
    """Definition 9: STOP on pause cuts a download off; it begins anew after the resume."""
    cloud = Cloud(3, in_flight={"on_pause": "stop"}, preconditions={"on_unmet": "reject"})
    cloud.walk(0, DOWNLOADING)
    cloud.walk(1, UPDATING)
    cloud.operator("suspend")
    assert [i for _, i in cloud.told(msg.Cancel)] == [0, 1]
    cloud.status(0, REFUSED)  # the module has stopped; no refusal of an offer, hence no rejection
    assert cloud.state(0) == "queued"
    cloud.status(1, UPDATE_SUCCESS)  # ignored in UPDATING
    assert cloud.state(1) == "succeeded"
    cloud.until(100.0).operator("resume")
    assert (100.0, 0) in cloud.told(msg.Notice)
    assert cloud.succeed(0).state(0) == "succeeded"


def test_pause_stop_tells_offline_modules_later():
    """Definition 9: at its next contact, whatever the plan does by then."""
    cloud = Cloud(1, in_flight={"on_pause": "stop"})
    cloud.walk(0, DOWNLOADING)
    cloud.offline(0)
    cloud.operator("suspend").until(50.0)
    assert cloud.told(msg.Cancel) == []
    cloud.hello(0)
    assert cloud.told(msg.Cancel) == [(50.0, 0)]


def test_pause_starve():
    """Definition 9, goosebit: the URL is gone, success is accepted and not counted; after the resume nothing is due."""
    cloud = Cloud(3, in_flight={"on_pause": "starve"})
    cloud.walk(0, DOWNLOADING)
    cloud.walk(1, UPDATING)
    assert not cloud.refuses_downloads(0)
    cloud.operator("suspend")
    assert cloud.refuses_downloads(0)
    cloud.status(1, UPDATE_SUCCESS)
    assert cloud.counts.succeeded == 0 and cloud.counts.in_progress == 2
    cloud.operator("resume")
    assert not cloud.refuses_downloads(0)
    cloud.hello(1, version=NEW)
    assert cloud.state(1) == "not_needed" and cloud.counts.succeeded == 0


def test_only_a_running_plan_can_be_paused_and_only_a_paused_one_resumed():
    """Definition 8: doing it twice does nothing; a plan that is over stays over."""
    cloud = Cloud(1).operator("suspend").operator("suspend").operator("resume").operator("resume")
    assert cloud.decided("paused", "resumed") == [(0.0, "paused"), (0.0, "resumed")]
    cloud.operator("terminate").operator("suspend").operator("resume").operator("terminate")
    assert cloud.plan() == "Terminated" and len(cloud.decided("terminated")) == 1


# --- cancel and force-cancel ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("become", ["canceled", "failed"])
def test_cancel_ends_those_who_wait(become):
    """Definition 8: SCHEDULED, QUEUED, NOTIFIED, WAIT_FOR_CONFIRMATION, pending retries -> CANCELED (Quectel: FAILED)."""
    cloud = spread(retry=RETRY, in_flight={"waiting_become": become}).operator("terminate")
    assert listed(cloud) == [
        become,
        become,
        become,
        "confirmed",
        "downloading",
        become,
        "updating",
        "succeeded",
        become,
    ]
    cloud.status(4, DOWNLOADED, UPDATING, UPDATE_SUCCESS)
    assert cloud.state(4) == "succeeded"  # IN_PROGRESS per on_cancel, here CONTINUE


def test_nothing_starts_after_a_cancel():
    """Definition 8: a failure of one that goes on is final: pending and future retries are dropped."""
    cloud = spread(retry=RETRY).operator("terminate").until(5.0)
    cloud.status(4, UPDATE_ERROR)
    cloud.until(HOUR)
    assert cloud.state(4) == "failed"
    assert [at for at, _ in cloud.told(msg.FirmwareUrl)] == [0.0] * 5
    assert cloud.hello(1) == []


def cancelled(policy: str, *, force: bool = False, **more) -> Cloud:
    """Modules downloading (0), updating (1) and downloading but offline (2), under a criterion that cancels."""
    name = "on_force_cancel" if force else "on_cancel"
    other = "on_cancel" if force else "on_force_cancel"
    criterion = {"threshold_percentage": 1, "action": "force-cancel" if force else "cancel"}
    in_flight = {name: policy, other: "continue", **more.pop("in_flight", {})}
    cloud = Cloud(5, in_flight=in_flight, abort={"criteria": [criterion]}, rollback=ROLLBACK, **more)
    cloud.walk(0, DOWNLOADING)
    cloud.walk(1, UPDATING)
    cloud.walk(2, DOWNLOADING)
    cloud.offline(2)
    return cloud.until(10.0).fail(3)


@pytest.mark.parametrize("force", [False, True])
def test_cancel_continue(force):
    """Definition 9, CONTINUE: goes on, its result counts. The force decides which of the two policies holds."""
    cloud = cancelled("continue", force=force)
    assert cloud.states() == {"downloading": 2, "updating": 1, "failed": 1, "canceled": 1}
    assert cloud.told(msg.Cancel) == []
    cloud.status(1, UPDATE_SUCCESS)
    cloud.status(0, DOWNLOAD_ERROR)
    assert (cloud.state(0), cloud.state(1)) == ("failed", "succeeded")


@pytest.mark.parametrize("force", [False, True])
def test_cancel_ask(force):
    """Definition 9, ASK: told at next contact; honoured before UPDATING, refused after."""
    cloud = cancelled("ask", force=force)
    assert cloud.told(msg.Cancel) == [(10.0, 0), (10.0, 1)]
    assert cloud.state(0) == "downloading"  # until it answers
    cloud.status(0, REFUSED)
    cloud.status(1, UPDATE_SUCCESS)
    cloud.until(20.0).hello(2)
    assert cloud.told(msg.Cancel)[2:] == [(20.0, 2)]
    cloud.status(2, REFUSED)
    assert [cloud.state(i) for i in range(3)] == ["canceled", "succeeded", "canceled"]


def test_cancel_ask_is_repeated_until_answered():
    """Definition 9: an answer lost with the link is asked for again at the next contact."""
    cloud = cancelled("ask")
    cloud.hello(0)
    assert cloud.told(msg.Cancel, 0) == [(10.0, 0), (10.0, 0)]
    cloud.status(0, DOWNLOADED, UPDATING)  # came too late: it goes on
    assert cloud.lines("goes on: cancelling came too late", 0) == [10.0]
    cloud.hello(0)
    assert len(cloud.told(msg.Cancel, 0)) == 2
    cloud.status(0, UPDATE_SUCCESS)
    assert cloud.state(0) == "succeeded"


@pytest.mark.parametrize("rolls_back", [False, True])
@pytest.mark.parametrize("force", [False, True])
def test_cancel_revoke(force, rolls_back):
    """Definition 9, REVOKE: not told; its report is refused and counts nowhere; Mender's device then rolls back."""
    cloud = cancelled("revoke", force=force, in_flight={"on_revoked": "rollback" if rolls_back else "keep"})
    assert cloud.told(msg.Cancel) == []
    assert cloud.states() == {"canceled": 4, "failed": 1}
    cloud.until(20.0).status(1, UPDATE_SUCCESS)
    assert cloud.state(1) == "canceled" and cloud.counts.succeeded == 0
    assert cloud.lines("report refused: revoked", 1) == [20.0]
    assert cloud.told(msg.Revoked) == ([(20.0, 1)] if rolls_back else [])
    assert not cloud.refuses_downloads(0)  # it is let run


@pytest.mark.parametrize("force", [False, True])
def test_cancel_stop(force):
    """Definition 9, STOP: cut off at once, offline ones when they are back; the cloud does not wait for an answer."""
    cloud = cancelled("stop", force=force)
    assert cloud.told(msg.Cancel) == [(10.0, 0), (10.0, 1)]
    assert cloud.states() == {"canceled": 4, "failed": 1}
    cloud.until(20.0).hello(2)
    cloud.hello(2)
    assert cloud.told(msg.Cancel)[2:] == [(20.0, 2)]
    cloud.status(1, UPDATE_SUCCESS)
    assert cloud.state(1) == "canceled" and cloud.counts.succeeded == 0


def test_cancel_starve():
    """Definition 9, STARVE on cancel: downloads are refused; who has the image already is not counted."""
    cloud = cancelled("starve")
    assert cloud.refuses_downloads(0) and cloud.state(0) == "downloading"
    cloud.status(0, DOWNLOAD_ERROR)
    cloud.status(1, UPDATE_SUCCESS)
    assert cloud.state(0) == "failed" and cloud.counts.succeeded == 0


def test_what_a_module_does_with_cancel():
    """Definition 9 on the device: honoured before UPDATING, ignored after."""
    from sim.module import states

    given_up = [s for s in range(13) if states.next_status(s, Input.CANCEL) == REFUSED]
    assert given_up == [1, SUBMITTED, 4, DOWNLOADING, DOWNLOADED]
    assert states.next_status(UPDATING, Input.CANCEL) == -1


# --- end time ------------------------------------------------------------------------------------------------------


def ended(behavior: str, **more) -> Cloud:
    """A plan with an end time of one hour."""
    return spread(schedule={"end_time": "1h", "end_behavior": behavior}, retry=RETRY, **more).until(599.0)


def test_end_stop_rollout():
    """Definition 8: SCHEDULED only -> CANCELED; offers already out stay valid, retries go on."""
    cloud = ended("stop-rollout").until(HOUR)
    assert listed(cloud) == [*BEFORE_STATES[:8], "canceled"]
    assert cloud.plan() == "Upgrading" and ex.REASON_NAMES[cloud.center.executions[8].reason] == "plan_expired"
    cloud.hello(1)
    assert cloud.told(msg.Notice, 1) == [(HOUR, 1)]
    assert len(cloud.told(msg.FirmwareUrl, 5)) == 2
    cloud.status(0, 1, 2)
    assert cloud.state(0) == "confirmed"


def test_end_is_at_its_very_instant():
    """Definition 8: at end_time, before anything else of that instant."""
    cloud = Cloud(100, schedule={"end_time": "1min"}, rollout={"maximum_per_minute": 10}).until(120.0)
    assert len(cloud.released()) == 10 and cloud.states()["canceled"] == 90


@pytest.mark.parametrize("behavior", ["cancel", "force-cancel"])
def test_end_cancel_and_force_cancel(behavior):
    """Definition 8: as cancel, and with force also those in progress."""
    cloud = ended(behavior, in_flight={"on_force_cancel": "revoke"})
    cloud.until(HOUR)
    in_progress = ["confirmed", "downloading", "confirmed", "updating"]
    if behavior == "force-cancel":
        in_progress = ["canceled"] * 4
    assert listed(cloud) == ["canceled"] * 3 + in_progress + ["succeeded", "canceled"]
    assert cloud.plan() == "Ended"


def test_end_during_a_pause():
    """Definition 8: timers keep running, the plan's own end too."""
    cloud = ended("cancel").operator("suspend").until(HOUR)
    assert cloud.plan() == "Ended"
    assert cloud.operator("resume").plan() == "Ended"


# --- rollback ------------------------------------------------------------------------------------------------------


def rolled_back(on_cancel: str = "continue", **more) -> Cloud:
    """Succeeded 0 and 1 (offline), updating 2, downloading 3, failed 4, waiting 5; the criterion rolls back at 10 s."""
    criterion = {"threshold_percentage": 30, "min_number_of_executed": 3, "action": "rollback"}
    in_flight = {"on_cancel": on_cancel, **more.pop("in_flight", {})}
    cloud = Cloud(6, abort={"criteria": [criterion]}, rollback=ROLLBACK, in_flight=in_flight, **more)
    cloud.succeed(0, 1)
    cloud.offline(1)
    cloud.walk(2, UPDATING)
    cloud.walk(3, DOWNLOADING)
    return cloud.until(10.0).fail(4)


def take_back(cloud: Cloud, index: int) -> None:
    """The module takes the previous package."""
    cloud.status(index, 1, 2, 4, 5, 8, 9)
    cloud.status(index, UPDATE_SUCCESS, version="0.9.0")


def test_rollback_is_cancel_and_a_new_plan():
    """Definition 8: CANCEL, then the previous package to every execution that has SUCCEEDED."""
    cloud = rolled_back()
    assert [cloud.state(i) for i in range(6)] == ["notified", "queued", "updating", "downloading", "failed", "canceled"]
    notice = next(m for at, i, m in cloud.sent if at == 10.0 and i == 0)
    (part,) = notice.components
    assert (part.source_version, part.target_version) == (NEW, "0.9.0")
    cloud.status(0, 1)
    (url,) = cloud.status(0, 2)
    assert url.reverting and url.size_bytes == ROLLBACK[0]["size"]


def test_rollback_of_the_whole_fleet():
    """Definition 8: over SUCCEEDED and in_progress: who comes through later is sent back then."""
    cloud = rolled_back()
    take_back(cloud, 0)
    cloud.until(20.0).hello(1, version=NEW)
    take_back(cloud, 1)
    cloud.status(2, UPDATE_SUCCESS)
    assert cloud.told(msg.Notice, 2)[-1] == (20.0, 2)
    take_back(cloud, 2)
    assert [cloud.state(i) for i in range(3)] == ["canceled"] * 3
    assert [cloud.center.executions[i].reason for i in range(3)] == [EndReason.ROLLED_BACK] * 3
    c = cloud.counts
    assert (c.succeeded, c.failed) == (3, 1)  # what they came to under the plan


@pytest.mark.parametrize("policy", ["revoke", "stop", "starve"])
def test_rollback_reaches_those_the_cancel_could_not_stop(policy):
    """Definitions 8 and 9: in progress at the rollback and updated nevertheless: the previous package is due."""
    cloud = rolled_back(policy).until(20.0)
    cloud.status(2, UPDATE_SUCCESS)
    assert cloud.told(msg.Notice, 2)[-1] == (20.0, 2)
    assert not cloud.refuses_downloads(2)  # starving was for the bad image
    take_back(cloud, 2)
    assert cloud.state(2) == "canceled"


def test_rollback_leaves_a_revoked_module_that_rolls_back_itself_alone():
    """Definition 9: on_revoked rollback does it without a package."""
    cloud = rolled_back("revoke", in_flight={"on_revoked": "rollback"}).until(20.0)
    cloud.status(2, UPDATE_SUCCESS)
    assert cloud.told(msg.Revoked) == [(20.0, 2)] and len(cloud.told(msg.Notice, 2)) == 1


def test_rollback_outlives_the_plans_end():
    """Definition 8: it is a new plan; the end time was the first one's."""
    cloud = rolled_back(schedule={"end_time": "1h", "end_behavior": "cancel"}).until(2 * HOUR)
    assert cloud.plan() == "Rolling back"
    cloud.hello(1, version=NEW)
    assert cloud.told(msg.Notice, 1)[-1] == (2 * HOUR, 1)


def test_rollback_retries_like_any_plan():
    """Definitions 8 and 11: a failed way back is tried again as the strategy says."""
    cloud = rolled_back(retry={"number_of_retries": 1})
    cloud.status(4, UPDATE_ERROR)
    cloud.status(0, 1, 2, 12, 4, 5, 8, 9)
    cloud.status(0, UPDATE_SUCCESS, version="0.9.0")
    assert cloud.state(0) == "canceled" and len(cloud.told(msg.FirmwareUrl, 0)) == 3


def test_rollback_does_not_count_anew():
    """Definition 3: neither success nor failure of the way back changes the plan's counts."""
    cloud = rolled_back()
    before = (cloud.counts.succeeded, cloud.counts.failed, cloud.counts.terminal)
    take_back(cloud, 0)
    cloud.hello(1, version=NEW)
    cloud.status(1, 1, 2, 12)
    assert cloud.state(1) == "failed"
    assert (cloud.counts.succeeded, cloud.counts.failed, cloud.counts.terminal) == before


def test_rollback_on_the_push_grid():
    """Definition 8: the new plan is pushed as the strategy pushes."""
    cloud = rolled_back(delivery={"push_interval": "10min"}).until(700.0)
    assert cloud.told(msg.Notice, 0) == [(0.0, 0), (600.0, 0)]
