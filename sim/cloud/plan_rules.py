"""The plan as a whole: release, groups, criteria, pause, cancel, roll back, end. Pure functions over a rollout.

Theory of operation
-------------------
A module gets its upgrade in three steps, each with a gate of its own. *Release* (here): the plan lets it go, in the order
of its group, as the rate, the release window and the cap allow; it is queued. *Offer* (offer_rules.py): a queued module
that is online, meets the preconditions and finds room gets the notice. *Attempt* (offer_rules, message_rules): what it
answers, downloads and reports. The steps meet in the state of one execution (execution_states.py) and in the counts of
`Progress`, which change with that state and nowhere else.

*Two ways in.* A driver calls `wake` when the plan's `deadline` is due, and `settle` after everything that can have changed
a count: a module's message, one of its timers, the operator. At one instant `wake` acts in the order of the strategy's
definitions: the end of the plan, criteria and groups, releases, pushes. Each asks for its next time through a field of
`Progress` (`end_at`, `evaluate_at`, `release_at`, `push_at`; inf for never); `deadline` is the earliest of them. Nothing
here reads a clock or waits.

*Settling.* Whoever changes a count that a rule looks at sets `progress.dirty`; who makes room below a cap on offers sets
`progress.freed`. `settle` goes round until both are 0, because what it does changes counts again: the rate takes its
next step; a plan that has had its `max_devices` closes; criteria and groups are evaluated, at once or at the next point of
the grid; whoever may go now is released; freed room is offered to those whom a cap had held. It ends because each round moves an
execution on, fires a criterion (once each) or passes or fails a group, and there are finitely many.

*Release.* `order` holds the modules of each group one after the other in order of release, `joined` the late ones in the order they
came. Groups open one after the other, never two steps at once: a group opens when the one before has passed (or its
start time and soak are over), so those with somebody left lie between `group_first` and `group_opened`. The rate is a
sequence of slots; a release that the clock holds back asks to be woken and takes its slot then, not before, so that
a pause or a window costs no slots.

*Evaluation.* Criteria come first, in the order of the plan: the first that fires acts and ends the evaluation, since it may
have paused or ended the plan. Then each open group: its error threshold before its success threshold. What they do is an
`Action`, carried out by `act`. A new one is a row of `settings.Action`, a branch of `act`, and its word in
`scenario/strategy.py`. The end of the plan is decided apart, in `end`, which knows three of them.

*Pause and end.* A paused plan releases, opens and evaluates nothing and starts no retry; what is under way goes on, is stopped or
starved as `on_pause` says (`offer_rules.treat_in_flight`), and timers keep running. `_close` is the one way out:
it moves the plan, ends those who wait or are between attempts, and treats those in progress by the policy of
that way. A rollback is a close after which modules that run the new version are queued again, for the old one.

*Order.* Loops over executions go by number and pushes by rank of release, so both engines send the same messages in the same order.
"""

from __future__ import annotations

import math

import numpy as np

from sim.causes import Cause
from sim.cloud import execution as ex
from sim.cloud import execution_states, offer_rules, plan_states, rollout_state
from sim.cloud.execution import JOINED, TO_JOIN, EndReason, Execution
from sim.cloud.execution_states import ExecutionMove, ExecutionState
from sim.cloud.plan_states import PlanMove, PlanState
from sim.cloud.rollout_state import DecisionKind, Note, RolloutState, TimerKind
from sim.strategy import abort, concurrency, group_states, groups, rate, windows
from sim.strategy.group_states import GroupMove, GroupState
from sim.strategy.progress import Progress, completed
from sim.strategy.settings import Action, InFlight, Overwrite, Settings, WindowGate

# --- clocks --------------------------------------------------------------------------------------------------------


def deadline(progress: Progress) -> float:
    """When the plan itself wants `wake`, or inf."""
    return min(progress.end_at, progress.evaluate_at, progress.release_at, progress.push_at)


def wake(rollout: RolloutState, now: float) -> None:
    """Whatever of the plan is due."""
    progress = rollout.progress
    if now >= progress.end_at:
        progress.end_at = math.inf
        end(rollout, now)
    if now >= progress.evaluate_at:
        progress.evaluate_at = math.inf
        evaluate(rollout, now)
    if now >= progress.release_at:
        progress.release_at = math.inf
        release(rollout, now)
    if now >= progress.push_at:
        progress.push_at = _next_push_s(rollout, now)
        push(rollout, now, 0)
    settle(rollout, now)


def _next_push_s(rollout: RolloutState, now: float) -> float:
    """The next tick of the push grid; without a grid, the next opening of a window that holds offers back."""
    settings = rollout.settings
    if not settings.need_push:
        return math.inf
    if settings.push_interval_s > 0.0:
        return now + settings.push_interval_s
    return (
        windows.next_opening_s(rollout.windows, now)
        if settings.window_gates in (WindowGate.PUSH, WindowGate.DOWNLOAD)
        else math.inf
    )


def settle(rollout: RolloutState, now: float) -> None:
    """After counts have changed: the rate's next step, criteria and groups, room for further releases."""
    progress, settings = rollout.progress, rollout.settings
    while progress.dirty or (progress.freed and _refills(settings)):
        progress.dirty = 0
        if rate.step_due(settings, progress):
            while rate.step_due(settings, progress):
                progress.rate_step += 1
            rollout_state.record_decision(
                rollout,
                now,
                DecisionKind.RATE_RAISED,
                progress.rate_step,
                rate.per_minute(settings, progress.rate_step),
            )
        if not offer_rules.running(progress):
            progress.freed = 0
            continue
        if settings.max_devices > 0 and not progress.exhausted and completed(progress) >= settings.max_devices:
            progress.exhausted = 1
            rollout_state.record_decision(rollout, now, DecisionKind.MAX_DEVICES_REACHED, -1, settings.max_devices)
            _close(rollout, now, PlanMove.END, EndReason.PLAN_EXPIRED, 0)
            continue
        _evaluate_soon(rollout, now)
        release(rollout, now)
        if progress.freed and _refills(settings):
            progress.freed = 0
            push(rollout, now, 1)
    if progress.terminal >= progress.members and not progress.told_complete and not settings.continuous:
        progress.told_complete = 1
        rollout_state.record_decision(rollout, now, DecisionKind.COMPLETED, -1, 0.0)


def _refills(settings: Settings) -> bool:
    """Whether room that a cap on offers gets back is filled at once."""
    return pushes_at_once(settings) == 1 and offer_rules.capped(settings)


def _evaluate_soon(rollout: RolloutState, now: float) -> None:
    """At once, or at the next point of the evaluation grid."""
    every, progress = rollout.settings.evaluation_interval_s, rollout.progress
    if every > 0.0:
        progress.evaluate_at = min(
            progress.evaluate_at, progress.start_s + (math.floor((now - progress.start_s) / every) + 1.0) * every
        )
    else:
        evaluate(rollout, now)


def _on_grid(rollout: RolloutState, at: float) -> float:
    """The first point of the evaluation grid, counted from the start of the plan, that is not before `at`."""
    every, start_s = rollout.settings.evaluation_interval_s, rollout.progress.start_s
    if every <= 0.0 or at == math.inf:
        return at
    return max(at, start_s + math.ceil((at - start_s) / every - 1e-9) * every)


# --- release (definitions 4 and 5) ---------------------------------------------------------------------------------


def activate(rollout: RolloutState, now: float) -> None:
    """Makes the plan run. The first group opens, releases and pushes begin, when it is woken at `now`."""
    progress, settings = rollout.progress, rollout.settings
    plan_states.enter(progress, PlanMove.ACTIVATE)
    progress.start_s = now
    progress.end_at = now + settings.end_s
    progress.evaluate_at = now
    progress.push_at = now if settings.push_interval_s > 0.0 and settings.need_push else _next_push_s(rollout, now)
    rollout_state.record_decision(rollout, now, DecisionKind.ACTIVATED, -1, 0.0)


def release(rollout: RolloutState, now: float) -> None:
    """Releases whom group, window, rate and cap let go; asks to be woken for the next one the clock holds back."""
    progress, settings = rollout.progress, rollout.settings
    progress.release_at = math.inf
    _release_joined(rollout, now)
    while _may_release(rollout) and _next_in_line(rollout) >= 0:
        at = rate.next_slot_s(settings, progress, now)
        if settings.window_gates == WindowGate.RELEASE:
            at = max(at, windows.next_open_s(rollout.windows, at))
            if at > now and at < math.inf:  # the slot may have moved with the window
                at = max(at, rate.next_slot_s(settings, progress, at))
        if at > now:
            progress.release_at = min(progress.release_at, at)
            return
        rate.take(progress)
        _release(rollout, _take_next(rollout), now)


def _release_joined(rollout: RolloutState, now: float) -> None:
    """Late joiners whom the rate does not hold (definition 5): window and cap hold them like everybody."""
    progress, settings = rollout.progress, rollout.settings
    if settings.rate_applies_to_late or progress.group_opened < progress.group_count:
        return
    while _may_release(rollout) and progress.joined_next < progress.joined:
        at = windows.next_open_s(rollout.windows, now) if settings.window_gates == WindowGate.RELEASE else now
        if at > now:
            progress.release_at = min(progress.release_at, at)
            return
        _release(rollout, _take_joined(rollout), now)


def _may_release(rollout: RolloutState) -> bool:
    """Whether the plan releases and has room; a finished module makes room."""
    return (
        offer_rules.running(rollout.progress)
        and not rollout.progress.exhausted
        and concurrency.may_release(rollout.settings, rollout.progress)
    )


def _next_in_line(rollout: RolloutState) -> int:
    """Group that has somebody to release, or the number of groups for a late joiner, or -1 for nobody."""
    progress = rollout.progress
    for i in range(progress.group_first, progress.group_opened):
        if rollout.groups[i].next < rollout.groups[i].size:
            return i
    last_open = progress.group_opened == progress.group_count
    return progress.group_count if last_open and progress.joined_next < progress.joined else -1


def _take_next(rollout: RolloutState) -> Execution:
    i = _next_in_line(rollout)
    if i == rollout.progress.group_count:
        return _take_joined(rollout)
    group = rollout.groups[i]
    group.next += 1
    return rollout.executions[int(rollout.order[group.first + group.next - 1])]


def _take_joined(rollout: RolloutState) -> Execution:
    rollout.progress.joined_next += 1
    return rollout.executions[int(rollout.joined[rollout.progress.joined_next - 1])]


def _release(rollout: RolloutState, execution: Execution, now: float) -> None:
    """SCHEDULED to QUEUED; a module that is online is offered its plan at once where the cloud pushes at once."""
    if execution.released or ex.is_terminal(execution.state):
        return
    progress, settings = rollout.progress, rollout.settings
    execution.released = 1
    execution.released_s = now
    execution_states.enter(progress, execution, ExecutionMove.RELEASE)
    progress.released += 1
    progress.outstanding += 1
    rollout_state.note(rollout, execution.index, now, Note.RELEASED, 0.0)
    if settings.notified_when_released:
        offer_rules.delivered(rollout, execution)
    rollout_state.arm(rollout, now + settings.offer_timeout_s, execution, TimerKind.OFFER, 0)
    if settings.overwrite == Overwrite.FAIL and execution.busy_until_s > now:
        execution.reason = EndReason.BUSY_WITH_EARLIER_PLAN
        rollout_state.finish(rollout, execution, ExecutionMove.FAIL, now)
    elif execution.online:
        rollout_state.wait(rollout, execution)
        if pushes_at_once(settings):
            offer_rules.offer(rollout, execution, now)


def pushes_at_once(settings: Settings) -> int:
    """Whether the cloud pushes without a grid."""
    return int(settings.need_push and settings.push_interval_s <= 0.0)


def join(rollout: RolloutState, execution: Execution, now: float) -> None:
    """A late joiner of a continuous plan that is not over: past the rate, or at the end of the line."""
    progress = rollout.progress
    if not (offer_rules.running(progress) or offer_rules.paused(progress)):
        return
    execution.late = JOINED
    group = rollout.groups[execution.group]
    progress.targets += 1
    progress.members += 1
    group.targets += 1
    group.members += 1
    stand_in_line(rollout, execution.index, progress.joined)
    progress.joined += 1
    release(rollout, now)


def stand_in_line(rollout: RolloutState, index: int, place: int) -> None:
    """The module is the late joiner number `place`, behind all who were there and who joined before."""
    rollout.joined[place] = index
    rollout.rank[index] = len(rollout.order) + place


def push(rollout: RolloutState, now: float, only_held: int) -> None:
    """One tick of the push grid: every waiting module that is online is offered its plan, in order of release.

    With `only_held`, only those whom a full house or a full cell held back.
    """
    if not (offer_rules.running(rollout.progress) or rollout.progress.state == PlanState.ROLLING_BACK):
        return
    present = rollout.waiting[: rollout.progress.waiting].copy()
    for index in present[np.argsort(rollout.rank[present])]:
        execution = rollout.executions[index]
        if execution.unmet == Cause.NONE and (execution.held or not only_held):
            offer_rules.offer(rollout, execution, now)


# --- groups and criteria (definitions 6 and 7) ---------------------------------------------------------------------


def evaluate(rollout: RolloutState, now: float) -> None:
    """Criteria in order, then groups: error before success. Never while the plan is paused or over."""
    progress = rollout.progress
    if not offer_rules.running(progress):
        return
    for i in range(len(rollout.criteria)):
        criterion = rollout.criteria[i]
        if abort.fires(criterion, progress):
            criterion.fired = 1
            rollout_state.record_decision(
                rollout,
                now,
                DecisionKind.CRITERION_FIRED,
                i,
                100.0 * abort.failures(progress, criterion.failure_type) / abort.whole(progress, criterion.denominator),
            )
            act(rollout, criterion.action, now)
            return
    for i in range(progress.group_first, progress.group_opened):
        _judge(rollout, i, now)
        if not offer_rules.running(progress):
            return
    while (
        progress.group_first < progress.group_opened - 1
        and rollout.groups[progress.group_first].terminal >= rollout.groups[progress.group_first].members
    ):
        progress.group_first += 1
    _open_groups(rollout, now)
    release(rollout, now)


def _judge(rollout: RolloutState, i: int, now: float) -> None:
    """Whether a group has failed, or passed."""
    group = rollout.groups[i]
    if group.state != GroupState.FAILED and groups.failed(group):
        group_states.enter(rollout.progress, group, GroupMove.FAIL)
        rollout_state.record_decision(rollout, now, DecisionKind.GROUP_FAILED, i, 100.0 * group.failed / group.targets)
        act(rollout, group.error_action, now)
    elif group.state == GroupState.RUNNING and groups.passed(group):
        group_states.enter(rollout.progress, group, GroupMove.PASS)
        group.passed_s = now
        _decide_group(rollout, now, DecisionKind.GROUP_PASSED, i)
        if (
            group.success_action == Action.PAUSE
            and i + 1 == rollout.progress.group_opened < rollout.progress.group_count
        ):
            pause(rollout, now)


def _open_groups(rollout: RolloutState, now: float) -> None:
    """Opens every group whose time has come, one after the other."""
    progress = rollout.progress
    while progress.group_opened < progress.group_count and offer_rules.running(progress):
        group = rollout.groups[progress.group_opened]
        first = progress.group_opened == 0
        at = (
            progress.start_s + group.start_s
            if first
            else groups.opens_s(rollout.groups[progress.group_opened - 1], group, progress.start_s)
        )
        if at > now:
            progress.evaluate_at = min(progress.evaluate_at, _on_grid(rollout, at))
            return
        group_states.enter(progress, group, GroupMove.OPEN)
        progress.group_opened += 1
        _decide_group(rollout, now, DecisionKind.GROUP_OPENED, progress.group_opened - 1)
        _judge(rollout, progress.group_opened - 1, now)


def _decide_group(rollout: RolloutState, now: float, decision: int, i: int) -> None:
    """Kept only where there are groups: a plan without them has one that means nothing."""
    if rollout.progress.group_count > 1:
        rollout_state.record_decision(rollout, now, decision, i, 0.0)


def act(rollout: RolloutState, action: int, now: float) -> None:
    """What a criterion, a threshold or an operator makes the plan do."""
    if action == Action.PAUSE:
        pause(rollout, now)
    elif action == Action.CANCEL:
        _cancel(rollout, now, 0)
    elif action == Action.FORCE_CANCEL:
        _cancel(rollout, now, 1)
    elif action == Action.ROLLBACK:
        roll_back(rollout, now)
    elif action == Action.STOP_ROLLOUT:
        stop_rollout(rollout, now)


# --- pause, cancel, roll back, end (definition 8) -------------------------------------------------------------------


def pause(rollout: RolloutState, now: float) -> None:
    """Nothing is released, no group opens, no retry starts, nothing is evaluated; timers keep running."""
    progress, settings = rollout.progress, rollout.settings
    if not offer_rules.running(progress):
        return
    plan_states.enter(progress, PlanMove.PAUSE)
    rollout_state.record_decision(rollout, now, DecisionKind.PAUSED, -1, 0.0)
    progress.starving = 1 if settings.on_pause == InFlight.STARVE else 0
    if settings.on_pause != InFlight.CONTINUE:
        for i in range(len(rollout.executions)):
            if ex.is_in_progress(rollout.executions[i].state):
                offer_rules.treat_in_flight(rollout, rollout.executions[i], settings.on_pause, now, 1)


def resume(rollout: RolloutState, now: float) -> None:
    """Goes on after a pause: retries that came due, and the group after one that had failed."""
    progress = rollout.progress
    if progress.state != PlanState.SUSPENDED:
        return
    plan_states.enter(progress, PlanMove.RESUME)
    progress.starving = 0
    rollout_state.record_decision(rollout, now, DecisionKind.RESUMED, -1, 0.0)
    for i in range(progress.group_opened):
        if rollout.groups[i].state == GroupState.FAILED:
            rollout.groups[i].resumed = 1
    for i in range(len(rollout.executions)):
        execution = rollout.executions[i]
        if execution.retry_pending and execution.online and now >= execution.retry_s:
            offer_rules.send_url(rollout, execution, now)
    _evaluate_soon(rollout, now)
    release(rollout, now)
    if pushes_at_once(rollout.settings):
        push(rollout, now, 0)
    settle(rollout, now)


def next_group(rollout: RolloutState, now: float) -> None:
    """The operator opens the next group whatever the last one has come to (hawkBit, staged rollouts by hand)."""
    progress = rollout.progress
    if 0 < progress.group_opened < progress.group_count and (
        offer_rules.running(progress) or offer_rules.paused(progress)
    ):
        rollout.groups[progress.group_opened - 1].resumed = 1
        resume(rollout, now)
        _open_groups(rollout, now)
        release(rollout, now)
        settle(rollout, now)


def terminate(rollout: RolloutState, now: float) -> None:
    """The operator ends the plan for good."""
    if rollout.progress.state in (PlanState.TERMINATED, PlanState.ENDED):
        return
    rollout_state.record_decision(rollout, now, DecisionKind.TERMINATED, -1, 0.0)
    _close(rollout, now, PlanMove.TERMINATE, EndReason.PLAN_TERMINATED, 0)


def end(rollout: RolloutState, now: float) -> None:
    """The plan's end time, as `end_behavior` says."""
    progress, settings = rollout.progress, rollout.settings
    if progress.state in (
        PlanState.TERMINATED,
        PlanState.ENDED,
        PlanState.ROLLING_BACK,
    ):  # a rollback is a plan of its own
        return
    if settings.end_behavior == Action.STOP_ROLLOUT:
        stop_rollout(rollout, now)
        return
    rollout_state.record_decision(rollout, now, DecisionKind.ENDED, -1, 0.0)
    _close(rollout, now, PlanMove.END, EndReason.PLAN_EXPIRED, 1 if settings.end_behavior == Action.FORCE_CANCEL else 0)


def stop_rollout(rollout: RolloutState, now: float) -> None:
    """Scheduled modules are cancelled; offers already out stay valid."""
    rollout.progress.exhausted = 1
    rollout_state.record_decision(rollout, now, DecisionKind.ROLLOUT_STOPPED, -1, 0.0)
    for i in range(len(rollout.executions)):
        execution = rollout.executions[i]
        if execution.state == ExecutionState.SCHEDULED:
            execution.reason = EndReason.PLAN_EXPIRED
            rollout_state.finish(rollout, execution, ExecutionMove.CANCEL, now)


def _cancel(rollout: RolloutState, now: float, force: int) -> None:
    rollout_state.record_decision(
        rollout, now, DecisionKind.FORCE_CANCELED if force else DecisionKind.CANCELED, -1, 0.0
    )
    _close(rollout, now, PlanMove.TERMINATE, EndReason.PLAN_ABORTED, force)


def _close(rollout: RolloutState, now: float, move: PlanMove, reason: int, force: int) -> None:
    """Waiting modules and pending retries end; modules in progress as the in-flight policy says."""
    progress, settings = rollout.progress, rollout.settings
    plan_states.enter(progress, move)
    progress.starving = 1 if (settings.on_force_cancel if force else settings.on_cancel) == InFlight.STARVE else 0
    for i in range(len(rollout.executions)):
        execution = rollout.executions[i]
        if ex.is_waiting(execution.state) or execution.retry_pending:
            execution.reason = reason
            become_failed = settings.waiting_become_failed and execution.late != TO_JOIN
            rollout_state.finish(rollout, execution, ExecutionMove.FAIL if become_failed else ExecutionMove.CANCEL, now)
        elif ex.is_in_progress(execution.state):
            offer_rules.treat_in_flight(
                rollout, execution, settings.on_force_cancel if force else settings.on_cancel, now, 0
            )
    progress.dirty = 0


def roll_back(rollout: RolloutState, now: float) -> None:
    """Cancels the plan and sends the previous package to every module that has the new one."""
    rollout_state.record_decision(rollout, now, DecisionKind.ROLLED_BACK, -1, 0.0)
    _close(rollout, now, PlanMove.ROLL_BACK, EndReason.PLAN_ABORTED, 0)
    rollout.progress.push_at = min(rollout.progress.push_at, _next_push_s(rollout, now))
    for i in range(len(rollout.executions)):
        if rollout.executions[i].upgraded and rollout.executions[i].state == ExecutionState.SUCCEEDED:
            revert(rollout, rollout.executions[i], now)


def revert(rollout: RolloutState, execution: Execution, now: float) -> None:
    """Queues a module that runs the new version for the previous one."""
    execution.reverting = 1
    execution_states.enter(rollout.progress, execution, ExecutionMove.REVERT)
    execution.failures = 0
    execution.timeouts = 0
    execution.reason = EndReason.NONE
    execution.unmet = Cause.NONE
    execution.acknowledged = 0
    rollout_state.note(rollout, execution.index, now, Note.REVERTING, 0.0)
    if execution.online:
        rollout_state.wait(rollout, execution)
        if pushes_at_once(rollout.settings):
            offer_rules.offer(rollout, execution, now)
