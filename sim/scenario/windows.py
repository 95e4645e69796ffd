"""Maintenance windows of a schedule, from local clock times to simulation seconds, daylight saving included."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from sim.scenario.model import Schedule

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def windows(schedule: Schedule, horizon_s: float) -> list[tuple[float, float]]:
    """All windows [open, close) that touch the horizon, in order, merged where they overlap."""
    zone = ZoneInfo(schedule.time_zone)
    start = schedule.start_time.replace(tzinfo=zone)
    found: list[tuple[float, float]] = []
    for window in schedule.maintenance_windows:
        for offset in range(-2, int(horizon_s // 86400) + 2):
            day = start.date() + timedelta(days=offset)
            if DAYS[day.weekday()] in window.days:
                opened = _since(start, day, window.start_s, zone)
                found.append((opened, opened + window.duration))
    merged: list[tuple[float, float]] = []
    for opened, closed in sorted(w for w in found if w[1] > 0.0 and w[0] < horizon_s):
        if merged and opened <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], closed))
        else:
            merged.append((opened, closed))
    return merged


def _since(start: datetime, day: date, seconds_of_day: float, zone: ZoneInfo) -> float:
    """Real seconds from `start` to a local clock time of `day`."""
    naive = datetime(day.year, day.month, day.day) + timedelta(seconds=seconds_of_day)
    return naive.replace(tzinfo=zone).timestamp() - start.timestamp()
