"""What runs on a module: the target, a previous image, and what is kept of attempts that failed."""

from __future__ import annotations

from sim.causes import Cause
from sim.messages import FIRMWARE, UPDATING
from sim.module import battery, flash, states
from sim.module.inputs import Input
from sim.module.profile import Profile
from sim.module.rows import FAULT_FELL_BACK, NAN, ModuleRow


def install(row: ModuleRow, profile: Profile, given: int, now: float) -> None:
    """A component runs what was sent: the target, or the previous package; `given` is the input that said so."""
    if row.reverting:
        row.at_target &= ~(1 << row.component)
        return_to_old(row, profile, now)
        return
    row.at_target |= 1 << row.component
    row.upgraded |= 1 << row.component
    row.cause = row.fault = Cause.NONE
    told_early = row.kind == FIRMWARE and given == Input.UPDATED
    if row.at_target == (1 << profile.components) - 1 and not told_early:
        complete(row, profile, now)


def complete(row: ModuleRow, profile: Profile, now: float) -> None:
    """The module runs all targets, for as long as they last."""
    row.upgraded_s = now
    row.ended_s = now
    if profile.may_fail_late:
        fails_s = now + min(flash.late_failure_s(row, profile), battery.drained_after_s(row, profile, now))
        row.late_at = min(fails_s, row.leaves_s)


def boot_after_report(row: ModuleRow, profile: Profile, now: float) -> None:
    """What the cloud has been told is a success: it becomes one, or nobody ever says that it did not."""
    if row.flash_result == Cause.NONE:
        if row.at_target == (1 << profile.components) - 1:
            complete(row, profile, now)
        return
    row.at_target &= ~(1 << row.component)
    row.upgraded &= ~(1 << row.component)
    note_failed_attempt(row, row.flash_result)
    row.cause = row.flash_result


def leave_new(row: ModuleRow, profile: Profile, now: float) -> None:
    """What the new image drew is booked; it draws no more."""
    battery.book_new_image(row, profile, now)
    row.late_at = row.leaves_s
    row.upgraded_s = row.ended_s = NAN


def return_to_old(row: ModuleRow, profile: Profile, now: float) -> None:
    """The module runs a previous image again, and is not upgraded any more."""
    leave_new(row, profile, now)
    row.cause = Cause.ROLLED_BACK
    row.image_faults |= FAULT_FELL_BACK


def note_failed_attempt(row: ModuleRow, cause: int) -> None:
    """Keeps why the last attempt failed, whatever the link does later, and why the first did: others must not hide it."""
    if row.reverting:
        return
    row.fault = cause if cause != Cause.NONE else Cause.LINK_LOST
    if row.first_fault == Cause.NONE:
        row.first_fault = row.fault


def mcu_end(row: ModuleRow, now: float, duration: float) -> tuple[float, int]:
    """When an MCU's update ends, and with which input."""
    if row.flash_result == Cause.NONE:
        return now + duration, Input.UPDATED
    if row.flash_result == Cause.BRICKED:  # the MCU never answers: the SDK's timer speaks for it
        row.flash_result = Cause.MCU_TIMEOUT
        return now + states.MCU_UPDATE_TIMEOUT_S, Input.TIMEOUT
    return now + duration, Input.UPDATE_FAILED


def boot_input(row: ModuleRow) -> int:
    """The input of a start with the old image, or with an MCU that was being updated."""
    if row.status == UPDATING and row.kind != FIRMWARE:
        return Input.BOOT_MCU
    return Input.BOOT_OLD


def user_delay_s(row: ModuleRow, profile: Profile, now: float) -> float:
    """How long the user lets the first offer wait; a timeforced plan does not wait beyond its time."""
    if not profile.confirm_mode or row.offers != 1:
        return 0.0
    return min(row.user_delay_s, max(0.0, profile.force_at_s - now))
