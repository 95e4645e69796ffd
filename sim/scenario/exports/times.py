"""Moments, windows and cron expressions of a schedule as AWS and hawkBit write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from sim.scenario.strategy import Schedule, Window

_WEEKDAY_NUMBER = re.compile(r"(?<![#/\d])(\d)(?!\d)")


def start_utc(schedule: Schedule) -> datetime:
    """Activation in UTC."""
    return schedule.start_time.replace(tzinfo=schedule.zone).astimezone(UTC)


def aws_cron(window: Window) -> str:
    """`cron(minute hour day month weekday year)`. ValueError for what AWS cannot say."""
    fields = _fields(window)
    if len(fields) == 6:
        raise ValueError("AWS opens windows on the full minute")
    return f"cron({' '.join([*_either_day(fields), _years(window)])})"


def quartz(window: Window) -> str:
    """`second minute hour day month weekday [year]`. ValueError for what Quartz cannot say."""
    fields = _fields(window)
    second, rest = (fields[0], fields[1:]) if len(fields) == 6 else ("0", fields)
    years = [] if not window.years else [_years(window)]
    return " ".join([second, *_either_day(rest), *years])


def clock(seconds: float) -> str:
    """A duration below a day as hh:mm:ss. ValueError for others."""
    if not 0 < seconds < 86400 or seconds != int(seconds):
        raise ValueError("hawkBit's windows last whole seconds, less than 24 hours")
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


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
    return [minute, hour, "?", month, _WEEKDAY_NUMBER.sub(lambda m: str(int(m[1]) % 7 + 1), weekday)]
