"""The Developer Center's rules, message by message: what one plan does with what its modules say.

Pure functions over a rollout (rollout_state.py): matching, status reports, timers of one module. Offers, retries and
what becomes of attempts are in offer_rules.py, the plan as a whole in plan_rules.py. Messages to send, timers to arm, log lines and decisions are left in the outboxes.
"""

from __future__ import annotations

from math import isnan

from sim.causes import Cause
from sim.cloud import execution as ex
from sim.cloud import execution_states, offer_rules, plan_rules, rollout_state
from sim.cloud.execution import EndReason, Execution
from sim.cloud.plan_states import PlanState
from sim.cloud.rollout_state import MessageKind, RolloutState, TimerKind
from sim.messages import (
    DOWNLOAD_ERROR,
    DOWNLOAD_START,
    DOWNLOADED,
    DOWNLOADING,
    PLAN_RECEIVED,
    REFUSED,
    SUBMITTED,
    UPDATE_ERROR,
    UPDATE_SUCCESS,
    UPDATING,
)
from sim.named_enum import numbers
from sim.strategy.settings import FailureType

ExecutionState = numbers(execution_states.ExecutionState)
ExecutionMove = numbers(execution_states.ExecutionMove)
Note = numbers(rollout_state.Note)

# --- messages ------------------------------------------------------------------------------------------------------


def hello(
    rollout: RolloutState, index: int, battery_percent: float, rsrp_dbm: float, level: int, free_bytes: float, at_target: int,
    source_ok: int, asks: int, now: float,
) -> None:  # fmt: skip
    """A module connected, or reports its state anew; a request is answered at once.

    `at_target` has bit i set when component i runs its target version, `source_ok` is 0 when a delta package does not
    fit the reported version.
    """
    execution = rollout.executions[index]
    execution.online = 0 if rollout.settings.polled else 1
    execution.battery_percent = battery_percent
    execution.rsrp_dbm = rsrp_dbm
    execution.level = level
    execution.free_bytes = free_bytes
    rollout_state.note(rollout, index, now, Note.ASKS if asks else Note.REPORTS, 0.0)
    if execution.stop_pending:
        execution.stop_pending = 0
        rollout_state.send(rollout, execution, MessageKind.CANCEL, execution.component)
    if ex.is_terminal(execution.state):  # and why it ended stays as it was
        _look_again(rollout, execution, at_target, now)
        return
    execution.unmet = Cause.NONE
    if ex.is_waiting(execution.state) and not execution.reverting:
        _match(rollout, execution, at_target, source_ok, now)
    if rollout.settings.polled:
        _answer_poll(rollout, execution, now)
    else:
        _contact(rollout, execution, asks, now)
    plan_rules.settle(rollout, now)


def _look_again(rollout: RolloutState, execution: Execution, at_target: int, now: float) -> None:
    """A module that had succeeded reports another version."""
    settings, whole = rollout.settings, (1 << rollout.progress.components) - 1
    if not settings.withdraw_success or settings.download_only or execution.state != ExecutionState.SUCCEEDED:
        return
    if at_target != whole:
        execution.at_target = at_target
        execution.upgraded &= at_target
        rollout_state.withdraw(rollout, execution, now)
        plan_rules.settle(rollout, now)


def _match(rollout: RolloutState, execution: Execution, at_target: int, source_ok: int, now: float) -> None:
    """Compares the reported versions with the plan's source and target versions."""
    execution.at_target = at_target
    execution.source_ok = source_ok
    if execution.late == ex.TO_JOIN:
        plan_rules.join(rollout, execution, now)
    if at_target == (1 << rollout.progress.components) - 1:
        rollout_state.finish(rollout, execution, ExecutionMove.NEED_NOTHING, now)
    elif not source_ok:
        execution.reason = EndReason.SOURCE_MISMATCH
        rollout_state.finish(rollout, execution, ExecutionMove.NEED_NOTHING, now)


def _contact(rollout: RolloutState, execution: Execution, asks: int, now: float) -> None:
    """What the cloud has for a module that is there: an offer, a retry that is due, an answer it owes."""
    if ex.is_waiting(execution.state):
        if execution.released or execution.reverting:
            rollout_state.wait(rollout, execution)
            if asks or plan_rules.pushes_at_once(rollout.settings):
                offer_rules.offer(rollout, execution, now)
    elif execution.canceling == offer_rules.ASKED:
        rollout_state.send(rollout, execution, MessageKind.CANCEL, execution.component)
    elif execution.retry_pending and now >= execution.retry_s and not offer_rules.paused(rollout.progress):
        offer_rules.send_url(rollout, execution, now)
    elif execution.state == ExecutionState.CONFIRMED and asks and not execution.retry_pending:
        offer_rules.send_url_again(rollout, execution, now)
    elif execution.state == ExecutionState.DOWNLOADED:
        offer_rules.install(rollout, execution, now)


def _answer_poll(rollout: RolloutState, execution: Execution, now: float) -> None:
    """What a poll finds (DDI): the action as it stands, again and again until it is closed.

    Such a cloud takes everybody for absent: it has no way to speak unasked.
    """
    execution.holds = offer_rules.holds(rollout, now)
    if ex.is_terminal(execution.state) or rollout.progress.starving:
        return
    if execution.state == ExecutionState.NOTIFIED or (
        execution.state == ExecutionState.WAIT_FOR_CONFIRMATION and execution.acknowledged
    ):
        rollout_state.send(rollout, execution, MessageKind.NOTICE, 0)
    elif ex.is_waiting(execution.state):
        if execution.released:
            offer_rules.offer(rollout, execution, now)
    elif execution.canceling == offer_rules.ASKED:
        rollout_state.send(rollout, execution, MessageKind.CANCEL, execution.component)
    else:
        rollout_state.send(rollout, execution, MessageKind.URL, execution.component)


def offline(rollout: RolloutState, index: int) -> None:
    """The cloud learns that a module is gone; an offer it never answered is open again."""
    if rollout.settings.polled:
        return
    execution = rollout.executions[index]
    execution.online = 0
    rollout_state.wait_no_more(rollout, execution)
    if execution.state == ExecutionState.NOTIFIED or (
        execution.state == ExecutionState.WAIT_FOR_CONFIRMATION and execution.acknowledged
    ):
        rollout_state.to_queue(rollout, execution)


def status(
    rollout: RolloutState, index: int, reported: int, component: int, version_is_target: int, now: float
) -> None:
    """A status report (0x0114); `version_is_target` says whether 11 or 12 came with the version the plan wants.

    With 3 from a module that polls it says whether that is its last word.
    """
    execution = rollout.executions[index]
    value = 0.0 if reported not in (UPDATE_SUCCESS, UPDATE_ERROR) else 1.0 if version_is_target else 2.0
    rollout_state.note(rollout, index, now, rollout_state.NOTE_OF_STATUS + reported, value)
    if ex.is_terminal(execution.state):
        _after_the_end(rollout, execution, reported, component, version_is_target, now)
    elif reported == PLAN_RECEIVED:
        _received(rollout, execution)
    elif reported == SUBMITTED:
        _confirmed(rollout, execution, now)
    elif reported == REFUSED:
        _refused(rollout, execution, version_is_target, now)
    elif reported in (DOWNLOAD_START, DOWNLOADING):
        offer_rules.begin_download_timers(rollout, execution, now)
        execution_states.enter(rollout.progress, execution, ExecutionMove.DOWNLOAD)
    elif reported == DOWNLOADED:
        _downloaded(rollout, execution, now)
    elif reported == UPDATING:
        _updating(rollout, execution, now)
    elif reported == UPDATE_SUCCESS:
        _component_done(rollout, execution, component, version_is_target, now)
    elif reported == DOWNLOAD_ERROR and rollout.settings.polled:
        execution_states.enter(rollout.progress, execution, ExecutionMove.RETRY)
        execution.step += 1
    elif reported in (DOWNLOAD_ERROR, UPDATE_ERROR) and not execution.retry_pending:
        offer_rules.attempt_failed(rollout, execution, FailureType.FAILED, now)
    plan_rules.settle(rollout, now)


def _received(rollout: RolloutState, execution: Execution) -> None:
    execution.acknowledged = 1
    offer_rules.delivered(rollout, execution)
    if execution.state == ExecutionState.NOTIFIED and not rollout.progress.silent:
        execution_states.enter(rollout.progress, execution, ExecutionMove.RECEIVE)


def _confirmed(rollout: RolloutState, execution: Execution, now: float) -> None:
    offer_rules.delivered(rollout, execution)
    execution.confirmed_s = now if isnan(execution.confirmed_s) else execution.confirmed_s
    execution_states.enter(rollout.progress, execution, ExecutionMove.CONFIRM)
    rollout_state.count(rollout, execution, 1)
    rollout_state.wait_no_more(rollout, execution)
    rollout_state.note(rollout, execution.index, now, Note.CONFIRMED, 0.0)
    offer_rules.send_url(rollout, execution, now)


def _refused(rollout: RolloutState, execution: Execution, last_word: int, now: float) -> None:
    """An asked cancel was accepted; else, what the cloud does with status 3 being unpublished, "offer again"."""
    if execution.canceling == offer_rules.ASKED:
        rollout_state.finish(rollout, execution, ExecutionMove.CANCEL, now)
    elif execution.canceling == offer_rules.STOPPING:
        execution.canceling = 0
    elif ex.is_waiting(execution.state):
        offer_rules.delivered(rollout, execution)
        if rollout.settings.reject_unmet or (rollout.settings.polled and last_word):
            rollout_state.finish(rollout, execution, ExecutionMove.REJECT, now)
        else:
            execution.deferrals += 1
            rollout_state.to_queue(rollout, execution)
            if execution.online:
                rollout_state.wait(rollout, execution)


def _downloaded(rollout: RolloutState, execution: Execution, now: float) -> None:
    execution_states.enter(rollout.progress, execution, ExecutionMove.HOLD_PACKAGE)
    execution.step += 1
    if rollout.settings.download_only:
        execution.reported_s = now
        rollout_state.finish(rollout, execution, ExecutionMove.SUCCEED, now)
    else:
        offer_rules.install(rollout, execution, now)


def _updating(rollout: RolloutState, execution: Execution, now: float) -> None:
    if execution.canceling:
        execution.canceling = 0
        rollout_state.note(rollout, execution.index, now, Note.CANCEL_REFUSED, 0.0)
    execution_states.enter(rollout.progress, execution, ExecutionMove.INSTALL)
    execution.step += 1
    rollout_state.arm(rollout, now + rollout.settings.update_timeout_s, execution, TimerKind.STEP, execution.step)


def _component_done(
    rollout: RolloutState, execution: Execution, component: int, version_is_target: int, now: float
) -> None:
    """Success counts only when the reported version is the one the plan wants (definition 2)."""
    if not version_is_target:
        offer_rules.attempt_failed(rollout, execution, FailureType.FAILED, now)
        return
    execution.step += 1
    if execution.reverting:
        execution.upgraded &= ~(1 << component)
        if execution.upgraded == 0:
            execution.reason = EndReason.ROLLED_BACK
            rollout_state.finish(rollout, execution, ExecutionMove.CANCEL, now)
            return
    else:
        execution.at_target |= 1 << component
        execution.upgraded |= 1 << component
        if rollout.progress.starving and rollout.progress.state != PlanState.ROLLING_BACK:
            rollout_state.to_queue(
                rollout, execution
            )  # accepted, but not counted: its next hello says that it needs nothing
            return
        if execution.at_target == (1 << rollout.progress.components) - 1:
            execution.reported_s = now
            rollout_state.finish(rollout, execution, ExecutionMove.SUCCEED, now)
            if rollout.progress.state == PlanState.ROLLING_BACK:
                plan_rules.revert(rollout, execution, now)
            return
    execution.failures = 0
    execution.timeouts = 0
    offer_rules.send_url(rollout, execution, now)


def _after_the_end(
    rollout: RolloutState, execution: Execution, reported: int, component: int, version_is_target: int, now: float
) -> None:
    """A report for an execution that is over: refused when it was revoked, a late success when it timed out."""
    if reported != UPDATE_SUCCESS or not version_is_target:
        return
    if execution.reason == EndReason.REVOKED:
        rollout_state.note(rollout, execution.index, now, Note.REVOKED, 0.0)
        if rollout.settings.roll_back_revoked:
            rollout_state.send(rollout, execution, MessageKind.REVOKED, component)
            return
    if execution.reason in (EndReason.REVOKED, EndReason.STOPPED) and rollout.progress.state == PlanState.ROLLING_BACK:
        execution.upgraded |= 1 << component  # was in progress when the plan was rolled back, and came through
        plan_rules.revert(rollout, execution, now)
    if execution.state not in (ExecutionState.FAILED, ExecutionState.TIMED_OUT):
        return
    execution.at_target |= 1 << component
    execution.upgraded |= 1 << component
    if execution.at_target == (1 << rollout.progress.components) - 1 and execution.state == ExecutionState.TIMED_OUT:
        rollout_state.note(rollout, execution.index, now, Note.LATE_SUCCESS, 0.0)
        if rollout.settings.accept_late:
            rollout_state.count_late_success(rollout, execution, now)


# --- operator ------------------------------------------------------------------------------------------------------


def cancel(rollout: RolloutState, index: int, now: float) -> int:
    """Cancels one module; one that has confirmed cannot be stopped (0)."""
    execution = rollout.executions[index]
    if not ex.is_waiting(execution.state):
        return 0
    rollout_state.finish(rollout, execution, ExecutionMove.CANCEL, now)
    plan_rules.settle(rollout, now)
    return 1


def retry_failed(rollout: RolloutState, now: float) -> None:
    """The operator's retry: failed modules of a silent plan that still run the old version, now or on connect."""
    if not rollout.progress.silent or not offer_rules.running(rollout.progress):
        return
    for i in range(len(rollout.executions)):
        execution = rollout.executions[i]
        if execution.state == ExecutionState.FAILED and execution.source_ok:
            rollout_state.reopen(rollout, execution)
            if execution.online:
                rollout_state.wait(rollout, execution)
                offer_rules.offer(rollout, execution, now)


# --- timers --------------------------------------------------------------------------------------------------------


def timer(rollout: RolloutState, index: int, kind: int, stamp: int, now: float) -> None:
    """A timer armed for one execution is due; one that is out of date does nothing."""
    execution = rollout.executions[index]
    if kind == TimerKind.RETRY:
        if (
            execution.retry_pending
            and execution.attempts == stamp
            and now >= execution.retry_s
            and execution.online
            and not offer_rules.paused(rollout.progress)
        ):
            offer_rules.send_url(rollout, execution, now)
    elif kind == TimerKind.ATTEMPT:
        if ex.is_in_progress(execution.state) and execution.attempts == stamp and not execution.retry_pending:
            offer_rules.attempt_failed(rollout, execution, FailureType.TIMED_OUT, now)
    elif kind == TimerKind.STEP:
        if execution.step == stamp and not ex.is_terminal(execution.state) and not execution.retry_pending:
            _step_timed_out(rollout, execution, now)
    elif kind == TimerKind.OFFER:
        if ex.is_waiting(execution.state) and not execution.reverting:
            rollout_state.finish(rollout, execution, ExecutionMove.TIME_OUT, now)
    elif kind == TimerKind.INSTALL:
        if execution.step == stamp:
            offer_rules.install(rollout, execution, now)
    elif ex.is_waiting(execution.state):
        _free_again(rollout, execution, now)
    plan_rules.settle(rollout, now)


def _free_again(rollout: RolloutState, execution: Execution, now: float) -> None:
    """Approved by the operator, or through with the earlier plan: offered at once, or at the next tick or request."""
    if execution.state == ExecutionState.WAIT_FOR_CONFIRMATION and not execution.acknowledged:
        execution_states.enter(rollout.progress, execution, ExecutionMove.REQUEUE)
    if execution.online and plan_rules.pushes_at_once(rollout.settings):
        offer_rules.offer(rollout, execution, now)


def _step_timed_out(rollout: RolloutState, execution: Execution, now: float) -> None:
    """A step took too long: an unanswered offer is over, an attempt is tried again if the strategy says so."""
    if ex.is_waiting(execution.state):
        rollout_state.finish(rollout, execution, ExecutionMove.TIME_OUT, now)
    else:
        offer_rules.attempt_failed(rollout, execution, FailureType.TIMED_OUT, now)
