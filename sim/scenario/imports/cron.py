"""Cron expressions of AWS (minute first, with a year) and Quartz (second first) as the five fields of a scenario."""

from __future__ import annotations

import re
from datetime import datetime

from cronsim import CronSim, CronSimError

_WEEKDAY_NUMBER = re.compile(r"(?<![#/\d])(\d)(?!\d)")


def from_aws(text: str) -> tuple[str | None, list[str]]:
    """`cron(minute hour day month weekday year)`, with or without the word; also plain five fields."""
    inner = re.fullmatch(r"\s*cron\((.*)\)\s*", text, re.IGNORECASE | re.DOTALL)
    fields = (inner[1] if inner else text).split()
    if len(fields) == 5 and inner is None:
        return _checked(fields, [])
    if len(fields) != 6:
        return None, ["six fields are expected: minute hour day month weekday year"]
    return _checked(_unix(fields[:5]), _year(fields[5]))


def from_quartz(text: str) -> tuple[str | None, list[str]]:
    """`second minute hour day month weekday [year]`."""
    fields = text.split()
    if len(fields) not in (6, 7):
        return None, ["six or seven fields are expected: second minute hour day month weekday [year]"]
    notes = [] if fields[0] in ("0", "00") else [f"the second {fields[0]} is left out: windows open on the full minute"]
    return _checked(_unix(fields[1:6]), notes + (_year(fields[6]) if len(fields) == 7 else []))


def _year(field: str) -> list[str]:
    return [] if field == "*" else [f"the year {field} is left out: the window opens every year"]


def _unix(fields: list[str]) -> list[str]:
    """Weekdays from 1 = Sunday to 0 = Sunday, `?` to `*`, a lone `L` weekday to Saturday."""
    minute, hour, day, month, weekday = ("*" if field == "?" else field for field in fields)
    weekday = "6" if weekday.upper() == "L" else _WEEKDAY_NUMBER.sub(lambda m: str((int(m[1]) - 1) % 7), weekday)
    return [minute, hour, day, month, weekday]


def _checked(fields: list[str], notes: list[str]) -> tuple[str | None, list[str]]:
    expression = " ".join(fields)
    try:
        CronSim(expression, datetime(2026, 1, 1))
    except CronSimError as error:
        return None, [f"{str(error).lower()}, not supported here"]
    return expression, notes
