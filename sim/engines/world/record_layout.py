"""Rows as records of NumPy arrays, made from the very dataclasses the Python engine uses, and back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from sim.cloud.execution import Execution
from sim.module.profile import Profile
from sim.module.rows import ModuleRow
from sim.scenario.clocks import MOST_CHANGES
from sim.scenario.shared_fate import MOST_OUTAGES

MODULE = {
    "i1": ("group", "source_mismatch", "link", "link_then", "level", "status", "ota_then", "published", "cached",
           "component", "kind", "decided", "flash_result", "hold", "reverting", "cause", "fault", "first_fault", "image_faults",
           "refused_for"),
    "i2": ("hardware", "zone", "event", "link_failures", "download_errors", "total_errors", "refusals", "charge_cycle", "access_attempts",
           "flashes"),
    "i4": ("index", "cell", "base", "outages", "sessions", "check_ins", "at_target", "upgraded", "messages", "notices", "transfers",
           "offers", "preambles"),
}  # fmt: skip
EXECUTION = {
    "i1": ("state", "reason", "unmet", "component", "late", "source_ok", "online", "released", "notified", "counted",
           "counted_level", "acknowledged", "held", "retry_pending", "canceling", "stop_pending", "holds", "reverting", "level"),
    "i2": ("group", "failures", "timeouts"),
    "i4": ("index", "cell", "at_target", "upgraded", "waiting_at", "attempts", "step", "deferrals"),
}  # fmt: skip
UNDER_WAY = {
    "i1": ("kind", "code", "component", "flag", "level"),
    "i4": ("order", "next", "number"),
}
DRIVER = {
    "i1": ("notice_reverts", "busy", "known_form", "action", "confirming"),
    "i4": ("head", "order", "armed_order", "session", "fetch", "transfer", "polls", "attributes_sent", "last_feedback"),
}
"""Integers that fit into fewer than eight bytes, by row."""
MODULE_AWAKE = (
    "idle_since_s", "rsrp_dbm", "sinr_db", "air_use", "goodput_bit_s", "rtt_s", "attach_s", "access_attempts",
    "ota_at", "ota_then", "published", "event", "package_bytes", "offset_bytes", "piece_bytes", "kept_bytes",
    "min_battery_percent", "min_rsrp_dbm", "needed_bytes", "power_at", "transfer_start_s", "refusals",
)  # fmt: skip
EXECUTION_AWAKE = ("battery_percent", "rsrp_dbm", "free_bytes", "offered_s", "confirmed_s", "holds")
"""What matters only while something is under way with a module: written anew before it is read after that, or not read."""
MODULE_RARE = ("user_delay_s", "cell", "zone", "preambles", "base", "late_at", "leaves_s", "lot_factor", "outages")
EXECUTION_RARE = ("busy_until_s", "approval_delay_s", "identity")
"""What few scenarios need: one record for all modules, unless they differ."""
EVENT = np.dtype([
    ("time", "f8"), ("module", "i4"), ("code", "i4"), ("package_bytes", "i8"), ("offset_bytes", "i8"),
    ("piece_bytes", "i8"), ("status", "i1"), ("component", "i1"), ("kind", "i1"), ("back", "i1"),
], align=True)  # fmt: skip
"""A status a module entered, as numbers; its words are made when it is written."""


def record(
    row: type, narrow: dict[str, tuple[str, ...]] | None = None, only: Collection[str] | None = None, **shapes: Any
) -> np.dtype[Any]:
    """The record type of a dataclass, or of some of its fields: largest first, so that every field is aligned."""
    width = {name: kind for kind, names in (narrow or {}).items() for name in names}
    columns: list[tuple[Any, ...]] = []
    for field in fields(row):
        if only is not None and field.name not in only:
            continue
        if field.name in shapes:
            columns.append((field.name, "f8", shapes[field.name]))
        elif isinstance(field.default, float):
            columns.append((field.name, "f8"))
        else:
            columns.append((field.name, width.get(field.name, "i8")))
    columns.sort(key=lambda c: -np.dtype(c[1]).itemsize)
    return np.dtype(columns, align=True)


def lasting(row: type, *parts: Sequence[str]) -> tuple[str, ...]:
    """The fields of a dataclass that none of the parts has."""
    apart = {name for part in parts for name in part}
    return tuple(field.name for field in fields(row) if field.name not in apart)


MODULE_LASTING = lasting(ModuleRow, MODULE_AWAKE, MODULE_RARE)
EXECUTION_LASTING = lasting(Execution, EXECUTION_AWAKE, EXECUTION_RARE)


def blank(
    row: Any, narrow: dict[str, tuple[str, ...]], count: int, only: Collection[str] | None = None
) -> np.ndarray[Any, Any]:
    """`count` records, whole or of some fields, that all equal the given Python row."""
    one = np.zeros((), record(type(row), narrow, only))
    for name in one.dtype.names or ():
        one[name] = getattr(row, name)
    array = np.empty(count, one.dtype)
    array[:] = one
    return array


def joined(*parts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Records with the fields of several, which have no name in common."""
    columns = [(name, part.dtype[name]) for part in parts for name in part.dtype.names or ()]
    columns.sort(key=lambda c: -c[1].itemsize)
    array = np.empty(len(parts[0]), np.dtype(columns, align=True))
    for part in parts:
        for name in part.dtype.names or ():
            array[name] = part[name]
    return array


def objects(row: type, array: np.ndarray[Any, Any], rare: np.ndarray[Any, Any]) -> list[Any]:
    """Python rows with the values of records and of rare ones, of which there may be one for all."""
    names, more = array.dtype.names or (), rare.dtype.names or ()
    rest = rare.tolist() * (len(array) if len(rare) == 1 else 1)
    return [
        row(**dict(zip(names, values, strict=True)), **dict(zip(more, others, strict=True)))
        for values, others in zip(array.tolist(), rest, strict=True)
    ]


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


def profile_type(components: int, hardware: int, zones: int = 1) -> np.dtype[Any]:
    """The record of one group's profile; sizes are rounded up so that few record types exist."""
    components, hardware = max(4, _power(components)), max(8, _power(hardware))
    table = (components, hardware)
    zones = max(4, _power(zones))
    return record(
        Profile, None, ordinary_w=(3,), peaks_s=(24,), boot_failures=table, bricks=table, late_failures=table,
        other_versions=table, refused=table, refused_back=(components,), outage_kind=(MOST_OUTAGES,),
        outage_start_s=(MOST_OUTAGES,), outage_lasts_s=(MOST_OUTAGES,), outage_every_s=(MOST_OUTAGES,), delta=(components,),
        zone_day_start_s=(zones,), zone_changes=(zones,), zone_change_at_s=(zones, MOST_CHANGES),
        zone_shift_s=(zones, MOST_CHANGES),
    )  # fmt: skip


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
