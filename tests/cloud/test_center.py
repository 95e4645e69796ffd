"""The Developer Center's rules, message by message, without an engine."""

from __future__ import annotations

import pytest

from sim import messages as msg
from sim.cloud.center import DeveloperCenter, Plan, PlannedComponent
from sim.cloud.execution import Execution
from sim.strategy.settings import Settings

QUECTEL = {
    "min_battery_percent": 30.0, "min_rsrp_dbm": -113.0, "push_interval_s": 600.0, "retries": 5,
    "max_in_progress": 10_000, "counts_from_release": 0, "waiting_become_failed": 1,
}  # fmt: skip
HELLO = msg.Hello(80.0, -90.0, 5_000_000, {"fw": "1.0"})


def center(modules: int = 3, *, silent: bool = True, **rules) -> DeveloperCenter:
    """An activated plan fw 1.1 over some modules."""
    parts = (PlannedComponent("fw", msg.FIRMWARE, "", "1.1", 1000),)
    settings = Settings(**{**QUECTEL, **rules})
    made = DeveloperCenter(Plan("p", parts, settings, silent=silent), [Execution(i) for i in range(modules)])
    made.activate(0.0)
    made.wake(0.0)
    return made


def report(status: int, version: str = "") -> msg.StatusReport:
    """A status of the only component."""
    return msg.StatusReport(status, 0, version)


def upgrade(made: DeveloperCenter, index: int, *, until: int = msg.UPDATE_SUCCESS, version: str = "1.1") -> None:
    """Walks one module through its statuses."""
    made.hello(index, HELLO, 1.0)
    for status in (1, 2, 4, 5, 8, 9, 11):
        made.status(index, report(status, version if status == 11 else ""), 2.0 + status)
        if status == until:
            return


def test_monitoring_follows_a_module():
    """Plan, device and upgrade states as the console names them."""
    made = center()
    assert made.monitoring() == ("Activated", {"Non-upgraded": 3}, {"Start": 3})
    upgrade(made, 0)
    upgrade(made, 1, until=msg.DOWNLOADING)
    assert made.monitoring() == (
        "Upgrading",
        {"Upgraded": 1, "In Upgrade": 1, "Non-upgraded": 1},
        {"Success": 1, "Download": 1, "Start": 1},
    )


def test_success_only_with_the_target_version():
    """Status 11 with another version is a failed attempt, not a success."""
    made = center(1, retries=0)
    upgrade(made, 0, version="1.0")
    assert made.monitoring()[1] == {"Upgrade Failed": 1}


def test_confirmation_is_answered_with_the_url():
    """Notice, then URL; a second confirmation in the same state changes nothing of the plan."""
    made = center(1)
    (_, notice), *rest = made.hello(0, HELLO, 1.0)
    assert isinstance(notice, msg.Notice) and rest == []
    ((_, url),) = made.status(0, report(msg.SUBMITTED), 2.0)
    assert isinstance(url, msg.FirmwareUrl) and url.size_bytes == 1000


@pytest.mark.parametrize(("retries", "urls"), [(0, 1), (1, 2), (5, 6)])
def test_number_of_retries(retries, urls):
    """n retries: n + 1 attempts, then the module has failed."""
    made = center(1, retries=retries)
    made.hello(0, HELLO, 1.0)
    sent = len(made.status(0, report(msg.SUBMITTED), 2.0))
    for i in range(10):
        sent += len(made.status(0, report(msg.UPDATE_ERROR, "1.0"), 3.0 + i))
    assert sent == urls
    assert made.monitoring()[1] == {"Upgrade Failed": 1}


def test_at_most_ten_thousand_under_way():
    """The Developer Center's cap: the 10,001st waits until one has ended."""
    made = center(10_002)
    for i in range(10_002):
        made.hello(i, HELLO, 1.0)
    assert made.rollout.progress.in_progress == 10_000
    upgrade(made, 0)
    assert len(made.hello(10_001, HELLO, 20.0)) == 1


def test_suspended_and_terminated():
    """Suspended: no offers, running ones go on. Terminated: waiting ones fail, a confirmed one may finish."""
    made = center()
    upgrade(made, 0, until=msg.DOWNLOADING)
    made.suspend(4.0)
    assert made.hello(1, HELLO, 5.0) == []
    made.terminate(6.0)
    made.status(0, report(msg.UPDATE_SUCCESS, "1.1"), 9.0)
    assert made.monitoring() == ("Terminated", {"Upgraded": 1, "Upgrade Failed": 2}, {"Success": 1, "Fail": 2})


def test_cancel_until_confirmed():
    """A waiting module can be cancelled, one that has confirmed cannot."""
    made = center()
    assert made.cancel(0, 1.0) == []
    upgrade(made, 1, until=msg.SUBMITTED)
    assert made.cancel(1, 5.0) is None


def test_operator_retry_is_for_silent_plans():
    """Only a silent plan tries failed modules again."""
    for silent in (True, False):
        made = center(1, silent=silent, retries=0)
        upgrade(made, 0, version="1.0")
        assert bool(made.retry_failed(20.0)) is silent


@pytest.mark.parametrize(
    ("hello", "reason"),
    [((29.0, -90.0, 5000), "low battery"), ((80.0, -114.0, 5000), "weak signal"), ((80.0, -90.0, 999), "no space")],
)
def test_preconditions(hello, reason):
    """Each limit defers with its own line in the upgrade log; exactly at the limit is enough."""
    log: list[str] = []
    made = center(2, needed_bytes=1000)
    made.log = lambda _index, _now, text: log.append(text)
    assert made.hello(0, msg.Hello(*hello, {"fw": "1.0"}), 1.0) == []
    assert f"deferred: {reason}" in log
    assert len(made.hello(1, msg.Hello(30.0, -113.0, 1000, {"fw": "1.0"}), 1.0)) == 1
