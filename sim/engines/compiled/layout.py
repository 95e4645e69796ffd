"""How rows lie in memory: NumPy record types made from the very dataclasses the Python engine uses."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from sim.module.profile import Profile
from sim.module.rows import ModuleRow

NARROW = {
    "i1": ("group", "source_mismatch", "link", "link_then", "level", "status", "ota_then", "published", "cached",
           "component", "kind", "decided", "flash_result", "cause"),
    "i2": ("hardware", "event", "link_failures", "download_errors", "total_errors", "refusals", "charge_cycle"),
    "i4": ("index", "sessions", "check_ins", "at_target", "upgraded", "messages", "notices", "transfers", "flashes",
           "offers"),
}  # fmt: skip
"""Integers that fit into fewer than eight bytes."""


def record(row: type, narrow: dict[str, tuple[str, ...]] | None = None, **shapes: Any) -> np.dtype[Any]:
    """The record type of a dataclass: largest fields first, so that every field is aligned."""
    width = {name: kind for kind, names in (narrow or {}).items() for name in names}
    columns: list[tuple[Any, ...]] = []
    for field in fields(row):
        if field.name in shapes:
            columns.append((field.name, "f8", shapes[field.name]))
        elif isinstance(field.default, float):
            columns.append((field.name, "f8"))
        else:
            columns.append((field.name, width.get(field.name, "i8")))
    columns.sort(key=lambda c: -np.dtype(c[1]).itemsize)
    return np.dtype(columns, align=True)


def module_type() -> np.dtype[Any]:
    """The record of one module."""
    return record(ModuleRow, NARROW)


def profile_type(components: int, hardware: int) -> np.dtype[Any]:
    """The record of one group's profile; sizes are rounded up so that few record types exist."""
    components, hardware = max(4, _power(components)), max(8, _power(hardware))
    table = (components, hardware)
    return record(Profile, None, peaks_s=(24,), boot_failures=table, bricks=table, delta=(components,))


def _power(count: int) -> int:
    return 1 << (count - 1).bit_length()


def fill(array: np.ndarray[Any, Any], position: int, row: Any) -> None:
    """Writes the attributes of a Python row into a record; tuples fill the first places of an array."""
    for name in array.dtype.names or ():
        value = getattr(row, name)
        if isinstance(value, tuple):
            numbers = np.asarray(value, dtype=np.float64)
            if numbers.size:
                array[name][position][tuple(slice(0, n) for n in numbers.shape)] = numbers
        else:
            array[name][position] = value
