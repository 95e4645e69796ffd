"""Flashing: how long it takes and how it ends, decided by keyed draws when it begins."""

from __future__ import annotations

import math

from sim.causes import Cause
from sim.draws import Purpose, lognormal, pair, uniform
from sim.messages import FIRMWARE
from sim.module.battery import left_j, true_percent
from sim.module.profile import Profile
from sim.module.rows import ModuleRow, Partition, Power

LOW_BATTERY_PERCENT = 20.0
"""Below this true charge the supply may sag under the load of flashing."""


def image_fault(row: ModuleRow, profile: Profile) -> int:
    """The cause for which the package is refused before anything is written, or NONE."""
    if profile.delta[row.component] and row.source_mismatch:
        return Cause.SOURCE_MISMATCH
    if (
        profile.refused_back[row.component]
        if row.reverting
        else profile.refused[row.component][release_class(row, profile)]
    ) > 0.0:
        return Cause.DOWNGRADE_REFUSED
    unit = uniform(profile.key_0, profile.key_1, row.identity, Purpose.IMAGE, row.flashes)
    return Cause.IMAGE_MISMATCH if unit < profile.image_mismatch else Cause.NONE


def release_class(row: ModuleRow, profile: Profile) -> int:
    """Which column of the tables of a release is this module's: its hardware, and what it ran at activation."""
    return row.hardware + profile.hardware_count * row.base


def tells_early(row: ModuleRow, profile: Profile) -> bool:
    """Whether the module reports success before it has booted what it has written."""
    if row.reverting or row.flash_result not in (Cause.NONE, Cause.BOOT_FAILURE, Cause.BRICKED):
        return False
    return (
        profile.early_success > 0.0
        and uniform(profile.key_0, profile.key_1, row.identity, Purpose.EARLY_SUCCESS, row.flashes)
        < profile.early_success
    )


def late_failure_s(row: ModuleRow, profile: Profile) -> float:
    """Time from the success of the last component until the release fails on this module, inf for never."""
    if not profile.may_fail_late:
        return math.inf
    sound = 1.0
    for component in range(profile.components):
        sound *= 1.0 - min(1.0, profile.late_failures[component][release_class(row, profile)] * row.lot_factor)
    unit, other = pair(profile.key_0, profile.key_1, row.identity, Purpose.LATE_FAILURE, row.flashes)
    return lognormal(other, profile.late_failure_median_s, 1.0) if unit < 1.0 - sound else math.inf


def is_late_brick(row: ModuleRow, profile: Profile) -> bool:
    """Whether the module is lost when its new image fails late."""
    return uniform(profile.key_0, profile.key_1, row.identity, Purpose.LATE_BRICK, row.flashes) < profile.late_brick


def hangs(row: ModuleRow, profile: Profile) -> bool:
    """Whether the module hangs when it is to install."""
    return (
        profile.hang > 0.0
        and uniform(profile.key_0, profile.key_1, row.identity, Purpose.HANG, row.flashes) < profile.hang
    )


def hang_s(row: ModuleRow, profile: Profile) -> float:
    """Time until the power of a module that hangs is cycled."""
    return lognormal(
        uniform(profile.key_0, profile.key_1, row.identity, Purpose.HANG_END, row.flashes), profile.hang_median_s, 1.0
    )


def duration_s(row: ModuleRow, profile: Profile) -> float:
    """Time the flashing takes when nothing goes wrong."""
    if row.kind != FIRMWARE:
        return profile.mcu_flash_s_per_mb * row.package_bytes / 1e6 + profile.mcu_boot_s
    return lognormal(
        uniform(profile.key_0, profile.key_1, row.identity, Purpose.INSTALL, row.flashes),
        profile.install_median_s,
        profile.install_sigma,
    )


def power_fails(row: ModuleRow, profile: Profile, now: float, duration: float) -> bool:
    """Whether the supply fails while flashing."""
    unit = uniform(profile.key_0, profile.key_1, row.identity, Purpose.POWER_LOSS, row.flashes)
    return unit < _power_loss_chance(row, profile, now, duration)


def _power_loss_chance(row: ModuleRow, profile: Profile, now: float, duration: float) -> float:
    if profile.power == Power.BATTERY:
        low = true_percent(row, profile, now) < LOW_BATTERY_PERCENT
        return profile.power_loss_low_battery * row.frailty if low else 0.0
    hazard_per_h = profile.power_loss_mains_per_h if profile.power == Power.MAINS else profile.power_loss_vehicle_per_h
    return hazard_per_h * row.frailty * duration / 3600.0


def outage_s(row: ModuleRow, profile: Profile) -> float:
    """Time until power returns after a cut."""
    return lognormal(
        uniform(profile.key_0, profile.key_1, row.identity, Purpose.OUTAGE, row.flashes), profile.outage_median_s, 1.0
    )


def result(row: ModuleRow, profile: Profile, now: float, duration: float) -> int:
    """How the flashing ends: NONE for success, else the cause.

    An empty battery or a power cut interrupts; a resumable partition goes on when power returns (a cause is then
    returned only for the empty battery, whose return is the battery's affair), an in-place one bricks with
    `brick_on_power_loss` or keeps the old image.
    """
    brick, boot = pair(profile.key_0, profile.key_1, row.identity, Purpose.BOOT, row.flashes)
    write = uniform(profile.key_0, profile.key_1, row.identity, Purpose.FLASH_ERROR, row.flashes)
    if left_j(row, profile, now) < profile.install_j:
        return Cause.BATTERY_DEAD
    if profile.partition == Partition.IN_PLACE and power_fails(row, profile, now, duration):
        dice = uniform(profile.key_0, profile.key_1, row.identity, Purpose.BRICK, row.flashes)
        return Cause.BRICKED if dice < profile.brick_on_power_loss else Cause.POWER_LOSS
    if brick < _brick_chance(row, profile) * row.frailty:
        return Cause.BRICKED
    if write < profile.flash_error * row.frailty:
        return Cause.FLASH_ERROR
    if boot < (
        profile.boot_failure
        if row.reverting
        else profile.boot_failures[row.component][release_class(row, profile)] * row.lot_factor
    ):
        return Cause.BOOT_FAILURE
    return Cause.OTHER_VERSION if _names_other_version(row, profile) else Cause.NONE


def brick_chance(row: ModuleRow, profile: Profile, now: float, duration: float) -> float:
    """Chance that `result` is BRICKED and the module is lost, before anything is drawn.

    Summed over installations its mean is that of the number of bricks, at a fraction of the variance where they are
    rare (Rao and Blackwell: the draw is replaced by its conditional expectation). 0 for an MCU, whose module lives on.
    """
    if row.kind != FIRMWARE or left_j(row, profile, now) < profile.install_j:
        return 0.0
    chance = min(1.0, _brick_chance(row, profile) * row.frailty)
    if profile.partition != Partition.IN_PLACE:
        return chance
    cut = min(1.0, _power_loss_chance(row, profile, now, duration))
    return cut * profile.brick_on_power_loss + (1.0 - cut) * chance


def _names_other_version(row: ModuleRow, profile: Profile) -> bool:
    """Whether the image this module gets names another version than the plan's."""
    chance = 0.0 if row.reverting else profile.other_versions[row.component][release_class(row, profile)]
    return (
        chance > 0.0
        and uniform(profile.key_0, profile.key_1, row.identity, Purpose.OTHER_VERSION, row.component) < chance
    )


def _brick_chance(row: ModuleRow, profile: Profile) -> float:
    """That of the release, or of a healthy image when the previous one is being restored."""
    if row.reverting:
        return profile.brick_in_place if profile.partition == Partition.IN_PLACE else profile.brick
    return profile.bricks[row.component][release_class(row, profile)] * row.lot_factor
