"""Outages: times in which a module has no cloud, no network or no power, together with others of its place."""

from __future__ import annotations

import math

from sim.module.profile import Profile
from sim.module.rows import INF, ModuleRow, OutageKind


def until_s(m: ModuleRow, p: Profile, now: float, least_kind: int) -> float:
    """When the outages that hold the module at `now` are over, or `now` when there is none; of this kind or a later one."""
    end = now
    for i in range(int(p.outage_count)):
        if (m.outages >> i) & 1 and p.outage_kind[i] >= least_kind and now >= p.outage_start_s[i]:
            end = max(end, _latest_start_s(p, i, now) + p.outage_lasts_s[i])
    return end


def next_start_s(m: ModuleRow, p: Profile, now: float) -> float:
    """When the next outage of the module begins after `now`, or inf."""
    first = INF
    for i in range(int(p.outage_count)):
        if (m.outages >> i) & 1:
            start = p.outage_start_s[i]
            if start <= now:
                start = _latest_start_s(p, i, now) + p.outage_every_s[i] if p.outage_every_s[i] > 0.0 else INF
            first = min(first, start)
    return first


def is_out(m: ModuleRow, p: Profile, now: float) -> bool:
    """Whether the module cannot reach the cloud at `now`."""
    return m.outages != 0 and until_s(m, p, now, OutageKind.CLOUD) > now


def _latest_start_s(p: Profile, i: int, now: float) -> float:
    """When outage `i` last began at or before `now`."""
    every = p.outage_every_s[i]
    if every <= 0.0:
        return p.outage_start_s[i]
    return p.outage_start_s[i] + math.floor((now - p.outage_start_s[i]) / every) * every
