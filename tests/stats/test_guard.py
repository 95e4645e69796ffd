"""The guard of speed: ratios of paired times and what they say, by value. Times themselves are measured, not tested."""

from __future__ import annotations

import math

import pytest

from benchmarks.guard import PARTS, Part, Ratio, line, ratio_of


def test_ratio_is_the_geometric_mean_of_the_rounds_with_students_interval():
    """Ratios 2, 1 and 1/2: mean 1; the logarithms spread by ln 2, so the bounds are exp(±4.3027 ln 2 / √3)."""
    found = ratio_of([1.0, 3.0, 4.0], [2.0, 3.0, 2.0])
    bound = math.exp(4.302652729911275 * math.log(2.0) / math.sqrt(3.0))
    assert found.value == pytest.approx(1.0)
    assert found.high == pytest.approx(bound)
    assert found.low == pytest.approx(1.0 / bound)


def test_ratio_is_of_pairs_so_a_round_on_a_busy_host_does_not_move_it():
    """Both sides of the second round took ten times as long."""
    assert ratio_of([1.0, 10.0], [1.1, 11.0]).value == pytest.approx(1.1)
    assert ratio_of([1.0, 10.0], [1.1, 11.0]).low == pytest.approx(1.1)


def test_one_round_says_nothing_about_its_doubt():
    """The ratio is there, its interval is everything."""
    assert ratio_of([2.0], [3.0]) == Ratio(pytest.approx(1.5), 0.0, math.inf)
    assert ratio_of([2.0], [3.0]).verdict(1.05) == "no significant difference"


@pytest.mark.parametrize(("before", "now"), [([], []), ([1.0, 2.0], [1.0])])
def test_times_without_a_partner_are_refused(before, now):
    """No pairs, or one side measured more often."""
    with pytest.raises(ValueError, match="pairs need equally many"):
        ratio_of(before, now)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (1.06, 1.20, "slower by more than 5%"), (1.05, 1.20, "slower"), (1.01, 1.04, "slower"),
        (0.99, 1.30, "no significant difference"), (1.0, 1.0, "no significant difference"), (0.80, 0.99, "faster"),
    ],
)  # fmt: skip
def test_verdict_is_by_the_whole_interval(low, high, said):
    """Slower or faster only where the interval leaves 1 out; too slow only where it lies above the tolerance."""
    assert Ratio(math.sqrt(low * high), low, high).verdict(1.05) == said


def test_a_row_shows_medians_ratio_interval_and_rounds():
    """What is read in the table."""
    row = line(Part("import", ()), [1.0, 10.0, 2.0], [1.5, 15.0, 3.0], 1.05)
    assert row == "| import | 2.00 s | 3.00 s | 1.500 | 1.500 to 1.500 | 3 | slower by more than 5% |"


def test_compiling_comes_first_and_the_run_before_its_report():
    """Later parts use what earlier ones leave."""
    names = list(PARTS)
    assert names[0] == "compile"
    assert names.index("run") < names.index("report")
