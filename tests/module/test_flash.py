"""Flashing against values worked out by hand: how long, and which of several ends comes first."""

from __future__ import annotations

import pytest

from sim.causes import Cause
from sim.draws import Purpose
from sim.messages import FIRMWARE, MCU, UPDATING
from sim.module import behaviour, flash
from sim.module.inputs import Input
from sim.module.link_states import LinkState
from sim.module.profile import Profile
from sim.module.rows import ModuleRow, Partition, Power

TABLES = {"late_failures": ((0.0,),), "other_versions": ((0.0,),), "refused": ((0.0,),), "refused_back": (0.0,)}
CHANCES = {
    **TABLES,
    "brick": 0.1, "flash_error": 0.2, "boot_failure": 0.3, "boot_failures": ((0.3,),), "bricks": ((0.1,),),
    "brick_on_power_loss": 0.5, "power_loss_mains_per_h": 0.36, "power_loss_low_battery": 0.1, "install_j": 100.0,
}  # fmt: skip


@pytest.fixture
def draws(monkeypatch):
    """Draws set by hand: 0.99, which nothing happens at, where a test says nothing."""
    given: dict[Purpose, float] = {}
    monkeypatch.setattr(flash, "uniform", lambda k0, k1, identity, purpose, number: given.get(purpose, 0.99))
    monkeypatch.setattr(flash, "pair", lambda *_: (given.get("brick", 0.99), given.get("boot", 0.99)))
    return given


def test_an_mcu_takes_its_time_by_size():
    """40 s a megabyte for 2.5 MB, and 8 s to boot."""
    row, profile = ModuleRow(kind=MCU, package_bytes=2_500_000), Profile(mcu_flash_s_per_mb=40.0, mcu_boot_s=8.0)
    assert flash.duration_s(row, profile) == pytest.approx(108.0)


def test_half_of_the_modules_take_longer_than_the_median(draws):
    draws[Purpose.INSTALL] = 0.5
    profile = Profile(install_median_s=90.0, install_sigma=0.4)
    assert flash.duration_s(ModuleRow(kind=FIRMWARE), profile) == pytest.approx(90.0)


@pytest.mark.parametrize(("unit", "fails"), [(0.0199, True), (0.0201, False)])
def test_the_mains_fail_by_the_hour(draws, unit, fails):
    """0.36 an hour, twice that for this module, for 100 s: a chance of 0.02."""
    draws[Purpose.POWER_LOSS] = unit
    profile = Profile(power=Power.MAINS, **CHANCES)
    assert flash.power_fails(ModuleRow(frailty=2.0), profile, 0.0, 100.0) is fails


@pytest.mark.parametrize(("charge", "fails"), [(19.9, True), (20.0, False)])
def test_a_battery_sags_below_a_fifth_of_its_charge(draws, charge, fails):
    draws[Purpose.POWER_LOSS] = 0.09
    profile = Profile(power=Power.BATTERY, capacity_j=1e6, **CHANCES)
    assert flash.power_fails(ModuleRow(battery_percent=charge), profile, 0.0, 100.0) is fails


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({}, Cause.NONE),
        ({"boot": 0.29}, Cause.BOOT_FAILURE), ({"boot": 0.31}, Cause.NONE),
        ({"boot": 0.0, Purpose.FLASH_ERROR: 0.19}, Cause.FLASH_ERROR), ({Purpose.FLASH_ERROR: 0.21}, Cause.NONE),
        ({"boot": 0.0, Purpose.FLASH_ERROR: 0.0, "brick": 0.09}, Cause.BRICKED), ({"brick": 0.11}, Cause.NONE),
    ],
)  # fmt: skip
def test_the_gravest_end_wins(draws, given, cause):
    """A brick before a write error before an image that does not boot; each just within and just beyond its chance."""
    draws.update(given)
    profile = Profile(power=Power.MAINS, **CHANCES)
    assert flash.result(ModuleRow(), profile, 0.0, 1.0) == cause


def test_a_battery_that_cannot_carry_it_dies(draws):
    """1 % of 9,900 J is less than the 100 J of an installation, whatever else would have happened."""
    draws["brick"] = 0.0
    profile = Profile(power=Power.BATTERY, capacity_j=9900.0, **CHANCES)
    assert flash.result(ModuleRow(battery_percent=1.0), profile, 0.0, 1.0) == Cause.BATTERY_DEAD
    assert flash.result(ModuleRow(battery_percent=2.0), profile, 0.0, 1.0) == Cause.BRICKED


@pytest.mark.parametrize(("dice", "cause"), [(0.49, Cause.BRICKED), (0.51, Cause.POWER_LOSS)])
def test_a_power_cut_bricks_half_of_the_partitions_written_in_place(draws, dice, cause):
    draws.update({Purpose.POWER_LOSS: 0.0, Purpose.BRICK: dice})
    profile = Profile(power=Power.MAINS, partition=Partition.IN_PLACE, **CHANCES)
    assert flash.result(ModuleRow(), profile, 0.0, 100.0) == cause
    assert flash.result(ModuleRow(), Profile(power=Power.MAINS, **CHANCES), 0.0, 100.0) == Cause.NONE, "resumable"


def test_a_delta_that_does_not_fit_is_refused_before_an_image_that_is_wrong(draws):
    draws[Purpose.IMAGE] = 0.009
    profile = Profile(**TABLES, image_mismatch=0.01, delta=(1,))
    assert flash.image_fault(ModuleRow(source_mismatch=1), profile) == Cause.SOURCE_MISMATCH
    assert flash.image_fault(ModuleRow(), profile) == Cause.IMAGE_MISMATCH
    draws[Purpose.IMAGE] = 0.011
    assert flash.image_fault(ModuleRow(), profile) == Cause.NONE
    assert (
        flash.image_fault(ModuleRow(source_mismatch=1), Profile(**TABLES, image_mismatch=0.01, delta=(0,)))
        == Cause.NONE
    )


@pytest.mark.parametrize(("unit", "hangs"), [(0.0499, True), (0.05, False), (0.99, False)])
def test_a_module_hangs_when_its_draw_is_below_the_chance(draws, unit, hangs):
    """Strictly below: a chance of 0.05 is the draws from 0 to 0.05."""
    draws[Purpose.HANG] = unit
    assert flash.hangs(ModuleRow(), Profile(hang=0.05)) is hangs


def test_without_a_chance_of_hanging_nothing_is_drawn(monkeypatch):
    monkeypatch.setattr(flash, "uniform", lambda *_: pytest.fail("a draw"))
    assert not flash.hangs(ModuleRow(), Profile(hang=0.0))


@pytest.mark.parametrize(
    ("unit", "seconds"), [(0.5, 3600.0), (0.8413447460685429, 9785.8146), (0.15865525393145707, 1324.3660)]
)
def test_a_hang_lasts_the_median_times_e_for_a_standard_deviation(draws, unit, seconds):
    """Log-normal with a log-spread of 1: 3,600 s at the median, 3,600 e and 3,600 / e one standard deviation off."""
    draws[Purpose.HANG_END] = unit
    assert flash.hang_s(ModuleRow(), Profile(hang_median_s=3600.0)) == pytest.approx(seconds, rel=1e-6)


def test_each_installation_hangs_by_a_draw_of_its_own():
    """Keyed by module and installation: the share of 4,000 is the chance within four standard deviations, and no draw repeats."""
    profile = Profile(hang=0.3, key_0=5, key_1=6)
    first = [flash.hangs(ModuleRow(identity=i, flashes=1), profile) for i in range(4000)]
    second = [flash.hangs(ModuleRow(identity=i, flashes=2), profile) for i in range(4000)]
    spread = 4 * (0.3 * 0.7 / 4000) ** 0.5
    assert abs(sum(first) / 4000 - 0.3) < spread and abs(sum(second) / 4000 - 0.3) < spread
    both = sum(a and b for a, b in zip(first, second, strict=True)) / 4000
    assert abs(both - 0.09) < 4 * (0.09 * 0.91 / 4000) ** 0.5


def test_a_module_that_hangs_writes_nothing_and_falls_back(draws):
    """Off the air for the hang alone, nothing spent for writing; an MCU never hangs, since the module runs on."""
    draws.update({Purpose.HANG: 0.0, Purpose.HANG_END: 0.5})
    profile = Profile(
        power=Power.BATTERY,
        capacity_j=1e6,
        hang=0.5,
        hang_median_s=600.0,
        mcu_flash_s_per_mb=1.0,
        delta=(0,),
        **CHANCES,
    )
    row = ModuleRow(kind=FIRMWARE, link=LinkState.ONLINE, status=UPDATING, battery_percent=90.0)
    behaviour.receive(row, profile, Input.BEGIN_FLASH, 1000.0)
    assert (row.flash_result, row.link_at, row.link_then) == (Cause.HUNG, 1600.0, Input.FLASH_ENDED)
    assert row.image_faults == 0 and row.flashes == 1
    mcu = ModuleRow(kind=MCU, link=LinkState.ONLINE, status=UPDATING, battery_percent=90.0, package_bytes=1_000_000)
    behaviour.receive(mcu, profile, Input.BEGIN_FLASH, 1000.0)
    assert mcu.flash_result != Cause.HUNG and mcu.link == LinkState.ONLINE
