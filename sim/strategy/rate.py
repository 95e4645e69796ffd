"""The release rate: so many modules in a minute, constant or growing (definition 5).

At most floor(rate) releases in any minute aligned to the start of the plan, spread evenly inside the minute. The rate
is min(maximum_per_minute, base x factor^k); k grows by one as soon as (k+1) x number_of_notified modules are notified
or (k+1) x number_of_succeeded have succeeded (AWS IoT Jobs, whose guide's example 50, 2, 1000 gives 50/100/200/400).
A new rate holds from the next minute on. Growth ends at the maximum, or at a million a minute where none is set.
"""

from __future__ import annotations

import math

from sim.strategy.progress import Progress
from sim.strategy.settings import Settings

MINUTE_S = 60.0
MOST_PER_MINUTE = 1e6
"""Where growth without a maximum ends: faster than any cloud, and far from what a number can hold."""


def unlimited(r: Settings) -> bool:
    """Whether no rate is set."""
    return r.maximum_per_minute == math.inf and r.base_rate_per_minute <= 0.0


def per_minute(r: Settings, step: int) -> float:
    """The rate at step k, modules per minute."""
    if r.base_rate_per_minute <= 0.0:
        return r.maximum_per_minute
    return min(_limit(r), r.base_rate_per_minute * math.pow(r.increment_factor, step))


def step_due(r: Settings, c: Progress) -> bool:
    """Whether the rate has earned its next step, and has one."""
    if r.base_rate_per_minute <= 0.0 or per_minute(r, c.rate_step) >= _limit(r):
        return False
    due = c.rate_step + 1
    by_notified = r.number_of_notified > 0 and c.notified >= due * r.number_of_notified
    return by_notified or (r.number_of_succeeded > 0 and c.succeeded >= due * r.number_of_succeeded)


def next_slot_s(r: Settings, c: Progress, now: float) -> float:
    """The earliest moment, not before `now`, at which one more module may be released."""
    if unlimited(r):
        return now
    minute = math.floor((now - c.start_s) / MINUTE_S)
    if minute > c.minute:
        _begin_minute(r, c, minute)
    elif now <= c.start_s + c.minute * MINUTE_S and c.minute_next == 0:
        _begin_minute(r, c, c.minute)  # looked at ahead of time; the rate may have grown meanwhile
    at = _slot_s(c)
    if at < now:  # what a pause, a window or a full house left unused is not made up for
        c.minute_next = math.ceil((now - c.start_s - c.minute * MINUTE_S) * c.minute_slots / MINUTE_S - 1e-9)
        at = max(now, _slot_s(c))
    if c.minute_next >= c.minute_slots:
        _begin_minute(r, c, c.minute + 1)
        at = _slot_s(c)
    return at


def take(c: Progress) -> None:
    """One slot of the minute is used."""
    c.minute_next += 1


def _limit(r: Settings) -> float:
    return min(r.maximum_per_minute, MOST_PER_MINUTE)


def _begin_minute(r: Settings, c: Progress, minute: int) -> None:
    c.minute, c.minute_next = minute, 0
    c.minute_slots = math.floor(per_minute(r, c.rate_step) + 1e-9)


def _slot_s(c: Progress) -> float:
    return c.start_s + c.minute * MINUTE_S + c.minute_next * MINUTE_S / c.minute_slots
