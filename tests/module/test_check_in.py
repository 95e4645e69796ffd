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
