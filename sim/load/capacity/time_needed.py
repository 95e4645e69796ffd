"""How long a search of a real cloud still takes, at least and at most, from where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf, log, log2

from sim.load.capacity.search import EIGHTH, STEP, Bounds, Point

BETWEEN_S = 4.0
"""To make the modules of a probe, and to wait until the cloud has worked off what was queued."""


def needed_s(bounds: Bounds, points: Sequence[Point] = ()) -> tuple[float, float]:
    """Seconds, at least and at most, with the points that there are; a load is held once, or for the whole budget.

    The capacity is taken to lie between `low` and `high`; loads that have to be tried below a disproved one are not foreseen.
    """
    probe_s, confirm_s = bounds.hold_s + BETWEEN_S, bounds.confirm_s + BETWEEN_S
    confirmed = [p for p in points if p.phase == "confirm" and not p.measured.void]
    if confirmed:
        held_s = sum(p.hold_s for p in confirmed if p.load == confirmed[-1].load)
        return 0.0, max(0.0, bounds.budget_s - held_s)
    kept = max((p.load for p in points if p.kept), default=None)
    broken = min((p.load for p in points if p.broken and not p.measured.void), default=None)
    least, most = _steps(bounds, kept, broken)
    return least * probe_s + confirm_s, most * probe_s + max(bounds.budget_s, confirm_s)


def _steps(bounds: Bounds, kept: float | None, broken: float | None) -> tuple[int, int]:
    """Probes before the confirmation, at least and at most."""
    if kept is not None and broken is not None:
        halvings = _halvings(kept, broken, bounds.precision)
        return halvings, halvings
    if kept is not None:
        up = ceil(log2(bounds.high / kept)) if bounds.high > kept else 0
        return min(up, 1), up + (_halvings(1.0, STEP, bounds.precision) if up else 0)
    if broken is not None:
        down = ceil(log(broken / bounds.low) / log(EIGHTH)) if broken > bounds.low else 0
        return min(down, 1), down + _halvings(1.0, EIGHTH, bounds.precision)
    _, most = _steps(bounds, bounds.start, None)
    return 1, 1 + most


def _halvings(low: float, high: float, precision: float) -> int:
    """Bisections until two loads are within the precision."""
    return max(0, ceil(log2(log(high / low) / log(1.0 + precision)))) if high > low > 0.0 and high < inf else 0


__all__ = ["needed_s"]
