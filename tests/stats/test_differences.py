"""Differences of two estimates against published ones."""

import pytest

from sim.stats.differences import mover, verdict
from sim.stats.intervals import wilson
from sim.stats.replicated import Estimate


def _share(hits, total):
    return Estimate(hits / total, *wilson(hits, total))


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [((48, 80), (56, 70), 0.0524, 0.3339), ((3, 10), (9, 10), 0.1705, 0.8090), ((0, 29), (5, 56), -0.0381, 0.1926)],
)
def test_two_shares_as_published(first, second, low, high):
    """Newcombe 1998, table II, method 10: 56/70 - 48/80, 9/10 - 3/10, 5/56 - 0/29."""
    found = mover(_share(*first), _share(*second))
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_many_tests_widen():
    """Ten differences together: quantile 0.9975 instead of 0.975, 2.8070 / 1.9600."""
    one, ten = (mover(Estimate(1, 0, 2), Estimate(1, 0, 2), tests) for tests in (1, 10))
    assert ten.high / one.high == pytest.approx(2.80703 / 1.95996, rel=1e-5)


@pytest.mark.parametrize(
    ("metric", "low", "high", "difference", "word"),
    [("success_rate", 0.1, 0.2, 0.15, "better"), ("bricked", 0.1, 0.2, 0.15, "worse"), ("bricked", -2, -1, -1.5, "better"),
     ("bricked", -1, 1, 0.1, "unclear"), ("bricked", None, None, 0.1, "unknown"), ("bricked", -1, 1, 0.0, "same")],
)  # fmt: skip
def test_what_a_difference_says(metric, low, high, difference, word):
    """More success is better, more of anything else is worse."""
    assert verdict(metric, low, high, difference) == word
