"""When a module comes online: always, periodically, at random, by the hours of the day, or asleep in between."""

from __future__ import annotations

import math

from sim.draws import Purpose, lognormal, normal, pair, uniform
from sim.module.profile import Profile
from sim.module.rows import INF, CheckIn, ModuleRow

DAY_S = 86400.0
_TRIP_SIGMA = 0.3


def next_check_in_s(m: ModuleRow, p: Profile, now: float) -> float:
    """The next time after `now` at which the module comes online by itself, or inf.

    `m.check_ins` counts the occasions looked at so far, so that each has a draw of its own. Also sets how long the
    module stays (`m.session_end_s`).
    """
    earliest = max(now, m.away_until_s)
    if p.check_in == CheckIn.ALWAYS:
        m.session_end_s = INF
        return earliest if earliest > now else now + p.check_in_every_s
    if p.check_in == CheckIn.POISSON:
        start = earliest + _interval(m, p)
    elif p.check_in == CheckIn.DIURNAL:
        return _next_trip_s(m, p, earliest)
    else:
        start = _next_period_s(m, p, earliest)
    m.session_end_s = start + p.awake_s
    return start


def next_poll_s(m: ModuleRow, p: Profile) -> float:
    """Time to the next report of a module that is always online: its interval, moved by the jitter either way."""
    if p.poll_jitter <= 0.0:
        return p.check_in_every_s
    unit = uniform(p.key_0, p.key_1, m.index, Purpose.POLL, m.sessions)
    return p.check_in_every_s * (1.0 + p.poll_jitter * (2.0 * unit - 1.0))


def _interval(m: ModuleRow, p: Profile) -> float:
    m.check_ins += 1
    unit = uniform(p.key_0, p.key_1, m.index, Purpose.CHECK_IN, m.check_ins)
    return -p.check_in_every_s * math.log(unit)


def _next_period_s(m: ModuleRow, p: Profile, earliest: float) -> float:
    """Fixed period with the module's own phase; each occasion is moved by the jitter, uniformly either way."""
    every = p.check_in_every_s
    phase = m.phase * every
    if p.check_in_at_s == p.check_in_at_s:  # a time of day is set
        phase = (p.check_in_at_s - p.day_start_s + p.check_in_spread_s * normal(m.phase)) % every
    number = max(m.check_ins, int(max(0.0, earliest - phase) / every))
    while True:
        unit = uniform(p.key_0, p.key_1, m.index, Purpose.CHECK_IN, number)
        start = phase + number * every + p.check_in_jitter_s * (2.0 * unit - 1.0)
        number += 1
        if start > earliest or (start == earliest == 0.0):
            m.check_ins = number
            return start


def _next_trip_s(m: ModuleRow, p: Profile, earliest: float) -> float:
    """One possible trip per peak and day, taken with `trip_probability`, normally spread around the peak."""
    peaks = p.peaks
    slot = max(m.check_ins, int((earliest + p.day_start_s) / DAY_S - 1.0) * peaks)
    for number in range(slot, slot + 1000 * peaks):
        first, second = pair(p.key_0, p.key_1, m.index, Purpose.CHECK_IN, number)
        if first >= p.trip_probability:
            continue
        day = number // peaks
        peak = p.peaks_s[number % peaks]
        start = day * DAY_S + peak - p.day_start_s + p.check_in_spread_s * normal(first / p.trip_probability)
        end = start + lognormal(second, p.online_s, _TRIP_SIGMA)
        if start > earliest:
            m.check_ins = number + 1
            m.session_end_s = end
            return start
    return INF
