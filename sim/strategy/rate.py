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


def unlimited(settings: Settings) -> bool:
    """Whether no rate is set."""
    return settings.maximum_per_minute == math.inf and settings.base_rate_per_minute <= 0.0


def per_minute(settings: Settings, step: int) -> float:
    """The rate at step k, modules per minute."""
    if settings.base_rate_per_minute <= 0.0:
        return settings.maximum_per_minute
    return min(_limit(settings), settings.base_rate_per_minute * math.pow(settings.increment_factor, step))


def step_due(settings: Settings, progress: Progress) -> bool:
    """Whether the rate has earned its next step, and has one."""
    if settings.base_rate_per_minute <= 0.0 or per_minute(settings, progress.rate_step) >= _limit(settings):
        return False
    due = progress.rate_step + 1
    by_notified = settings.number_of_notified > 0 and progress.notified >= due * settings.number_of_notified
    return by_notified or (
        settings.number_of_succeeded > 0 and progress.succeeded >= due * settings.number_of_succeeded
    )


def next_slot_s(settings: Settings, progress: Progress, now: float) -> float:
    """The earliest moment, not before `now`, at which one more module may be released."""
    if unlimited(settings):
        return now
    minute = math.floor((now - progress.start_s) / MINUTE_S)
    if minute > progress.minute:
        _begin_minute(settings, progress, minute)
    elif now <= progress.start_s + progress.minute * MINUTE_S and progress.minute_next == 0:
        _begin_minute(settings, progress, progress.minute)  # looked at ahead of time; the rate may have grown meanwhile
    at = _slot_s(progress)
    if at < now:  # what a pause, a window or a full house left unused is not made up for
        progress.minute_next = math.ceil(
            (now - progress.start_s - progress.minute * MINUTE_S) * progress.minute_slots / MINUTE_S - 1e-9
        )
        at = max(now, _slot_s(progress))
    if progress.minute_next >= progress.minute_slots:
        _begin_minute(settings, progress, progress.minute + 1)
        at = _slot_s(progress)
    return at


def take(progress: Progress) -> None:
    """One slot of the minute is used."""
    progress.minute_next += 1


def _limit(settings: Settings) -> float:
    return min(settings.maximum_per_minute, MOST_PER_MINUTE)


def _begin_minute(settings: Settings, progress: Progress, minute: int) -> None:
    progress.minute, progress.minute_next = minute, 0
    progress.minute_slots = math.floor(per_minute(settings, progress.rate_step) + 1e-9)


def _slot_s(progress: Progress) -> float:
    return progress.start_s + progress.minute * MINUTE_S + progress.minute_next * MINUTE_S / progress.minute_slots
