"""Maintenance windows: their instants, daylight saving, and each thing they can gate (definition 4 and schedule)."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from sim import messages as msg
from sim.errors import ScenarioError
from sim.messages import DOWNLOADED, SUBMITTED
from sim.scenario.windows import windows
from sim.strategy.windows import is_open, next_open_s
from tests.strategy.cloud import Cloud, strategy

HOUR, DAY = 3600.0, 86400.0
NIGHT = {"maintenance_windows": [{"start": "02:00", "duration": "2h"}]}
BERLIN = ZoneInfo("Europe/Berlin")


def laid_out(start: str, *listed: dict, zone: str = "Europe/Berlin", days: float = 3.0) -> list[tuple[datetime, float]]:
    """(local opening, hours open) of the windows of a schedule."""
    section = strategy(schedule={"start_time": start, "time_zone": zone, "maintenance_windows": list(listed)})
    schedule = section.plan.strategy.schedule
    origin = datetime.fromisoformat(start).replace(tzinfo=schedule.zone).timestamp()
    return [
        (datetime.fromtimestamp(origin + a, schedule.zone), (b - a) / HOUR) for a, b in windows(schedule, days * DAY)
    ]


def local(text: str, *, fold: int = 0) -> datetime:
    """A time in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


def both(clock: str, minutes: str, duration: str) -> list[dict]:
    """The same window by clock time and by cron expression."""
    return [{"start": clock, "duration": duration}, {"cron": minutes, "duration": duration}]


# --- instants ------------------------------------------------------------------------------------------------------


def test_first_instant_in_last_out():
    """A window is [open, close): its first instant belongs to it, its last does not."""
    two = [(100.0, 200.0), (300.0, 400.0)]
    assert [is_open(two, t) for t in (99.9, 100.0, 199.9, 200.0, 299.9, 300.0, 400.0)] == [
        False, True, True, False, False, True, False
    ]  # fmt: skip
    assert [next_open_s(two, t) for t in (0.0, 100.0, 150.0, 200.0, 399.9, 400.0)] == [
        100.0, 100.0, 150.0, 300.0, 399.9, float("inf")
    ]  # fmt: skip


def test_no_windows_is_always():
    """Without maintenance windows nothing is gated."""
    assert is_open([], 5.0) and next_open_s([], 5.0) == 5.0


def test_windows_that_all_lie_beyond_the_horizon_are_not_always():
    """A run of six hours under a window at noon never sees it: closed throughout, not open for want of windows."""
    section = strategy(schedule={"maintenance_windows": [{"start": "12:00", "duration": "1h"}]})
    laid = windows(section.plan.strategy.schedule, 6 * HOUR)
    assert not any(is_open(laid, hour * HOUR) for hour in range(6))


def test_a_window_that_is_open_at_activation():
    """Activation at 03:00 lies in the window that opened at 02:00."""
    assert laid_out("2026-01-05T03:00", NIGHT["maintenance_windows"][0], days=0.5) == [(local("2026-01-05T02:00"), 2.0)]


def test_overlapping_windows_are_one():
    """Windows that overlap or touch are merged."""
    listed = [
        {"start": "22:00", "duration": "3h"},
        {"cron": "0 0 * * *", "duration": "2h"},
        {"start": "02:00", "duration": "1h"},
    ]
    assert laid_out("2026-01-05T12:00", *listed, days=1) == [(local("2026-01-05T22:00"), 5.0)]


def test_days_of_the_week():
    """Days name the day on which the window opens; one over midnight reaches into the next."""
    listed = {"start": "23:00", "duration": "2h", "days": ["fri", "sun"]}
    assert [at for at, _ in laid_out("2026-01-05T01:00", listed, days=6.95)] == [
        local("2026-01-09T23:00"), local("2026-01-11T23:00")
    ]  # fmt: skip
    assert laid_out("2026-01-10T00:30", listed, days=0.5) == [(local("2026-01-09T23:00"), 2.0)]


# --- daylight saving -----------------------------------------------------------------------------------------------

SPRING = "2026-03-28T12:00"  # clocks go from 02:00 to 03:00 on the 29th
AUTUMN = "2026-10-24T12:00"  # clocks go from 03:00 to 02:00 on the 25th


@pytest.mark.parametrize("form", [0, 1], ids=["clock", "cron"])
def test_local_time_stays_over_the_spring_change(form):
    """22:00 is 22:00 on either side: 24 hours apart, then 23, then 24."""
    listed = both("22:00", "0 22 * * *", "1h")[form]
    found = laid_out(SPRING, listed, days=3)
    assert [at.hour for at, _ in found] == [22, 22, 22]
    seconds = [at.timestamp() for at, _ in found]
    assert [b - a for a, b in pairwise(seconds)] == [23 * HOUR, 24 * HOUR]


@pytest.mark.parametrize("form", [0, 1], ids=["clock", "cron"])
def test_local_time_stays_over_the_autumn_change(form):
    """04:00 is 04:00 on either side: 25 hours apart on the day that has them."""
    found = laid_out("2026-10-24T00:00", both("04:00", "0 4 * * *", "1h")[form], days=3)
    seconds = [at.timestamp() for at, _ in found]
    assert [at.hour for at, _ in found] == [4, 4, 4]
    assert [b - a for a, b in pairwise(seconds)] == [25 * HOUR, 24 * HOUR]


@pytest.mark.parametrize("form", [0, 1], ids=["clock", "cron"])
def test_a_window_over_the_spring_change_keeps_its_duration(form):
    """Two real hours from 01:00: until 04:00 by the clock that skips one."""
    (found,) = laid_out(SPRING, both("01:00", "0 1 * * *", "2h")[form], days=1)
    assert found == (local("2026-03-29T01:00"), 2.0)
    assert datetime.fromtimestamp(found[0].timestamp() + 2 * HOUR, BERLIN) == local("2026-03-29T04:00")


@pytest.mark.parametrize("form", [0, 1], ids=["clock", "cron"])
def test_a_window_over_the_autumn_change_keeps_its_duration(form):
    """Two real hours from 02:00 summer time: until 03:00 winter time."""
    (found,) = laid_out(AUTUMN, both("02:00", "0 2 * * *", "2h")[form], days=1)
    assert found[0].timestamp() == local("2026-10-25T02:00").timestamp() and found[1] == 2.0
    assert found[0].timestamp() + 2 * HOUR == local("2026-10-25T03:00").timestamp()


@pytest.mark.parametrize(("form", "first"), [(0, "2026-03-29T03:30"), (1, "2026-03-29T03:00")], ids=["clock", "cron"])
def test_a_clock_time_that_spring_skips(form, first):
    """02:30 does not exist on that day. A clock time is read with the offset from before: 03:30 summer time; a cron line runs
    as soon as the skipped hour is over, as Debian's cron does: 03:00. Once, not never."""
    found = laid_out(SPRING, both("02:30", "30 2 * * *", "1h")[form], days=3)
    assert [at.timestamp() for at, _ in found] == [
        local(first).timestamp(), local("2026-03-30T02:30").timestamp(), local("2026-03-31T02:30").timestamp()
    ]  # fmt: skip


@pytest.mark.parametrize("form", [0, 1], ids=["clock", "cron"])
def test_a_clock_time_that_autumn_has_twice(form):
    """02:30 occurs twice on that day: the window opens the first time only."""
    found = laid_out(AUTUMN, both("02:30", "30 2 * * *", "30min")[form], days=1)
    assert [at.timestamp() for at, _ in found] == [local("2026-10-25T02:30", fold=0).timestamp()]


@pytest.mark.parametrize("start", ["2026-01-05T00:00", SPRING, AUTUMN])
@pytest.mark.parametrize("clock", ["00:00", "01:59", "02:00", "02:30", "03:00", "23:30"])
def test_clock_and_cron_form_are_the_same(start, clock):
    """The same opening times whichever way they are written, through both changes; but for an hour that spring skips."""
    if (start, clock) == (SPRING, "02:30"):
        return  # test_a_clock_time_that_spring_skips has both
    hour, minute = clock.split(":")
    a, b = both(clock, f"{int(minute)} {int(hour)} * * *", "90min")
    assert laid_out(start, a, days=4) == laid_out(start, b, days=4)


def test_utc_has_no_changes():
    """In UTC every day has 24 hours."""
    seconds = [at.timestamp() for at, _ in laid_out(SPRING, {"start": "22:00", "duration": "1h"}, zone="UTC", days=4)]
    assert {b - a for a, b in pairwise(seconds)} == {24 * HOUR}


def test_a_release_over_the_change_of_clocks():
    """The whole way: a plan activated the evening before releases at 02:00 winter time in January, 01:00 UTC."""
    night = {**NIGHT, "start_time": "2026-01-05T20:00", "time_zone": "Europe/Berlin"}
    assert Cloud(1, schedule=night).until(DAY).released() == [(6 * HOUR, 0)]
    changed = {**NIGHT, "start_time": "2026-03-28T20:00", "time_zone": "Europe/Berlin"}
    cloud = Cloud(1, schedule=changed).until(DAY)
    assert cloud.released() == [(6 * HOUR, 0)]  # 02:00 does not exist; 03:00 summer time is the same instant


# --- gates ---------------------------------------------------------------------------------------------------------


def gated(gate: str, modules: int = 3, **more) -> Cloud:
    """A plan activated at midnight, with a window from 02:00 to 04:00 that gates something."""
    return Cloud(modules, schedule={**NIGHT, "window_gates": gate}, **more)


def test_gate_release():
    """RELEASE (AWS): nobody leaves SCHEDULED outside; at the opening instant all do; who is released goes on after it."""
    cloud = gated("release").until(2 * HOUR - 0.1)
    assert cloud.released() == []
    assert cloud.until(2 * HOUR).released() == [(2 * HOUR, i) for i in range(3)]
    cloud.until(5 * HOUR)
    assert len(cloud.walk(0, SUBMITTED)) == 1  # its URL
    cloud.offline(1)
    assert len(cloud.hello(1)) == 1  # its offer


def test_gate_release_with_a_rate():
    """RELEASE and a rate: no release at the closing instant or after, and none made up at the next opening."""
    cloud = gated("release", 500, rollout={"maximum_per_minute": 1}).until(2 * DAY + 3 * HOUR)
    at = [t for t, _ in cloud.released()]
    of_day = [t % DAY for t in at]
    assert min(of_day) == 2 * HOUR and max(of_day) == 4 * HOUR - 60
    assert len([t for t in at if t < DAY]) == 120
    assert all(b - a >= 60 for a, b in pairwise(at))


def test_a_rate_that_grew_while_the_window_was_closed():
    """Definition 5: the first minute of the next window has the rate of that time."""
    growing = {"base_rate_per_minute": 1, "increment_factor": 5, "number_of_succeeded": 100}
    cloud = gated("release", 1000, rollout={"exponential_rate": growing}).until(5 * HOUR)
    assert len(cloud.released()) == 120
    cloud.succeed(*range(100)).until(DAY + 2 * HOUR + 59)
    assert len(cloud.released()) == 125


def test_gate_push():
    """PUSH (Quectel's push period): released at once, offered inside only; URLs and retries go out at any time."""
    cloud = gated("push", retry={"number_of_retries": 1})
    assert len(cloud.released()) == 3 and cloud.told(msg.Notice) == []
    assert cloud.hello(0) == []  # not on request either
    cloud.until(2 * HOUR)
    assert cloud.told(msg.Notice) == [(2 * HOUR, i) for i in range(3)]
    cloud.until(5 * HOUR)
    assert len(cloud.walk(0, SUBMITTED)) == 1
    assert len(cloud.status(0, 12)) == 1
    cloud.offline(1)
    assert cloud.hello(1) == []


def test_gate_push_on_the_grid():
    """PUSH with a grid: ticks outside the window pass by; the closing instant is outside."""
    cloud = gated("push", 1, delivery={"push_interval": "10min"}).until(DAY)
    assert cloud.told(msg.Notice)[0] == (2 * HOUR, 0)
    assert max(at for at, _ in cloud.told(msg.Notice)) == 4 * HOUR - 600


def test_gate_push_opens_again_the_next_day():
    """PUSH without a grid: every opening offers to those who wait."""
    cloud = gated("push", 2).until(3 * HOUR)
    cloud.status(0, 1, 3)
    cloud.until(DAY + 3 * HOUR)
    assert (DAY + 2 * HOUR, 0) in cloud.told(msg.Notice)


def test_gate_download():
    """DOWNLOAD: offers and URLs both; an attempt that fails outside waits for the window to open."""
    cloud = gated("download", 3, retry={"number_of_retries": 1})
    assert cloud.told(msg.Notice) == []
    cloud.until(2 * HOUR)
    assert len(cloud.told(msg.Notice)) == 3
    cloud.until(4 * HOUR - 0.1)
    assert len(cloud.walk(0, SUBMITTED)) == 1
    cloud.until(4 * HOUR)
    assert cloud.walk(1, SUBMITTED) == [] and cloud.state(1) == "confirmed"
    assert cloud.status(0, 12) == []
    cloud.until(2 * DAY)
    assert cloud.told(msg.FirmwareUrl, 0)[1:] == [(DAY + 2 * HOUR, 0)]
    assert cloud.told(msg.FirmwareUrl, 1) == [(DAY + 2 * HOUR, 1)]
    assert cloud.lines("held: outside the window", 1) == [4 * HOUR]


def test_gate_install():
    """INSTALL (hawkBit): download at any time, installation inside only; the module waits in DOWNLOADED."""
    cloud = gated("install")
    (url,) = cloud.walk(0, SUBMITTED)
    assert url.hold
    assert cloud.status(0, 4, 5, DOWNLOADED) == [] and cloud.state(0) == "downloaded"
    assert cloud.until(2 * HOUR - 0.1).told(msg.Install) == []
    assert cloud.until(2 * HOUR).told(msg.Install) == [(2 * HOUR, 0)]


def test_gate_install_of_a_module_that_sleeps():
    """INSTALL: told at its next contact inside the window; a contact outside only arms the next opening."""
    cloud = gated("install")
    cloud.walk(0, DOWNLOADED)
    cloud.offline(0)
    cloud.until(3 * HOUR)
    assert cloud.told(msg.Install) == []
    cloud.hello(0)
    assert cloud.told(msg.Install) == [(3 * HOUR, 0)]
    cloud.until(5 * HOUR).walk(1, DOWNLOADED)
    cloud.offline(1)
    cloud.until(6 * HOUR).hello(1)
    assert cloud.told(msg.Install, 1) == []
    assert cloud.until(DAY + 2 * HOUR).told(msg.Install, 1)[0] == (DAY + 2 * HOUR, 1)


def test_gate_install_inside_the_window():
    """INSTALL: downloaded inside it, installed at once."""
    cloud = gated("install").until(3 * HOUR)
    cloud.walk(0, DOWNLOADED)
    assert cloud.told(msg.Install) == [(3 * HOUR, 0)]


@pytest.mark.parametrize(
    ("gate", "column", "tail_s"),
    [("push", "notified_s", 10), ("download", "download_started_s", 60), ("install", "updating_s", 60)],
)
def test_gates_in_a_whole_run(gate, column, tail_s):
    """What the window gates happens inside it, in an engine with real delays, and everybody gets there."""
    from tests.support import HARMLESS, run

    online = ("fleet.groups.0.check_in={always: {report_every: 30d}}", "fleet.groups.0.power=mains")
    modules = run(
        *HARMLESS, *online, "fleet.groups.0.rsrp_dbm=-85", "fleet.groups.0.free_space=10 MB", "plan.strategy.preset=none",
        "plan.strategy.schedule.maintenance_windows=[{start: '02:00', duration: 2h}]",
        f"plan.strategy.schedule.window_gates={gate}",
    ).records.modules  # fmt: skip
    of_day = modules[column] % DAY
    assert (modules["outcome"] == "succeeded").all()
    assert of_day.between(2 * HOUR, 4 * HOUR + tail_s).all()


def test_install_waits_for_the_whole_package_of_an_mcu():
    """INSTALL with a package that comes in pieces: a piece is no package; three transfers, then the installation."""
    from tests.support import HARMLESS, run

    modules = run(
        *HARMLESS, "fleet.groups.0.check_in={always: {report_every: 30d}}", "fleet.groups.0.power=mains",
        "fleet.groups.0.rsrp_dbm=-85", "fleet.groups.0.free_space=10 MB", "fleet.groups.0.mcu_buffer=80 kB",
        "plan.components.0.type=mcu", "plan.strategy.preset=none", "plan.strategy.schedule.window_gates=install",
        "plan.strategy.schedule.maintenance_windows=[{start: '00:00', duration: 24h}]", "fleet.size=5", "horizon=2d",
    ).records.modules  # fmt: skip
    assert (modules["outcome"] == "succeeded").all()
    assert (modules["bytes_useful"] == 200_000).all() and (modules["bytes_wasted"] == 0).all()
    assert (modules["downloaded_s"] < modules["updating_s"]).all()


def test_a_window_of_some_years():
    """A cron with years opens in these years alone: one evening of 2027, and never in the others."""
    once = {"cron": "50 18 13 11 *", "years": [2027], "duration": "23h"}
    assert laid_out("2027-11-13T00:00", once, days=3)[0][0].isoformat() == "2027-11-13T18:50:00+01:00"
    assert laid_out("2026-11-13T00:00", once, days=3)[0][1] == 0.0


def test_a_zone_that_is_an_offset():
    """+05:30 all year: Sunday 01:00 there is Saturday 19:30 in UTC; seconds of a six-field cron count."""
    night = {"cron": "30 0 1 * * 0", "duration": "2h"}
    opens = laid_out("2026-06-05T00:00", night, days=7, zone="+05:30")[0][0]
    assert opens.astimezone(UTC).isoformat() == "2026-06-06T19:30:30+00:00"
    with pytest.raises(ScenarioError, match=r"write it like Europe/Berlin or \+05:30"):
        strategy(schedule={"time_zone": "+19:00"})
