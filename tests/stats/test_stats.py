"""Intervals, curves and gates against published and hand-computed values."""

import numpy as np
import pytest
from scipy import stats

from sim.stats.intervals import binomial_quantile, exact, share_interval, wilson
from sim.stats.survival import cumulative_share, reach_interval, reached_at


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
    ("hits", "total", "low", "high"),
    [(0, 112, 0.0, 0.0324), (5, 112, 0.01466, 0.10109), (0, 1000, 0.0, 0.003682), (10, 10, 0.69150, 1.0)],
)
def test_exact_bounds(hits, total, low, high):
    """Clopper and Pearson's, of tables of the beta distribution."""
    assert exact(hits, total) == pytest.approx((low, high), abs=1e-4)
    assert share_interval(hits, total) == exact(hits, total)


def test_exact_bounds_miss_as_seldom_as_they_say():
    """Over every outcome of 200 installations at 0.5 %: neither bound misses in more than 2.5 %."""
    chances = stats.binom.pmf(range(201), 200, 0.005)
    bounds = [exact(hits, 200) for hits in range(201)]
    assert sum(p for p, (low, _) in zip(chances, bounds, strict=True) if low > 0.005) <= 0.025
    assert sum(p for p, (_, high) in zip(chances, bounds, strict=True) if high < 0.005) <= 0.025


def test_the_time_of_a_share_counts_those_who_never_get_there():
    """Ten modules, six done after 1 to 6 h: half are done after 5 h, seven in ten never; bounds beyond the end are none."""
    times = [*range(1, 7), *[np.inf] * 4]
    assert reached_at(times, 0.5) == 5.0
    assert reached_at(times, 0.7) is None
    low, high = reach_interval(times, 0.5)
    assert (low, high) == (2.0, None)


@pytest.mark.parametrize("trials", [0, 1, 2, 19, 20, 57, 999, 12_345, 5_000_000])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.95, 0.999, 1.0])
def test_binomial_quantile_is_scipys(trials, share):
    """The order statistics of intervals are those that scipy.stats.binom.ppf gives, ties at the median included."""
    for probability in (0.0005, 0.025, 0.5, 0.975, 0.9995):
        expected = int(stats.binom.ppf(probability, trials, share)) if trials else 0
        assert binomial_quantile(probability, trials, share) == expected
