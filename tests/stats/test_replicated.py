"""Intervals over campaigns and paired differences against textbook values and known coverage."""

from __future__ import annotations

from math import inf, isnan, nan

import numpy as np
import pytest
from scipy import stats

from sim.stats.agreement import agreement
from sim.stats.intervals import exact
from sim.stats.paired import holm, not_a_point, paired_difference, unpaired_difference
from sim.stats.replicated import (
    bootstrap_interval,
    quantile_interval,
    ratio_interval,
    rule_of_three,
    t_interval,
)

# Student (1908), Biometrika 6: additional hours of sleep under two drugs, the data of his own example.
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_t_interval_of_the_sleep_data():
    """Mean 0.75 and the interval every textbook gives for the first drug."""
    found = t_interval(SLEEP_1)
    assert (found.value, found.low, found.high) == pytest.approx((0.75, -0.5297804, 2.0297804), abs=1e-6)


def test_paired_difference_of_the_sleep_data():
    """1.58 hours, t = 4.06 on 9 degrees of freedom, p = 0.0028; pairing shortens the interval against Welch's."""
    found = paired_difference(SLEEP_1, SLEEP_2)
    assert found.estimate.value == pytest.approx(1.58)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)
    assert found.p_value == pytest.approx(0.002833, abs=1e-6)
    assert found.variance_reduction == pytest.approx(
        (np.var(SLEEP_1, ddof=1) + np.var(SLEEP_2, ddof=1)) / 1.5128889, rel=1e-5
    )
    welch = unpaired_difference(SLEEP_1, SLEEP_2)
    assert (welch.estimate.low, welch.estimate.high) == pytest.approx((-0.2054832, 3.3654832), abs=1e-6)
    assert welch.p_value == pytest.approx(0.07939, abs=1e-5)


def test_one_campaign_has_no_interval():
    """A single value says nothing of the next one."""
    found = t_interval([3.0])
    assert found.value == 3.0
    assert isnan(found.low)
    assert isnan(t_interval([nan, nan]).value)
    assert paired_difference([1.0], [2.0]).estimate.value == 1.0
    assert isnan(paired_difference([1.0], [2.0]).p_value)


def test_pairs_that_all_agree():
    """No spread: certain about the sample; the p-value tells a common shift from none."""
    assert paired_difference([1, 2, 3], [1, 2, 3]).p_value == 1.0
    shifted = paired_difference([1, 2, 3], [2, 3, 4])
    assert (shifted.p_value, shifted.estimate.value, shifted.variance_reduction) == (0.25, 1.0, inf)
    with pytest.raises(ValueError, match="equally many"):
        paired_difference([1, 2], [1, 2, 3])


def test_a_difference_nobody_saw_is_not_proven_absent():
    """No brick on either side of 3,000 modules: up to one per thousand may still tell them apart."""
    found = not_a_point(paired_difference([0.0, 0.0], [0.0, 0.0]), 3000)
    assert (found.estimate.low, found.estimate.high) == (-0.001, 0.001)


def test_a_difference_of_a_part_of_a_module_is_none():
    """The denominators alone differ: far less than a module of 200,000, alike in all pairs, is no finding; 40 modules are one."""
    shares = 1e-3 + 1e-7 * np.arange(20)
    part = not_a_point(paired_difference(shares, shares + 2e-7 + 1e-9 * np.arange(20)), 200_000)
    assert part.estimate.low == pytest.approx(part.estimate.value - 1.5e-5)
    assert part.estimate.low < 0.0 < part.estimate.high
    assert part.p_value == pytest.approx(np.exp(-200_000 * part.estimate.value))
    assert part.p_value > 0.9
    forty = not_a_point(paired_difference(shares, shares + 2e-4 + 1e-9 * np.arange(20)), 200_000)
    assert forty.estimate.low > 0.0
    assert forty.p_value < 1e-15
    wide = paired_difference([0.1, 0.2, 0.3], [0.2, 0.2, 0.4])
    assert not_a_point(wide, 200_000) == wide


def test_zero_events_have_an_upper_bound():
    """Rule of three: 3 of 1000, which the exact bound 1 - 0.05^(1/n) approaches from below."""
    assert rule_of_three(1000) == 0.003
    assert rule_of_three(1000) == pytest.approx(1 - 0.05 ** (1 / 1000), rel=0.01)
    assert rule_of_three(2) == 1.0
    found = ratio_interval([0] * 20, [500] * 20)
    assert (found.low, found.high) == pytest.approx((0.0, 1 - 0.025 ** (1 / 10_000)))


def test_a_handful_of_events_is_not_left_to_student():
    """Three bricks in 10,000: Student's interval alone would reach below 0 and fall short above."""
    found = ratio_interval([0] * 17 + [1] * 3, [500] * 20)
    assert found.low >= 0.0
    assert found.high == pytest.approx(exact(3, 10_000)[1])
    assert found.high > t_interval([0.0] * 17 + [1 / 500] * 3).high
    assert ratio_interval([250, 300], [500, 500]).high <= 1.0


def test_equal_campaigns_give_students_interval():
    """The ratio estimator of campaigns of one size is the mean with Student's bounds."""
    hits = [430, 441, 455, 438]
    found, student = ratio_interval(hits, [500] * 4), t_interval(np.array(hits) / 500)
    assert (found.value, found.low, found.high) == pytest.approx((student.value, student.low, student.high))


def test_unequal_campaigns_are_weighed_by_what_they_exposed():
    """A campaign that stopped after two installations does not count as much as one of a thousand; one without any not at all."""
    found = ratio_interval([2, 10, 0], [2, 1000, 0])
    assert found.value == pytest.approx(12 / 1002)
    assert isnan(ratio_interval([0], [0]).value)


def test_quantile_interval_by_order_statistics():
    """Median of 10: ranks 2 and 9 cover with 97.9 %, the closest pair that reaches 95 % (Conover's table A3)."""
    values = np.arange(1.0, 11.0)
    found = quantile_interval(values, 0.5)
    assert (found.value, found.low, found.high) == (5.5, 2.0, 9.0)
    few = quantile_interval(values, 0.99)
    assert few.value == pytest.approx(9.91)
    assert isnan(few.high)
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile_interval(values, 1.0)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("n", [20, 57])
def test_quantile_interval_covers(probability, n):
    """Exact coverage P(X(low) <= q < X(high)) from the binomial, whatever the distribution; at least 95 % where bounds exist."""
    found = quantile_interval(np.arange(n, dtype=float), probability)
    low = -inf if isnan(found.low) else found.low
    high = inf if isnan(found.high) else found.high
    below = stats.binom.cdf(high if high < inf else n, n, probability) - (
        stats.binom.cdf(low, n, probability) if low > -inf else 0.0
    )
    assert below >= 0.95 - 1e-12


def test_bootstrap_is_repeatable_and_close_to_student_for_normal_values():
    """Same values, same bounds; within a tenth of the width of Student's for a normal sample of 200."""
    values = stats.norm.ppf((np.arange(200) + 0.5) / 200)
    first, again = bootstrap_interval(values), bootstrap_interval(values)
    assert first == again
    student = t_interval(values)
    assert (first.low, first.high) == pytest.approx((student.low, student.high), abs=0.1 * 2 * student.half_width)
    assert bootstrap_interval([2.0, 2.0, 2.0]).half_width == 0.0


def test_holm_by_hand():
    """Smallest times m, next times m - 1, never falling, at most 1; a missing test does not count."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    adjusted = holm([0.01, nan, 0.5])
    assert adjusted[0] == pytest.approx(0.02)
    assert isnan(adjusted[1])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_agreement_tells_a_shift_and_keeps_quiet_without_one():
    """Two samples of one law agree; another download time is found, and only that."""
    import pandas as pd

    def modules(seed, download_s):
        draw = np.random.default_rng(seed)
        started = draw.exponential(3600.0, 400)
        downloaded = started + draw.exponential(download_s, 400)
        upgraded = downloaded + draw.lognormal(5.0, 0.3, 400)
        return pd.DataFrame({
            "outcome": np.where(draw.random(400) < 0.9, "succeeded", "pending"), "first_contact_s": started,
            "notified_s": started, "confirmed_s": started, "download_started_s": started, "downloaded_s": downloaded,
            "updating_s": downloaded, "upgraded_s": upgraded, "reported_s": upgraded + draw.exponential(2.0, 400),
        })  # fmt: skip

    assert (agreement(modules(1, 60.0), modules(2, 60.0))["p_holm"] > 0.05).all()
    apart = agreement(modules(1, 60.0), modules(3, 90.0))
    assert list(apart["quantity"][apart["p_holm"] < 0.05]) == ["download"]


@pytest.mark.parametrize("pairs", [2, 3, 8])
def test_equal_differences_are_never_certain(pairs):
    """Two campaigns that differ by the same amount prove little: the sign test's chance, 2^(1 - pairs), not 0."""
    assert paired_difference([0.9] * pairs, [0.9 + 1e-3] * pairs).p_value == pytest.approx(2.0 ** (1 - pairs))
    assert unpaired_difference([0.5] * pairs, [0.6] * pairs).p_value > 0.0
