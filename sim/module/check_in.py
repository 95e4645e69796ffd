"""When a module comes online: always, periodically, at random, by the hours of the day, or asleep in between.

A fleet is found in mid-life at activation: whoever is awake at that moment is online already (`first_check_in_s`).
"""

from __future__ import annotations

import math

from sim import draws
from sim.draws import lognormal, normal, pair, uniform
from sim.module import rows
from sim.module.battery import TRIP_SIGMA
from sim.module.profile import Profile
from sim.module.rows import INF, ModuleRow
from sim.named_enum import numbers

Purpose = numbers(draws.Purpose)
CheckIn = numbers(rows.CheckIn)

DAY_S = 86400.0
_CLOCKS_MOVE_S = 3.0 * 3600.0
"""Clocks change by no more than that."""
_FARTHEST_SD = 6.0
"""A trip begins at most so many standard deviations from its peak: all but one in 500 million do."""
_LONGEST_TRIP = 3.5
"""A trip is at most so many times its median: all but one in 60,000 are shorter."""
LINGER_S = 60.0
"""A module that is back in the middle of things, or still at work, looks again after so long whether to sleep."""


def first_check_in_s(row: ModuleRow, profile: Profile, now: float) -> float:
    """When the module is online for the first time at or after `now` (and after its absence, if it is away), or inf.

    A session that is under way at that moment counts: the time is then the moment itself. Also sets how long the
    module stays (`row.session_end_s`).
    """
    earliest = max(now, row.away_until_s)
    if profile.check_in == CheckIn.ALWAYS:
        row.session_end_s = INF
        return earliest
    if profile.check_in == CheckIn.POISSON:
        return _first_at_random_s(row, profile, earliest)
    if profile.check_in == CheckIn.DIURNAL:
        return max(earliest, _next_trip_s(row, profile, earliest, under_way=True))
    reach_s = profile.awake_s + profile.check_in_jitter_s + _CLOCKS_MOVE_S
    row.check_ins = math.floor((earliest - reach_s - _phase_s(row, profile)) / profile.check_in_every_s)
    return max(earliest, _next_period_s(row, profile, earliest - profile.awake_s))


def next_check_in_s(row: ModuleRow, profile: Profile, now: float) -> float:
    """The next time after `now` at which the module comes online by itself, or inf.

    `row.check_ins` counts the occasions looked at so far, so that each has a draw of its own. Also sets how long the
    module stays (`row.session_end_s`).
    """
    if profile.check_in == CheckIn.ALWAYS:
        row.session_end_s = INF
        return now + profile.check_in_every_s
    if profile.check_in == CheckIn.POISSON:
        start = now + _pause_s(row, profile)
        row.session_end_s = start + profile.awake_s
        return start
    if profile.check_in == CheckIn.DIURNAL:
        return _next_trip_s(row, profile, now, under_way=False)
    return _next_period_s(row, profile, now)


def asleep_at_s(row: ModuleRow, profile: Profile, now: float) -> float:
    """When a module that has just connected looks whether its session is over.

    A vehicle stays to the end of its trip; parked, it keeps its supply until what it has to report is out.
    """
    if profile.check_in == CheckIn.ALWAYS:
        return now + profile.check_in_every_s
    if profile.check_in == CheckIn.DIURNAL and row.cached == 0:
        return max(row.session_end_s, now)
    return max(row.session_end_s, now + min(profile.awake_s, LINGER_S))


def next_poll_s(row: ModuleRow, profile: Profile) -> float:
    """Time to the next report of a module that is always online: its interval, moved by the jitter either way."""
    if profile.poll_jitter <= 0.0:
        return profile.check_in_every_s
    unit = uniform(profile.key_0, profile.key_1, row.identity, Purpose.POLL, row.sessions)
    return profile.check_in_every_s * (1.0 + profile.poll_jitter * (2.0 * unit - 1.0))


def _first_at_random_s(row: ModuleRow, profile: Profile, earliest: float) -> float:
    """At a random moment of its life a module is awake for awake / mean of the time, at any point of its session."""
    unit = uniform(profile.key_0, profile.key_1, row.identity, Purpose.CHECK_IN, 0)
    into_s = unit * profile.check_in_every_s
    start = earliest if into_s < profile.awake_s else earliest + _pause_s(row, profile)
    row.session_end_s = start + profile.awake_s - (into_s if into_s < profile.awake_s else 0.0)
    return start


def _pause_s(row: ModuleRow, profile: Profile) -> float:
    """Time asleep between two check-ins at random: exponential, so that check-ins are their mean time apart."""
    row.check_ins += 1
    unit = uniform(profile.key_0, profile.key_1, row.identity, Purpose.CHECK_IN, row.check_ins)
    return -(profile.check_in_every_s - profile.awake_s) * math.log(unit)


def _phase_s(row: ModuleRow, profile: Profile) -> float:
    """When the mean check-in number 0 is due: at the module's own phase, or at the time of day that is set."""
    if profile.check_in_at_s == profile.check_in_at_s:
        since_midnight_s = profile.check_in_at_s + profile.check_in_spread_s * normal(row.phase)
        return (since_midnight_s - profile.zone_day_start_s[row.zone]) % profile.check_in_every_s
    return row.phase * profile.check_in_every_s


def _at_local_s(row: ModuleRow, profile: Profile, local_s: float) -> float:
    """When the module's local clock shows `local_s`, counted on that clock from activation.

    Of a time that comes twice the first, of one that the clocks skip what it is by the offset before.
    """
    shift = 0.0
    for i in range(int(profile.zone_changes[row.zone])):
        at, after = profile.zone_change_at_s[row.zone][i], profile.zone_shift_s[row.zone][i]
        if local_s - max(shift, after) < at:
            break
        shift = after
    return local_s - shift


def _next_period_s(row: ModuleRow, profile: Profile, after: float) -> float:
    """Fixed period with the module's own phase; each occasion is moved by the jitter, uniformly either way.

    With a time of day the period is one of the local clock: the same time every day, also after the clocks have changed.
    """
    every, phase, by_clock = (
        profile.check_in_every_s,
        _phase_s(row, profile),
        profile.check_in_at_s == profile.check_in_at_s,
    )
    reach_s = profile.check_in_jitter_s + (_CLOCKS_MOVE_S if by_clock else 0.0)
    number = max(row.check_ins, math.floor((after - reach_s - phase) / every))
    while True:
        unit = uniform(profile.key_0, profile.key_1, row.identity, Purpose.CHECK_IN, number)
        due = phase + number * every
        start = (_at_local_s(row, profile, due) if by_clock else due) + profile.check_in_jitter_s * (2.0 * unit - 1.0)
        number += 1
        if start > after:
            row.check_ins = number
            row.session_end_s = start + profile.awake_s
            return start


def _next_trip_s(row: ModuleRow, profile: Profile, after: float, under_way: bool) -> float:
    """One possible trip per peak and day, taken with `trip_probability`, normally spread around the peak.

    Trips that overlap are one, from the first start to the last end. With `under_way` a trip that has begun and goes
    on counts as well.
    """
    reach_s = _FARTHEST_SD * profile.check_in_spread_s + (_CLOCKS_MOVE_S if profile.zone_changes[row.zone] > 0 else 0.0)
    longest_s = _LONGEST_TRIP * profile.online_s if under_way else 0.0
    first = math.floor((after + profile.zone_day_start_s[row.zone] - reach_s - longest_s) / DAY_S) * profile.peaks
    best, end = INF, 0.0
    for number in range(first, first + 1000 * profile.peaks):
        if _day_s(row, profile, number) - reach_s > best:
            break  # no later day has an earlier trip
        start, until = _trip(row, profile, number)
        if start < best and (start > after or (under_way and until > after)):
            best, end = start, until
    if best == INF:
        return INF
    longer = True
    while longer:
        longer, number = False, first
        while _day_s(row, profile, number) - reach_s <= end:
            start, until = _trip(row, profile, number)
            if best < start <= end < until:
                longer, end = True, until
            number += 1
    row.session_end_s = end
    return best


def _day_s(row: ModuleRow, profile: Profile, number: int) -> float:
    """When the local day of possible trip `number` begins, as if the clocks never changed."""
    return (number // profile.peaks) * DAY_S - profile.zone_day_start_s[row.zone]


def _trip(row: ModuleRow, profile: Profile, number: int) -> tuple[float, float]:
    """Start and end of possible trip `number`, (inf, inf) where it is not taken."""
    unit, other = pair(profile.key_0, profile.key_1, row.identity, Purpose.CHECK_IN, number)
    if unit >= profile.trip_probability:
        return INF, INF
    local_s = _day_s(row, profile, number) + profile.peaks_s[number % profile.peaks]
    start = _at_local_s(row, profile, local_s) + profile.check_in_spread_s * normal(unit / profile.trip_probability)
    return start, start + lognormal(other, profile.online_s, TRIP_SIGMA)
