"""A fleet file as it is: named columns of text, every character kept, and where each row is in the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Cell(IntEnum):
    """What a cell of a typed file (Excel, Parquet) was before it became text."""

    TEXT = 0
    INTEGER = 1
    REAL = 2
    """A number with a fraction, or one a program keeps as such: digits may be lost."""
    DATE = 3
    BARE_FORMULA = 4
    """A formula whose result was never saved."""
    ERROR = 5
    """An error of the spreadsheet, such as #N/A."""


@dataclass(slots=True)
class Raw:
    """Columns of text (pyarrow string arrays, an empty text for an empty cell) by their names in the file."""

    names: list[str]
    columns: list[Any]
    rows: int
    place: str = "line"
    """What a row is called: line, row or record."""
    lines_of: Callable[[Sequence[int]], Sequence[int]] = field(default=lambda rows: [row + 2 for row in rows])
    cells: Sequence[NDArray[np.int8] | Cell] = ()
    """What the cells of each column were, where the file has types: for each row, or one for all."""
    ragged: list[tuple[int, str, str]] = field(default_factory=list)
    """Rows that have more or fewer fields than the header: number of the record, text, what is wrong."""
    form: str = ""
    """What the file is, in words: `CSV, semicolons, UTF-16`."""
    notes: list[str] = field(default_factory=list)
    """What was decided while reading that a user must know."""
