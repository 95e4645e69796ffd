"""What differs between two runs: figures, beyond noise or not, and settings of their scenarios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

import pandas as pd

from sim.metrics import ALIASES, METRICS
from sim.records import Run
from sim.report.model.run_report import Measure, RunReport
from sim.stats.campaigns import measure
from sim.stats.differences import Change, mover, verdict
from sim.stats.paired import paired_difference, unpaired_difference
from sim.stats.replicated import Estimate

_NOT_SETTINGS = ("name", "description", "seed", "plan.name")


def changes(before: RunReport, after: RunReport, runs: tuple[Run, Run] | None = None) -> list[Change]:
    """Every metric of the gates, before and after, with an interval of the difference at 95 % for all of them together.

    With `runs` whose campaigns are replicated, campaign by campaign on common random numbers where seed and fleet are
    the same, else by Welch; otherwise from the intervals of the two runs (see `sim.stats.differences.mover`).
    """
    names = [m for m in METRICS if m not in ALIASES and m in before.metrics and m in after.metrics]
    frames = None if runs is None else _frames(runs)
    paired = before.facts.seed == after.facts.seed and before.facts.modules == after.facts.modules
    tests = max(1, sum(_known(before.metrics[m]) and _known(after.metrics[m]) for m in names))
    return [_change(m, before.metrics[m], after.metrics[m], frames, paired=paired, tests=tests) for m in names]


def changes_of_summaries(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """The same from two summaries alone, without reading their tables."""
    old, new = measures(before), measures(after)
    names = [m for m in METRICS if m not in ALIASES and m in old and m in new]
    tests = max(1, sum(_known(old[m]) and _known(new[m]) for m in names))
    return [_change(m, old[m], new[m], None, paired=False, tests=tests) for m in names]


def measures(summary: Mapping[str, Any]) -> dict[str, Measure]:
    """The metrics of a summary with their intervals."""
    intervals = summary.get("intervals", {})
    return {name: Measure(value, *intervals.get(name, (None, None))) for name, value in summary["metrics"].items()}


def settings(runs: Mapping[str, Run]) -> list[tuple[str, ...]]:
    """Keys of the scenarios that are not the same everywhere: (key, value in each run), defaults included."""
    flat = {label: dict(_flat(run.scenario)) for label, run in runs.items()}
    keys = list(dict.fromkeys(key for values in flat.values() for key in values))
    listed = []
    for key in keys:
        values = [flat[label].get(key, "–") for label in runs]
        if len(set(values)) > 1 and not key.startswith(_NOT_SETTINGS):
            listed.append((key, *values))
    return listed


def _flat(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list) and node and isinstance(node[0], dict):
        for number, value in enumerate(node):
            yield from _flat(value, f"{path}.{number}")
    else:
        yield path, str(node)


def _frames(runs: tuple[Run, Run]) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """One row of metrics for each campaign of both runs; None unless both have several."""
    if min(run.modules["replication"].nunique() for run in runs) < 2:
        return None
    first, second = (
        pd.DataFrame([measure(part, run.summary["cloud"])[0] for _, part in run.modules.groupby("replication")])
        for run in runs
    )
    return first, second


def _change(
    metric: str, old: Measure, new: Measure, frames: tuple[pd.DataFrame, pd.DataFrame] | None, *, paired: bool, tests: int
) -> Change:  # fmt: skip
    if old.value is None or new.value is None:
        return Change(metric, old.value, new.value, None, None, None, "unknown")
    low = high = None
    difference = new.value - old.value
    if frames is not None and not metric.startswith("peak"):
        found = _over_campaigns(frames[0][metric], frames[1][metric], paired=paired, confidence=1 - 0.05 / tests)
        difference, low, high = found.value, found.low, found.high
    elif _known(old) and _known(new):
        found = mover(_estimate(old), _estimate(new), tests)
        low, high = found.low, found.high
    if low is None or high is None or not (isfinite(low) and isfinite(high)):
        low = high = None
    return Change(metric, old.value, new.value, difference, low, high, verdict(metric, low, high, difference))


def _over_campaigns(a: pd.Series[float], b: pd.Series[float], *, paired: bool, confidence: float) -> Estimate:
    if paired and len(a) == len(b):
        return paired_difference(a, b, confidence).estimate
    return unpaired_difference(a, b, confidence).estimate


def _known(measure: Measure) -> bool:
    return measure.value is not None and measure.low is not None and measure.high is not None


def _estimate(measure: Measure) -> Estimate:
    assert measure.value is not None and measure.low is not None and measure.high is not None
    return Estimate(measure.value, measure.low, measure.high)
