"""Local clocks over a run: the time of day at activation in a zone, and when its clocks change by how much."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

DAY_S = 86400.0
MOST_CHANGES = 16
"""Changes of a zone's clocks within the two years a run may last, and some more."""


class LocalClock(NamedTuple):
    """`day_start_s`: time of day at activation, seconds. `changes`: (time after activation, offset from then on less
    the offset at activation), seconds.
    """

    day_start_s: float
    changes: tuple[tuple[float, float], ...]


@lru_cache(maxsize=1024)
def local_clock(zone: tzinfo, activation: datetime, horizon_s: float) -> LocalClock:
    """The clock of a zone from the moment of activation (with its own zone) to the horizon."""
    start = activation.astimezone(UTC)
    local = start.astimezone(zone)
    day_start_s = local.hour * 3600.0 + local.minute * 60.0 + local.second

    def offset_s(after_s: float) -> float:
        offset = (start + timedelta(seconds=after_s)).astimezone(zone).utcoffset()
        return 0.0 if offset is None else offset.total_seconds()

    first_s = offset_s(0.0)
    changes: list[tuple[float, float]] = []
    since = 0.0
    while since < horizon_s and len(changes) < MOST_CHANGES:
        until = since + DAY_S
        if offset_s(until) != offset_s(since):
            at = _change_s(offset_s, since, until)
            changes.append((at, offset_s(at) - first_s))
        since = until
    return LocalClock(day_start_s, tuple(changes))


def _change_s(offset_s: Callable[[float], float], low: float, high: float) -> float:
    """The second at which the offset becomes that of `high`."""
    after = offset_s(high)
    while high - low > 1.0:
        middle = float(int((low + high) / 2.0))
        low, high = (low, middle) if offset_s(middle) == after else (middle, high)
    return high
