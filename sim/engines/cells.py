"""The cells of a world: every module to its cell, from the fleet file or by drawn sizes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sim.module.fleet import Members
from sim.module.rows import ModuleRow
from sim.network.membership import fill_cells
from sim.scenario.model import Cells


def settle(cells: Cells | None, key: tuple[int, int], groups: Iterable[Members]) -> list[str]:
    """Sets `row.cell` of every module and returns the names of the cells.

    A module is in the cell its fleet file names; an empty field there means none. All others are spread over cells of
    `modules_per_cell`. Without `cells` nobody is in a cell.
    """
    if cells is None:
        return []
    names: dict[str, int] = {}
    loose: list[ModuleRow] = []
    for members in groups:
        if not members.cells:
            loose += members.rows
        for row, name in zip(members.rows, members.cells, strict=False):
            if name:
                row.cell = names.setdefault(name, len(names))
    if cells.modules_per_cell is None or not loose:
        return list(names)
    numbers = np.array([row.index for row in loose], dtype=np.int64)
    drawn = fill_cells(key[0], key[1], numbers, cells.modules_per_cell.quantile)
    for row, cell in zip(loose, drawn.tolist(), strict=True):
        row.cell = len(names) + cell
    return [*names, *(f"cell-{number:06d}" for number in range(int(drawn.max()) + 1))]
