"""How values are shown to people: one format for each kind of value, the same in every format of a report."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Literal

from sim.metrics import METRICS, Unit
from sim.units import show_bit_rate, show_duration, show_size

Kind = Literal[
    "text",
    "name",
    "count",
    "number",
    "share",
    "points",
    "duration",
    "size",
    "bit_rate",
    "rate",
    "energy",
    "money",
    "p_value",
    "met",
    "state",
    "metric",
]
"""What a value is: `text` as it stands, `name` with its underscores as blanks, `count` whole things, `share` 0-1 shown in
percent, `points` a difference of shares in percentage points, `duration` seconds, `size` bytes, `bit_rate` bit/s,
`rate` per second, `energy` joule, `money` in whatever the price was given in, `p_value` of a test, `met` whether a gate is met, `state` what a gate came to,
`metric` the name of a figure, shown without its unit."""

NOTHING = "–"
_UNIT_SUFFIX = re.compile(r"_(bit_s|per_s|j)$")

_ENDS: dict[str, Kind] = {"bit_s": "bit_rate", "per_s": "rate", "_j": "energy", "_bytes": "size", "_s": "duration"}
_KINDS: dict[Unit, Kind] = {
    Unit.SHARE: "share", Unit.RATIO: "number", Unit.COUNT: "number", Unit.DURATION: "duration", Unit.SIZE: "size",
    Unit.ENERGY: "energy", Unit.RATE: "rate", Unit.BIT_RATE: "bit_rate",
}  # fmt: skip


def show(kind: Kind, value: Any) -> str:
    """The value as a reader sees it; a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    return _SHOW[kind](value)


def kind_of(metric: str) -> Kind:
    """The kind of a metric by the table of metrics; of another name by its end: `_s` seconds, `_bytes`, else a share."""
    metric = metric.partition("@")[0]
    if metric in METRICS:
        return _KINDS[METRICS[metric].unit]
    return next((kind for end, kind in _ENDS.items() if metric.endswith(end)), "share")


def words(name: object) -> str:
    """A name as words: `never_online` becomes `never online`."""
    return str(name).replace("_", " ")


_SUFFIXES = re.compile(r"_(percent|dbm|s|per_h)$")


def quantity_words(name: object) -> str:
    """A key or an input as words, without the unit that its values carry: `min_rsrp_dbm` becomes `min RSRP`."""
    return words(_SUFFIXES.sub("", str(name))).replace("rsrp", "RSRP")


def printable(text: str) -> str:
    """Text without control characters and broken code points, which no format can hold; each becomes a question mark."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


_UNITS = re.compile(
    r"(?<=\d) (?=(?:%|d|h|min|s|ms|J|kJ|B|[kMG]B|[kMG]?bit/s|/s|W|Wh|dB|dBm|points?|modules?|campaigns?)(?![\w/]))"
)


def unbroken(text: str) -> str:
    """Text whose numbers stay on one line with their units, for formats that break lines; others keep the plain blank."""
    return _UNITS.sub("\u00a0", text)


def metric_words(name: object) -> str:
    """A metric's name as words by the table of metrics; of another name without its unit; a scenario behind an @ in brackets."""
    metric, of_one, scenario = str(name).partition("@")
    if of_one and metric_of(str(name)):
        return f"{metric_words(metric)} ({scenario})"
    found = METRICS.get(str(name))
    return found.label if found is not None else words(_UNIT_SUFFIX.sub("", str(name)))


def metric_of(text: str) -> str:
    """The metric of `bricked` or of `bricked@scenario`; empty for a weighted sum."""
    name = text.partition("@")[0]
    return name if name.isidentifier() and not set("+*") & set(text) else ""


def plural(count: int, noun: str) -> str:
    """A count with its noun: `1 module`, `2,000 modules`; nouns that end in ss or sh take es."""
    many = f"{noun}es" if noun.endswith(("ss", "sh", "ch", "x")) else f"{noun}s"
    return f"{count:,} {noun if count == 1 else many}"


def was(count: int) -> str:
    """The verb for so many: 1 was, 2 were."""
    return "was" if count == 1 else "were"


def outcome_words(name: object) -> str:
    """An outcome as words. Modules away or without a network are `never_online` too: not only the dark ones of that cause."""
    return "never seen" if name == "never_online" else words(name)


def share(value: float) -> str:
    """A share in percent, with the digits small ones need."""
    percent = 100.0 * value
    return f"{percent:.3g} %" if 0 < abs(percent) < 1 else f"{percent:.2f} %"


def points(value: float) -> str:
    """A difference of two shares in percentage points, signed."""
    percent = 100.0 * value
    if abs(percent) < 5e-7:
        return "0 points"
    return f"{percent:+.2g} points" if 0 < abs(percent) < 1 else f"{percent:+.2f} points"


def number(value: float) -> str:
    """A number with at most four significant digits, thousands grouped."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def energy(value: float) -> str:
    """Joule, or kilojoule from a thousand on."""
    return f"{value / 1000:,.1f} kJ" if abs(value) >= 1000 else f"{value:.0f} J"


def interval(kind: Kind, low: float | None, high: float | None) -> str:
    """An interval as `low to high`; a dash where there is none. One without width is none: all cases had the same value."""
    if low is None or high is None:
        return NOTHING
    return "no interval: all equal" if low == high else f"{show(kind, low)} to {show(kind, high)}"


_STATE_MARKS = {"met": "✓", "not met": "✗"}
_SHOW: dict[Kind, Callable[[Any], str]] = {
    "text": str, "name": words, "count": lambda v: f"{round(v):,}", "number": number, "share": share, "points": points,
    "duration": show_duration, "size": show_size, "bit_rate": show_bit_rate, "energy": energy,
    "rate": lambda v: f"{number(v)} /s", "money": lambda v: f"{v:,.2f}", "p_value": lambda v: "< 0.001" if v < 0.001 else f"{v:.3f}",
    "state": lambda v: f"{_STATE_MARKS.get(str(v), '?')} {v}",
    "met": lambda v: "✓ met" if v else "✗ not met", "metric": metric_words,
}  # fmt: skip
