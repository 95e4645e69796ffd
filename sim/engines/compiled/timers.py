"""A heap of things due: (time, who, kind, stamp), compared in that order. The cloud's timers, and senders of preambles."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from sim.engines.compiled.array_state import Due, Timers

TIMER = np.dtype([("time", "f8"), ("who", "i4"), ("kind", "i4"), ("stamp", "i8")])


@dataclass(slots=True)
class TimersRow:
    """How many there are."""

    count: int = 0


def first_s(heap: Timers) -> float:
    """When the first one is due, or inf."""
    return float(heap.entries[0].time) if heap.row.count > 0 else inf


def add(heap: Timers, time: float, who: int, kind: int, stamp: int) -> None:
    """Adds one."""
    hole = heap.row.count
    heap.row.count += 1
    while hole > 0:
        above = heap.entries[(hole - 1) // 2]
        if not _before(time, who, kind, stamp, above):
            break
        _set(heap.entries[hole], above.time, above.who, above.kind, above.stamp)
        hole = (hole - 1) // 2
    _set(heap.entries[hole], time, who, kind, stamp)


def drop(heap: Timers) -> None:
    """Takes the first one out."""
    heap.row.count -= 1
    size = heap.row.count
    last = heap.entries[size]
    time, who, kind, stamp = float(last.time), int(last.who), int(last.kind), int(last.stamp)
    hole = 0
    while 2 * hole + 1 < size:
        below = 2 * hole + 1
        child = heap.entries[below]
        if below + 1 < size:
            other = heap.entries[below + 1]
            if _before(other.time, other.who, other.kind, other.stamp, child):
                below, child = below + 1, other
        if _before(time, who, kind, stamp, child):
            break
        _set(heap.entries[hole], child.time, child.who, child.kind, child.stamp)
        hole = below
    _set(heap.entries[hole], time, who, kind, stamp)


def _before(time: float, who: int, kind: int, stamp: int, other: Due) -> bool:
    if time != other.time:
        return bool(time < other.time)
    if who != other.who:
        return bool(who < other.who)
    return bool(kind < other.kind or (kind == other.kind and stamp < other.stamp))


def _set(entry: Due, time: float, who: int, kind: int, stamp: int) -> None:
    entry.time = time
    entry.who = who
    entry.kind = kind
    entry.stamp = stamp
