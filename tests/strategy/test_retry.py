"""Definition 11: timeouts and where their clock starts, late success, retries by type, interval and back-off."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sim import messages as msg
from sim.messages import (
    DOWNLOAD_ERROR,
    DOWNLOAD_START,
    DOWNLOADED,
    DOWNLOADING,
    PLAN_RECEIVED,
    SUBMITTED,
    UPDATE_ERROR,
    UPDATE_SUCCESS,
    UPDATING,
)
from tests.strategy.cloud import REFUSED, Cloud

HOUR = 3600.0


def urls(cloud: Cloud, index: int = 0) -> list[float]:
    """When the module was given a URL: the start of each attempt."""
    return [at for at, _ in cloud.told(msg.FirmwareUrl, index)]


def failing(retry: dict, times: int, *, kind: int = UPDATE_ERROR, **more) -> Cloud:
    """A module whose every attempt fails as soon as it begins."""
    cloud = Cloud(1, retry=retry, **more).until(0.0)
    cloud.status(0, PLAN_RECEIVED, SUBMITTED)
    for _ in range(times):
        cloud.status(0, kind)
        cloud.until(cloud.center.deadline if cloud.center.deadline < 1e9 else cloud.now)
    return cloud


# --- how often -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("retries", [0, 1, 5, 10])
def test_retries_are_further_attempts(retries):
    """Definition 11: n further attempts after the first: the (n+1)-th failure is final, not the n-th."""
    cloud = failing({"number_of_retries": retries}, retries)
    assert cloud.state(0) == "confirmed" and len(urls(cloud)) == retries + 1
    cloud.status(0, UPDATE_ERROR)
    assert cloud.state(0) == "failed" and len(urls(cloud)) == retries + 1


@pytest.mark.parametrize(("first", "then", "attempts"), [("failed", "timed_out", 3), ("timed_out", "failed", 2)])
def test_retries_by_type_count_their_own(first, then, attempts):
    """Definition 11: two further attempts for FAILED and none for TIMED_OUT."""
    cloud = Cloud(
        1, retry={"criteria": [{"failure_type": "failed", "number_of_retries": 2}]}, timeouts={"in_progress": "1h"}
    )
    cloud.status(0, PLAN_RECEIVED, SUBMITTED)
    for _ in range(attempts):
        if first == "failed" and len(urls(cloud)) < attempts:
            cloud.status(0, UPDATE_ERROR)
    cloud.until(HOUR)
    assert cloud.state(0) == "timed_out"
    assert len(urls(cloud)) == (3 if first == "failed" else 1)


def test_each_type_has_its_own_number_and_interval():
    """Definition 11: FAILED once after ten minutes, TIMED_OUT once at once."""
    criteria = [{"failure_type": "failed", "number_of_retries": 1, "retry_interval": "10min"},
                {"failure_type": "timed_out", "number_of_retries": 1}]  # fmt: skip
    cloud = Cloud(1, retry={"criteria": criteria}, timeouts={"in_progress": "1h"})
    cloud.status(0, PLAN_RECEIVED, SUBMITTED, UPDATE_ERROR)
    cloud.until(600.0)
    cloud.until(600.0 + HOUR)
    assert urls(cloud) == [0.0, 600.0, 600.0 + HOUR]
    cloud.status(0, UPDATE_ERROR)
    assert cloud.state(0) == "failed"


def test_all_counts_failures_and_timeouts_together():
    """Definition 11: one number over both."""
    criteria = [{"failure_type": "all", "number_of_retries": 1}]
    cloud = Cloud(1, retry={"criteria": criteria}, timeouts={"in_progress": "1h"})
    cloud.status(0, PLAN_RECEIVED, SUBMITTED, UPDATE_ERROR)
    cloud.until(HOUR)
    assert cloud.state(0) == "timed_out" and urls(cloud) == [0.0, 0.0]


def test_a_rejection_is_never_tried_again():
    """Definition 11: REJECTED never retries, whatever the number."""
    cloud = Cloud(1, retry={"number_of_retries": 5}, preconditions={"on_unmet": "reject", "min_rsrp_dbm": -140})
    cloud.status(0, PLAN_RECEIVED, REFUSED)
    assert cloud.until(10 * HOUR).state(0) == "rejected" and urls(cloud) == []
    assert cloud.hello(0) == []


def test_a_download_error_is_a_failed_attempt():
    """Definition 11: as is every failure of an attempt."""
    cloud = failing({"number_of_retries": 1}, 2, kind=DOWNLOAD_ERROR)
    assert cloud.state(0) == "failed"


# --- interval ------------------------------------------------------------------------------------------------------


def test_interval_zero_is_at_once():
    """Definition 11: at the very report."""
    cloud = Cloud(1, retry={"number_of_retries": 1}).until(7.0).fail(0)
    assert urls(cloud) == [7.0, 7.0]


def test_interval_runs_from_the_failure():
    """Definition 11: so long after, not before."""
    cloud = Cloud(1, retry={"number_of_retries": 1, "retry_interval": "10min"}).until(7.0).fail(0)
    assert urls(cloud.until(606.9)) == [7.0]
    assert urls(cloud.until(607.0)) == [7.0, 607.0]


def test_back_off_and_its_bound():
    """Definition 11, option: 10, 20, 40, then at most 60 minutes."""
    cloud = failing({"number_of_retries": 5, "retry_interval": "10min", "back_off": 2, "max_interval": "1h"}, 5)
    gaps = [b - a for a, b in pairwise(urls(cloud))]
    assert gaps == [600.0, 1200.0, 2400.0, 3600.0, 3600.0]


def test_a_module_that_is_away_is_tried_when_it_is_back():
    """Definition 11: the interval is over, the module is not there: at its next contact."""
    cloud = Cloud(1, retry={"number_of_retries": 1, "retry_interval": "10min"}).fail(0)
    cloud.offline(0)
    cloud.until(HOUR)
    assert urls(cloud) == [0.0]
    cloud.hello(0, asks=False)
    assert urls(cloud) == [0.0, HOUR]


def test_back_before_the_interval_is_over():
    """Definition 11: contact alone does not shorten it."""
    cloud = Cloud(1, retry={"number_of_retries": 1, "retry_interval": "10min"}).fail(0).until(300.0)
    cloud.hello(0)
    assert urls(cloud) == [0.0]
    assert urls(cloud.until(600.0)) == [0.0, 600.0]


# --- where the clock starts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("starts", ["confirmed", "in_progress"])
def test_the_timer_starts_when_the_device_says_so(starts):
    """Definition 11: CONFIRMED and IN_PROGRESS are the same moment: the device took the job on."""
    cloud = Cloud(1, timeouts={"in_progress": "1h", "timer_starts": starts}).until(100.0)
    cloud.status(0, PLAN_RECEIVED)
    cloud.until(5000.0)
    assert cloud.state(0) == "notified"  # no clock runs for an offer
    cloud.status(0, SUBMITTED)
    cloud.until(5000.0 + HOUR - 0.1)
    assert cloud.state(0) == "confirmed"
    assert cloud.until(5000.0 + HOUR).state(0) == "timed_out"


def test_the_timer_starts_with_the_first_progress():
    """Definition 11, DOWNLOAD_START: Alibaba's clock; further progress does not renew it."""
    cloud = Cloud(1, timeouts={"in_progress": "1h", "timer_starts": "download_start"})
    cloud.status(0, PLAN_RECEIVED, SUBMITTED)
    cloud.until(9000.0)
    assert cloud.state(0) == "confirmed"
    cloud.status(0, DOWNLOAD_START)
    cloud.until(9000.0 + 1800.0)
    cloud.status(0, DOWNLOADING, DOWNLOADING)
    assert cloud.until(9000.0 + HOUR - 0.1).state(0) == "downloading"
    assert cloud.until(9000.0 + HOUR).state(0) == "timed_out"


def test_the_timer_restarts_with_each_attempt():
    """Definition 11: an hour for every attempt, not for all of them."""
    cloud = Cloud(1, timeouts={"in_progress": "1h"}, retry={"number_of_retries": 1})
    cloud.status(0, PLAN_RECEIVED, SUBMITTED)
    cloud.until(3000.0).status(0, UPDATE_ERROR)
    assert cloud.until(3000.0 + HOUR - 0.1).state(0) == "confirmed"
    assert cloud.until(3000.0 + HOUR).state(0) == "timed_out"


def test_the_timer_rests_between_two_attempts():
    """Definition 11: waiting for a retry is no attempt."""
    cloud = Cloud(1, timeouts={"in_progress": "1h"}, retry={"number_of_retries": 1, "retry_interval": "5h"}).fail(0)
    assert cloud.until(5 * HOUR - 1).state(0) == "confirmed"
    assert cloud.until(6 * HOUR).state(0) == "timed_out"


def test_an_attempt_that_ended_does_not_time_out():
    """Definition 11: the clock of a finished attempt is nobody's."""
    cloud = Cloud(1, timeouts={"in_progress": "1h"}).succeed(0).until(2 * HOUR)
    assert cloud.state(0) == "succeeded" and cloud.counts.timed_out == 0


def test_no_timeout_is_for_ever():
    """Definition 11: null bounds nothing: AWS has no timer for QUEUED."""
    cloud = Cloud(2, away=[0])
    cloud.walk(1, DOWNLOADING)
    assert [cloud.until(700 * HOUR).state(i) for i in range(2)] == ["queued", "downloading"]


# --- steps and offers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "before", "state"),
    [
        ("confirm", PLAN_RECEIVED, "notified"),
        ("download", DOWNLOAD_START, "downloading"),
        ("update", UPDATING, "updating"),
    ],
)
def test_step_timeouts(step, before, state):
    """Definition 11: a bound on one step, from its beginning."""
    cloud = Cloud(1, timeouts={"step": {step: "1h"}}).until(10.0)
    if step != "confirm":
        cloud.walk(0, before)
    start = 0.0 if step == "confirm" else 10.0
    assert cloud.until(start + HOUR - 0.1).state(0) == state
    assert cloud.until(start + HOUR).state(0) == "timed_out"


@pytest.mark.parametrize(
    ("step", "walked", "further"),
    [
        ("confirm", PLAN_RECEIVED, SUBMITTED),
        ("download", DOWNLOADING, DOWNLOADED),
        ("update", UPDATING, UPDATE_SUCCESS),
    ],
)
def test_a_step_that_is_done_does_not_time_out(step, walked, further):
    """Definition 11: the next status ends the step."""
    cloud = Cloud(1, timeouts={"step": {step: "1h"}})
    cloud.walk(0, walked)
    cloud.until(1800.0).status(0, further)
    assert cloud.until(10 * HOUR).state(0) != "timed_out"


def test_a_step_timeout_is_retried_as_a_timeout():
    """Definition 11: a step that takes too long fails the attempt with type TIMED_OUT."""
    criteria = [{"failure_type": "timed_out", "number_of_retries": 1}]
    cloud = Cloud(1, timeouts={"step": {"download": "10min"}}, retry={"criteria": criteria})
    cloud.walk(0, DOWNLOADING)
    cloud.until(600.0)
    assert urls(cloud) == [0.0, 600.0] and cloud.state(0) == "confirmed"


def test_offer_timeout_runs_from_the_release():
    """Definition 11: a bound on QUEUED and NOTIFIED, whether the device is there or not; nothing after it confirmed."""
    cloud = Cloud(3, away=[0], timeouts={"offer": "24h"})
    cloud.walk(2, SUBMITTED)
    assert [cloud.until(24 * HOUR - 1).state(i) for i in range(3)] == ["queued", "notified", "confirmed"]
    assert [cloud.until(24 * HOUR).state(i) for i in range(3)] == ["timed_out", "timed_out", "confirmed"]


def test_an_offer_that_timed_out_is_not_made_again():
    """Definition 11: it is over, the module may come as it likes."""
    cloud = Cloud(1, away=[0], timeouts={"offer": "1h"}, retry={"number_of_retries": 3}).until(2 * HOUR)
    assert cloud.hello(0) == [] and cloud.state(0) == "timed_out"


# --- late success --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accepted", [False, True])
def test_late_success(accepted):
    """Definition 11: a success after the timeout is recorded, and counted only with accept_late."""
    cloud = Cloud(2, timeouts={"in_progress": "1h", "accept_late": accepted})
    cloud.walk(0, UPDATING)
    cloud.until(5000.0).status(0, UPDATE_SUCCESS)
    assert cloud.lines("late success", 0) == [5000.0]
    assert cloud.state(0) == ("succeeded" if accepted else "timed_out")
    assert (cloud.counts.succeeded, cloud.counts.timed_out) == ((1, 0) if accepted else (0, 1))


def test_a_late_success_within_a_retry_is_a_success():
    """Definition 11: while another attempt is under way the execution is not over."""
    cloud = Cloud(1, timeouts={"in_progress": "1h"}, retry={"number_of_retries": 1})
    cloud.walk(0, UPDATING)
    cloud.until(HOUR + 1).status(0, UPDATE_SUCCESS)
    assert cloud.state(0) == "succeeded"


def test_only_a_timeout_can_be_late():
    """Definition 11: an execution that failed stays failed."""
    cloud = Cloud(1, timeouts={"accept_late": True}).fail(0)
    cloud.status(0, UPDATE_SUCCESS)
    assert cloud.state(0) == "failed" and cloud.lines("late success") == []


def test_the_late_success_can_open_the_next_group():
    """Definitions 6 and 11: what counts after all counts for the group."""
    groups = [{"count": 2, "success_threshold_percent": 100, "start_time": "0s"}, {}]
    cloud = Cloud(4, timeouts={"in_progress": "1h", "accept_late": True}, rollout={"groups": groups})
    cloud.walk(0, UPDATING)
    cloud.until(HOUR).succeed(1)
    cloud.status(0, UPDATE_SUCCESS)
    assert cloud.center.rollout.groups[0].succeeded == 2


def test_jitter_spreads_retries_that_were_in_step():
    """Ten minutes with a jitter of a half: uniform over 5 to 15 minutes, each module's own; without it all at 10."""

    def retried_s(identity: int, jitter: float) -> float:
        cloud = Cloud(1, retry={"number_of_retries": 1, "retry_interval": "10min", "jitter": jitter}).until(0.0)
        cloud.center.executions[0].identity = identity
        cloud.status(0, PLAN_RECEIVED, SUBMITTED)
        cloud.status(0, UPDATE_ERROR)
        return urls(cloud.until(3600.0))[-1]

    spread = [retried_s(identity, 0.5) for identity in range(300)]
    assert 300.0 < min(spread) < 320.0 and 880.0 < max(spread) < 900.0
    assert sum(spread) / len(spread) == pytest.approx(600.0, abs=4 * 600.0 / (12**0.5 * 300**0.5))
    assert {retried_s(identity, 0.0) for identity in range(20)} == {600.0}
