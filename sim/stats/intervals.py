"""Confidence intervals of shares."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special


def wilson(hits: float, total: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927, JASA 22), both bounds within 0-1; (0, 1) without data.

    Inside one run it describes how well the share is known if modules were independent; it does not carry what
    differs between campaigns.
    """
    if not 0 <= hits <= total:
        raise ValueError(f"{hits} of {total} is not a share")
    if total == 0:
        return 0.0, 1.0
    z = float(special.ndtri(0.5 + confidence / 2.0))
    share = hits / total
    centre = share + z * z / (2.0 * total)
    half = z * sqrt(share * (1.0 - share) / total + z * z / (4.0 * total * total))
    low, high = (centre - half) / (1.0 + z * z / total), (centre + half) / (1.0 + z * z / total)
    return (0.0 if hits == 0 else low), (1.0 if hits == total else high)


RARE = 10
"""Below this many cases (or non-cases) the exact interval takes the place of approximations."""


def exact(hits: float, total: float, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share (1934, Biometrika 26); (0, 1) without data.

    Each bound is missed at most as often as it says, however rare the case: a verdict may rest on it.
    """
    if not 0 <= hits <= total:
        raise ValueError(f"{hits} of {total} is not a share")
    if total == 0:
        return 0.0, 1.0
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if hits == 0 else float(special.betaincinv(hits, total - hits + 1, tail))
    high = 1.0 if hits == total else float(special.betaincinv(hits + 1, total - hits, 1.0 - tail))
    return low, high


def share_interval(hits: float, total: float, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a share in one run: exact where cases (or non-cases) are rare, else Wilson's."""
    return (exact if min(hits, total - hits) < RARE else wilson)(hits, total, confidence)


def design_effect(lots: pd.DataFrame) -> float:
    """How many times the variance of a share is that of independent modules, for lots of a `size` (modules in it) whose
    modules fail with the correlation `first`.

    For m modules a lot and a correlation r it is 1 + (m - 1) r, the beta-binomial's; unequal lots count by their sizes
    (Kish 1965, Survey Sampling, section 5.4). Modules with the number -1 are in no lot.
    """
    total = float(lots["size"].sum())
    kept = lots[lots.index.get_level_values("lot") >= 0]
    return 1.0 + float((kept["size"] * (kept["size"] - 1) * kept["first"]).sum()) / total if total else 1.0


def mean_interval(
    values: NDArray[np.float64], clusters: NDArray[np.int64] | None = None, confidence: float = 0.95
) -> tuple[float | None, float | None, float | None]:
    """Mean of what is never negative with Student's interval; None for what there is no data for.

    With `clusters`, a number for each value, whole clusters are what varies: the ratio estimator's linearised variance
    (Cochran 1977, Sampling Techniques, section 9A).
    """
    if not len(values):
        return None, None, None
    mean = float(values.mean())
    away: NDArray[Any] = values - mean
    if clusters is not None:
        away = np.bincount(np.unique(clusters, return_inverse=True)[1], weights=away)
    if len(away) < 2:
        return mean, None, None
    spread = sqrt(len(away) / (len(away) - 1) * float((away**2).sum())) / len(values)
    half = float(special.stdtrit(len(away) - 1, 0.5 + confidence / 2.0)) * spread
    return mean, max(0.0, mean - half), mean + half


def binomial_quantile(probability: float, trials: int, share: float) -> int:
    """The least count that a binomial variable stays at or below with `probability` (0-1), of so many trials.

    As scipy.stats.binom.ppf, whose package takes longer to import than a small run to make.
    """
    wanted = probability * (
        1.0 - 1e-12
    )  # a tie, such as the median of an odd number of trials, is not missed by rounding
    low, high = 0, trials
    while low < high:
        middle = (low + high) // 2
        if special.bdtr(middle, trials, share) >= wanted:
            high = middle
        else:
            low = middle + 1
    return low
