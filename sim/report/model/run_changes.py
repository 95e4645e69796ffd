"""What differs between two runs: figures, beyond noise or not, and settings of their scenarios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import pandas as pd

from sim.metrics import ALIASES, METRICS
from sim.records import Run
from sim.report.model.like_with_like import flat, no_pairs_because, other_terms, settings_of, terms_of
from sim.report.model.run_report import Measure, RunReport
from sim.stats.campaigns import measure
from sim.stats.differences import Change, mover, verdict
from sim.stats.paired import paired_difference, unpaired_difference
from sim.stats.replicated import Estimate

_NOT_SETTINGS = ("name", "description", "seed", "plan.name")


def changes(before: RunReport, after: RunReport, runs: tuple[Run, Run] | None = None) -> list[Change]:
    """Every metric of the gates, before and after, with an interval of the difference at 95 % for all of them together.

    With `runs` whose campaigns are replicated, campaign by campaign on common random numbers where seed and modules are
    the same, else by Welch; otherwise from the intervals of the two runs (see `sim.stats.differences.mover`). Nothing is
    better or worse where `unlike` says why.
    """
    names = [m for m in METRICS if m not in ALIASES and m in before.metrics and m in after.metrics]
    frames = None if runs is None else _frames(runs)
    paired = runs is not None and not no_pairs_because(*(terms_of(run.manifest) for run in runs))
    tests = max(1, sum(_known(before.metrics[m]) and _known(after.metrics[m]) for m in names))
    found = [_change(m, before.metrics[m], after.metrics[m], frames, paired=paired, tests=tests) for m in names]
    return found if runs is None else _claimed(found, unlike(*runs))


def changes_of_summaries(
    before: Mapping[str, Any], after: Mapping[str, Any], because: Sequence[str] = ()
) -> list[Change]:
    """The same from two summaries alone, without reading their tables; `because` is what makes them no like with like."""
    old, new = measures(before), measures(after)
    names = [m for m in METRICS if m not in ALIASES and m in old and m in new]
    tests = max(1, sum(_known(old[m]) and _known(new[m]) for m in names))
    return _claimed([_change(m, old[m], new[m], None, paired=False, tests=tests) for m in names], because)


def unlike(before: Run, after: Run) -> list[str]:
    """What makes two runs no like with like, so that no figure of one is better or worse than the other's."""
    return other_terms(terms_of(before.manifest), terms_of(after.manifest))


def _claimed(found: list[Change], because: Sequence[str]) -> list[Change]:
    """The changes without a judgement where the runs are not like with like."""
    judged = ("better", "worse", "changed")
    return [replace(c, verdict="unlike") if because and c.verdict in judged else c for c in found]


def measures(summary: Mapping[str, Any]) -> dict[str, Measure]:
    """The metrics of a summary with their intervals."""
    intervals = summary.get("intervals", {})
    return {name: Measure(value, *intervals.get(name, (None, None))) for name, value in summary["metrics"].items()}


def settings(runs: Mapping[str, Run]) -> list[tuple[str, ...]]:
    """Keys of the scenarios that are not the same everywhere: (key, value in each run), defaults included."""
    leaves = [
        {key: str(value) for key, value in flat(settings_of(terms_of(run.manifest))).items()} for run in runs.values()
    ]
    listed = []
    for key in dict.fromkeys(key for one in leaves for key in one):
        values = [one.get(key, "–") for one in leaves]
        if len(set(values)) > 1 and not key.startswith(_NOT_SETTINGS):
            listed.append((key, *values))
    return listed


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
