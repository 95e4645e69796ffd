"""The bytes on their way: downloads share the cloud's egress, and modules of one cell share its air time.

Transfers of similar rate form a class with a virtual clock of its own, in seconds at full rate; the members of a cell
form one class too. A class is looked at only when one of its members comes or goes; only when the egress is short are
all classes timed anew. Plain functions over arrays (or lists), the same for every engine; calls come in order of time.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

RATE_CLASSES = 256
"""Classes by rate, 10 % wide: the last holds everything from 35 Gbit/s."""
_WIDTH = math.log(1.1)
NONE = -1


class Egress(NamedTuple):
    """`bit_s` is shared max-min fairly, each transfer capped by its module's own rate.

    A class runs at the water level where that is below its mean rate, else at full rate: exact when the rates of a
    class are equal, otherwise its members share in proportion. A cell's class runs at min(1, limit / sum of its
    members' air-time shares) on top. Arrays by transfer slot, by class, and single numbers in arrays of one.
    """

    bit_s: float
    air_limit: float
    # by slot
    owner: Any
    group: Any
    rate: Any
    share: Any
    end: Any
    bits: Any
    child: Any
    sibling: Any
    back: Any
    free: Any
    # by class
    count: Any
    rates: Any
    shares: Any
    own: Any
    factor: Any
    clock: Any
    touched: Any
    due: Any
    root: Any
    place: Any
    queue: Any
    # single numbers
    free_count: Any
    busy: Any
    short: Any
    total_bit_s: Any
    peak_bit_s: Any


def egress(bit_s: float, slots: int, cells: int, air_limit: float, floats: Any, ints: Any) -> Egress:
    """An idle egress for at most `slots` transfers at once; `floats(n)` and `ints(n)` make zeroed arrays."""
    classes = RATE_CLASSES + cells
    e = Egress(
        bit_s, air_limit,
        ints(slots), ints(slots), floats(slots), floats(slots), floats(slots), floats(slots), ints(slots), ints(slots),
        ints(slots), ints(slots),
        ints(classes), floats(classes), floats(classes), floats(classes), floats(classes), floats(classes),
        floats(classes), floats(classes), ints(classes), ints(classes), ints(classes),
        ints(1), ints(1), ints(1), floats(1), floats(1),
    )  # fmt: skip
    for slot in range(slots):
        e.free[slot] = slots - 1 - slot
    e.free_count[0] = slots
    return e


def start(e: Egress, owner: int, cell: int, share: float, size_bytes: float, rate_bit_s: float, now: float) -> int:
    """A transfer of `size_bytes` begins; its rate never exceeds `rate_bit_s`. Returns its slot.

    `cell` is -1 outside cells; `share` is the part of the cell's air time the transfer takes at full rate.
    """
    e.free_count[0] -= 1
    slot: int = e.free[e.free_count[0]]
    group = RATE_CLASSES + cell if cell >= 0 else _rate_class(rate_bit_s)
    if e.count[group] == 0:
        _open_class(e, group, now)
    _advance(e, group, now)
    bits = 8.0 * size_bytes
    e.owner[slot], e.group[slot], e.rate[slot], e.share[slot], e.bits[slot] = owner, group, rate_bit_s, share, bits
    e.end[slot] = e.clock[group] + bits / rate_bit_s
    e.child[slot] = e.sibling[slot] = e.back[slot] = NONE
    e.root[group] = slot if e.root[group] == NONE else _meld(e, e.root[group], slot)
    e.total_bit_s[0] -= e.rates[group] * e.own[group]
    e.count[group] += 1
    e.rates[group] += rate_bit_s
    e.shares[group] += share
    _retime(e, group, now)
    return slot


def stop(e: Egress, slot: int, now: float) -> float:
    """Ends a transfer early and returns the bytes it has delivered."""
    group = e.group[slot]
    _advance(e, group, now)
    bits = e.bits[slot]
    delivered = min(bits, max(0.0, bits - (e.end[slot] - e.clock[group]) * e.rate[slot]))
    _remove(e, slot, now)
    return float(delivered / 8.0)


def finish(e: Egress, slot: int, now: float) -> None:
    """A transfer is complete."""
    _advance(e, e.group[slot], now)
    _remove(e, slot, now)


def next_at(e: Egress) -> float:
    """When the next transfer completes if nothing changes, or inf."""
    at: float = e.due[e.queue[0]] if e.busy[0] > 0 else math.inf
    return at


def next_slot(e: Egress) -> int:
    """Which transfer completes at `next_at`."""
    slot: int = e.root[e.queue[0]]
    return slot


def load_bit_s(e: Egress) -> float:
    """What is being delivered now."""
    return float(min(e.total_bit_s[0], e.bit_s))


# --- classes ------------------------------------------------------------------------------------------------------


def _rate_class(rate_bit_s: float) -> int:
    return min(max(math.floor(math.log(rate_bit_s) / _WIDTH), 0), RATE_CLASSES - 1)


def _open_class(e: Egress, group: int, now: float) -> None:
    """A class with its first member: its clock shows the time, so finishes stay exact while nothing is short."""
    e.clock[group] = e.touched[group] = now
    e.rates[group] = e.shares[group] = 0.0
    e.own[group] = e.factor[group] = 1.0
    e.root[group] = NONE
    e.due[group] = math.inf
    e.place[group] = e.busy[0]
    e.queue[e.busy[0]] = group
    e.busy[0] += 1


def _close_class(e: Egress, group: int) -> None:
    e.busy[0] -= 1
    last, place = e.queue[e.busy[0]], e.place[group]
    if last != group:
        e.queue[place] = last
        e.place[last] = place
        _settle(e, last)
    if e.busy[0] == 0:
        e.total_bit_s[0] = 0.0


def _advance(e: Egress, group: int, now: float) -> None:
    if e.factor[group] == 1.0:
        e.clock[group] = now - (e.touched[group] - e.clock[group])
    else:
        e.clock[group] += (now - e.touched[group]) * e.factor[group]
    e.touched[group] = now


def _remove(e: Egress, slot: int, now: float) -> None:
    """Takes a transfer out of its class, whose clock has been advanced."""
    group = e.group[slot]
    e.root[group] = _without(e, e.root[group], slot)
    e.free[e.free_count[0]] = slot
    e.free_count[0] += 1
    e.total_bit_s[0] -= e.rates[group] * e.own[group]
    e.count[group] -= 1
    e.rates[group] -= e.rate[slot]
    e.shares[group] -= e.share[slot]
    if e.count[group] == 0:
        _close_class(e, group)
    _retime(e, group, now)


def _retime(e: Egress, group: int, now: float) -> None:
    """The members of a class changed: its share of the air, the water level and the next finishes."""
    if e.count[group] > 0:
        own = 1.0
        if group >= RATE_CLASSES and e.shares[group] > e.air_limit:
            own = e.air_limit / e.shares[group]
        e.own[group] = own
        e.total_bit_s[0] += e.rates[group] * own
    total = e.total_bit_s[0]
    e.peak_bit_s[0] = max(e.peak_bit_s[0], min(total, e.bit_s))
    if total > e.bit_s * (1.0 + 1e-12):
        e.short[0] = 1
        _retime_all(e, _water_level(e), group, now)
    elif e.short[0]:
        e.short[0] = 0
        _retime_all(e, math.inf, group, now)
    elif e.count[group] > 0:
        _pace(e, group, e.own[group], now)
        _settle(e, group)


def _water_level(e: Egress) -> float:
    """The rate at which the transfers that want more are held, so that the egress is just full."""
    level, before = 0.0, NONE
    while True:
        left, waiting, full = e.bit_s, 0, 0
        for i in range(e.busy[0]):
            group = e.queue[i]
            rates = e.rates[group] * e.own[group]
            if rates <= level * e.count[group]:
                left -= rates
                full += 1
            else:
                waiting += e.count[group]
        if full == before or waiting == 0:
            return level
        before, level = full, left / waiting


def _retime_all(e: Egress, level: float, changed: int, now: float) -> None:
    """A new water level: the classes it holds back, or has held back, go at another speed."""
    for i in range(e.busy[0]):
        group = e.queue[i]
        factor = e.own[group] * min(1.0, level * e.count[group] / (e.rates[group] * e.own[group]))
        if factor != e.factor[group] or group == changed:
            _advance(e, group, now)
            _pace(e, group, factor, now)
    for i in range(e.busy[0] // 2 - 1, -1, -1):
        _sink(e, i)


def _pace(e: Egress, group: int, factor: float, now: float) -> None:
    """Sets the speed of a class's clock, shown at `now`, and with it when its first member is complete."""
    e.factor[group] = factor
    end = e.end[e.root[group]]
    if factor == 1.0:
        e.due[group] = end + (e.touched[group] - e.clock[group])
    else:
        e.due[group] = now + (end - e.clock[group]) / factor
    e.due[group] = max(e.due[group], now)


# --- the classes by their next finish: a binary heap that knows everyone's place --------------------------------------


def _sooner(e: Egress, a: int, b: int) -> bool:
    if e.due[a] != e.due[b]:
        return bool(e.due[a] < e.due[b])
    return bool(e.owner[e.root[a]] < e.owner[e.root[b]])


def _settle(e: Egress, group: int) -> None:
    """Moves a class whose next finish has changed to its place."""
    place = e.place[group]
    while place > 0:
        above = (place - 1) // 2
        if not _sooner(e, group, e.queue[above]):
            break
        e.queue[place] = e.queue[above]
        e.place[e.queue[place]] = place
        place = above
    e.queue[place] = group
    e.place[group] = place
    _sink(e, place)


def _sink(e: Egress, place: int) -> None:
    group = e.queue[place]
    while True:
        below = 2 * place + 1
        if below >= e.busy[0]:
            break
        if below + 1 < e.busy[0] and _sooner(e, e.queue[below + 1], e.queue[below]):
            below += 1
        if not _sooner(e, e.queue[below], group):
            break
        e.queue[place] = e.queue[below]
        e.place[e.queue[place]] = place
        place = below
    e.queue[place] = group
    e.place[group] = place


# --- the members of a class by their end: a pairing heap, so that any member can leave --------------------------------


def _meld(e: Egress, a: int, b: int) -> int:
    """Joins two heaps and returns the root; at equal ends the lower owner comes first."""
    if e.end[b] < e.end[a] or (e.end[b] == e.end[a] and e.owner[b] < e.owner[a]):
        a, b = b, a
    first = e.child[a]
    e.sibling[b] = first
    if first != NONE:
        e.back[first] = b
    e.child[a] = b
    e.back[b] = a
    return a


def _without(e: Egress, root: int, slot: int) -> int:
    """The heap without one of its members."""
    rest = _pairs(e, e.child[slot])
    if slot == root:
        return rest
    before, after = e.back[slot], e.sibling[slot]
    if e.child[before] == slot:
        e.child[before] = after
    else:
        e.sibling[before] = after
    if after != NONE:
        e.back[after] = before
    return root if rest == NONE else _meld(e, root, rest)


def _pairs(e: Egress, first: int) -> int:
    """Joins a list of siblings to one heap: pairs from left to right, then all from right to left."""
    done = NONE
    while first != NONE:
        second = e.sibling[first]
        after = NONE
        pair = first
        e.sibling[first] = NONE
        if second != NONE:
            after = e.sibling[second]
            e.sibling[second] = NONE
            pair = _meld(e, first, second)
        e.sibling[pair] = done
        done = pair
        first = after
    root = done
    if root != NONE:
        done = e.sibling[root]
        e.sibling[root] = NONE
        while done != NONE:
            after = e.sibling[done]
            e.sibling[done] = NONE
            root = _meld(e, root, done)
            done = after
        e.back[root] = NONE
    return root
