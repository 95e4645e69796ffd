"""How values are shown to people: one format for each kind of value, the same on every face of a report."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from sim.units import show_bit_rate, show_duration, show_size

Kind = Literal["text", "name", "count", "number", "share", "points", "duration", "size", "bit_rate", "energy", "met"]
"""What a value is: `text` as it stands, `name` with its underscores as blanks, `count` whole things, `share` 0-1 shown in
percent, `points` a difference of shares in percentage points, `duration` seconds, `size` bytes, `bit_rate` bit/s,
`energy` joule, `met` whether a gate is met."""

NOTHING = "–"

_STARTS: dict[str, Kind] = {"duration": "duration", "time_to": "duration", "detection": "duration", "wasted_b": "size"}
_ENDS: dict[str, Kind] = {
    "bit_s": "bit_rate", "_j": "energy", "_p50_j": "energy", "_bytes": "size", "_s": "duration",
}  # fmt: skip
_NUMBERS = ("peak_", "silent", "deferrals", "cost", "count", "price", "blast", "modules")


def show(kind: Kind, value: Any) -> str:
    """The value as a reader sees it; a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    return _SHOW[kind](value)


def kind_of(metric: str) -> Kind:
    """The kind a metric's name implies: `duration_p95` seconds, `peak_egress_bit_s` bit/s, else a share."""
    for start, kind in _STARTS.items():
        if metric.startswith(start):
            return kind
    if metric.startswith(_NUMBERS) and not metric.endswith("bit_s"):
        return "number"
    return next((kind for end, kind in _ENDS.items() if metric.endswith(end)), "share")


def words(name: object) -> str:
    """A name as words: `never_online` becomes `never online`."""
    return str(name).replace("_", " ")


def share(value: float) -> str:
    """A share in percent, with the digits small ones need."""
    percent = 100.0 * value
    return f"{percent:.3g} %" if 0 < abs(percent) < 1 else f"{percent:.2f} %"


def points(value: float) -> str:
    """A difference of two shares in percentage points, signed."""
    percent = 100.0 * value
    return f"{percent:+.2g} points" if 0 < abs(percent) < 1 else f"{percent:+.2f} points"


def number(value: float) -> str:
    """A number with at most four significant digits, thousands grouped."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def energy(value: float) -> str:
    """Joule, or kilojoule from a thousand on."""
    return f"{value / 1000:,.1f} kJ" if abs(value) >= 1000 else f"{value:.0f} J"


def interval(kind: Kind, low: float | None, high: float | None) -> str:
    """An interval as `low to high`; a dash where there is none."""
    return NOTHING if low is None or high is None else f"{show(kind, low)} to {show(kind, high)}"


_SHOW: dict[Kind, Callable[[Any], str]] = {
    "text": str, "name": words, "count": lambda v: f"{round(v):,}", "number": number, "share": share, "points": points,
    "duration": show_duration, "size": show_size, "bit_rate": show_bit_rate, "energy": energy,
    "met": lambda v: "✓ met" if v else "✗ not met",
}  # fmt: skip
