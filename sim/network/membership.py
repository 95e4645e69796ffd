"""Which module is in which cell: cells of drawn sizes, filled in a random order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sim.draws import Purpose, uniforms


def fill_cells(
    k0: int, k1: int, modules: NDArray[np.int64], sizes: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.int64]:
    """The cell of each module, shape (n,), numbered from 0.

    `sizes` is the inverse of the law of modules per cell: probabilities in, sizes out, each rounded to at least one
    module. The order of the modules is drawn, so a cell mixes all groups of the fleet; the last cell takes what is
    left.
    """
    drawn = 0
    ends: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    last = 0
    while last < len(modules):
        numbers = np.arange(drawn, drawn + 1024, dtype=np.int64)
        more = np.maximum(1, np.rint(sizes(uniforms(k0, k1, numbers, Purpose.CELL_SIZE)))).astype(np.int64)
        ends = np.concatenate([ends, last + np.cumsum(more)])
        drawn += len(numbers)
        last = int(ends[-1])
    rank = np.empty(len(modules), dtype=np.int64)
    rank[np.argsort(uniforms(k0, k1, modules, Purpose.CELL), kind="stable")] = np.arange(len(modules))
    return np.searchsorted(ends, rank, side="right").astype(np.int64)
