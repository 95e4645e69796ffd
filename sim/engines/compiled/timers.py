"""The cloud's timers for single modules: a binary heap of (time, module, kind, stamp), compared in that order."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

TIMER = np.dtype([("time", "f8"), ("who", "i4"), ("stamp", "i4"), ("kind", "i8")])


def first_timer_s(s: Any) -> float:
    """When the first timer is due, or inf."""
    return float(s.timers[0].time) if s.k.timers > 0 else inf


def add_timer(s: Any, time: float, who: int, kind: int, stamp: int) -> None:
    """Arms a timer."""
    hole = s.k.timers
    s.k.timers += 1
    while hole > 0:
        above = s.timers[(hole - 1) // 2]
        if not _before(time, who, kind, stamp, above):
            break
        _set(s.timers[hole], above.time, above.who, above.kind, above.stamp)
        hole = (hole - 1) // 2
    _set(s.timers[hole], time, who, kind, stamp)


def drop_timer(s: Any) -> None:
    """Takes the first timer out."""
    s.k.timers -= 1
    size = s.k.timers
    last = s.timers[size]
    time, who, kind, stamp = last.time, last.who, last.kind, last.stamp
    hole = 0
    while 2 * hole + 1 < size:
        below = 2 * hole + 1
        child = s.timers[below]
        if below + 1 < size:
            other = s.timers[below + 1]
            if _before(other.time, other.who, other.kind, other.stamp, child):
                below, child = below + 1, other
        if _before(time, who, kind, stamp, child):
            break
        _set(s.timers[hole], child.time, child.who, child.kind, child.stamp)
        hole = below
    _set(s.timers[hole], time, who, kind, stamp)


def _before(time: float, who: int, kind: int, stamp: int, other: Any) -> bool:
    if time != other.time:
        return bool(time < other.time)
    if who != other.who:
        return bool(who < other.who)
    return bool(kind < other.kind or (kind == other.kind and stamp < other.stamp))


def _set(entry: Any, time: float, who: int, kind: int, stamp: int) -> None:
    entry.time = time
    entry.who = who
    entry.kind = kind
    entry.stamp = stamp
