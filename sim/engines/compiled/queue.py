"""The queue of the compiled engine: who is due next, and when.

Three tiers, by how far off an entry is. Wide buckets of time hold the far future, unsorted, in chunks that are written
and read in sequence. The wide bucket that time has reached is spread over narrow buckets of a few entries at most. Only
the narrow bucket that time has reached is sorted, in a heap of four children that stays in the cache; and what the next
ones speak of is fetched meanwhile. Ties go to the lower number. An entry cannot be taken out: who moved is recognised by
the reader, who knows what is still valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from sim.engines.compiled.numba_layer.cache_hints import fetch_ahead, fetch_entry_ahead, fetch_slot_ahead

NONE = -1
CHILDREN = 4
CHUNK = 64
"""Far entries in one chunk."""
ENTRIES_PER_WIDE = 1024
MIN_WIDE, MAX_WIDE = 64, 1 << 14
MIN_NARROW, MAX_NARROW = 64, 1 << 16
NARROW_PER_ENTRY = 4
AT_ONCE = 32
"""So many narrow buckets are looked ahead at together."""
SLOTS_AHEAD = 8
ROWS_AHEAD = SLOTS_AHEAD + AT_ONCE
ENTRIES_AHEAD = ROWS_AHEAD + AT_ONCE
"""How many narrow buckets ahead entries are fetched, then the lasting rows they speak of, then those rows' slots."""


@dataclass(slots=True)
class QueueRow:
    """Where the queue stands."""

    wide_s: float = 1.0
    """Width of a wide bucket."""
    start_s: float = 0.0
    """Where the present wide bucket begins."""
    wides: int = MIN_WIDE
    narrow_per_s: float = 1.0
    wide: int = NONE
    """The wide bucket that time has reached."""
    narrow: int = NONE
    """The narrow bucket that time has reached, of `narrows`."""
    narrows: int = 1
    sorted: int = 0
    near: int = 0
    far: int = 0
    """Entries in the heap, in narrow buckets and in chunks."""
    pool_used: int = 0
    pool_free: int = NONE
    chunks_used: int = 0
    chunk_free: int = NONE


ENTRY = np.dtype([("time", "f8"), ("who", "i8")])
POOL_ENTRY = np.dtype([("time", "f8"), ("who", "i4"), ("next", "i4")])
WIDE_BUCKET = np.dtype([("chunk", "i4"), ("count", "i4")])


def arrays(horizon_s: float, entries: int, room: int) -> dict[str, Any]:
    """An empty queue for times before `horizon_s` and about so many entries at once, `room` at most.

    `heap` and `pool` hold entries of the present narrow bucket and of later ones, `narrow` the first entry in the pool of
    each narrow bucket; `far` holds chunks, `links` the chunk that was filled before each, `wide` the chunk that each wide
    bucket fills and how many entries it has. A queue has besides the `modules` and `executions` that its entries speak of.
    """
    wides = power_of_two(entries // ENTRIES_PER_WIDE, MIN_WIDE, MAX_WIDE)
    wide = np.zeros(wides, WIDE_BUCKET)
    wide["chunk"] = NONE
    chunks = room // CHUNK + 2 * wides
    return {
        "row": QueueRow(wide_s=horizon_s / wides, wides=wides), "heap": np.empty(room, ENTRY),
        "narrow": np.full(MAX_NARROW + ENTRIES_AHEAD + AT_ONCE, NONE, np.int32), "pool": np.empty(room, POOL_ENTRY),
        "wide": wide, "far": np.empty(chunks * CHUNK, ENTRY), "links": np.empty(chunks, np.int32),
    }  # fmt: skip


def power_of_two(wanted: int, least: int, most: int) -> int:
    """The first power of two that is not below what is wanted, within two others."""
    found = least
    while found < min(wanted, most):
        found *= 2
    return found


def holds(q: Any, more: int) -> bool:
    """Whether so many more entries find room, wherever they go."""
    row = q.row
    entries = row.sorted + row.near + row.far + more
    return bool(entries <= len(q.pool) and row.chunks_used + more // CHUNK + row.wides <= len(q.links))


def push(q: Any, time: float, who: int) -> None:
    """Adds an entry."""
    row = q.row
    place = min(int(time / row.wide_s), row.wides - 1)
    if place <= row.wide:
        _push_near(q, time, who)
        return
    bucket = q.wide[place]
    in_chunk = bucket.count % CHUNK
    if in_chunk == 0:
        _add_chunk(q, bucket)
    entry = q.far[CHUNK * bucket.chunk + in_chunk]
    entry.time = time
    entry.who = who
    bucket.count += 1
    row.far += 1


def next_time(q: Any) -> float:
    """The time of the first entry, or inf; sorts the next bucket when the present one is empty."""
    row = q.row
    while row.sorted == 0:
        if row.near == 0:
            if row.far == 0:
                return inf
            _open_wide(q)
        else:
            _open_narrow(q)
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


# --- tiers -----------------------------------------------------------------------------------------------------------


def _add_chunk(q: Any, bucket: Any) -> None:
    """Gives a wide bucket an empty chunk to fill."""
    row = q.row
    at = row.chunk_free
    if at == NONE:
        at = row.chunks_used
        row.chunks_used += 1
    else:
        row.chunk_free = q.links[at]
    q.links[at] = bucket.chunk
    bucket.chunk = at


def _open_wide(q: Any) -> None:
    """Spreads the next wide bucket over narrow ones."""
    row = q.row
    row.wide += 1
    bucket = q.wide[row.wide]
    at, count = bucket.chunk, bucket.count
    row.narrows = power_of_two(NARROW_PER_ENTRY * count, MIN_NARROW, MAX_NARROW)
    row.start_s = row.wide * row.wide_s
    row.narrow_per_s = row.narrows / row.wide_s
    row.narrow = NONE
    row.pool_used = 0  # nobody is near: the pool is filled in sequence again
    row.pool_free = NONE
    row.far -= count
    while at != NONE:
        in_chunk = (count - 1) % CHUNK + 1
        for place in range(CHUNK * at, CHUNK * at + in_chunk):
            entry = q.far[place]
            _push_near(q, entry.time, entry.who)
        count -= in_chunk
        following = q.links[at]
        q.links[at] = row.chunk_free
        row.chunk_free = at
        at = following
    bucket.chunk = NONE
    bucket.count = 0
    for ahead in range(ROWS_AHEAD):
        _fetch(q, ahead, True)


def _push_near(q: Any, time: float, who: int) -> None:
    """Adds an entry of the present wide bucket, or of an earlier time."""
    row = q.row
    place = min(int((time - row.start_s) * row.narrow_per_s), row.narrows - 1)
    if place <= row.narrow:
        _sift_in(q, time, who)
        return
    at = row.pool_free
    if at == NONE:
        at = row.pool_used
        row.pool_used += 1
    else:
        row.pool_free = q.pool[at].next
    entry = q.pool[at]
    entry.time = time
    entry.who = who
    entry.next = q.narrow[place]
    q.narrow[place] = at
    row.near += 1


def _open_narrow(q: Any) -> None:
    """Sorts the next narrow bucket; what later ones speak of is fetched meanwhile."""
    row = q.row
    row.narrow += 1
    if row.narrow % AT_ONCE == 0:
        _look_ahead(q, row.narrow)
    at = q.narrow[row.narrow]
    q.narrow[row.narrow] = NONE
    while at != NONE:
        entry = q.pool[at]
        following = entry.next
        _sift_in(q, entry.time, entry.who)
        entry.next = row.pool_free
        row.pool_free = at
        row.near -= 1
        at = following


def _look_ahead(q: Any, narrow: int) -> None:
    """Fetches what coming buckets speak of, of many at once: the waits for far memory and its addresses overlap."""
    for ahead in range(narrow + ENTRIES_AHEAD, narrow + ENTRIES_AHEAD + AT_ONCE):
        fetch_entry_ahead(q.pool, max(0, q.narrow[ahead]))
    for ahead in range(narrow + ROWS_AHEAD, narrow + ROWS_AHEAD + AT_ONCE):
        _fetch(q, ahead, True)
    for ahead in range(narrow + SLOTS_AHEAD, narrow + SLOTS_AHEAD + AT_ONCE):
        _fetch(q, ahead, False)


def _fetch(q: Any, place: int, lasting: bool) -> None:
    """Fetches the rows that a narrow bucket speaks of: the lasting ones, or those in slots."""
    at = q.narrow[place]
    while at != NONE:
        entry = q.pool[at]
        if lasting:
            fetch_ahead(q.modules, entry.who)
            fetch_ahead(q.executions, entry.who)
        else:
            fetch_slot_ahead(q.modules, entry.who)
            fetch_slot_ahead(q.executions, entry.who)
        at = entry.next


# --- the heap --------------------------------------------------------------------------------------------------------


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
