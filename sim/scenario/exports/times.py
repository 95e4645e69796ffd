"""Moments, windows and cron expressions of a schedule as AWS writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from sim.scenario.strategy import Schedule, Window

_WEEKDAY_NUMBER = re.compile(r"(?<![#/\d])(\d)(?!\d)")
_STEPS = re.compile(r"(\*|[0-7])(?:-([0-7]))?(?:/(\d))?")


def start_utc(schedule: Schedule) -> datetime:
    """Activation in UTC."""
    return schedule.start_time.replace(tzinfo=schedule.zone).astimezone(UTC)


def aws_cron(window: Window) -> str:
    """`cron(minute hour day month weekday year)`. ValueError for what AWS cannot say."""
    fields = _fields(window)
    if len(fields) == 6:
        raise ValueError("AWS opens windows on the full minute")
    return f"cron({' '.join([*_either_day(fields), _years(window)])})"


def _fields(window: Window) -> list[str]:
    if window.cron is not None:
        return window.cron.split()
    hour, minute = divmod(int(window.start_s) // 60, 60)
    every_day = len(set(window.days)) == 7
    return [str(minute), str(hour), "*", "*", "*" if every_day else ",".join(day.upper() for day in window.days)]


def _years(window: Window) -> str:
    return ",".join(map(str, window.years)) or "*"


def _either_day(fields: list[str]) -> list[Any]:
    """Weekdays from 0 = Sunday to 1 = Sunday; one of day and weekday has to be `?`."""
    minute, hour, day, month, weekday = fields
    if weekday == "*":
        return [minute, hour, day, month, "?"]
    if day != "*":
        raise ValueError("a day of the month and a weekday cannot both be given")
    return [minute, hour, "?", month, ",".join(_weekday(part) for part in weekday.split(","))]


def _weekday(part: str) -> str:
    """One part of a list of weekdays; what ends on a second Sunday (`5-7`, `1/2`) or has steps is written out."""
    match = _STEPS.fullmatch(part)
    if match is None or (match[3] is None and match[2] != "7"):
        return _WEEKDAY_NUMBER.sub(lambda m: str(int(m[1]) % 7 + 1), part)
    first = 0 if match[1] == "*" else int(match[1])
    last = int(match[2]) if match[2] is not None else 6 if match[1] == "*" else 7 if match[3] is not None else first
    numbers = {number % 7 + 1 for number in range(first, last + 1, int(match[3] or 1))}
    return ",".join(map(str, sorted(numbers)))
