"""Differences between two estimates that come with intervals, and whether they go beyond noise."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from scipy import special

from sim.metrics import METRICS
from sim.stats.replicated import Estimate


@dataclass(frozen=True, slots=True)
class Change:
    """A metric before and after; `low` and `high` bound the difference, None where nothing can be said about noise.

    `verdict` is one of better, worse, changed (neither good nor bad in itself), unclear (within noise), same, unknown (no interval, so noise is not known), unlike (beyond noise, but of runs that are not like with like).
    """

    metric: str
    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: str


def mover(before: Estimate, after: Estimate, tests: int = 1) -> Estimate:
    """The difference after - before of two independent estimates, from their own intervals.

    Zou and Donner 2008 (Statistics in Medicine 27), MOVER; for Wilson's intervals of two shares it is Newcombe's method
    10 (1998, Statistics in Medicine 17). With `tests` differences judged together the intervals are widened by the
    ratio of normal quantiles, so that all of them hold at once (Bonferroni).
    """
    wider = float(special.ndtri(1 - 0.025 / tests) / special.ndtri(0.975))
    value = after.value - before.value
    low = value - wider * sqrt((after.value - after.low) ** 2 + (before.high - before.value) ** 2)
    high = value + wider * sqrt((after.high - after.value) ** 2 + (before.value - before.low) ** 2)
    return Estimate(value, low, high)


def verdict(metric: str, low: float | None, high: float | None, difference: float | None) -> str:
    """What an interval of a difference says; see `Change`."""
    if difference == 0 and (low is None or low <= 0 <= (high or 0.0)):
        return "same"
    if low is None or high is None:
        return "unknown"
    if low <= 0.0 <= high:
        return "unclear"
    better = METRICS[metric].better if metric in METRICS else "less"
    if better == "neither":
        return "changed"
    return "better" if (low > 0) == (better == "more") else "worse"
