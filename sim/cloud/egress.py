"""The bytes on their way: downloads share the cloud's egress, and modules of one cell share its air time.

Theory of operation
-------------------
Thousands of transfers run at once, and whenever one begins or ends the share of all others may change. Timing every
one anew each time costs the square of their number. Here they are put into classes, and a class is timed as a whole:

*Virtual time.* The members of a class run at one speed, a factor of each one's own rate: 1 where nothing is short.
The class has a clock that goes by that factor, in seconds at full rate. A transfer of `bits` that begins when the
clock shows c is complete when it shows c + bits / rate, however often the factor changes meanwhile; that end is
worked out once. Who is first in a class is therefore a matter of ends alone: a pairing heap, from which any member
can leave when its session breaks.

*Classes.* Transfers outside cells are classed by rate, 10 % wide, since the max-min share below depends on the rate;
those of one carrier of a cell form a class, since they share its air time. A class of a cell goes at min(1, air limit
/ sum of its members' shares).

*The egress.* It is shared max-min fairly: each transfer gets the smaller of its own rate and a water level, chosen so
that the egress is just full (`_water_level` finds it by rising until no further class is filled). A class whose mean
rate is above the level goes at level / mean rate: exact when its rates are equal, otherwise its members share in
proportion. While the demand fits (`short` is 0) the level is infinite, and a member that comes or goes concerns its
own class alone; only while the egress is short, and at the moment it ceases to be, are all classes retimed, and of
those only the ones whose factor changed.

*Who is next.* `queue` is a binary heap of the busy classes by `due_s`, when each one's first member is complete. A
class knows its place in it, so one that was retimed is moved, not searched. Equal times go to the lower owner, in
both heaps.

*Exactness.* While the factor is 1 the clock is kept as a difference to the time (`touched_s - clock`), so that a
transfer nobody hampers ends at began + bits / rate to the last bit, whatever happened around it; both engines add the
same numbers in the same order and get the same bits.

Plain functions over rows, the same for every engine; calls come in order of time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

RATE_CLASSES = 256
"""Classes by rate, 10 % wide: the last holds everything from 35 Gbit/s."""
_WIDTH = math.log(1.1)
NONE = -1


@dataclass(slots=True)
class Transfer:
    """One transfer under way: whose it is, at which rate, and its place in its class's heap."""

    owner: int = 0
    group: int = 0
    began_s: float = 0.0
    rate_bit_s: float = 0.0
    share: float = 0.0
    bits: float = 0.0
    end: float = 0.0
    """What the clock of its class shows when it is complete."""
    child: int = NONE
    sibling: int = NONE
    back: int = NONE


@dataclass(slots=True)
class Class:
    """Transfers that run at one speed: `clock` as it was `touched`, `factor` its speed, `due` its next finish."""

    count: int = 0
    rates: float = 0.0
    shares: float = 0.0
    own: float = 1.0
    factor: float = 1.0
    clock: float = 0.0
    touched_s: float = 0.0
    due_s: float = math.inf
    root: int = NONE
    place: int = 0


@dataclass(slots=True)
class Line:
    """The egress as a whole; `short` while it cannot give every transfer what it could take."""

    bit_s: float = math.inf
    air_limit: float = 1.0
    free: int = 0
    busy: int = 0
    short: int = 0
    total_bit_s: float = 0.0
    peak_bit_s: float = 0.0


class Egress(NamedTuple):
    """`line.bit_s` is shared max-min fairly, each transfer capped by its module's own rate.

    A class runs at the water level where that is below its mean rate, else at full rate: exact when the rates of a
    class are equal, otherwise its members share in proportion. A cell's class runs at min(1, air limit / sum of its
    members' air-time shares) on top. `queue` holds the busy classes by their next finish, `free` the free transfers.
    """

    line: Any
    transfers: Any
    classes: Any
    queue: Any
    free: Any


def egress(bit_s: float, slots: int, cells: int = 0, air_limit: float = 1.0) -> Egress:
    """An idle egress of Python rows for at most `slots` transfers at once."""
    classes = RATE_CLASSES + cells
    return Egress(
        Line(bit_s, air_limit, free=slots), [Transfer() for _ in range(slots)], [Class() for _ in range(classes)],
        [0] * classes, list(range(slots))[::-1],
    )  # fmt: skip


def start(e: Egress, owner: int, cell: int, share: float, size_bytes: float, rate_bit_s: float, now: float) -> int:
    """A transfer of `size_bytes` begins; its rate never exceeds `rate_bit_s`. Returns its number.

    `cell` is -1 outside cells; `share` is the part of the cell's air time the transfer takes at full rate.
    """
    e.line.free -= 1
    slot: int = e.free[e.line.free]
    group = RATE_CLASSES + cell if cell >= 0 else _rate_class(rate_bit_s)
    g, t = e.classes[group], e.transfers[slot]
    if g.count == 0:
        _open_class(e, group, now)
    _advance(g, now)
    t.owner = owner
    t.group = group
    t.began_s = now
    t.rate_bit_s = rate_bit_s
    t.share = share
    t.bits = 8.0 * size_bytes
    t.end = g.clock + t.bits / rate_bit_s
    t.child = t.sibling = t.back = NONE
    g.root = slot if g.root == NONE else _meld(e.transfers, g.root, slot)
    e.line.total_bit_s -= g.rates * g.own
    g.count += 1
    g.rates += rate_bit_s
    g.shares += share
    _retime(e, group, now)
    return slot


def stop(e: Egress, slot: int, now: float) -> float:
    """Ends a transfer early and returns the bytes it has delivered."""
    t = e.transfers[slot]
    g = e.classes[t.group]
    _advance(g, now)
    delivered = min(t.bits, max(0.0, t.bits - (t.end - g.clock) * t.rate_bit_s))
    _remove(e, slot, now)
    return float(delivered / 8.0)


def finish(e: Egress, slot: int, now: float) -> None:
    """A transfer is complete."""
    _advance(e.classes[e.transfers[slot].group], now)
    _remove(e, slot, now)


def next_at(e: Egress) -> float:
    """When the next transfer completes if nothing changes, or inf."""
    return float(e.classes[e.queue[0]].due_s) if e.line.busy > 0 else math.inf


def next_slot(e: Egress) -> int:
    """Which transfer completes at `next_at`."""
    return int(e.classes[e.queue[0]].root)


# --- classes ------------------------------------------------------------------------------------------------------


def _rate_class(rate_bit_s: float) -> int:
    return min(max(math.floor(math.log(rate_bit_s) / _WIDTH), 0), RATE_CLASSES - 1)


def _open_class(e: Egress, group: int, now: float) -> None:
    """A class with its first member: its clock shows the time, so finishes stay exact while nothing is short."""
    g = e.classes[group]
    g.clock = g.touched_s = now
    g.rates = g.shares = 0.0
    g.own = g.factor = 1.0
    g.root = NONE
    g.due_s = math.inf
    g.place = e.line.busy
    e.queue[e.line.busy] = group
    e.line.busy += 1


def _close_class(e: Egress, group: int) -> None:
    e.line.busy -= 1
    last, place = e.queue[e.line.busy], e.classes[group].place
    if last != group:
        e.queue[place] = last
        e.classes[last].place = place
        _settle(e, last)
    if e.line.busy == 0:
        e.line.total_bit_s = 0.0


def _advance(g: Any, now: float) -> None:
    if g.factor == 1.0:
        g.clock = now - (g.touched_s - g.clock)
    else:
        g.clock += (now - g.touched_s) * g.factor
    g.touched_s = now


def _remove(e: Egress, slot: int, now: float) -> None:
    """Takes a transfer out of its class, whose clock has been advanced."""
    t = e.transfers[slot]
    g = e.classes[t.group]
    g.root = _without(e.transfers, g.root, slot)
    e.free[e.line.free] = slot
    e.line.free += 1
    e.line.total_bit_s -= g.rates * g.own
    g.count -= 1
    g.rates -= t.rate_bit_s
    g.shares -= t.share
    if g.count == 0:
        _close_class(e, t.group)
    _retime(e, t.group, now)


def _retime(e: Egress, group: int, now: float) -> None:
    """The members of a class changed: its share of the air, the water level and the next finishes."""
    line, g = e.line, e.classes[group]
    if g.count > 0:
        g.own = 1.0
        if group >= RATE_CLASSES and g.shares > line.air_limit:
            g.own = line.air_limit / g.shares
        line.total_bit_s += g.rates * g.own
    line.peak_bit_s = max(line.peak_bit_s, min(line.total_bit_s, line.bit_s))
    if line.total_bit_s > line.bit_s * (1.0 + 1e-12):
        line.short = 1
        _retime_all(e, _water_level(e), group, now)
    elif line.short:
        line.short = 0
        _retime_all(e, math.inf, group, now)
    elif g.count > 0:
        _pace(e, group, g.own, now)
        _settle(e, group)


def _water_level(e: Egress) -> float:
    """The rate at which the transfers that want more are held, so that the egress is just full."""
    level, before = 0.0, NONE
    while True:
        left, waiting, full = e.line.bit_s, 0, 0
        for i in range(e.line.busy):
            g = e.classes[e.queue[i]]
            rates = g.rates * g.own
            if rates <= level * g.count:
                left -= rates
                full += 1
            else:
                waiting += g.count
        if full == before or waiting == 0:
            return level
        before, level = full, left / waiting


def _retime_all(e: Egress, level: float, changed: int, now: float) -> None:
    """A new water level: the classes it holds back, or has held back, go at another speed."""
    for i in range(e.line.busy):
        group = e.queue[i]
        g = e.classes[group]
        factor = g.own * min(1.0, level * g.count / (g.rates * g.own))
        if factor != g.factor or group == changed:
            _advance(g, now)
            _pace(e, group, factor, now)
    for i in range(e.line.busy // 2 - 1, -1, -1):
        _sink(e, i)


def _pace(e: Egress, group: int, factor: float, now: float) -> None:
    """Sets the speed of a class's clock, shown at `now`, and with it when its first member is complete."""
    g = e.classes[group]
    g.factor = factor
    end = e.transfers[g.root].end
    due_s = end + (g.touched_s - g.clock) if factor == 1.0 else now + (end - g.clock) / factor
    g.due_s = max(due_s, now)


# --- the classes by their next finish: a binary heap that knows everyone's place --------------------------------------


def _sooner(e: Egress, a: int, b: int) -> bool:
    x, y = e.classes[a], e.classes[b]
    if x.due_s != y.due_s:
        return bool(x.due_s < y.due_s)
    return bool(e.transfers[x.root].owner < e.transfers[y.root].owner)


def _settle(e: Egress, group: int) -> None:
    """Moves a class whose next finish has changed to its place."""
    place = e.classes[group].place
    while place > 0:
        above = (place - 1) // 2
        if not _sooner(e, group, e.queue[above]):
            break
        _put(e, place, e.queue[above])
        place = above
    _put(e, place, group)
    _sink(e, place)


def _sink(e: Egress, place: int) -> None:
    group = e.queue[place]
    while True:
        below = 2 * place + 1
        if below >= e.line.busy:
            break
        if below + 1 < e.line.busy and _sooner(e, e.queue[below + 1], e.queue[below]):
            below += 1
        if not _sooner(e, e.queue[below], group):
            break
        _put(e, place, e.queue[below])
        place = below
    _put(e, place, group)


def _put(e: Egress, place: int, group: int) -> None:
    e.queue[place] = group
    e.classes[group].place = place


# --- the members of a class by their end: a pairing heap, so that any member can leave --------------------------------


def _meld(ts: Any, a: int, b: int) -> int:
    """Joins two heaps and returns the root; at equal ends the lower owner comes first."""
    x, y = ts[a], ts[b]
    if y.end < x.end or (y.end == x.end and y.owner < x.owner):
        a, b = b, a
        x, y = y, x
    y.sibling = x.child
    if x.child != NONE:
        ts[x.child].back = b
    x.child = b
    y.back = a
    return a


def _without(ts: Any, root: int, slot: int) -> int:
    """The heap without one of its members."""
    t = ts[slot]
    rest = _pairs(ts, t.child)
    if slot == root:
        return rest
    if ts[t.back].child == slot:
        ts[t.back].child = t.sibling
    else:
        ts[t.back].sibling = t.sibling
    if t.sibling != NONE:
        ts[t.sibling].back = t.back
    return root if rest == NONE else _meld(ts, root, rest)


def _pairs(ts: Any, first: int) -> int:
    """Joins a list of siblings to one heap: pairs from left to right, then all from right to left."""
    done = NONE
    while first != NONE:
        second = ts[first].sibling
        after, pair = NONE, first
        ts[first].sibling = NONE
        if second != NONE:
            after = ts[second].sibling
            ts[second].sibling = NONE
            pair = _meld(ts, first, second)
        ts[pair].sibling = done
        done = pair
        first = after
    root = done
    if root != NONE:
        done = ts[root].sibling
        ts[root].sibling = NONE
        while done != NONE:
            after = ts[done].sibling
            ts[done].sibling = NONE
            root = _meld(ts, root, done)
            done = after
        ts[root].back = NONE
    return root
