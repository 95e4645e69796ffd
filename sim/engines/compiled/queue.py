"""The queue of the compiled engine: who is due next, and when.

Theory of operation
-------------------
Of a million modules a million may be queued, most for a check-in hours ahead. A heap of that many misses the cache at
every level; what the memory can do fast is to write and read in sequence. So entries are sorted late and in small
lots, in three tiers by how far off they are:

1. *Wide buckets* divide the horizon evenly (about a thousand entries each). An entry is appended to its bucket,
   unsorted, in a chunk of 64; a full chunk is linked to the one before. Appending touches one cache line.
2. *Narrow buckets* divide the wide bucket that time has reached (`_open_wide` spreads it), four for each entry, so
   that most have one or none. An entry is put at the head of its bucket's list in `pool`, which is filled in
   sequence.
3. *The heap* holds the narrow bucket that time has reached, sorted by (time, number): four children a node, a few
   entries in all, always in the cache.

`push` chooses the tier by the time alone: beyond the present wide bucket to tier 1, beyond the present narrow one to
tier 2, else (also for a time that has passed) into the heap. `next_time` opens buckets until the heap has an entry.
Each entry is thus written at most three times and compared only with those of its narrow bucket: constant work for
each event, as in a calendar queue, but with buckets sized from the number of entries instead of by trial.

Invariants: every entry is in one tier. All entries of the heap come before all of the pool, which come before all in
chunks, up to the bucket's edges: an edge is computed the same way when an entry is put away and when a bucket is
opened, so rounding cannot put one into a bucket that is closed already (an index at or below the open bucket goes to
the heap). Ties go to the lower number because the heap compares numbers, and two entries of one time fall into the
same narrow bucket. Nothing is ever taken out of the middle: who has been queued for another time recognises the stale
entry when it comes.

*Looking ahead.* What the next narrow buckets speak of lies anywhere in memory. Every 32 buckets `_prefetch_coming`
asks for it in three passes, each far enough ahead of the next for its answers to have come: the entries of the
buckets (to know whose they are), the lasting rows of those modules and their slots' numbers, then what lies in the
slots. The waits for far memory then overlap with work and with each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from sim.engines.compiled.array_state import QueueArrays, WideBucket
from sim.engines.compiled.numba_layer.cache_hints import prefetch_entry, prefetch_row, prefetch_slot

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
SLOTS_DISTANCE = 8
ROWS_DISTANCE = SLOTS_DISTANCE + AT_ONCE
ENTRIES_DISTANCE = ROWS_DISTANCE + AT_ONCE
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
        "narrow": np.full(MAX_NARROW + ENTRIES_DISTANCE + AT_ONCE, NONE, np.int32), "pool": np.empty(room, POOL_ENTRY),
        "wide": wide, "far": np.empty(chunks * CHUNK, ENTRY), "links": np.empty(chunks, np.int32),
    }  # fmt: skip


def power_of_two(wanted: int, least: int, most: int) -> int:
    """The first power of two that is not below what is wanted, within two others."""
    size = least
    while size < min(wanted, most):
        size *= 2
    return size


def holds(queue: QueueArrays, more: int) -> bool:
    """Whether so many more entries find room, wherever they go."""
    row = queue.row
    entries = row.sorted + row.near + row.far + more
    return bool(entries <= len(queue.pool) and row.chunks_used + more // CHUNK + row.wides <= len(queue.links))


def push(queue: QueueArrays, time: float, who: int) -> None:
    """Adds an entry."""
    row = queue.row
    place = min(int(time / row.wide_s), row.wides - 1)
    if place <= row.wide:
        _push_near(queue, time, who)
        return
    bucket = queue.wide[place]
    in_chunk = bucket.count % CHUNK
    if in_chunk == 0:
        _add_chunk(queue, bucket)
    entry = queue.far[CHUNK * bucket.chunk + in_chunk]
    entry.time = time
    entry.who = who
    bucket.count += 1
    row.far += 1


def next_time(queue: QueueArrays) -> float:
    """The time of the first entry, or inf; sorts the next bucket when the present one is empty."""
    row = queue.row
    while row.sorted == 0:
        if row.near == 0:
            if row.far == 0:
                return inf
            _open_wide(queue)
        else:
            _open_narrow(queue)
    return float(queue.heap[0].time)


def next_who(queue: QueueArrays) -> int:
    """Whose the first entry is; only after `next_time`."""
    return int(queue.heap[0].who)


def pop(queue: QueueArrays) -> None:
    """Takes the first entry out; only after `next_time`."""
    row = queue.row
    row.sorted -= 1
    if row.sorted > 0:
        last = queue.heap[row.sorted]
        _sift_down(queue, last.time, last.who, row.sorted)


# --- tiers -----------------------------------------------------------------------------------------------------------


def _add_chunk(queue: QueueArrays, bucket: WideBucket) -> None:
    """Gives a wide bucket an empty chunk to fill."""
    row = queue.row
    at = row.chunk_free
    if at == NONE:
        at = row.chunks_used
        row.chunks_used += 1
    else:
        row.chunk_free = queue.links[at]
    queue.links[at] = bucket.chunk
    bucket.chunk = at


def _open_wide(queue: QueueArrays) -> None:
    """Spreads the next wide bucket over narrow ones."""
    row = queue.row
    row.wide += 1
    bucket = queue.wide[row.wide]
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
            entry = queue.far[place]
            _push_near(queue, entry.time, entry.who)
        count -= in_chunk
        following = queue.links[at]
        queue.links[at] = row.chunk_free
        row.chunk_free = at
        at = following
    bucket.chunk = NONE
    bucket.count = 0
    for place in range(ROWS_DISTANCE):
        _prefetch(queue, place, True)


def _push_near(queue: QueueArrays, time: float, who: int) -> None:
    """Adds an entry of the present wide bucket, or of an earlier time."""
    row = queue.row
    place = min(int((time - row.start_s) * row.narrow_per_s), row.narrows - 1)
    if place <= row.narrow:
        _sift_in(queue, time, who)
        return
    at = row.pool_free
    if at == NONE:
        at = row.pool_used
        row.pool_used += 1
    else:
        row.pool_free = queue.pool[at].next
    entry = queue.pool[at]
    entry.time = time
    entry.who = who
    entry.next = queue.narrow[place]
    queue.narrow[place] = at
    row.near += 1


def _open_narrow(queue: QueueArrays) -> None:
    """Sorts the next narrow bucket; what later ones speak of is fetched meanwhile."""
    row = queue.row
    row.narrow += 1
    if row.narrow % AT_ONCE == 0:
        _prefetch_coming(queue, row.narrow)
    at = queue.narrow[row.narrow]
    queue.narrow[row.narrow] = NONE
    while at != NONE:
        entry = queue.pool[at]
        following = entry.next
        _sift_in(queue, entry.time, entry.who)
        entry.next = row.pool_free
        row.pool_free = at
        row.near -= 1
        at = following


def _prefetch_coming(queue: QueueArrays, narrow: int) -> None:
    """Fetches what coming buckets speak of, of many at once: the waits for far memory and its addresses overlap."""
    for place in range(narrow + ENTRIES_DISTANCE, narrow + ENTRIES_DISTANCE + AT_ONCE):
        prefetch_entry(queue.pool, max(0, queue.narrow[place]))
    for place in range(narrow + ROWS_DISTANCE, narrow + ROWS_DISTANCE + AT_ONCE):
        _prefetch(queue, place, True)
    for place in range(narrow + SLOTS_DISTANCE, narrow + SLOTS_DISTANCE + AT_ONCE):
        _prefetch(queue, place, False)


def _prefetch(queue: QueueArrays, place: int, lasting: bool) -> None:
    """Fetches the rows that a narrow bucket speaks of: the lasting ones, or those in slots."""
    at = queue.narrow[place]
    while at != NONE:
        entry = queue.pool[at]
        if lasting:
            prefetch_row(queue.modules, entry.who)
            prefetch_row(queue.executions, entry.who)
        else:
            prefetch_slot(queue.modules, entry.who)
            prefetch_slot(queue.executions, entry.who)
        at = entry.next


# --- the heap --------------------------------------------------------------------------------------------------------


def _sift_in(queue: QueueArrays, time: float, who: int) -> None:
    heap = queue.heap
    hole = queue.row.sorted
    queue.row.sorted += 1
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


def _sift_down(queue: QueueArrays, time: float, who: int, size: int) -> None:
    """Puts an entry into the hole at the top."""
    heap = queue.heap
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
