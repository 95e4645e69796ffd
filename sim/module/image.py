"""What runs on a module: the target, a previous image, and what is kept of attempts that failed."""

from __future__ import annotations

from sim.causes import Cause
from sim.messages import FIRMWARE, UPDATING
from sim.module import battery, flash, states
from sim.module.inputs import Input
from sim.module.profile import Profile
from sim.module.rows import FAULT_FELL_BACK, INF, NAN, ModuleRow


def install(m: ModuleRow, p: Profile, given: int, now: float) -> None:
    """A component runs what was sent: the target, or the previous package; `given` is the input that said so."""
    if m.reverting:
        m.at_target &= ~(1 << m.component)
        return_to_old(m, p, now)
        return
    m.at_target |= 1 << m.component
    m.upgraded |= 1 << m.component
    m.cause = Cause.NONE
    told_early = m.kind == FIRMWARE and given == Input.UPDATED
    if m.at_target == (1 << p.components) - 1 and not told_early:
        complete(m, p, now)


def complete(m: ModuleRow, p: Profile, now: float) -> None:
    """The module runs all targets, for as long as they last."""
    m.upgraded_s = now
    m.ended_s = now
    if p.may_fail_late:
        m.late_at = now + min(flash.late_failure_s(m, p), battery.drained_after_s(m, p, now))


def boot_after_report(m: ModuleRow, p: Profile, now: float) -> None:
    """What the cloud has been told is a success: it becomes one, or nobody ever says that it did not."""
    if m.flash_result == Cause.NONE:
        if m.at_target == (1 << p.components) - 1:
            complete(m, p, now)
        return
    m.at_target &= ~(1 << m.component)
    m.upgraded &= ~(1 << m.component)
    note_failed_attempt(m, m.flash_result)
    m.cause = m.flash_result


def leave_new(m: ModuleRow, p: Profile, now: float) -> None:
    """What the new image drew is booked; it draws no more."""
    battery.book_new_image(m, p, now)
    m.late_at = INF
    m.upgraded_s = m.ended_s = NAN


def return_to_old(m: ModuleRow, p: Profile, now: float) -> None:
    """The module runs a previous image again, and is not upgraded any more."""
    leave_new(m, p, now)
    m.cause = Cause.ROLLED_BACK
    m.image_faults |= FAULT_FELL_BACK


def note_failed_attempt(m: ModuleRow, cause: int) -> None:
    """Keeps why the first attempt failed: further ones must not hide it."""
    if m.first_fault == Cause.NONE and not m.reverting:
        m.first_fault = cause if cause != Cause.NONE else Cause.LINK_LOST


def mcu_end(m: ModuleRow, now: float, duration: float) -> tuple[float, int]:
    """When an MCU's update ends, and with which input."""
    if m.flash_result == Cause.NONE:
        return now + duration, Input.UPDATED
    if m.flash_result == Cause.BRICKED:  # the MCU never answers: the SDK's timer speaks for it
        m.flash_result = Cause.MCU_TIMEOUT
        return now + states.MCU_UPDATE_TIMEOUT_S, Input.TIMEOUT
    return now + duration, Input.UPDATE_FAILED


def boot_input(m: ModuleRow) -> int:
    """The input of a start with the old image, or with an MCU that was being updated."""
    if m.status == UPDATING and m.kind != FIRMWARE:
        return Input.BOOT_MCU
    return Input.BOOT_OLD


def user_delay_s(m: ModuleRow, p: Profile, now: float) -> float:
    """How long the user lets the first offer wait; a timeforced plan does not wait beyond its time."""
    if not p.confirm_mode or m.offers != 1:
        return 0.0
    return min(m.user_delay_s, max(0.0, p.force_at_s - now))
