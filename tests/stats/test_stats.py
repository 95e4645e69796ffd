"""Intervals, curves and gates against published and hand-computed values."""

import numpy as np
import pytest

from sim import gates
from sim.stats.intervals import wilson
from sim.stats.survival import cumulative_share


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(0, 1000, 0.0, 0.00382676), (7, 1000, 0.00339487, 0.0143783), (50, 1000, 0.0381303, 0.0653138),
     (995, 1000, 0.988349, 0.997862)],
)  # fmt: skip
def test_wilson(hits, total, low, high):
    """The bounds of closed_forms.csv."""
    assert wilson(hits, total) == pytest.approx((low, high), rel=1e-4)


def test_wilson_without_data_knows_nothing():
    """No modules: anything is possible; more hits than modules: an error."""
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="not a share"):
        wilson(2, 1)


def test_cumulative_share_keeps_the_failed_in_the_denominator():
    """Two of four done: half, though nothing else is watched any more."""
    at, share = cumulative_share(np.array([5.0, np.nan, 5.0, np.nan]), 4)
    assert at.tolist() == [5.0]
    assert share.tolist() == [0.5]


@pytest.mark.parametrize(
    ("metric", "text", "value", "met"),
    [("success_rate", ">= 0.95", 0.95, True), ("success_rate", "> 95 %", 0.95, False), ("duration_p95", "<= 7d", 604801.0, False),
     ("peak_egress_bit_s", "< 1 Gbit/s", 9e8, True), ("bricked", "<= 1e-4", None, False)],
)  # fmt: skip
def test_gates(metric, text, value, met):
    """Comparison, units, percent; a metric without data never meets its gate."""
    assert gates.judge({metric: text}, {metric: value})[0]["met"] is met
