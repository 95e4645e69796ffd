"""Outages: times in which a module has no cloud, no network or no power, together with others of its place."""

from __future__ import annotations

import math

from sim.module.profile import Profile
from sim.module.rows import INF, ModuleRow, OutageKind


def until_s(row: ModuleRow, profile: Profile, now: float, least_kind: int) -> float:
    """When the outages that hold the module at `now` are over, or `now` when there is none; of this kind or a later one."""
    end = now
    for i in range(int(profile.outage_count)):
        if (row.outages >> i) & 1 and profile.outage_kind[i] >= least_kind and now >= profile.outage_start_s[i]:
            end = max(end, _latest_start_s(profile, i, now) + profile.outage_lasts_s[i])
    return end


def next_start_s(row: ModuleRow, profile: Profile, now: float) -> float:
    """When the next outage of the module begins after `now`, or inf."""
    first = INF
    for i in range(int(profile.outage_count)):
        if (row.outages >> i) & 1:
            start = profile.outage_start_s[i]
            if start <= now:
                start = (
                    _latest_start_s(profile, i, now) + profile.outage_every_s[i]
                    if profile.outage_every_s[i] > 0.0
                    else INF
                )
            first = min(first, start)
    return first


def is_out(row: ModuleRow, profile: Profile, now: float) -> bool:
    """Whether the module cannot reach the cloud at `now`."""
    return row.outages != 0 and until_s(row, profile, now, OutageKind.CLOUD) > now


def _latest_start_s(profile: Profile, i: int, now: float) -> float:
    """When outage `i` last began at or before `now`."""
    every = profile.outage_every_s[i]
    if every <= 0.0:
        return profile.outage_start_s[i]
    return profile.outage_start_s[i] + math.floor((now - profile.outage_start_s[i]) / every) * every
