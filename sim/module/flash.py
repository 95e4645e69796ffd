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


def image_fault(m: ModuleRow, p: Profile) -> int:
    """The cause for which the package is refused before anything is written, or NONE."""
    if p.delta[m.component] and m.source_mismatch:
        return Cause.SOURCE_MISMATCH
    if (p.refused_back[m.component] if m.reverting else p.refused[m.component][release_class(m, p)]) > 0.0:
        return Cause.DOWNGRADE_REFUSED
    unit = uniform(p.key_0, p.key_1, m.identity, Purpose.IMAGE, m.flashes)
    return Cause.IMAGE_MISMATCH if unit < p.image_mismatch else Cause.NONE


def release_class(m: ModuleRow, p: Profile) -> int:
    """Which column of the tables of a release is this module's: its hardware, and what it ran at activation."""
    return m.hardware + p.hardware_count * m.base


def tells_early(m: ModuleRow, p: Profile) -> bool:
    """Whether the module reports success before it has booted what it has written."""
    if m.reverting or m.flash_result not in (Cause.NONE, Cause.BOOT_FAILURE, Cause.BRICKED):
        return False
    return (
        p.early_success > 0.0
        and uniform(p.key_0, p.key_1, m.identity, Purpose.EARLY_SUCCESS, m.flashes) < p.early_success
    )


def late_failure_s(m: ModuleRow, p: Profile) -> float:
    """Time from the success of the last component until the release fails on this module, inf for never."""
    if not p.may_fail_late:
        return math.inf
    sound = 1.0
    for component in range(p.components):
        sound *= 1.0 - min(1.0, p.late_failures[component][release_class(m, p)] * m.lot_factor)
    unit, other = pair(p.key_0, p.key_1, m.identity, Purpose.LATE_FAILURE, m.flashes)
    return lognormal(other, p.late_failure_median_s, 1.0) if unit < 1.0 - sound else math.inf


def is_late_brick(m: ModuleRow, p: Profile) -> bool:
    """Whether the module is lost when its new image fails late."""
    return uniform(p.key_0, p.key_1, m.identity, Purpose.LATE_BRICK, m.flashes) < p.late_brick


def hangs(m: ModuleRow, p: Profile) -> bool:
    """Whether the module hangs when it is to install."""
    return p.hang > 0.0 and uniform(p.key_0, p.key_1, m.identity, Purpose.HANG, m.flashes) < p.hang


def hang_s(m: ModuleRow, p: Profile) -> float:
    """Time until the power of a module that hangs is cycled."""
    return lognormal(uniform(p.key_0, p.key_1, m.identity, Purpose.HANG_END, m.flashes), p.hang_median_s, 1.0)


def duration_s(m: ModuleRow, p: Profile) -> float:
    """Time the flashing takes when nothing goes wrong."""
    if m.kind != FIRMWARE:
        return p.mcu_flash_s_per_mb * m.package_bytes / 1e6 + p.mcu_boot_s
    return lognormal(
        uniform(p.key_0, p.key_1, m.identity, Purpose.INSTALL, m.flashes), p.install_median_s, p.install_sigma
    )


def power_fails(m: ModuleRow, p: Profile, now: float, duration: float) -> bool:
    """Whether the supply fails while flashing."""
    unit = uniform(p.key_0, p.key_1, m.identity, Purpose.POWER_LOSS, m.flashes)
    if p.power == Power.BATTERY:
        low = true_percent(m, p, now) < LOW_BATTERY_PERCENT
        return low and unit < p.power_loss_low_battery * m.frailty
    hazard_per_h = p.power_loss_mains_per_h if p.power == Power.MAINS else p.power_loss_vehicle_per_h
    return unit < hazard_per_h * m.frailty * duration / 3600.0


def outage_s(m: ModuleRow, p: Profile) -> float:
    """Time until power returns after a cut."""
    return lognormal(uniform(p.key_0, p.key_1, m.identity, Purpose.OUTAGE, m.flashes), p.outage_median_s, 1.0)


def result(m: ModuleRow, p: Profile, now: float, duration: float) -> int:
    """How the flashing ends: NONE for success, else the cause.

    An empty battery or a power cut interrupts; a resumable partition goes on when power returns (a cause is then
    returned only for the empty battery, whose return is the battery's affair), an in-place one bricks with
    `brick_on_power_loss` or keeps the old image.
    """
    brick, boot = pair(p.key_0, p.key_1, m.identity, Purpose.BOOT, m.flashes)
    write = uniform(p.key_0, p.key_1, m.identity, Purpose.FLASH_ERROR, m.flashes)
    if left_j(m, p, now) < p.install_j:
        return Cause.BATTERY_DEAD
    if p.partition == Partition.IN_PLACE and power_fails(m, p, now, duration):
        dice = uniform(p.key_0, p.key_1, m.identity, Purpose.BRICK, m.flashes)
        return Cause.BRICKED if dice < p.brick_on_power_loss else Cause.POWER_LOSS
    if brick < _brick_chance(m, p) * m.frailty:
        return Cause.BRICKED
    if write < p.flash_error * m.frailty:
        return Cause.FLASH_ERROR
    if boot < (p.boot_failure if m.reverting else p.boot_failures[m.component][release_class(m, p)] * m.lot_factor):
        return Cause.BOOT_FAILURE
    return Cause.OTHER_VERSION if _names_other_version(m, p) else Cause.NONE


def _names_other_version(m: ModuleRow, p: Profile) -> bool:
    """Whether the image this module gets names another version than the plan's."""
    chance = 0.0 if m.reverting else p.other_versions[m.component][release_class(m, p)]
    return chance > 0.0 and uniform(p.key_0, p.key_1, m.identity, Purpose.OTHER_VERSION, m.component) < chance


def _brick_chance(m: ModuleRow, p: Profile) -> float:
    """That of the release, or of a healthy image when the previous one is being restored."""
    if m.reverting:
        return p.brick_in_place if p.partition == Partition.IN_PLACE else p.brick
    return p.bricks[m.component][release_class(m, p)] * m.lot_factor
