"""The queue of the compiled engine: who is due next, and when.

Far entries lie unsorted in buckets of time; only the bucket that time has reached is sorted, in a heap of four children
that stays small enough for the cache. Ties go to the lower number. An entry cannot be taken out: who moved is
recognised by the reader, who knows what is still valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

import numpy as np

from sim.engines.compiled.hints import fetch_ahead

NONE = -1
CHILDREN = 4


@dataclass(slots=True)
class QueueRow:
    """Where the queue stands: width of a bucket, the bucket that is sorted, fills of heap and pool."""

    width_s: float = 1.0
    bucket: int = 0
    buckets: int = 0
    sorted: int = 0
    far: int = 0
    used: int = 0
    free: int = NONE


class Queue(NamedTuple):
    """The arrays of a queue: `row`, heap of (time, who), first entry of each bucket, pool of (time, who, next).

    `modules` and `executions` are read by whoever is due, and fetched when their bucket is sorted.
    """

    row: Any
    heap: Any
    buckets: Any
    pool: Any
    modules: Any
    executions: Any


HEAP_ENTRY = np.dtype([("time", "f8"), ("who", "i8")])
POOL_ENTRY = np.dtype([("time", "f8"), ("who", "i4"), ("next", "i4")])
ENTRIES_PER_BUCKET = 4
MIN_BUCKETS, MAX_BUCKETS = 64, 1 << 20


def bucket_count(entries: int) -> int:
    """How many buckets suit so many entries: a power of two."""
    wanted = max(1, entries // ENTRIES_PER_BUCKET)
    return min(MAX_BUCKETS, max(MIN_BUCKETS, 1 << (wanted - 1).bit_length()))


def push(q: Any, time: float, who: int) -> None:
    """Adds an entry."""
    row = q.row
    place = int(time / row.width_s)
    if place <= row.bucket or place >= row.buckets:
        _sift_in(q, time, who)
        return
    at = row.free
    if at == NONE:
        at = row.used
        row.used += 1
    else:
        row.free = q.pool[at].next
    entry = q.pool[at]
    entry.time = time
    entry.who = who
    entry.next = q.buckets[place]
    q.buckets[place] = at
    row.far += 1


def next_time(q: Any) -> float:
    """The time of the first entry, or inf; sorts the next bucket when the present one is empty."""
    row = q.row
    while row.sorted == 0:
        if row.far == 0:
            return inf
        row.bucket += 1
        _sort_bucket(q, row.bucket)
    return float(q.heap[0].time)


def next_who(q: Any) -> int:
    """Whose the first entry is; only after `next_time`."""
    return int(q.heap[0].who)


def pop(q: Any) -> None:
    """Takes the first entry out; only after `next_time`."""
    row = q.row
    row.sorted -= 1
    if row.sorted > 0:
        last = q.heap[row.sorted]
        _sift_down(q, last.time, last.who, row.sorted)


def _sort_bucket(q: Any, place: int) -> None:
    """Moves a bucket to the heap; what the next one speaks of is fetched meanwhile."""
    row = q.row
    at = q.buckets[place]
    while at != NONE:
        entry = q.pool[at]
        following = entry.next
        _sift_in(q, entry.time, entry.who)
        entry.next = row.free
        row.free = at
        row.far -= 1
        at = following
    q.buckets[place] = NONE
    if place + 1 < row.buckets:
        at = q.buckets[place + 1]
        while at != NONE:
            entry = q.pool[at]
            fetch_ahead(q.modules, entry.who)
            fetch_ahead(q.executions, entry.who)
            at = entry.next


def _sift_in(q: Any, time: float, who: int) -> None:
    heap = q.heap
    hole = q.row.sorted
    q.row.sorted += 1
    while hole > 0:
        above = (hole - 1) // CHILDREN
        parent = heap[above]
        if parent.time < time or (parent.time == time and parent.who <= who):
            break
        heap[hole].time = parent.time
        heap[hole].who = parent.who
        hole = above
    heap[hole].time = time
    heap[hole].who = who


def _sift_down(q: Any, time: float, who: int, size: int) -> None:
    """Puts an entry into the hole at the top."""
    heap = q.heap
    hole = 0
    while True:
        first = CHILDREN * hole + 1
        if first >= size:
            break
        best = first
        for child in range(first + 1, min(first + CHILDREN, size)):
            if heap[child].time < heap[best].time or (
                heap[child].time == heap[best].time and heap[child].who < heap[best].who
            ):
                best = child
        if time < heap[best].time or (time == heap[best].time and who <= heap[best].who):
            break
        heap[hole].time = heap[best].time
        heap[hole].who = heap[best].who
        hole = best
    heap[hole].time = time
    heap[hole].who = who
