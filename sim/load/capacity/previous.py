"""A capacity search beside an earlier one: what has changed, and whether the two can be compared at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.records import CAPACITY_FILE

NAMES = {"live": "measured", "simulated": "predicted"}
_SAME = ("what", "unit", "taking", "time_scale", "radio")
"""What two searches must have in common to be about one figure."""


def read(folder: Path) -> dict[str, Any]:
    """What an earlier search found; InputError for a folder that is none."""
    try:
        found = json.loads((folder / CAPACITY_FILE).read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not {"slo", "bounds", *_SAME} <= found.keys():
            raise ValueError("not a whole file of a search")
    except (OSError, ValueError) as error:
        raise InputError(f"--compare {folder}: not the folder of a capacity search: {error}") from None
    return found


def changes(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """One line for each cloud that both searched, or why they cannot be compared.

    Each search leaves its capacity uncertain by its precision, so only a difference beyond both together is called one.
    """
    apart = _apart(now, before)
    if apart:
        return [f"not comparable with the earlier search: {'; '.join(apart)}"]
    precision = (1.0 + now["bounds"]["precision"]) * (1.0 + before["bounds"]["precision"]) - 1.0
    lines = []
    for cloud, name in NAMES.items():
        if cloud in now and cloud in before:
            lines.append(
                f"{name}: {_changed(now[cloud]['capacity'], before[cloud]['capacity'], precision, str(now['unit']))}"
            )
    return lines or ["not comparable with the earlier search: one was predicted, the other measured"]


def _apart(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """What differs of that which two searches must have in common."""
    found = [f"{key} was {before[key]}, is {now[key]}" for key in _SAME if now[key] != before[key]]
    slos = [", ".join(sorted(term["text"] for term in found_["slo"])) for found_ in (before, now)]
    return found + ([f"the SLO was {slos[0]}, is {slos[1]}"] if slos[0] != slos[1] else [])


def _changed(now: float | None, before: float | None, precision: float, unit: str) -> str:
    if now is None or before is None:
        words = ["none" if value is None else f"{value:,.0f} {unit}" for value in (now, before)]
        return f"{words[0]}, earlier {words[1]}"
    more = now / before - 1.0
    if abs(more) <= precision:
        return f"{now:,.0f} {unit}, earlier {before:,.0f}: no difference beyond the precision of both ({100 * precision:.0f} %)"
    return f"{now:,.0f} {unit}, earlier {before:,.0f}: {100 * abs(more):.0f} % {'more' if more > 0 else 'LESS'}"


__all__ = ["changes", "read"]
