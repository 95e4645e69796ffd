"""Campaigns as rows of a table: what one came to, and what several say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sim.gates import Figure
from sim.metrics import METRICS, REACH_PERCENT, SHARES
from sim.records import OUTCOMES, STOPS
from sim.stats import counts as counting
from sim.stats.judging import Grounds, judged, verdict_of
from sim.stats.replicated import (
    Estimate,
    bootstrap_interval,
    finite,
    quantile_interval,
    ratio_interval,
    t_interval,
)
from sim.stats.summary import occurrences
from sim.stats.survival import reach_interval, reached_at

STUDY_METRICS = tuple(METRICS)
"""What a study can compare, sweep, tune and screen: every metric of the table."""
_TIMES_TO = tuple(f"time_to_{q}" for q in REACH_PERCENT)


def measure(
    modules: pd.DataFrame, cloud_peaks: Mapping[str, float], decisions: pd.DataFrame | None = None
) -> tuple[dict[str, float], dict[str, int]]:
    """STUDY_METRICS of one campaign (NaN where there is nothing to tell) and its counts; `decisions` are its own.

    Counts are `modules`, `n_…` for every count of `sim.metrics`, `outcome_…` for every outcome and `cause_…` for the
    causes that occurred.
    """
    counted = counting.counts(modules)
    halted = decisions is not None and bool(decisions["decision"].isin(STOPS).any())
    values = counting.metrics(modules, counted, cloud_peaks, stopped=halted)
    metrics = {name: float("nan") if value is None else float(value) for name, value in values.items()}
    outcomes, causes = occurrences(modules["outcome"], OUTCOMES), occurrences(modules["cause"][modules["cause"] != ""])
    return metrics, {
        "modules": len(modules), **{f"n_{name}": count for name, count in counted.items()},
        **{f"outcome_{name}": count for name, count in outcomes.items()},
        **{f"cause_{name}": count for name, count in sorted(causes.items())},
    }  # fmt: skip


def estimate(frame: pd.DataFrame, metric: str, confidence: float = 0.95) -> Estimate:
    """A metric over campaigns with its interval.

    `frame` has a column for the metric and, for shares, `n_…` for what they count. Shares are all cases over all
    modules and stay within 0 and 1; rare ones get an interval that is never a point at zero. A time to reach a share of
    the targets is the mean where every campaign reached it, else the median, NaN when half of them did not.
    """
    values = frame[metric].to_numpy(dtype=float)
    if metric == "stopped":
        kept = finite(values)
        return ratio_interval(kept, np.ones(len(kept)), confidence)
    if metric in SHARES:
        numerator, denominator = f"n_{SHARES[metric].numerator}", f"n_{SHARES[metric].denominator}"
        if numerator not in frame or denominator not in frame:
            return Estimate(float("nan"), float("nan"), float("nan"))
        return ratio_interval(frame[numerator], frame[denominator], confidence)
    if metric in _TIMES_TO and np.isnan(values).any():
        times = np.where(np.isnan(values), np.inf, values)
        found = (reached_at(times, 0.5), *reach_interval(times, 0.5, confidence))
        return Estimate(*(float("nan") if t is None else t for t in found))
    return _not_negative(t_interval(values, confidence))


def bootstrap(frame: pd.DataFrame, metric: str, confidence: float = 0.95) -> Estimate:
    """Mean of a metric over campaigns with BCa bootstrap bounds."""
    return bootstrap_interval(frame[metric].to_numpy(dtype=float), confidence)


def campaign_quantile(frame: pd.DataFrame, metric: str, probability: float, confidence: float = 0.95) -> Estimate:
    """A quantile of the metric over campaigns, bounds by order statistics: how bad one campaign in ten gets."""
    return quantile_interval(finite(frame[metric]), probability, confidence)


def campaign_figures(frame: pd.DataFrame, watched_s: float | None = None) -> dict[str, Figure]:
    """Every metric over campaigns as gates judge it."""
    needed = int(frame["n_targets"].sum()) > 0
    found = {}
    for name in STUDY_METRICS:
        plain = estimate(frame, name).plain()
        total = int(frame[f"n_{SHARES[name].denominator}"].sum()) if name in SHARES else None
        late = watched_s if name in _TIMES_TO else None
        found[name] = Figure(plain["value"], plain["low"], plain["high"], total, needed, late)
    return found


def with_intervals(
    summary: dict[str, Any], modules: pd.DataFrame, peaks: list[dict[str, float]], decisions: pd.DataFrame,
    *, gates: Mapping[str, Any], watched_s: float | None = None, components: tuple[str, ...] = (),
    plugins: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:  # fmt: skip
    """The summary of several replications with intervals over campaigns in place of those over pooled modules.

    `success_rate` and `coverage` become {value, low, high}; `replicated` has the same for every metric; `metrics`, the
    gates and the verdict are over campaigns. `peaks` has the cloud's peaks of each replication, in order; `decisions`
    those of all; `gates` are as the scenario holds them.
    """
    parts = [part for _, part in modules.groupby("replication", sort=True)]
    rows = [
        measure(part, peak, decisions[decisions["replication"] == number])
        for (number, part), peak in zip(modules.groupby("replication", sort=True), peaks, strict=True)
    ]
    told = campaign_figures(pd.DataFrame([{**metrics, **counts} for metrics, counts in rows]), watched_s)
    replicated = {name: {"value": f.value, "low": f.low, "high": f.high} for name, f in told.items()}
    grounds = Grounds(modules, told, decisions, len(parts), bool(summary["complete"]), components, watched_s, plugins)
    results = judged(gates, grounds)
    return {
        **summary, "success_rate": replicated["success_rate"], "coverage": replicated["coverage"],
        "metrics": {name: f.value for name, f in told.items()},
        "intervals": {name: [f.low, f.high] for name, f in told.items()}, "replicated": replicated,
        "groups": [_group(group, parts) for group in summary["groups"]],
        "gates": [result.plain() for result in results], "verdict": str(verdict_of(results, grounds).verdict),
    }  # fmt: skip


def _group(group: dict[str, Any], parts: list[pd.DataFrame]) -> dict[str, Any]:
    """A group's success rate over campaigns."""
    members = [part["outcome"][part["group"] == group["group"]] for part in parts]
    hits = np.array([int((m == "succeeded").sum()) for m in members])
    sizes = np.array([int((m != "not_needed").sum()) for m in members])
    if not sizes.any():
        return group
    found = ratio_interval(hits, sizes)
    return {**group, "success_rate": found.value, "interval": [found.low, found.high]}


def _not_negative(found: Estimate) -> Estimate:
    """Every metric is a time, a size, a share or a count."""
    return Estimate(found.value, max(0.0, found.low), found.high)
