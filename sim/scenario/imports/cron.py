"""Cron expressions of AWS (minute first, with a year) and Quartz (second first) as the cron and years of a scenario."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cronsim import CronSim, CronSimError

_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_DAY = rf"[1-7]|{'|'.join(_NAMES)}"
_WEEKDAYS = re.compile(rf"(\*|{_DAY})(?:-({_DAY}))?(?:/([1-7]))?", re.IGNORECASE)
_ONE_WEEKDAY = re.compile(rf"({_DAY})(L|#[1-5])", re.IGNORECASE)
_YEARS = re.compile(r"(\d{4})(?:-(\d{4}))?(?:/(\d{1,2}))?")
FIRST_YEAR, LAST_YEAR = 1970, 2199


class NotAllowed(ValueError):
    """What the products refuse themselves: a weekday that there is none of, or not exactly one `?` for the days."""


@dataclass(frozen=True, slots=True)
class Times:
    """Local times: a cron in five fields, or in six with the second first; the years it is confined to, if any."""

    cron: str
    years: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """As a window of a scenario writes them."""
        return {"cron": self.cron, "years": list(self.years)} if self.years else {"cron": self.cron}

    def next_after(self, local: datetime) -> datetime | None:
        """The first of them after a local time; None when there is none in the next years."""
        if self.years and max(self.years) < local.year:
            return None
        since = local if not self.years else max(local, datetime(min(self.years), 1, 1))
        try:
            for at in CronSim(self.cron, since):
                if not self.years or at.year in self.years:
                    return at
                if at.year > max(self.years):
                    return None
        except CronSimError:
            pass
        return None


def from_aws(text: str) -> Times:
    """`cron(minute hour day month weekday year)`, with or without the word. ValueError for what cannot be read."""
    inner = re.fullmatch(r"\s*cron\((.*)\)\s*", text, re.IGNORECASE | re.DOTALL)
    fields = (inner[1] if inner else text).split()
    if len(fields) != 6:
        raise ValueError("six fields are expected: minute hour day month weekday year")
    return _checked(_unix(fields[:5]), _years(fields[5]))


def from_quartz(text: str) -> Times:
    """`second minute hour day month weekday [year]`. ValueError for what cannot be read."""
    fields = text.split()
    if len(fields) not in (6, 7):
        raise ValueError("six or seven fields are expected: second minute hour day month weekday [year]")
    second = [] if fields[0] in ("0", "00") else [fields[0]]
    return _checked(second + _unix(fields[1:6]), _years(fields[6]) if len(fields) == 7 else ())


def _years(field: str) -> tuple[int, ...]:
    """Years as `2027`, `2026,2028`, `2026-2030`, `2026-2030/2`; `*` is all of them."""
    if field in ("*", "?"):
        return ()
    found: set[int] = set()
    for part in field.split(","):
        match = _YEARS.fullmatch(part)
        if match is None:
            raise ValueError(f"the year {field[:40]} cannot be read")
        first = int(match[1])
        last = int(match[2]) if match[2] else LAST_YEAR if match[3] else first
        found.update(year for year in range(first, last + 1, max(1, int(match[3] or 1))) if _known(year))
    if not found:
        raise ValueError(f"the year {field[:40]} holds no year from {FIRST_YEAR} to {LAST_YEAR}")
    return tuple(sorted(found))


def _known(year: int) -> bool:
    return FIRST_YEAR <= year <= LAST_YEAR


def _unix(fields: Sequence[str]) -> list[str]:
    """Weekdays from 1 = Sunday to 0 = Sunday, `?` to `*`, a lone `L` weekday to Saturday."""
    *_, day, _, weekday = fields
    if (day == "?") == (weekday == "?"):
        raise NotAllowed("of the day of the month and the weekday exactly one has to be ?")
    days = "*" if weekday in ("?", "*") else ",".join(_weekday(part) for part in weekday.split(","))
    return ["*" if field == "?" else field for field in fields[:4]] + [days]


def _weekday(part: str) -> str:
    """One part of a list of weekdays. Steps are written out: they end on Saturday here, and on a second Sunday in a cron."""
    if part.upper() == "L":
        return "6"
    if (one := _ONE_WEEKDAY.fullmatch(part)) is not None:
        return f"{_number(one[1]) if one[1].isdigit() else one[1]}{one[2].upper()}"
    match = _WEEKDAYS.fullmatch(part)
    if match is None or (match[1] == "*" and match[2]):
        raise NotAllowed(f"the weekday {part[:40]} cannot be read: 1 (Sunday) to 7 (Saturday), or SUN to SAT")
    if match[3] is None:
        numbered = any(c.isdigit() for c in part)
        return "-".join(str(_number(end)) for end in match.groups()[:2] if end) if numbered else part
    first = 0 if match[1] == "*" else _number(match[1])
    last = 6 if match[2] is None else _number(match[2])
    if last < first:
        raise ValueError("a range of weekdays over the end of the week with steps, not supported here")
    return ",".join(str(number) for number in range(first, last + 1, int(match[3])))


def _number(weekday: str) -> int:
    """From 0 for Sunday."""
    return int(weekday) - 1 if weekday.isdigit() else _NAMES.index(weekday.upper())


def _checked(fields: Sequence[str], years: tuple[int, ...]) -> Times:
    expression = " ".join(fields)
    try:
        CronSim(expression, datetime(2026, 1, 1))
    except CronSimError as error:
        raise ValueError(f"{str(error).lower()}, not supported here") from None
    return Times(expression, years)
