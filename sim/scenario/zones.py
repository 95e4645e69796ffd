"""Time zones by name or by offset."""

from __future__ import annotations

import re
from datetime import timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_OFFSET = re.compile(r"([+-])(\d\d):([0-5]\d)")
_LARGEST_OFFSET = timedelta(hours=18)


@cache  # the names come from directories that are walked each time, which a campaign of a study would do thrice
def zone_of(name: str) -> tzinfo:
    """The zone of a name such as `Europe/Berlin`, or of an offset such as `+05:30`. ValueError for anything else."""
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        east = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        if east <= _LARGEST_OFFSET:
            return timezone(east if offset[1] == "+" else -east)
    elif name in available_timezones():
        return ZoneInfo(name)
    raise ValueError(f"time_zone: {name!r} is not a zone; write it like Europe/Berlin or +05:30")
