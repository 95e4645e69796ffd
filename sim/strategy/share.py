"""Shares against thresholds in per cent, exact at the threshold itself.

A threshold such as 0.14 % has no exact binary value, and 0.14 x 5000 comes out above 700: seven of five thousand would
not reach it. Thresholds have at most a few decimals, so what lies closer than rounding can reach is equal.
"""

from __future__ import annotations

ROUNDING = 1e-9


def reaches(count: int, percent: float, of: int) -> bool:
    """Whether `count` is at least `percent` of `of`."""
    return 100.0 * count >= percent * of * (1.0 - ROUNDING)


def above(count: int, percent: float, of: int) -> bool:
    """Whether `count` is strictly more than `percent` of `of`."""
    return 100.0 * count > percent * of * (1.0 + ROUNDING)
