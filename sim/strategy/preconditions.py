"""Preconditions of an upgrade as the cloud checks them (definition 10).

Compared with the values at the time of the decision: below the limit is unmet, equal is met. The cloud knows only what
the module reported last, the device the truth; stale reports are thus a modelled failure.
"""

from __future__ import annotations

from sim.causes import Cause
from sim.messages import unmet
from sim.strategy.settings import Settings


def unmet_for_cloud(settings: Settings, battery_percent: float, rsrp_dbm: float, free_bytes: float) -> int:
    """The first limit the last reported values do not meet, or NONE; NONE when only the device checks."""
    if not settings.checked_by_cloud:
        return Cause.NONE
    return unmet(
        battery_percent, rsrp_dbm, free_bytes, settings.min_battery_percent, settings.min_rsrp_dbm, settings.needed_bytes
    )  # fmt: skip
