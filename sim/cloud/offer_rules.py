"""From an offer to the URL: whether a module may be offered its plan now, and what it is told when.

Pure functions over a rollout and one of its executions; see docs/strategy.md for the numbered definitions.
"""

from __future__ import annotations

from sim.causes import Cause
from sim.cloud import execution as ex
from sim.cloud import execution_states, plan_states, rollout_state
from sim.cloud.execution import EndReason, Execution
from sim.cloud.plan_states import PlanMove
from sim.cloud.rollout_state import MessageKind, RolloutState
from sim.named_enum import numbers
from sim.strategy import concurrency, preconditions, retry, windows
from sim.strategy.progress import Progress
from sim.strategy.settings import FailureType, InFlight, Overwrite, Settings, TimerStart, WindowGate

PlanState = numbers(plan_states.PlanState)
ExecutionState = numbers(execution_states.ExecutionState)
ExecutionMove = numbers(execution_states.ExecutionMove)
Note = numbers(rollout_state.Note)
TimerKind = numbers(rollout_state.TimerKind)

ANSWER_TIME_S = 60.0
"""A notice unanswered this long counts as lost and may be sent again on request."""
ASKED, STOPPING = 1, 2
"""What a Cancel on its way means to the cloud: it waits for the answer, or has decided already."""


def running(progress: Progress) -> bool:
    """Whether the plan releases and offers."""
    return progress.state in (PlanState.ACTIVATED, PlanState.UPGRADING)


def paused(progress: Progress) -> bool:
    """Whether the plan is suspended."""
    return progress.state == PlanState.SUSPENDED


def holds(rollout: RolloutState, now: float) -> int:
    """Whether a module that polls now is told to download and not to install (hawkBit: update is \"skip\")."""
    gated = rollout.settings.window_gates == WindowGate.INSTALL and not windows.is_open(rollout.windows, now)
    return 1 if rollout.settings.download_only or gated else 0


def refuses_downloads(progress: Progress, execution: Execution) -> bool:
    """Whether this module's download URL is gone (a starved plan; a rollback's own packages are not)."""
    return progress.starving == 1 and not (ex.is_terminal(execution.state) or execution.reverting)


def offer(rollout: RolloutState, execution: Execution, now: float) -> None:
    """Sends the notice when plan, window, approval, preconditions and caps allow it."""
    if not _may_ask(rollout, execution, now):
        return
    settings = rollout.settings
    if settings.window_gates in (WindowGate.PUSH, WindowGate.DOWNLOAD) and not windows.is_open(rollout.windows, now):
        return
    if settings.overwrite == Overwrite.KEEP and execution.busy_until_s > now:
        rollout_state.note(rollout, execution.index, now, Note.HELD_BY_EARLIER_PLAN, 0.0)
        if settings.push_interval_s <= 0.0:  # a grid comes by anyway
            rollout_state.arm(rollout, execution.busy_until_s, execution, TimerKind.OFFER_AGAIN, 0)
        return
    if settings.operator_confirms and not _approved(rollout, execution, now):
        return
    reason = preconditions.unmet_for_cloud(
        settings, execution.battery_percent, execution.rsrp_dbm, execution.free_bytes
    )
    if reason != Cause.NONE:
        defer(rollout, execution, reason, now)
    elif _has_room(rollout, execution, now):
        _issue(rollout, execution, now)


def _may_ask(rollout: RolloutState, execution: Execution, now: float) -> bool:
    """Whether an offer is due at all: released, not ended, not out already."""
    progress = rollout.progress
    untouched = rollout.settings.polled and paused(
        progress
    )  # a pause opens no further group; what is released stays on offer
    if not (running(progress) or untouched or (progress.state == PlanState.ROLLING_BACK and execution.reverting)):
        return False
    if execution.state == ExecutionState.SCHEDULED or not ex.is_waiting(execution.state):
        return False
    if execution.acknowledged and (execution.state in (ExecutionState.NOTIFIED, ExecutionState.WAIT_FOR_CONFIRMATION)):
        return False  # the application, or its user, is thinking
    return not (
        execution.state == ExecutionState.NOTIFIED
        and now - execution.offered_s < min(_tick_s(rollout.settings), ANSWER_TIME_S)
    )


def _tick_s(settings: Settings) -> float:
    return settings.push_interval_s if settings.push_interval_s > 0.0 else ANSWER_TIME_S


def _approved(rollout: RolloutState, execution: Execution, now: float) -> bool:
    """Whether the operator has approved this module's upgrade; until then it waits."""
    at = execution.released_s + execution.approval_delay_s
    if now >= at:
        return True
    if execution.state != ExecutionState.WAIT_FOR_CONFIRMATION:
        execution_states.enter(rollout.progress, execution, ExecutionMove.AWAIT_APPROVAL)
        rollout_state.note(rollout, execution.index, now, Note.AWAITS_APPROVAL, 0.0)
        rollout_state.arm(rollout, at, execution, TimerKind.OFFER_AGAIN, 0)
    return False


def defer(rollout: RolloutState, execution: Execution, reason: int, now: float) -> None:
    """A precondition is unmet: offered again when the module reports anew, or rejected (definition 10)."""
    execution.unmet = reason
    execution.deferrals += 1
    rollout_state.note(rollout, execution.index, now, Note.DEFERRED, reason)
    if rollout.settings.reject_unmet:
        rollout_state.finish(rollout, execution, ExecutionMove.REJECT, now)
    else:
        rollout_state.to_queue(rollout, execution)


def _has_room(rollout: RolloutState, execution: Execution, now: float) -> bool:
    """Whether the caps on modules under way leave room for this one (definition 4)."""
    settings, progress = rollout.settings, rollout.progress
    if execution.counted:
        return True
    execution.held = 0
    if not concurrency.may_offer(settings, progress):
        rollout_state.note(rollout, execution.index, now, Note.HELD_BY_CAP, 0.0)
        execution.held = 1
    elif not _cell_has_room(rollout, execution):
        rollout_state.note(rollout, execution.index, now, Note.HELD_BY_CELL, 0.0)
        execution.held = 1
    if execution.held:
        execution_states.enter(rollout.progress, execution, ExecutionMove.REQUEUE)
    return not execution.held


def capped(settings: Settings) -> bool:
    """Whether offers are held back by how many are under way."""
    return concurrency.capped_by_cell(settings) or (settings.max_in_progress != 0 and settings.counts_from_release == 0)


def _cell_has_room(rollout: RolloutState, execution: Execution) -> bool:
    if execution.cell < 0 or not concurrency.capped_by_cell(rollout.settings):
        return True
    under_way = int(rollout.cells[execution.cell, concurrency.cell_slot(rollout.settings, execution.level)])
    return under_way < concurrency.cell_cap(rollout.settings, execution.level)


def _issue(rollout: RolloutState, execution: Execution, now: float) -> None:
    rollout_state.count(rollout, execution, 1)
    execution_states.enter(rollout.progress, execution, ExecutionMove.OFFER)
    execution.offered_s = now
    execution.acknowledged = 0
    execution.canceling = 0
    execution.step += 1
    plan_states.enter(rollout.progress, PlanMove.OFFER)
    rollout_state.note(rollout, execution.index, now, Note.ISSUING, 0.0)
    rollout_state.send(rollout, execution, MessageKind.NOTICE, 0)
    rollout_state.arm(rollout, now + rollout.settings.confirm_timeout_s, execution, TimerKind.STEP, execution.step)


def delivered(rollout: RolloutState, execution: Execution) -> None:
    """The offer has reached the device (definition 3, `notified`)."""
    if not execution.notified and not execution.reverting:
        execution.notified = 1
        rollout.progress.notified += 1
        rollout.progress.dirty = 1


def send_url(rollout: RolloutState, execution: Execution, now: float) -> None:
    """Begins an attempt: the URL of the first component that is not done; held outside a window that gates it."""
    settings = rollout.settings
    if (
        settings.window_gates == WindowGate.DOWNLOAD
        and not settings.polled
        and not windows.is_open(rollout.windows, now)
    ):
        hold_url(rollout, execution, windows.next_open_s(rollout.windows, now))
        rollout_state.note(rollout, execution.index, now, Note.HELD_BY_WINDOW, 0.0)
        return
    execution.retry_pending = 0
    execution.attempts += 1
    execution.step += 1
    execution.component = _next_component(rollout, execution)
    if settings.timer_starts == TimerStart.CONFIRMED:
        rollout_state.arm(
            rollout, now + settings.in_progress_timeout_s, execution, TimerKind.ATTEMPT, execution.attempts
        )
    if settings.polled:
        return  # the deployment it polled names the URL
    rollout_state.note(rollout, execution.index, now, Note.URL, 0.0)
    rollout_state.send(rollout, execution, MessageKind.URL, execution.component)


def send_url_again(rollout: RolloutState, execution: Execution, now: float) -> None:
    """A module that asks although its URL is out has not got it: the same attempt's URL goes out once more."""
    if rollout.settings.window_gates == WindowGate.DOWNLOAD and not windows.is_open(rollout.windows, now):
        return
    rollout_state.note(rollout, execution.index, now, Note.URL, 0.0)
    rollout_state.send(rollout, execution, MessageKind.URL, execution.component)


def hold_url(rollout: RolloutState, execution: Execution, at: float) -> None:
    """The URL goes out at `at`, or when the module is back after that."""
    execution.retry_pending = 1
    execution.retry_s = at
    rollout_state.arm(rollout, at, execution, TimerKind.RETRY, execution.attempts)


def _next_component(rollout: RolloutState, execution: Execution) -> int:
    """The first component still to do, in order of the plan; when rolling back, the first to undo."""
    done = ~execution.upgraded if execution.reverting else execution.at_target
    for i in range(rollout.progress.components):
        if not (done >> i) & 1:
            return i
    return execution.component


def install(rollout: RolloutState, execution: Execution, now: float) -> None:
    """A module that waits with its package is told to install, inside the window that gates it."""
    if (
        rollout.settings.window_gates != WindowGate.INSTALL
        or execution.state != ExecutionState.DOWNLOADED
        or rollout.settings.polled
    ):
        return
    if not windows.is_open(rollout.windows, now):
        rollout_state.arm(
            rollout, windows.next_open_s(rollout.windows, now), execution, TimerKind.INSTALL, execution.step
        )
    elif execution.online:
        rollout_state.note(rollout, execution.index, now, Note.INSTALL, 0.0)
        rollout_state.send(rollout, execution, MessageKind.INSTALL, execution.component)


def attempt_failed(rollout: RolloutState, execution: Execution, kind: int, now: float) -> None:
    """One attempt is over: the URL is issued again, at once or after the interval, or the module has failed."""
    progress, settings = rollout.progress, rollout.settings
    if kind == FailureType.TIMED_OUT:
        execution.timeouts += 1
    else:
        execution.failures += 1
    closed = not (
        running(progress) or paused(progress) or (progress.state == PlanState.ROLLING_BACK and execution.reverting)
    )
    if closed or not retry.may_retry(settings, execution, kind):
        rollout_state.finish(
            rollout,
            execution,
            ExecutionMove.TIME_OUT if kind == FailureType.TIMED_OUT else ExecutionMove.FAIL,
            now,
        )
        return
    rollout_state.note(rollout, execution.index, now, Note.RETRYING, 0.0)
    rollout_state.count(rollout, execution, 1)
    rollout_state.wait_no_more(rollout, execution)
    execution_states.enter(rollout.progress, execution, ExecutionMove.RETRY)
    interval = retry.interval_s(settings, execution, kind)
    if interval > 0.0:
        hold_url(rollout, execution, now + interval)
    else:
        execution.retry_pending = 1
        execution.retry_s = now
        if execution.online and not paused(progress):
            send_url(rollout, execution, now)


def begin_download_timers(rollout: RolloutState, execution: Execution, now: float) -> None:
    """The first progress report of an attempt starts the clocks that run from there."""
    settings = rollout.settings
    if execution.state == ExecutionState.DOWNLOADING:
        return
    execution.step += 1
    rollout_state.arm(rollout, now + settings.download_timeout_s, execution, TimerKind.STEP, execution.step)
    if settings.timer_starts != TimerStart.CONFIRMED:
        rollout_state.arm(
            rollout, now + settings.in_progress_timeout_s, execution, TimerKind.ATTEMPT, execution.attempts
        )


def treat_in_flight(rollout: RolloutState, execution: Execution, policy: int, now: float, requeue: int) -> None:
    """What becomes of a module in progress when its plan is paused or cancelled (definitions 8 and 9)."""
    if policy in (InFlight.CONTINUE, InFlight.STARVE):
        return
    if policy == InFlight.REVOKE:
        execution.reason = EndReason.REVOKED
        rollout_state.finish(rollout, execution, ExecutionMove.CANCEL, now)
    elif policy == InFlight.STOP:
        _stop(rollout, execution, now, requeue)
    elif execution.retry_pending:  # between two attempts: there is nothing to ask the module
        rollout_state.finish(rollout, execution, ExecutionMove.CANCEL, now)
    else:
        execution.canceling = ASKED
        rollout_state.note(rollout, execution.index, now, Note.CANCEL, 0.0)
        if execution.online:
            rollout_state.send(rollout, execution, MessageKind.CANCEL, execution.component)


def _stop(rollout: RolloutState, execution: Execution, now: float, requeue: int) -> None:
    """Cut off: told at once or when it is back; the cloud does not wait for the answer, which refuses no offer."""
    if execution.online:
        rollout_state.send(rollout, execution, MessageKind.CANCEL, execution.component)
    else:
        execution.stop_pending = 1
    if requeue:
        rollout_state.to_queue(rollout, execution)
        execution.retry_pending = 0
        execution.canceling = STOPPING
        if execution.online:
            rollout_state.wait(rollout, execution)
    else:
        execution.reason = EndReason.STOPPED
        rollout_state.finish(rollout, execution, ExecutionMove.CANCEL, now)
