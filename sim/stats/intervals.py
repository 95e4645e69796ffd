"""Confidence intervals of shares."""

from __future__ import annotations

from math import sqrt

from scipy import special


def wilson(hits: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
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


def exact(hits: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
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


def share_interval(hits: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a share in one run: exact where cases (or non-cases) are rare, else Wilson's."""
    return (exact if min(hits, total - hits) < RARE else wilson)(hits, total, confidence)


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
