"""Time-to-event curves. Every module of a run is watched equally long, so censoring falls on the end alone."""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.stats.intervals import binomial_quantile

Array = NDArray[np.float64]


def cumulative_share(times_s: ArrayLike, total: int) -> tuple[Array, Array]:
    """Share of `total` modules done by each event time; modules that fail or drop out stay in the denominator.

    This is the cumulative incidence when failing competes with succeeding: the honest answer to "how much of my
    fleet has the new version by then". While all are watched equally long it is Kaplan and Meier's estimate (1958) of
    the time to the new version, failures being modules that never have it; with failures taken as censored, a bricked
    module would be one that may yet succeed. NaN times are modules without the event.
    """
    times = np.asarray(times_s, dtype=np.float64)
    distinct, counts = np.unique(times[~np.isnan(times)], return_counts=True)
    return distinct, np.cumsum(counts) / max(total, 1)


def reached_at(times_s: ArrayLike, share: float) -> float | None:
    """When `share` of all modules had the event; inf (or NaN) are those without it. None when so many never had it."""
    times = np.sort(np.asarray(times_s, dtype=np.float64))
    at = ceil(share * len(times) - 1e-9)
    found = times[at - 1] if at >= 1 else np.nan
    return float(found) if np.isfinite(found) else None


def reach_interval(times_s: ArrayLike, share: float, confidence: float = 0.95) -> tuple[float | None, float | None]:
    """Bounds of the time when a share of all modules has the event: two order statistics (Conover 1999, section 3.2).

    None where there is no bound: too few modules, or a bound that lies beyond the time watched.
    """
    times = np.sort(np.asarray(times_s, dtype=np.float64))
    tail = (1.0 - confidence) / 2.0
    below = binomial_quantile(tail, len(times), share)
    above = binomial_quantile(1.0 - tail, len(times), share) + 1
    low = times[below - 1] if below >= 1 else np.nan
    high = times[above - 1] if above <= len(times) else np.nan
    return tuple(float(t) if np.isfinite(t) else None for t in (low, high))  # type: ignore[return-value]
