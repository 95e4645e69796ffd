"""Presets by name, each against what its product documents (docs/strategy.md lists them)."""

from __future__ import annotations

import pytest

from sim import messages as msg
from sim.messages import (
    DOWNLOAD_START,
    DOWNLOADED,
    DOWNLOADING,
    PLAN_RECEIVED,
    REFUSED,
    SUBMITTED,
    UPDATE_SUCCESS,
    UPDATING,
)
from sim.scenario.presets import PRESET_NAMES
from tests.strategy.cloud import ROLLBACK, Cloud, strategy
from tests.support import HARMLESS, run

HOUR, DAY = 3600.0, 86400.0
MINUTE = 60.0


def per_minute(cloud: Cloud) -> list[int]:
    """Releases of each minute."""
    at = [int(t // MINUTE) for t, _ in cloud.released()]
    return [at.count(m) for m in range(max(at) + 1)]


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_every_preset_upgrades_a_healthy_fleet(preset):
    """With nothing going wrong and time enough (and an operator for staged ones) everybody gets there."""
    by_hand = "plan.operator=[{at: 1d, do: next-group}, {at: 2d, do: next-group}, {at: 3d, do: next-group}, {at: 4d, do: next-group}]"
    modules = run(
        *HARMLESS, f"plan.strategy.preset={preset}", by_hand, "fleet.size=100", "fleet.groups.0.rsrp_dbm=-85",
        "fleet.groups.0.free_space=10 MB", "fleet.groups.0.battery_percent=100", "horizon=9d",
    ).records.modules  # fmt: skip
    assert (modules["outcome"] == "succeeded").all()


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_what_a_scenario_sets_wins(preset):
    """Presets fill only what is not set; lists are taken whole."""
    given = strategy(preset=preset, retry={"number_of_retries": 3}, rollout={"groups": [{"percent": 7}, {}]})
    made = given.plan.strategy
    assert made.retry.number_of_retries == 3
    assert [g.percent for g in made.rollout.groups] == [7, None]
    assert made.rollout.groups[0].error_threshold_percent is None


# --- Quectel -------------------------------------------------------------------------------------------------------


def test_quectel_pushes_on_a_ten_minute_grid():
    """Pushed on a 10-minute grid; a module that asks is answered at once."""
    cloud = Cloud(2, preset="quectel", away=[0, 1]).until(1.0)
    cloud.hello(0, asks=False)
    assert cloud.told(msg.Notice) == []
    cloud.hello(1)
    cloud.until(599.0)
    assert [at for at, _ in cloud.told(msg.Notice, 1)] == [1.0]
    assert cloud.until(600.0).told(msg.Notice, 0) == [(600.0, 0)]


def test_quectel_caps_at_ten_thousand():
    """At most 10,000 devices upgrading at once; offline ones hold no place."""
    cloud = Cloud(10_020, preset="quectel", away=range(10))
    assert len(cloud.told(msg.Notice)) == 10_000
    cloud.until(60.0).succeed(10, 11)
    cloud.until(600.0)
    first = {i for at, i in cloud.told(msg.Notice) if at < 600}
    again = {i for at, i in cloud.told(msg.Notice) if at == 600}
    assert len(again - first) == 2


@pytest.mark.parametrize(("hello", "offered"), [
    ({"battery": 30.0, "rsrp": -113.0}, True), ({"battery": 29.9}, False), ({"rsrp": -113.1}, False), ({"free": 199_999}, False),
])  # fmt: skip
def test_quectel_preconditions(hello, offered):
    """30 %, -113 dBm and space for the package, checked by the cloud before the offer and by the device after it."""
    cloud = Cloud(1, preset="quectel", away=[0])
    assert bool(cloud.hello(0, **hello)) is offered
    assert cloud.center.plan.settings.checked_by_device
    assert cloud.state(0) == ("notified" if offered else "queued")


def test_quectel_retries_five_times():
    """Number of retries: 5."""
    cloud = Cloud(1, preset="quectel")
    cloud.status(0, PLAN_RECEIVED, SUBMITTED, *[12] * 5)
    assert cloud.state(0) == "confirmed"
    cloud.status(0, 12)
    assert cloud.state(0) == "failed"


def test_quectel_suspended():
    """Suspended: devices not yet upgrading wait, running ones go on; resumed, the waiting ones go on at the next tick."""
    cloud = Cloud(3, preset="quectel", away=[2])
    cloud.walk(0, DOWNLOADING)
    cloud.operator("suspend")
    assert cloud.hello(2) == []
    cloud.status(0, DOWNLOADED, UPDATING, UPDATE_SUCCESS)
    assert cloud.monitoring_counts() == {"Upgraded": 1, "Non-upgraded": 2}
    cloud.until(1000.0).operator("resume")
    assert cloud.until(1200.0).told(msg.Notice, 2) == [(1200.0, 2)]


def test_quectel_terminated():
    """Terminate forcibly (irreversible): waiting ones become Upgrade Failed, running ones go on."""
    cloud = Cloud(4, preset="quectel", away=[3])
    cloud.walk(0, DOWNLOADING)
    cloud.walk(1, PLAN_RECEIVED)
    cloud.operator("terminate")
    assert cloud.monitoring_counts() == {"In Upgrade": 1, "Upgrade Failed": 3}
    cloud.status(0, DOWNLOADED, UPDATING, UPDATE_SUCCESS)
    cloud.operator("resume")
    assert cloud.monitoring_counts() == {"Upgraded": 1, "Upgrade Failed": 3} and cloud.plan() == "Terminated"


def test_quectel_end_time():
    """At the end waiting ones never start, running ones go on until they complete."""
    cloud = Cloud(2, preset="quectel", away=[1], schedule={"end_time": "1h"})
    cloud.walk(0, DOWNLOADING)
    cloud.until(HOUR)
    assert cloud.plan() == "Ended" and cloud.hello(1) == []
    cloud.status(0, DOWNLOADED, UPDATING, UPDATE_SUCCESS)
    assert cloud.monitoring_counts() == {"Upgraded": 1, "Upgrade Failed": 1}


def test_quectel_push_period():
    """The window gates the push."""
    night = {"maintenance_windows": [{"start": "02:00", "duration": "1h"}]}
    cloud = Cloud(1, preset="quectel", schedule=night).until(DAY - 1)
    assert cloud.told(msg.Notice)[0] == (2 * HOUR, 0) and cloud.told(msg.Notice)[-1] == (3 * HOUR - 600, 0)


# --- AWS IoT Jobs --------------------------------------------------------------------------------------------------


def test_aws_rate():
    """maximumPerMinute, default 1000: things notified, online or not."""
    cloud = Cloud(2500, preset="aws-iot-jobs", away=range(2500)).until(179.0)
    assert per_minute(cloud) == [1000, 1000, 500]
    assert cloud.counts.notified == 2500


def test_aws_abort_counts_the_completed():
    """The guide: 20 % of the complete executions failed after 100 are complete; QUEUED ones are cancelled, the rest go on."""
    criterion = {"failure_type": "failed", "threshold_percentage": 20, "min_number_of_executed": 100}
    cloud = Cloud(400, preset="aws-iot-jobs", away=range(300, 400), abort={"criteria": [criterion]}).until(59.0)
    cloud.walk(299, DOWNLOADING)
    cloud.fail(*range(20)).succeed(*range(20, 99))
    assert cloud.plan() == "Upgrading"  # 99 complete
    cloud.succeed(99)
    assert cloud.plan() == "Terminated"
    assert cloud.states() == {"failed": 20, "succeeded": 80, "downloading": 1, "canceled": 299}
    cloud.status(299, DOWNLOADED, UPDATING, UPDATE_SUCCESS)
    assert cloud.state(299) == "succeeded"


def test_aws_abort_of_the_notified():
    """The API reference reads otherwise: 100 notified are many before 100 have completed; it fires earlier, by name."""
    for denominator, fires in (("completed", False), ("notified", True)):
        criterion = {"failure_type": "failed", "threshold_percentage": 20, "min_number_of_executed": 100,
                     "denominator": denominator}  # fmt: skip
        cloud = Cloud(100, preset="aws-iot-jobs", abort={"criteria": [criterion]}).until(59.0).fail(*range(20))
        assert (cloud.plan() == "Terminated") is fires


def test_aws_timeout_and_retry():
    """inProgressTimeout from the device's IN_PROGRESS, none for QUEUED; retried automatically and without delay."""
    criteria = [{"failure_type": "timed_out", "number_of_retries": 1}]
    cloud = Cloud(2, preset="aws-iot-jobs", away=[1], timeouts={"in_progress": "60min"}, retry={"criteria": criteria})
    cloud.until(HOUR).walk(0, SUBMITTED)
    cloud.until(2 * HOUR)
    assert [at for at, _ in cloud.told(msg.FirmwareUrl, 0)] == [HOUR, 2 * HOUR]
    assert cloud.until(500 * HOUR).states() == {"timed_out": 1, "queued": 1}


def test_aws_force_cancel():
    """force=true: IN_PROGRESS too; the device is unable to update its status afterwards and is not told."""
    cloud = Cloud(2, preset="aws-iot-jobs", schedule={"end_time": "1h", "end_behavior": "force-cancel"}).until(30.0)
    cloud.walk(0, UPDATING)
    cloud.until(HOUR).status(0, UPDATE_SUCCESS)
    assert cloud.states() == {"canceled": 2} and cloud.told(msg.Cancel) == cloud.told(msg.Revoked) == []


def test_aws_windows_gate_the_release():
    """Maintenance windows gate the rollout of the job document, not the device's work."""
    cloud = Cloud(2, preset="aws-iot-jobs", schedule={"maintenance_windows": [{"cron": "0 2 * * *", "duration": "1h"}]})
    assert cloud.until(2 * HOUR).released() == [(2 * HOUR, 0)] and cloud.counts.notified == 1


def test_aws_late_joiners():
    """CONTINUOUS: rate limits apply only to things present at creation."""
    rollout = {"maximum_per_minute": 1}
    cloud = Cloud(9, preset="aws-iot-jobs", late=[8], target_selection="continuous", rollout=rollout).until(1.0)
    cloud.hello(8)
    assert cloud.released() == [(0.0, 0), (1.0, 8)]


# --- hawkBit -------------------------------------------------------------------------------------------------------


def hawkbit(modules: int, **more) -> Cloud:
    """A rollout in hawkBit's two halves; modules say hello as they poll."""
    cloud = Cloud(modules, preset="hawkbit", away=range(modules), **more)
    for i in range(modules):
        cloud.hello(i)
    return cloud


def test_hawkbit_success_and_error_thresholds():
    """Success FINISHED / total >= 50 %; error ERROR / total > 50 %: strictly, and over the whole group."""
    cloud = hawkbit(20)
    cloud.fail(*range(5)).until(100.0)  # all five that have finished, and exactly half of the group
    assert cloud.decided("group_failed", "paused") == []
    cloud.succeed(5, 6, 7, 8).until(200.0)
    assert len(cloud.decided("group_opened")) == 1  # 4 of 10
    cloud.succeed(9).until(300.0)
    assert [at for at, _ in cloud.decided("group_opened")] == [0.0, 202.0]


def test_hawkbit_error_pauses():
    """errorAction PAUSE: one more than half."""
    cloud = hawkbit(20).fail(*range(6)).until(100.0)
    assert cloud.decided("group_failed", "paused") == [(2.0, "group_failed"), (2.0, "paused")]
    cloud.walk(6, DOWNLOADING)
    cloud.status(6, DOWNLOADED)  # running ones are completed
    assert cloud.state(6) == "downloaded"


def test_hawkbit_rejected_is_no_error():
    """REJECTED feedback is a warning: the action stays open."""
    cloud = hawkbit(4)
    cloud.status(0, 1, REFUSED)
    cloud.status(1, 1, REFUSED)
    assert cloud.until(100.0).decided("group_failed") == [] and cloud.state(0) == "queued"


def test_hawkbit_evaluates_every_two_seconds():
    """rollout.scheduler.fixedDelay 2000 ms, running rollouts only."""
    cloud = hawkbit(4).until(5.1).succeed(0).until(5.9)
    assert len(cloud.decided("group_opened")) == 1
    assert cloud.until(6.0).decided("group_opened")[-1][0] == 6.0


def test_hawkbit_is_polled():
    """Nothing is pushed: an action waits for the device to poll."""
    cloud = Cloud(2, preset="hawkbit").until(DAY)
    assert cloud.told(msg.Notice) == []
    assert len(cloud.hello(0)) == 1


def test_hawkbit_polling_time():
    """pollingTime 00:05:00 for a device that is always online."""
    modules = run(
        *HARMLESS, "plan.strategy.preset=hawkbit", "fleet.groups.0.check_in=always", "fleet.groups.0.power=mains", "fleet.size=40",
        "horizon=1d", "plan.strategy.rollout.groups=[{}]", "fleet.groups.0.rsrp_dbm=-85", "fleet.groups.0.free_space=10 MB",
    ).records.modules  # fmt: skip
    assert modules["notified_s"].between(0, 301).all() and modules["notified_s"].max() > 250


def test_hawkbit_window_gates_the_installation():
    """deploymentBase says update: skip outside the maintenance window; download is allowed."""
    night = {"maintenance_windows": [{"start": "02:00", "duration": "1h"}]}
    cloud = hawkbit(2, schedule=night)
    cloud.walk(0, DOWNLOADED)
    assert cloud.state(0) == "downloaded" and cloud.told(msg.Install) == []
    cloud.until(2 * HOUR + 60)
    assert cloud.told(msg.Install) == [(2 * HOUR, 0)]


def test_hawkbit_stop_asks():
    """Stop: scheduled actions go, active ones are soft-cancelled: the device may accept, or refuse and go on."""
    cloud = hawkbit(4)
    cloud.walk(0, DOWNLOADING)
    cloud.walk(1, UPDATING)
    cloud.operator("terminate")
    assert [i for _, i in cloud.told(msg.Cancel)] == [0, 1]
    cloud.status(0, REFUSED)
    cloud.status(1, UPDATE_SUCCESS)
    assert cloud.states() == {"canceled": 3, "succeeded": 1}


def test_hawkbit_trigger_next_group():
    """triggerNextGroup, whatever the running group has come to; resume goes on after an error."""
    cloud = hawkbit(20).until(10.0).operator("next_group")
    assert [at for at, _ in cloud.decided("group_opened")] == [0.0, 10.0]
    cloud = hawkbit(20).fail(*range(6)).until(10.0).operator("resume").until(12.0)
    assert [at for at, _ in cloud.decided("group_opened")] == [0.0, 12.0]


# --- Mender --------------------------------------------------------------------------------------------------------


def test_mender_abort():
    """Not-yet-aware devices never start; finished ones keep it; those in the middle finish, are refused and roll back."""
    cloud = Cloud(4, preset="mender", away=range(4))
    for i in range(3):
        cloud.hello(i)
    cloud.succeed(0)
    cloud.walk(1, UPDATING)
    cloud.operator("terminate").until(60.0)
    assert cloud.states() == {"succeeded": 1, "canceled": 3} and cloud.told(msg.Cancel) == []
    cloud.status(1, UPDATE_SUCCESS)
    assert cloud.told(msg.Revoked) == [(60.0, 1)]
    assert cloud.hello(3) == []


def test_mender_device_rolls_back():
    """The refused device boots its previous image: in the end it does not run the new one."""
    modules = run(
        *HARMLESS, "plan.strategy.preset=mender", "plan.operator=[{at: 3h, do: terminate}]", "fleet.groups.0.rsrp_dbm=-90",
        "fleet.physics.install_median_s=1800", "fleet.groups.0.free_space=10 MB", "fleet.size=150",
        "fleet.groups.0.battery_percent=100",
    ).records.modules  # fmt: skip
    revoked = modules[(modules["cloud_state"] == "canceled") & modules["updating_s"].notna()]
    assert len(revoked) > 3
    assert revoked["upgraded_s"].isna().all() and (revoked["outcome"] == "canceled").all()


def test_mender_polls_every_half_hour():
    """UpdatePollIntervalSeconds 1800, and nothing is pushed."""
    made = strategy(preset="mender").plan.strategy
    assert (made.delivery.need_push, made.delivery.polling_time) == (False, "30min")


def test_mender_max_devices():
    """The deployment ends after this many completed, failed or not."""
    cloud = Cloud(5, preset="mender", away=range(5), rollout={"max_devices": 2})
    for i in range(3):
        cloud.hello(i)
    cloud.succeed(0).fail(1)
    assert cloud.plan() == "Ended" and cloud.hello(4) == []


# --- Azure ---------------------------------------------------------------------------------------------------------


def test_azure_is_continuous_and_the_newest_wins():
    """Always dynamic; superseded by a newer one."""
    cloud = Cloud(3, preset="azure-du", late=[2], busy={0: DAY}).until(60.0)
    assert cloud.state(0) == "notified"
    cloud.hello(2)
    assert cloud.state(2) == "notified"


def test_azure_cancel_stops_the_agent():
    """Action 255: the agent stops and returns to idle, but not in the middle of an installation."""
    cloud = Cloud(2, preset="azure-du")
    cloud.walk(0, DOWNLOADING)
    cloud.walk(1, UPDATING)
    cloud.operator("terminate")
    assert [i for _, i in cloud.told(msg.Cancel)] == [0, 1] and cloud.states() == {"canceled": 2}


def test_azure_cloud_initiated_rollback():
    """rollbackPolicy: percentage and count of failed devices; another version is deployed to the group."""
    criterion = {"threshold_percentage": 10, "min_number_of_executed": 10, "action": "rollback"}
    cloud = Cloud(30, preset="azure-du", abort={"criteria": [criterion]}, rollback=ROLLBACK)
    cloud.succeed(*range(9)).until(60.0).fail(9)
    assert cloud.plan() == "Rolling back"
    assert sorted(i for at, i in cloud.told(msg.Notice) if at == 60.0) == list(range(9))


# --- Alibaba, ThingsBoard, Huawei ----------------------------------------------------------------------------------


def test_alibaba_timer_starts_with_the_first_progress():
    """TimeoutInMinutes from the first progress report, not restarted by reconnects; timed-out ones are not tried again."""
    cloud = Cloud(1, preset="alibaba", timeouts={"in_progress": "60min"})
    cloud.walk(0, SUBMITTED)
    cloud.until(5 * HOUR).status(0, DOWNLOAD_START)
    cloud.until(5 * HOUR + 1800).offline(0)
    cloud.hello(0)
    cloud.status(0, DOWNLOADING)
    assert cloud.until(6 * HOUR - 1).state(0) == "downloading"
    assert cloud.until(6 * HOUR).state(0) == "timed_out"
    assert len(cloud.until(DAY).told(msg.FirmwareUrl)) == 1


def test_alibaba_retries_failures():
    """RetryCount 1 after RetryInterval 10 min."""
    cloud = Cloud(1, preset="alibaba").fail(0).until(DAY)
    assert cloud.told(msg.FirmwareUrl) == [(0.0, 0), (600.0, 0)]
    cloud.status(0, 12)
    assert cloud.state(0) == "failed"


def test_alibaba_rate_and_one_task_a_device():
    """At most MaximumPerMinute; a device that is pending in another job fails at once."""
    cloud = Cloud(30, preset="alibaba", busy={0: DAY}, rollout={"maximum_per_minute": 10}).until(179.0)
    assert per_minute(cloud) == [10, 10, 10]
    assert cloud.state(0) == "failed"


def test_thingsboard_pack():
    """100 devices in 60 s, and nothing else: no thresholds, retries or bounds."""
    cloud = Cloud(250, preset="thingsboard").until(180.0)
    assert per_minute(cloud) == [100, 100, 50]
    assert cloud.fail(*range(200)).plan() == "Upgrading" and cloud.states()["failed"] == 200


def test_huawei_caps_by_coverage_level():
    """Concurrent upgrades in a cell: 50 at level 0, 10 at level 1, 1 at level 2 or where it cannot be read."""
    level = [0] * 60 + [1] * 30 + [2] * 15 + [-1] * 15
    cloud = Cloud(240, preset="huawei-nbiot", cells=[0] * 120 + [1] * 120, away=range(240))
    for i in range(240):
        cloud.hello(i, level=level[i % 120])
    for cell in range(2):
        told = [i for _, i in cloud.told(msg.Notice) if i // 120 == cell]
        levels = [cloud.center.executions[i].level for i in told]
        assert (levels.count(0), levels.count(1), levels.count(2) + levels.count(-1)) == (50, 10, 1)


def test_huawei_timeouts():
    """Wait for the device 24 h, download 60 min."""
    cloud = Cloud(2, preset="huawei-nbiot", away=[0])
    cloud.walk(1, DOWNLOADING)
    assert cloud.until(HOUR).state(1) == "timed_out"
    assert cloud.until(DAY - 1).state(0) == "queued" and cloud.until(DAY).state(0) == "timed_out"


# --- goosebit, Play, canary ----------------------------------------------------------------------------------------


def test_goosebit_pause_starves():
    """Paused: the download URL turns 404, nothing is deployed, the final success is accepted but not counted."""
    cloud = Cloud(3, preset="goosebit", away=[2])
    for i in range(2):
        cloud.hello(i)
    cloud.walk(0, DOWNLOADING)
    cloud.walk(1, UPDATING)
    cloud.operator("suspend")
    assert cloud.refuses_downloads(0) and cloud.hello(2) == []
    cloud.status(1, UPDATE_SUCCESS)
    assert cloud.counts.succeeded == 0


def test_goosebit_does_not_offer_to_the_failed_again():
    """A failed device is not offered the update a second time."""
    cloud = Cloud(1, preset="goosebit")
    cloud.hello(0)
    cloud.fail(0)
    assert cloud.state(0) == "failed" and cloud.hello(0) == [] and cloud.until(DAY).hello(0) == []


def test_goosebit_caps_at_a_thousand():
    """max_concurrent_updates 1000; a freed place goes to the next that polls."""
    cloud = Cloud(1002, preset="goosebit")
    for i in range(1002):
        cloud.hello(i)
    assert len(cloud.told(msg.Notice)) == 1000
    cloud.succeed(0)
    assert len(cloud.told(msg.Notice)) == 1000
    assert len(cloud.hello(1001)) == 1 and cloud.hello(1000) == []


def test_play_stages_by_hand():
    """1, 5, 20, 50, 100 %: no stage opens by itself; users in an open stage are served; halted, nobody is."""
    cloud = Cloud(200, preset="play-staged", away=range(200)).until(9 * DAY)
    assert len(cloud.released()) == 2
    assert len(cloud.hello(0)) == 1
    sizes = []
    for day in range(10, 14):
        cloud.until(day * DAY).operator("next_group")
        sizes.append(len(cloud.released()))
    assert sizes == [10, 40, 100, 200]
    cloud.operator("suspend")
    assert cloud.hello(150) == []
    cloud.operator("resume")
    assert len(cloud.hello(150)) == 1


def test_play_does_not_go_on_when_a_stage_is_through():
    """Even when everybody of the stage has it: the operator decides."""
    cloud = Cloud(200, preset="play-staged", away=range(200))
    for i in range(2):
        cloud.hello(i)
    cloud.succeed(0, 1).until(9 * DAY)
    assert len(cloud.released()) == 2
    assert len(cloud.operator("next_group").released()) == 10


def test_canary():
    """1, 10, 50, 100 %: an hour's soak, 95 % success to go on, more than 2 % failed pauses, looked at every minute."""
    cloud = Cloud(1000, preset="canary").until(30.0).succeed(*range(10)).until(2 * HOUR)
    assert [at for at, _ in cloud.decided("group_opened")] == [0.0, 60.0 + HOUR]
    cloud.succeed(*range(10, 95))  # 85 of 90: 94.4 %
    assert len(cloud.until(4 * HOUR).decided("group_opened")) == 2
    cloud.succeed(95)  # 86 of 90
    cloud.until(4 * HOUR + 61.0)
    assert cloud.until(6 * HOUR).decided("group_opened")[-1][0] == 5 * HOUR + 60.0
    cloud.fail(*range(100, 108)).until(7 * HOUR)  # 8 of 400: 2 %
    assert cloud.plan() == "Upgrading"
    cloud.fail(108).until(8 * HOUR)
    assert cloud.plan() == "Suspended"


def test_none_is_everybody_at_once():
    """The empty strategy: released and offered at once, no gate, no bound, no second attempt."""
    cloud = Cloud(500)
    assert len(cloud.told(msg.Notice)) == 500
    assert cloud.fail(0).state(0) == "failed"
