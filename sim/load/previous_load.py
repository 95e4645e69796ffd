"""A load run beside an earlier one: which latencies and failures differ beyond chance, and whether the two can be compared.

The medians, 99 % quantiles and shares of failures of all legs are compared, each with an interval (order statistics, Clopper and
Pearson) so wide that all of them together hold with 95 %. A difference is told only where two intervals do not meet. Waits of
one queue resemble each other, so intervals are too narrow where modules wait for each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sim.engines.live.latency import LEGS, Latencies
from sim.errors import InputError, RecordsError
from sim.load.load_folder import REPORT
from sim.records import SPANS, read_manifest
from sim.stats.evidence import confidence_of
from sim.stats.intervals import binomial_quantile, exact
from sim.units import show_duration, show_share

_SAME = ("users", "ramp_per_s", "shape", "time_scale", "duration_s")
"""Options that two runs must have in common to be about the same load."""
PERCENTS = (50.0, 99.0)


class Earlier(NamedTuple):
    """An earlier run: what its manifest says, and what was measured."""

    facts: Mapping[str, Any]
    found: Mapping[str, Any]


class Figure(NamedTuple):
    """A measured figure with its interval: seconds, or a share."""

    value: float
    low: float
    high: float


def read(folder: Path) -> Earlier:
    """An earlier load run; InputError for a folder that is none."""
    try:
        facts = read_manifest(folder)
        found = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        if facts.get("kind") != "load" or not isinstance(found, dict) or "legs" not in found:
            raise ValueError("not a whole folder of a load run")
        _latencies(found)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecordsError) as error:
        raise InputError(f"--compare {folder}: not the folder of a load run: {error}") from None
    return Earlier(facts, found)


def changes(now: Earlier, before: Earlier) -> list[str]:
    """One line for each figure that differs, and one for the others; or why the two cannot be compared."""
    apart = _apart(now, before)
    if apart:
        return [f"not comparable with the earlier run: {'; '.join(apart)}"]
    both = [_latencies(run.found) for run in (now, before)]
    legs = [leg for leg in (*SPANS, *LEGS) if all(found.tries(leg)[0] for found in both)]
    confidence = confidence_of(2 * (len(PERCENTS) + 1) * max(1, len(legs)))
    figures, earlier = ({leg: _figures(found, leg, confidence) for leg in legs} for found in both)
    pairs = [(name, found, earlier[leg].get(name)) for leg in legs for name, found in figures[leg].items()]
    lines = [_line(name, found, other) for name, found, other in pairs if other is not None and _differ(found, other)]
    same = sum(other is not None for _, _, other in pairs) - len(lines)
    return [*lines, f"no significant difference from the earlier run in {same} {'other ' if lines else ''}figures"]


def _apart(now: Earlier, before: Earlier) -> list[str]:
    """Why two runs are not about the same load, or one of them about none."""
    facts = [(key, before.facts.get(key), now.facts.get(key)) for key in _SAME]
    found = [f"{key} was {old}, is {new}" for key, old, new in facts if old != new]
    for which, run in (("this", now.found), ("the earlier", before.found)):
        if run.get("void") or not run.get("complete", True) or run.get("interrupted"):
            found.append(f"{which} run is void or was interrupted")
    return found


def _latencies(found: Mapping[str, Any]) -> Latencies:
    """What a run measured, from its report."""
    made = Latencies()
    for leg, row in found["legs"].items():
        if leg in SPANS or leg in LEGS:
            made.merge(leg, row["hdr"], row["failures"])
    return made


def _figures(found: Latencies, leg: str, confidence: float) -> dict[str, Figure]:
    """Quantiles and the share of failures of a leg, each with its interval."""
    tried, failed = found.tries(leg)
    low, high = exact(failed, tried, confidence)
    figures = {f"error_rate({leg})": Figure(failed / tried, low, high)}
    count, tail = found.count(leg), (1.0 - confidence) / 2.0
    for percent in PERCENTS if count else ():
        share = percent / 100.0
        first = binomial_quantile(tail, count, share)
        last = binomial_quantile(1.0 - tail, count, share) + 1
        if first >= 1 and last <= count:
            ranks = (share * count, first, last)
            figures[f"p{percent:g}({leg})"] = Figure(*(found.quantile_s(leg, 100.0 * k / count) or 0.0 for k in ranks))
    return figures


def _differ(one: Figure, other: Figure) -> bool:
    return one.low > other.high or one.high < other.low


def _line(name: str, now: Figure, before: Figure) -> str:
    show = show_share if name.startswith("error_rate") else show_duration
    told = [f"{show(figure.value)} ({show(figure.low)} to {show(figure.high)})" for figure in (now, before)]
    word = "less" if now.value < before.value else "MORE"
    return f"{name}: {told[0]}, earlier {told[1]}: {word}"


__all__ = ["Earlier", "changes", "read"]
