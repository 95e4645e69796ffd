"""A comparison in one sentence."""

from __future__ import annotations

from math import isfinite
from typing import Any

import pandas as pd

from sim.report.figures.study_figures import as_rows
from sim.report.show import kind_of, metric_words, show
from sim.units import DURATIONS, show_duration

_NOUNS = {
    "bricked": "bricks",
    "failed": "failures",
    "rejected": "rejections",
    "not_reached": "modules not reached",
    "pending": "modules not reached",
    "took_image": "modules that took the image",
}
_SHARES = {
    "success_rate": "success",
    "success_of_finished": "success of those finished",
    "coverage": "coverage",
    "wasted_share": "of the data wasted",
    "stopped": "campaigns stopped",
}
_UNTIL = {
    "duration_p50": "until half of the successes are done", "duration_p90": "until 90 % of the successes are done",
    "duration_p95": "until 95 % of the successes are done", "duration_p99": "until 99 % of the successes are done",
}  # fmt: skip
_RARE = 0.01


def sentence(subject: str, rows: pd.DataFrame) -> str:
    """What an alternative changes: only differences that stand after the control for many looks, each with its interval.

    `rows` are a comparison's rows of one alternative.
    """
    told = [phrase(row) for row in as_rows(rows[rows["differs"]])]
    if told:
        return f"{subject}: {', '.join(told)}."
    campaigns = int(rows["campaigns"].max())
    if campaigns < 2:
        return f"{subject}: one campaign each, so no difference can be distinguished from chance."
    return f"{subject}: no significant difference in {campaigns} campaigns."


def phrase(row: dict[str, Any]) -> str:
    """One difference with its interval: `1.8 fewer bricks per 10,000 [0.9, 2.7]`."""
    metric, more = row["metric"], row["difference"] > 0
    ends = sorted(abs(row[name]) if (row[name] > 0) == more else -abs(row[name]) for name in ("low", "high"))
    size = abs(row["difference"])
    if metric in _NOUNS and max(row["a"], row["b"]) < _RARE:
        scaled = _bracket([1e4 * e for e in ends])
        return f"{1e4 * size:.3g} {'more' if more else 'fewer'} {_NOUNS[metric]} per 10,000 {scaled}"
    if metric in _NOUNS:
        return f"{100 * size:.3g} points {'more' if more else 'fewer'} {_NOUNS[metric]} {_bracket([100 * e for e in ends])}"
    if metric in _SHARES:
        return f"{100 * size:.3g} points {'more' if more else 'less'} {_SHARES[metric]} {_bracket([100 * e for e in ends])}"
    if metric in _UNTIL:
        unit = show_duration(size).rpartition(" ")[2]
        scaled = _bracket([e / DURATIONS[unit] for e in ends])
        return f"{show_duration(size)} {'longer' if more else 'shorter'} {_UNTIL[metric]} {scaled}"
    shown = " to ".join(signed(metric, row[name]) for name in ("low", "high"))
    return f"{label(metric)} {signed(metric, row['difference'])} [{shown}]"


def _bracket(ends: list[float]) -> str:
    return f"[{', '.join(f'{e:.3g}' for e in ends)}]" if all(map(isfinite, ends)) else "(no interval)"


def label(metric: str) -> str:
    """A metric's name as words, without the unit that its values carry: `duration_p95` is the time to 95 %."""
    return metric_words(metric)


def title(metric: str) -> str:
    """A metric's name as a heading or the beginning of a sentence."""
    name = label(metric)
    return name[:1].upper() + name[1:]


def signed(metric: str, value: float) -> str:
    """A difference in a metric with its sign and unit."""
    kind = "points" if kind_of(metric) == "share" else kind_of(metric)
    text = show(kind, abs(value))
    if kind == "points" or text == show(kind, 0.0):
        return show(kind, value) if kind == "points" else text
    return show(kind, value) if value < 0 else f"+{text}"
