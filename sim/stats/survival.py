"""Time-to-event curves with censoring."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def kaplan_meier(times_s: ArrayLike, happened: ArrayLike) -> tuple[Array, Array]:
    """Kaplan and Meier's product-limit estimate (1958, JASA 53): (event times, share done by then).

    `times_s` (n,) holds the time of the event where `happened` (n,), else the time until which the module was watched
    without it. At equal times events come before censoring. Returned arrays have one entry per distinct event time,
    ascending; both are empty when nothing happened.
    """
    times: Array = np.asarray(times_s, dtype=np.float64)
    events: NDArray[np.bool_] = np.asarray(happened, dtype=bool)
    distinct, first = np.unique(times[events], return_counts=True)
    ordered = np.sort(times)
    at_risk = len(times) - np.searchsorted(ordered, distinct, side="left")
    remaining: Any = np.cumprod(1.0 - first / at_risk)
    return distinct, 1.0 - remaining


def cumulative_share(times_s: ArrayLike, total: int) -> tuple[Array, Array]:
    """Share of `total` modules done by each event time; modules that fail or drop out stay in the denominator.

    This is the cumulative incidence when failing competes with succeeding: the honest answer to "how much of my
    fleet has the new version by then", unlike Kaplan-Meier, which would treat a bricked module as one that may yet
    succeed. NaN times are modules without the event.
    """
    times = np.asarray(times_s, dtype=np.float64)
    distinct, counts = np.unique(times[~np.isnan(times)], return_counts=True)
    return distinct, np.cumsum(counts) / max(total, 1)
