"""Intervals over replications: the unit is the whole campaign, never the pooled modules of several."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from sim.stats.intervals import RARE, binomial_quantile, exact


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its interval. NaN bounds: too little data to tell; NaN value: no data at all."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval's width, NaN where there is none."""
        return (self.high - self.low) / 2.0

    def plain(self) -> dict[str, float | None]:
        """The three numbers for JSON, None where there is none."""
        return {
            name: float(v) if isfinite(v) else None
            for name, v in (("value", self.value), ("low", self.low), ("high", self.high))
        }


def finite(values: ArrayLike) -> NDArray[np.float64]:
    """The values that are numbers; a campaign without a success has no duration, for example."""
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]


def t_interval(values: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Mean over campaigns with Student's interval; NaN bounds with fewer than two campaigns."""
    kept = finite(values)
    if len(kept) < 2:
        return Estimate(float(kept[0]) if len(kept) else nan, nan, nan)
    mean = float(kept.mean())
    half = float(special.stdtrit(len(kept) - 1, 0.5 + confidence / 2.0)) * float(kept.std(ddof=1)) / sqrt(len(kept))
    return Estimate(mean, mean - half, mean + half)


def bootstrap_interval(
    values: ArrayLike, confidence: float = 0.95, *, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """Mean over campaigns with Efron's BCa bootstrap interval (Efron 1987, JASA 82): no assumption of normality.

    The same values and seed give the same bounds. Equal values give an interval of no width.
    """
    kept = finite(values)
    if len(kept) < 2:
        return t_interval(kept, confidence)
    mean = float(kept.mean())
    if np.ptp(kept) == 0.0:
        return Estimate(mean, mean, mean)
    from scipy import stats

    drawn = stats.bootstrap(
        (kept,), np.mean, n_resamples=resamples, confidence_level=confidence, method="BCa",
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    return Estimate(mean, float(drawn.confidence_interval.low), float(drawn.confidence_interval.high))


def quantile_interval(values: ArrayLike, probability: float, confidence: float = 0.95) -> Estimate:
    """A quantile over campaigns with bounds that are two of its order statistics; free of any distribution.

    The bounds are the closest pair around the quantile that covers with at least the confidence (Conover 1999,
    section 3.2); NaN where there are too few campaigns for a bound on that side.
    """
    if not 0.0 < probability < 1.0:
        raise ValueError(f"a probability lies between 0 and 1, found {probability}")
    kept = np.sort(finite(values))
    n = len(kept)
    if n == 0:
        return Estimate(nan, nan, nan)
    tail = (1.0 - confidence) / 2.0
    below = binomial_quantile(tail, n, probability)  # order statistics are counted from 1: X(below) is the bound
    above = binomial_quantile(1.0 - tail, n, probability) + 1
    low = float(kept[below - 1]) if below >= 1 else nan
    high = float(kept[above - 1]) if above <= n else nan
    return Estimate(float(np.quantile(kept, probability)), low, high)


def rule_of_three(total: int) -> float:
    """Upper 95 % bound of a share of which no event was seen in `total` trials: 3 / n (Hanley 1983, JAMA 249)."""
    return 1.0 if total <= 0 else min(1.0, 3.0 / total)


def ratio_interval(hits: ArrayLike, sizes: ArrayLike, confidence: float = 0.95) -> Estimate:
    """A share over campaigns: all cases over all modules, with an interval whose unit is the campaign.

    The ratio estimator with its linearised variance (Cochran 1977, Sampling Techniques, section 6.3), for campaigns
    that expose different numbers of modules; with equal numbers it is Student's interval of their mean. With fewer than
    RARE cases (or non-cases) in all campaigns together it is widened to hold the exact interval too: campaigns that all
    saw nothing have no spread, and their interval would be a point at zero. NaN bounds with fewer than two campaigns.
    """
    cases, modules = np.asarray(hits, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    there = np.isfinite(cases) & np.isfinite(modules) & (modules > 0)
    cases, modules = cases[there], modules[there]
    count, total = len(cases), float(modules.sum())
    if count == 0:
        return Estimate(nan, nan, nan)
    value = float(cases.sum()) / total
    low = high = nan
    if count > 1:
        spread = sqrt(count / (count - 1) * float(((cases - value * modules) ** 2).sum())) / total
        half = float(special.stdtrit(count - 1, 0.5 + confidence / 2.0)) * spread
        low, high = value - half, value + half
    seen = round(float(cases.sum()))
    if min(seen, round(total) - seen) < RARE:
        least, most = exact(seen, round(total), confidence)
        low, high = float(np.fmin(low, least)), float(np.fmax(high, most))
    return Estimate(value, max(0.0, low) if isfinite(low) else low, min(1.0, high) if isfinite(high) else high)
