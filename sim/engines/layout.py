"""Rows as records of NumPy arrays, made from the very dataclasses the Python engine uses, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from sim.module.profile import Profile

MODULE = {
    "i1": ("group", "source_mismatch", "link", "link_then", "level", "status", "ota_then", "published", "cached",
           "component", "kind", "decided", "flash_result", "hold", "reverting", "cause"),
    "i2": ("hardware", "event", "link_failures", "download_errors", "total_errors", "refusals", "charge_cycle", "access_attempts"),
    "i4": ("index", "cell", "sessions", "check_ins", "at_target", "upgraded", "messages", "notices", "transfers",
           "flashes", "offers", "preambles"),
}  # fmt: skip
EXECUTION = {
    "i1": ("state", "reason", "unmet", "component", "late", "source_ok", "online", "released", "notified", "counted",
           "counted_level", "acknowledged", "retry_pending", "canceling", "stop_pending", "holds", "reverting", "level"),
    "i2": ("group", "failures", "timeouts"),
    "i4": ("index", "cell", "at_target", "upgraded", "waiting_at", "attempts", "step", "deferrals"),
}  # fmt: skip
PENDING = {
    "i1": ("kind", "code", "component", "flag", "level"),
    "i4": ("order", "next", "number"),
}
DRIVE = {
    "i1": ("told_back", "busy", "known", "action", "confirming"),
    "i4": ("head", "order", "armed_order", "session", "fetch", "transfer", "source_bad", "polls", "told", "said"),
}
"""Integers that fit into fewer than eight bytes, by row."""
EVENT = np.dtype([
    ("time", "f8"), ("module", "i4"), ("code", "i4"), ("package_bytes", "i8"), ("offset_bytes", "i8"),
    ("piece_bytes", "i8"), ("status", "i1"), ("component", "i1"), ("kind", "i1"), ("back", "i1"),
], align=True)  # fmt: skip
"""A status a module entered, as numbers; its words are made when it is written."""


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


def blank(row: Any, narrow: dict[str, tuple[str, ...]], count: int) -> np.ndarray[Any, Any]:
    """`count` records that all equal the given Python row."""
    one = np.zeros((), record(type(row), narrow))
    for name in one.dtype.names or ():
        one[name] = getattr(row, name)
    array = np.empty(count, one.dtype)
    array[:] = one
    return array


def objects(row: type, array: np.ndarray[Any, Any]) -> list[Any]:
    """Python rows with the values of records."""
    names = array.dtype.names or ()
    return [row(**dict(zip(names, values, strict=True))) for values in array.tolist()]


def records(row: type, narrow: dict[str, tuple[str, ...]], rows: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Python rows as records."""
    array = np.zeros(len(rows), record(row, narrow))
    for name in array.dtype.names or ():
        array[name] = [getattr(one, name) for one in rows]
    return array


def single(row: Any) -> np.ndarray[Any, Any]:
    """One Python row as a record, in an array of shape ()."""
    array = np.zeros((), record(type(row)))
    for name in array.dtype.names or ():
        array[name] = getattr(row, name)
    return array


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
