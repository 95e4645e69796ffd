"""The cells of a world: every module to its cell, from the fleet file or by drawn sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sim.module.sampling import Members
from sim.network.membership import fill_cells
from sim.scenario.fleet_section import Cells


def settle(cells: Cells | None, key: tuple[int, int], groups: Sequence[Members]) -> list[str]:
    """Sets the column `cell` of every group of modules and returns the names of the cells.

    A module is in the cell its fleet file names; an empty field there means none. All others are spread over cells of
    `modules_per_cell`. Without `cells` nobody is in a cell.
    """
    if cells is None:
        return []
    named = [members for members in groups if members.cells]
    loose = [members for members in groups if not members.cells]
    codes, names = pd.factorize(np.array([name for m in named for name in m.cells], dtype=object))
    empty = np.flatnonzero(names == "")
    if len(empty):
        names = np.delete(names, empty[0])
        codes = np.where(codes == empty[0], -1, codes - (codes > empty[0]))
    _divide(codes, named)
    numbers = np.concatenate([m.identities for m in loose]) if loose else np.zeros(0, dtype=np.int64)
    if cells.modules_per_cell is None or not len(numbers):
        return [str(name) for name in names]
    drawn = fill_cells(key[0], key[1], numbers, cells.modules_per_cell.quantile)
    _divide(len(names) + drawn, loose)
    return [*map(str, names), *(f"cell-{number:06d}" for number in range(int(drawn.max()) + 1))]


def _divide(cells: np.ndarray[tuple[int], np.dtype[np.int64]], groups: Sequence[Members]) -> None:
    """Gives each group its part of the column."""
    for members, part in zip(
        groups, np.split(cells, np.cumsum([len(m.identities) for m in groups])[:-1]), strict=False
    ):
        members.columns["cell"] = part
