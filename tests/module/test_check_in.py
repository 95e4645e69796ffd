"""Check-ins against values worked out by hand: when, and how long a module stays."""

from __future__ import annotations

import math

import pytest

from sim.module import check_in
from sim.module.profile import Profile
from sim.module.rows import INF, CheckIn, ModuleRow

HOURLY = Profile(check_in=CheckIn.PERIODIC, check_in_every_s=3600.0, awake_s=60.0)


@pytest.fixture
def draw(monkeypatch):
    """The next draws by hand."""

    def set_to(unit):
        monkeypatch.setattr(check_in, "uniform", lambda *_: unit)
        monkeypatch.setattr(check_in, "pair", lambda *_: (unit, unit))

    return set_to


def test_a_fixed_period_from_the_modules_own_phase():
    """A quarter of an hour into the hour, every hour, a minute each."""
    row = ModuleRow(phase=0.25)
    assert check_in.next_check_in_s(row, HOURLY, 0.0) == 900.0
    assert row.session_end_s == 960.0
    assert check_in.next_check_in_s(row, HOURLY, 960.0) == 4500.0
    assert check_in.next_check_in_s(row, HOURLY, 20_000.0) == 22_500.0, "occasions that were missed are gone"


@pytest.mark.parametrize(
    ("activation", "first", "end"), [(930.0, 930.0, 960.0), (961.0, 4500.0, 4560.0), (0.0, 900.0, 960.0)]
)
def test_a_session_under_way_at_activation_counts(activation, first, end):
    row = ModuleRow(phase=0.25)
    assert check_in.first_check_in_s(row, HOURLY, activation) == first
    assert row.session_end_s == end


def test_a_module_that_is_away_is_first_seen_after_its_return():
    assert check_in.first_check_in_s(ModuleRow(phase=0.25, away_until_s=10_000.0), HOURLY, 0.0) == 11_700.0


@pytest.mark.parametrize(("unit", "start"), [(0.0, 600.0), (0.5, 900.0), (0.75, 1050.0)])
def test_jitter_moves_either_way(draw, unit, start):
    """Five minutes: all of it earlier, none, half of it later."""
    draw(unit)
    profile = Profile(check_in=CheckIn.PERIODIC, check_in_every_s=3600.0, check_in_jitter_s=300.0, awake_s=60.0)
    assert check_in.next_check_in_s(ModuleRow(phase=0.25), profile, 0.0) == pytest.approx(start)


@pytest.mark.parametrize(("change_at", "shift", "start"), [(INF, 0.0, 14_400.0), (10_000.0, 3600.0, 10_800.0)])
def test_a_time_of_day_follows_the_local_clock(change_at, shift, start):
    """Activated at 22:00, due at 02:00: in 4 h, or in 3 h where the clocks go forward in between."""
    profile = Profile(
        check_in=CheckIn.PERIODIC, check_in_every_s=86400.0, check_in_at_s=7200.0, awake_s=60.0,
        zone_day_start_s=(79200.0,), zone_change_at_s=((change_at,),), zone_shift_s=((shift,),),
        zone_changes=(0.0 if change_at == INF else 1.0,),
    )  # fmt: skip
    assert check_in.next_check_in_s(ModuleRow(phase=0.5), profile, 0.0) == pytest.approx(start)


def test_at_random_the_pauses_are_exponential(draw):
    """A draw of 1/e is one mean pause: an hour less the minute awake."""
    draw(math.exp(-1.0))
    profile = Profile(check_in=CheckIn.POISSON, check_in_every_s=3600.0, awake_s=60.0)
    row = ModuleRow()
    assert check_in.next_check_in_s(row, profile, 100.0) == pytest.approx(3640.0)
    assert row.session_end_s == pytest.approx(3700.0)


def test_always_online_has_no_end():
    row = ModuleRow()
    assert check_in.next_check_in_s(row, Profile(check_in=CheckIn.ALWAYS, check_in_every_s=600.0), 50.0) == 650.0
    assert row.session_end_s == INF


def test_polls_are_jittered(draw):
    draw(0.75)
    assert check_in.next_poll_s(ModuleRow(), Profile(check_in_every_s=600.0, poll_jitter=0.1)) == pytest.approx(630.0)
    assert check_in.next_poll_s(ModuleRow(), Profile(check_in_every_s=600.0)) == 600.0


def test_trips_are_around_the_peaks_of_the_day(draw):
    """Activated at midnight, a trip at 8:00 and one at 18:00 of 40 minutes each, all of them taken."""
    draw(0.5)
    profile = Profile(
        check_in=CheckIn.DIURNAL, peaks=2, peaks_s=(8 * 3600.0, 18 * 3600.0), trip_probability=1.0, online_s=2400.0,
        check_in_spread_s=1800.0,
    )  # fmt: skip
    row = ModuleRow()
    assert check_in.next_check_in_s(row, profile, 0.0) == pytest.approx(28_800.0)
    assert row.session_end_s == pytest.approx(31_200.0)
    assert check_in.next_check_in_s(row, profile, 31_200.0) == pytest.approx(64_800.0)
    assert check_in.next_check_in_s(row, profile, 70_000.0) == pytest.approx(86_400.0 + 28_800.0)


def trips(monkeypatch, starts_ends, peaks=1):
    """A fleet of one whose trips begin and end at given seconds, by number; none elsewhere."""
    monkeypatch.setattr(check_in, "_trip", lambda row, profile, number: starts_ends.get(number, (INF, INF)))
    return Profile(check_in=CheckIn.DIURNAL, peaks=peaks, peaks_s=tuple(3600.0 * i for i in range(peaks)),
                   check_in_spread_s=3600.0, online_s=3600.0)  # fmt: skip


def test_trips_that_overlap_are_one(monkeypatch):
    """From 100 to 500, 400 to 900 and 900 to 950: one time online, from 100 to 950; the next begins at 2000."""
    profile = trips(
        monkeypatch, {0: (100.0, 500.0), 1: (400.0, 900.0), 2: (900.0, 950.0), 3: (2000.0, 2100.0)}, peaks=4
    )
    row = ModuleRow()
    assert check_in.next_check_in_s(row, profile, 0.0) == 100.0
    assert row.session_end_s == 950.0
    assert check_in.next_check_in_s(row, profile, 950.0) == 2000.0


def test_the_earliest_trip_is_next_whatever_its_peak(monkeypatch):
    """The trip around a later peak begins before that around an earlier one; one within another adds nothing."""
    profile = trips(monkeypatch, {0: (900.0, 1000.0), 1: (300.0, 2000.0), 2: (5000.0, 5100.0)}, peaks=3)
    row = ModuleRow()
    assert check_in.next_check_in_s(row, profile, 0.0) == 300.0
    assert row.session_end_s == 2000.0


def test_a_trip_under_way_at_activation_is_joined_with_the_next(monkeypatch):
    """From -50 to 200 and from 150 to 400: online at once, until 400."""
    profile = trips(monkeypatch, {-1: (-50.0, 200.0), 0: (150.0, 400.0)})
    row = ModuleRow()
    assert check_in.first_check_in_s(row, profile, 0.0) == 0.0
    assert row.session_end_s == 400.0


def test_time_online_is_that_of_the_union_of_all_trips():
    """Three peaks an hour apart, trips of an hour and more: over 200 days exactly the time that trips cover, counted apart."""
    profile = Profile(
        check_in=CheckIn.DIURNAL, peaks=3, peaks_s=(7 * 3600.0, 8 * 3600.0, 9 * 3600.0), trip_probability=0.7,
        online_s=4000.0, check_in_spread_s=2400.0, key_0=7,
    )  # fmt: skip
    row, now, end_s, online_s = ModuleRow(identity=3), 0.0, 200 * 86400.0, 0.0
    while (start := check_in.next_check_in_s(row, profile, now)) < end_s:
        assert start > now
        online_s += min(row.session_end_s, end_s) - start
        now = row.session_end_s
    covered, reached = 0.0, 0.0
    for start, end in sorted(check_in._trip(row, profile, number) for number in range(-3, 603)):
        if 0.0 < start < end_s:
            covered += max(0.0, min(end, end_s) - max(start, reached))
            reached = max(reached, end)
    assert online_s == pytest.approx(covered, rel=1e-12)
    assert 0.02 < covered / end_s < 0.15
