"""The battery against values worked out by hand: both engines run this code, so their equality cannot see a fault in it."""

from __future__ import annotations

import math

import pytest

from sim.module import battery
from sim.module.profile import Profile
from sim.module.rows import CheckIn, ModuleRow, Power

DAY_S = 86400.0
CELL = Profile(power=Power.BATTERY, capacity_j=36000.0, ordinary_w=(0.01, 0.01, 0.01), gauge_resolution_percent=5.0)
CHARGED = Profile(
    power=Power.BATTERY, capacity_j=36000.0, recharge_every_s=10 * DAY_S, recharge_to_percent=100.0,
    recharge_from_percent=20.0,
)  # fmt: skip


def test_a_primary_cell_drains_evenly_and_by_what_the_rollout_takes():
    """10 mW for a day are 864 J, 2.4 % of 36 kJ; 3,600 J more are 10 %."""
    row = ModuleRow(battery_percent=80.0)
    assert battery.true_percent(row, CELL, DAY_S) == pytest.approx(77.6)
    battery.spend(row, 3600.0)
    assert battery.true_percent(row, CELL, DAY_S) == pytest.approx(67.6)
    assert row.energy_j == 3600.0
    assert battery.left_j(row, CELL, DAY_S) == pytest.approx(0.676 * 36000.0)
    battery.spend(row, 36000.0)
    assert battery.true_percent(row, CELL, DAY_S) == 0.0


def test_a_rechargeable_battery_is_a_saw_tooth_through_its_charge_at_activation():
    """60 % between 100 % and 20 % is half of the cycle: a quarter later it holds 40 %, and at half it is charged."""
    row = ModuleRow(battery_percent=60.0)
    assert battery.true_percent(row, CHARGED, 0.0) == pytest.approx(60.0)
    battery.spend(row, 3600.0)
    assert battery.true_percent(row, CHARGED, 2.5 * DAY_S) == pytest.approx(30.0)
    assert battery.recharged_at_s(row, CHARGED, 2.5 * DAY_S) == pytest.approx(5.0 * DAY_S)
    assert battery.true_percent(row, CHARGED, 5.0 * DAY_S) == pytest.approx(100.0), "what the rollout took is forgotten"
    assert row.energy_j == 3600.0, "but not what it has cost"


def test_a_primary_cell_never_comes_back():
    assert battery.recharged_at_s(ModuleRow(), CELL, 5.0) == math.inf


@pytest.mark.parametrize(
    ("charge", "offset", "shown"),
    [(67.6, 1.2, 70.0), (67.6, 0.0, 70.0), (67.4, 0.0, 65.0), (99.0, 4.0, 100.0), (2.0, -5.0, 0.0)],
)
def test_the_gauge_shows_the_charge_with_its_error_in_steps(charge, offset, shown):
    """Steps of 5 %, rounded half up, within 0 to 100."""
    assert battery.gauge_percent(ModuleRow(battery_percent=charge, gauge_offset_percent=offset), CELL, 0.0) == shown


def test_other_supplies_are_always_full():
    row, mains = ModuleRow(battery_percent=3.0, spent_cycle_j=1e6), Profile(power=Power.MAINS)
    assert (battery.true_percent(row, mains, 1e7), battery.gauge_percent(row, mains, 1e7)) == (100.0, 100.0)
    assert battery.empty_after_s(row, mains, 0.0, 5.0) == math.inf


def test_a_load_empties_what_is_left():
    """Half of 36 kJ at 2 W lasts 9,000 s."""
    assert battery.empty_after_s(ModuleRow(battery_percent=50.0), CELL, 0.0, 2.0) == pytest.approx(9000.0)


def test_power_while_awake():
    """20 mA at 3.6 V; with eDRX 1.5 mA."""
    given = {"idle_ma": 20.0, "edrx_ma": 1.5, "supply_v": 3.6}
    assert battery.awake_w(Profile(**given)) == pytest.approx(0.072)
    assert battery.awake_w(Profile(**given, edrx_s=20.48)) == pytest.approx(0.0054)


def test_mean_power_of_an_ordinary_life(monkeypatch):
    """Every hour a session of 10 J and 36 s awake at 72 mW, asleep at 5 uA otherwise: 3.5156 mW."""
    monkeypatch.setattr(battery.radio, "session_energy_j", lambda *_: 10.0)
    given = {"idle_ma": 20.0, "supply_v": 3.6, "sleep_ua": 5.0, "awake_s": 36.0, "check_in_every_s": 3600.0}
    periodic = Profile(check_in=CheckIn.PERIODIC, **given)
    assert battery.ordinary_w(periodic, 0) == pytest.approx(10 / 3600 + 0.01 * 0.072 + 0.99 * 1.8e-5)
    assert battery.ordinary_w(Profile(check_in=CheckIn.ALWAYS, **given), 0) == pytest.approx(0.072 + 10 / 3600)
