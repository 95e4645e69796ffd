"""Maintenance windows of a schedule, from local clock times to simulation seconds, daylight saving included.

A window opens at its local clock time and stays open for its duration in real seconds, also on a day whose clocks
change. A clock time that such a day skips is read with the offset from before the change. Cron expressions follow the rule
of Debian's cron: those of every hour or so many minutes open in each real hour, those at a fixed time once, and at the end
of the gap where the clocks skip it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from cronsim import CronSim

if TYPE_CHECKING:
    from sim.scenario.strategy import Schedule, Window

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def windows(schedule: Schedule, horizon_s: float) -> list[tuple[float, float]]:
    """All windows [open, close) that touch the horizon, in order, merged where they overlap.

    Where all of them lie beyond it, an empty one at its end: none at all would mean always open.
    """
    start = schedule.start_time
    until = start + timedelta(seconds=horizon_s, days=2)
    origin_s = start.replace(tzinfo=schedule.zone).timestamp()
    found: list[tuple[float, float]] = []
    for window in schedule.maintenance_windows:
        for opens in _openings(window, start - timedelta(days=2), until, schedule.zone):
            opened_s = opens.timestamp() - origin_s
            found.append((opened_s, opened_s + window.duration))
    merged: list[tuple[float, float]] = []
    for opened, closed in sorted(w for w in found if w[1] > 0.0 and w[0] < horizon_s):
        if merged and opened <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], closed))
        else:
            merged.append((opened, closed))
    return merged or [(horizon_s, horizon_s)] * bool(schedule.maintenance_windows)


def opens(window: Window, schedule: Schedule, horizon_s: float) -> bool:
    """Whether a window of the schedule is open at any time between activation and horizon."""
    start = schedule.start_time
    until = start + timedelta(seconds=horizon_s, days=2)
    origin_s = start.replace(tzinfo=schedule.zone).timestamp()
    moments = (at.timestamp() - origin_s for at in _openings(window, start - timedelta(days=2), until, schedule.zone))
    return any(opened_s + window.duration > 0.0 and opened_s < horizon_s for opened_s in moments)


def _openings(window: Window, since: datetime, until: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Moments at which a window opens, between two local times."""
    if window.cron is not None:
        for opens in CronSim(window.cron, since.replace(tzinfo=zone)):
            if opens.replace(tzinfo=None) >= until:
                return
            if not window.years or opens.year in window.years:
                yield opens
        return
    day = datetime(since.year, since.month, since.day)
    while day < until:
        if DAYS[day.weekday()] in window.days:
            yield (day + timedelta(seconds=window.start_s)).replace(tzinfo=zone)
        day += timedelta(days=1)
