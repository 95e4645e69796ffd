"""The time left is told once it can be known, and then it is the pace's."""

from __future__ import annotations

import pytest

from sim.cli.progress import time_left_s


@pytest.mark.parametrize(
    ("elapsed_s", "done", "left_s"),
    [
        (0.5, 0.5, None),  # too early: the first piece may have waited for a compilation
        (60.0, 0.01, None),  # too little of it
        (10.0, 0.25, 30.0),
        (300.0, 0.75, 100.0),
        (10.0, 1.0, None),  # done
    ],
)
def test_time_left(elapsed_s, done, left_s):
    """By hand: what is left takes as long as what is done, in proportion."""
    assert time_left_s(elapsed_s, done) == (None if left_s is None else pytest.approx(left_s))
