"""Several objectives at once: which settings no other beats in all, and where the front bends."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def on_front(costs: ArrayLike) -> NDArray[np.bool_]:
    """Which rows no other row beats: at least as small everywhere and smaller somewhere. `costs` is (rows, objectives).

    Rows with a NaN are never on the front.
    """
    rows = np.asarray(costs, dtype=np.float64)
    whole: NDArray[np.bool_] = np.asarray(~np.isnan(rows).any(axis=1))
    kept: NDArray[np.bool_] = whole.copy()
    for i in np.flatnonzero(whole):
        better = (rows <= rows[i]).all(axis=1) & (rows < rows[i]).any(axis=1) & whole
        kept[i] = not better.any()
    return kept


def knee(costs: ArrayLike) -> int:
    """Index of the row of a front that gives up least of everything: nearest to the best of each objective, scaled to 0-1.

    With two objectives this is where the front bends: before it a little of one buys much of the other, after it not.
    """
    rows = np.asarray(costs, dtype=np.float64)
    low, high = rows.min(axis=0), rows.max(axis=0)
    width = np.where(high > low, high - low, 1.0)
    return int(np.argmin((((rows - low) / width) ** 2).sum(axis=1)))


def spread(costs: ArrayLike, most: int) -> list[int]:
    """At most `most` rows of a front, evenly spread along its first objective, ends included."""
    order = np.argsort(np.asarray(costs, dtype=np.float64)[:, 0], kind="stable")
    if len(order) <= most:
        return [int(i) for i in order]
    return [int(order[i]) for i in np.unique(np.linspace(0, len(order) - 1, most).round().astype(int))]
