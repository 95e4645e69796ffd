"""The time left is told once it can be known, and then it is the pace's."""

from __future__ import annotations

import pytest

from sim.cli.progress import Pace, TimeLeft, time_left_s


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


def test_what_a_resumed_sweep_finds_says_nothing_of_the_pace():
    """900 of 1,000 campaigns are there at once, then 10 take 30 s: 90 more take 270 s, not 3 s."""
    pace = Pace()
    assert pace.left_s(0.0, 900, 1000) is None
    assert pace.left_s(3.0, 901, 1000) is None  # 1 % of what is left to do: too little to tell
    assert pace.left_s(30.0, 910, 1000) == pytest.approx(270.0)


def test_the_time_before_the_first_news_says_nothing_of_the_pace():
    """An engine compiles for 60 s, then a quarter of the run takes 5 s: 15 s are left, not 195 s."""
    pace = Pace()
    assert pace.left_s(60.0, 0.0, 1.0) is None
    assert pace.left_s(65.0, 0.25, 1.0) == pytest.approx(15.0)


def test_work_that_grows_or_begins_again_is_followed():
    """More replications are wanted on the way: in proportion to all of them; a task that begins again has a new pace."""
    pace = Pace()
    pace.left_s(0.0, 0, 20)
    assert pace.left_s(10.0, 10, 20) == pytest.approx(10.0)
    assert pace.left_s(20.0, 20, 40) == pytest.approx(20.0)
    assert pace.left_s(21.0, 0, 40) is None
    assert pace.left_s(31.0, 10, 40) == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("news", "shown"),
    [
        ([(0.0, 0)], "–"),
        ([(0.0, 900)], "–"),
        ([(0.0, 900), (1.0, 950)], "–"),  # never "0 s left" at the start
        ([(0.0, 900), (30.0, 910)], "about 4.5 min"),
        ([(70.0, 250), (80.0, 500)], "about 20 s"),
        ([(0.0, 0), (100.0, 1000)], "–"),
    ],
)
def test_the_bar_tells_the_same(news, shown):
    """A bar on a terminal, from what it is told of 1,000 pieces."""
    from types import SimpleNamespace

    column = TimeLeft()
    text = [column.render(SimpleNamespace(id=1, total=1000, completed=done, elapsed=at)) for at, done in news][-1]
    assert text.plain == shown


def test_the_first_wave_says_nothing_of_the_pace():
    """Two workers start for 40 s before their first campaigns end; then two end every 2 s: of 24, 18 are left at 44.1 s: 18 s."""
    pace = Pace(wave=2)
    assert [pace.left_s(now, done, 24) for now, done in ((0.0, 0), (40.0, 1), (40.1, 2), (42.1, 4))] == [None] * 4
    assert pace.left_s(44.1, 6, 24) == pytest.approx(18.0)


def test_the_first_wave_after_a_resume_says_nothing_either():
    """900 of 1,000 are in the folder; the first two new ones wait for their workers, then one ends every second."""
    pace = Pace(wave=2)
    assert [pace.left_s(now, done, 1000) for now, done in ((0.0, 900), (60.0, 901), (61.0, 902))] == [None] * 3
    assert pace.left_s(71.0, 912, 1000) == pytest.approx(88.0)
