"""Differences between two settings, campaign by campaign, and several of them at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, nan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from sim.stats.replicated import Estimate, rule_of_three, t_interval


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of b minus a, its interval, its two-sided p-value and how the interval was made.

    `variance_reduction` is the variance of the difference under independent seeds over the one under common random
    numbers; its root is how many times narrower the paired interval is. NaN where pairs do not exist.
    """

    estimate: Estimate
    p_value: float
    pairs: int
    variance_reduction: float
    paired: bool


def paired_difference(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Difference:
    """Student's interval of the mean of b - a over campaigns on common random numbers.

    Arrays of equal length, one value per campaign; pairs with a missing value are left out. When every pair differs by
    the same amount Student's t says nothing; the p-value is then that of the sign test: 1 for no difference, else
    2^(1 - pairs), the chance that so many pairs agree in sign by luck; where that is too likely, the interval reaches zero.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"pairs need equally many campaigns, found {len(first)} and {len(second)}")
    whole = np.isfinite(first) & np.isfinite(second)
    first, second = first[whole], second[whole]
    difference = second - first
    estimate = t_interval(difference, confidence)
    if len(difference) < 2:
        return Difference(estimate, nan, len(difference), nan, paired=True)
    spread = float(difference.std(ddof=1))
    apart = float(first.var(ddof=1) + second.var(ddof=1))
    if _alike(difference, np.abs(first).max()):
        p_value = 1.0 if estimate.value == 0.0 else 2.0 ** (1 - len(difference))
        reduction = inf if apart > 0.0 else 1.0
        estimate = _reaching_zero(estimate, p_value, confidence)
    else:
        t = estimate.value / (spread / sqrt(len(difference)))
        p_value, reduction = 2.0 * float(special.stdtr(len(difference) - 1, -abs(t))), apart / spread**2
    return Difference(estimate, p_value, len(difference), reduction, paired=True)


def unpaired_difference(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Difference:
    """Welch's interval of the mean of b minus the mean of a, for campaigns that share no random numbers."""
    first, second = (x[np.isfinite(x)] for x in (np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)))
    if min(len(first), len(second)) < 2:
        value = float(second.mean() - first.mean()) if len(first) and len(second) else nan
        return Difference(Estimate(value, nan, nan), nan, min(len(first), len(second)), nan, paired=False)
    if all(_alike(x, np.abs(x).max()) for x in (first, second)):
        value = float(second[0] - first[0])
        by_luck = 2.0 / math.comb(len(first) + len(second), len(first))  # rank sum: all of one side above the other
        p_value = 1.0 if value == 0.0 else min(1.0, by_luck)
        same = _reaching_zero(Estimate(value, value, value), p_value, confidence)
        return Difference(same, p_value, min(len(first), len(second)), nan, paired=False)
    from scipy import stats

    tested = stats.ttest_ind(second, first, equal_var=False)
    bounds = tested.confidence_interval(confidence)
    estimate = Estimate(float(second.mean() - first.mean()), float(bounds.low), float(bounds.high))
    return Difference(estimate, float(tested.pvalue), min(len(first), len(second)), nan, paired=False)


def _alike(values: NDArray[np.float64], scale: float) -> bool:
    """Whether values differ by no more than the rounding of numbers of this size."""
    return bool(np.ptp(values) <= 1e-12 * scale)


def _reaching_zero(estimate: Estimate, p_value: float, confidence: float) -> Estimate:
    """A difference without spread; where luck explains it, with an interval that holds zero, as its p-value says."""
    reach = abs(estimate.value) if p_value > 1 - confidence else 0.0
    return Estimate(estimate.value, estimate.value - reach, estimate.value + reach)


def not_a_point(found: Difference, modules: int) -> Difference:
    """A difference of shares that all pairs show alike, or nearly (their denominators differ), with honest bounds.

    No module of `modules` was seen to tell the settings apart (beyond the common difference), which by the rule of
    three leaves up to 3 / modules to chance: the interval is at least that wide, and where it was widened the p-value is the
    chance exp(-modules * |difference|) to see none of a difference of this size.
    """
    known, reach = found.estimate, rule_of_three(modules)
    low, high = min(known.low, known.value - reach), max(known.high, known.value + reach)
    if not known.high - known.low < 2.0 * reach:
        return found
    unseen = math.exp(-modules * abs(known.value))
    return replace(found, estimate=Estimate(known.value, low, high), p_value=max(found.p_value, unseen))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm 1979, Scand. J. Statist. 6): holds the chance of any false alarm in the family.

    NaN stays NaN and does not count as a test.
    """
    order = sorted((i for i, p in enumerate(p_values) if isfinite(p)), key=lambda i: p_values[i])
    adjusted = [nan] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted
