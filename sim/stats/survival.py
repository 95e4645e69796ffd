"""Time-to-event curves. Every module of a run is watched equally long, so censoring falls on the end alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def cumulative_share(times_s: ArrayLike, total: int) -> tuple[Array, Array]:
    """Share of `total` modules done by each event time; modules that fail or drop out stay in the denominator.

    This is the cumulative incidence when failing competes with succeeding: the honest answer to "how much of my
    fleet has the new version by then", unlike Kaplan and Meier's estimate with failures taken as censored, which would
    treat a bricked module as one that may yet succeed. NaN times are modules without the event.
    """
    times = np.asarray(times_s, dtype=np.float64)
    distinct, counts = np.unique(times[~np.isnan(times)], return_counts=True)
    return distinct, np.cumsum(counts) / max(total, 1)
