"""Cron expressions of AWS (minute first, with a year) and Quartz (second first) as the cron and years of a scenario."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cronsim import CronSim, CronSimError

_WEEKDAY_NUMBER = re.compile(r"(?<![#/\d])(\d)(?!\d)")
_YEARS = re.compile(r"(\d{4})(?:-(\d{4}))?(?:/(\d{1,2}))?")
FIRST_YEAR, LAST_YEAR = 1970, 2199


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
    """`cron(minute hour day month weekday year)`, with or without the word; also plain five fields. ValueError."""
    inner = re.fullmatch(r"\s*cron\((.*)\)\s*", text, re.IGNORECASE | re.DOTALL)
    fields = (inner[1] if inner else text).split()
    if len(fields) == 5 and inner is None:
        return _checked(fields, ())
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
    minute, hour, day, month, weekday = ("*" if field == "?" else field for field in fields)
    weekday = "6" if weekday.upper() == "L" else _WEEKDAY_NUMBER.sub(lambda m: str((int(m[1]) - 1) % 7), weekday)
    return [minute, hour, day, month, weekday]


def _checked(fields: Sequence[str], years: tuple[int, ...]) -> Times:
    expression = " ".join(fields)
    try:
        CronSim(expression, datetime(2026, 1, 1))
    except CronSimError as error:
        raise ValueError(f"{str(error).lower()}, not supported here") from None
    return Times(expression, years)
