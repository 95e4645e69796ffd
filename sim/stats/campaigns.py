"""Campaigns as rows of a table: what one came to, and what several say together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sim import gates as gate_rules
from sim.records import METRICS, STOPS
from sim.stats.replicated import Estimate, bootstrap_interval, finite, quantile_interval, rate_interval, t_interval
from sim.stats.summary import SHARES, headline, losses

FURTHER_METRICS = (
    "took_image", "stopped", "silent_losses", "deferrals", "wasted_bytes", "energy_lost_j", "energy_per_success_j",
)  # fmt: skip
STUDY_METRICS = (*METRICS, *(name for name in FURTHER_METRICS if name not in METRICS))
"""What a study can compare, sweep, tune and screen: the metrics of the gates and what a rollout costs.

`took_image` is the share of modules that began to install the image (the blast radius of a bad release), `stopped` 1
when the strategy or the operator stopped the campaign: over campaigns, how likely that is.
"""
_OF_MODULES = {**SHARES, "took_image": "modules"}


def measure(
    modules: pd.DataFrame, cloud_peaks: dict[str, float], decisions: pd.DataFrame | None = None
) -> tuple[dict[str, float], dict[str, int]]:
    """STUDY_METRICS of one campaign (NaN where there is nothing to tell) and its counts; `decisions` are its own.

    Counts are `modules`, `eligible`, `outcome_…` for every outcome and `cause_…` for the causes that occurred.
    """
    head = headline(modules, cloud_peaks)
    halted = decisions is not None and bool(decisions["decision"].isin(STOPS).any())
    took = float(modules["updating_s"].notna().mean()) if len(modules) else None
    values = {**head.metrics, **losses(modules), "took_image": took, "stopped": float(halted)}
    metrics = {
        name: float("nan") if values[name] is None else float(np.float64(values[name])) for name in STUDY_METRICS
    }
    counts = {
        "modules": len(modules), "eligible": head.denominators["success_rate"],
        "finished": head.denominators["success_of_finished"],
        **{f"outcome_{name}": count for name, count in head.outcomes.items()},
        **{f"cause_{name}": count for name, count in sorted(head.causes.items())},
    }  # fmt: skip
    return metrics, counts


def estimate(frame: pd.DataFrame, metric: str, confidence: float = 0.95) -> Estimate:
    """Mean of a metric over campaigns with its interval.

    `frame` has a column for the metric and, for shares, `modules` and `eligible` with what they are shares of. Shares
    and counts stay within their range; rare shares get an interval that is never a point at zero.
    """
    values = frame[metric].to_numpy(dtype=float)
    if metric == "stopped":
        kept = finite(values)
        return rate_interval(kept, int(kept.sum()), len(kept), confidence)
    if metric in _OF_MODULES:
        sizes = frame[_OF_MODULES[metric]].to_numpy(dtype=float)
        there = np.isfinite(values)
        hits, total = round(float((values[there] * sizes[there]).sum())), int(sizes[there].sum())
        return rate_interval(values, hits, total, confidence)
    return _not_negative(t_interval(values, confidence))


def bootstrap(frame: pd.DataFrame, metric: str, confidence: float = 0.95) -> Estimate:
    """Mean of a metric over campaigns with BCa bootstrap bounds."""
    return bootstrap_interval(frame[metric].to_numpy(dtype=float), confidence)


def campaign_quantile(frame: pd.DataFrame, metric: str, probability: float, confidence: float = 0.95) -> Estimate:
    """A quantile of the metric over campaigns, bounds by order statistics: how bad one campaign in ten gets."""
    return quantile_interval(finite(frame[metric]), probability, confidence)


def with_intervals(
    summary: dict[str, Any], modules: pd.DataFrame, peaks: list[dict[str, float]], decisions: pd.DataFrame
) -> dict[str, Any]:
    """The summary of several replications with intervals over campaigns in place of those over pooled modules.

    `success_rate` and `coverage` become {value, low, high}; `replicated` has the same for every metric; `metrics` and
    the gates take the mean over campaigns. `peaks` has the cloud's peaks of each replication, in order; `decisions` those of all.
    """
    parts = [part for _, part in modules.groupby("replication", sort=True)]
    rows = [
        measure(part, peak, decisions[decisions["replication"] == number])
        for (number, part), peak in zip(modules.groupby("replication", sort=True), peaks, strict=True)
    ]
    frame = pd.DataFrame([{**metrics, **counts} for metrics, counts in rows])
    found = {metric: estimate(frame, metric).plain() for metric in STUDY_METRICS}
    metrics = {metric: found[metric]["value"] for metric in METRICS}
    given = {gate["metric"]: gate["gate"].split(" ", 1)[1] for gate in summary["gates"]}
    intervals = {metric: (found[metric]["low"], found[metric]["high"]) for metric in METRICS}
    return {
        **summary, "success_rate": found["success_rate"], "coverage": found["coverage"], "metrics": metrics,
        "intervals": {name: list(bounds) for name, bounds in intervals.items()}, "replicated": found,
        "groups": [_group(group, parts) for group in summary["groups"]],
        "gates": gate_rules.judge(given, metrics, intervals),
    }  # fmt: skip


def _group(group: dict[str, Any], parts: list[pd.DataFrame]) -> dict[str, Any]:
    """A group's success rate over campaigns."""
    members = [part["outcome"][part["group"] == group["group"]] for part in parts]
    hits = np.array([int((m == "succeeded").sum()) for m in members])
    sizes = np.array([int((m != "not_needed").sum()) for m in members])
    if not sizes.all():
        return group
    found = rate_interval(hits / sizes, int(hits.sum()), int(sizes.sum()))
    return {**group, "success_rate": found.value, "interval": [found.low, found.high]}


def _not_negative(found: Estimate) -> Estimate:
    """Every metric is a time, a size, a share or a count."""
    return Estimate(found.value, max(0.0, found.low), found.high)
