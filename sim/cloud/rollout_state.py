"""The state of one rollout: its executions, what it has to send and to be woken for, and who is counted where.

Leaves of the rules: nothing here decides. Messages, timers, log lines and decisions are put into outboxes, which the
caller empties after each call; their fills are numbers in `Progress`, so that the same source serves a compiler.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.cloud import execution_states
from sim.cloud.execution import TO_JOIN, EndReason, Execution
from sim.cloud.execution_states import ExecutionMove, ExecutionState
from sim.named_enum import NamedEnum
from sim.strategy import concurrency
from sim.strategy.progress import Criterion, Group, Progress, completed
from sim.strategy.settings import Settings


class MessageKind(NamedEnum):
    """What the cloud sends to a module."""

    NOTICE = 0
    URL = 1
    INSTALL = 2
    CANCEL = 3
    REVOKED = 4


class TimerKind(NamedEnum):
    """Timers of one execution."""

    RETRY = 0
    ATTEMPT = 1
    STEP = 2
    OFFER = 3
    INSTALL = 4
    OFFER_AGAIN = 5


class DecisionKind(NamedEnum):
    """Decisions of a plan; the table of decisions has their words."""

    ACTIVATED = 0
    GROUP_OPENED = 1
    GROUP_PASSED = 2
    GROUP_FAILED = 3
    RATE_RAISED = 4
    CRITERION_FIRED = 5
    PAUSED = 6
    RESUMED = 7
    CANCELED = 8
    FORCE_CANCELED = 9
    ROLLED_BACK = 10
    TERMINATED = 11
    ENDED = 12
    ROLLOUT_STOPPED = 13
    MAX_DEVICES_REACHED = 14
    COMPLETED = 15


DECISION_WIDTH = 10
"""time, decision, subject (group or criterion, -1 none), value, targets, released, notified, completed, succeeded,
failed"""


class Note(NamedEnum):
    """Lines of the upgrade log."""

    ASKS = 0
    REPORTS = 1
    RELEASED = 2
    ISSUING = 3
    CONFIRMED = 4
    URL = 5
    RETRYING = 6
    DEFERRED = 7
    HELD_BY_CAP = 8
    HELD_BY_CELL = 9
    HELD_BY_WINDOW = 10
    HELD_BY_EARLIER_PLAN = 11
    AWAITS_APPROVAL = 12
    INSTALL = 13
    CANCEL = 14
    CANCEL_REFUSED = 15
    REVOKED = 16
    LATE_SUCCESS = 17
    REVERTING = 18
    WITHDRAWN = 19


NOTE_TEXT = {
    Note.ASKS: "device requests its plan",
    Note.REPORTS: "device reports its state",
    Note.RELEASED: "released",
    Note.ISSUING: "issuing plan",
    Note.CONFIRMED: "confirmed",
    Note.URL: "Issue the URL to upgrade",
    Note.RETRYING: "Upgrade failed and system is retrying",
    Note.DEFERRED: "deferred",
    Note.HELD_BY_CAP: "held: as many under way as allowed",
    Note.HELD_BY_CELL: "held: its cell, or its label, has as many under way as allowed",
    Note.HELD_BY_WINDOW: "held: outside the window",
    Note.HELD_BY_EARLIER_PLAN: "held: busy with an earlier plan",
    Note.AWAITS_APPROVAL: "awaits the operator's approval",
    Note.INSTALL: "told to install",
    Note.CANCEL: "asked to cancel",
    Note.CANCEL_REFUSED: "goes on: cancelling came too late",
    Note.REVOKED: "report refused: revoked",
    Note.LATE_SUCCESS: "late success",
    Note.REVERTING: "to be rolled back",
    Note.WITHDRAWN: "success withdrawn: the device reports another version",
}
NOTE_OF_STATE = 100
"""NOTE_OF_STATE + state: the execution ended in this state."""
NOTE_OF_STATUS = 200
"""NOTE_OF_STATUS + status: a status report; the value is 1 with the target version, 2 with another, else 0."""


@dataclass(slots=True)
class RolloutState:
    """One plan over `len(executions)` modules: settings, progress and the outboxes.

    `order` lists the executions in order of release, group by group; `rank` is its inverse, and goes on with those who
    join late, in the order they joined. Outboxes are arrays of numbers: `out` (module, message, component), `armed` (time,
    module, timer, stamp), `notes` (module, time, code, value), `log` (DECISION_WIDTH columns); `cells` counts modules
    under way by cell and coverage level.
    """

    settings: Settings
    progress: Progress
    executions: Sequence[Execution]
    groups: Sequence[Group]
    criteria: Sequence[Criterion]
    windows: NDArray[np.float64]
    order: NDArray[np.int32]
    rank: NDArray[np.int32]
    waiting: NDArray[np.int32]
    joined: NDArray[np.int32]
    cells: NDArray[np.int64]
    out: NDArray[np.int64]
    armed: NDArray[np.float64]
    notes: NDArray[np.float64]
    log: NDArray[np.float64]


# --- outboxes ------------------------------------------------------------------------------------------------------


def send(rollout: RolloutState, execution: Execution, message: int, component: int) -> None:
    """A message for a module."""
    i = rollout.progress.out
    rollout.out[i, 0] = execution.index
    rollout.out[i, 1] = message
    rollout.out[i, 2] = component
    rollout.progress.out = i + 1


def arm(rollout: RolloutState, at: float, execution: Execution, timer: int, stamp: int) -> None:
    """Wants `timer` for this execution at that time."""
    if at < np.inf:
        i = rollout.progress.armed
        rollout.armed[i, 0] = at
        rollout.armed[i, 1] = execution.index
        rollout.armed[i, 2] = timer
        rollout.armed[i, 3] = stamp
        rollout.progress.armed = i + 1


def note(rollout: RolloutState, index: int, now: float, code: int, value: float) -> None:
    """A line of the upgrade log, when somebody reads it."""
    if rollout.progress.noting:
        i = rollout.progress.notes
        rollout.notes[i, 0] = index
        rollout.notes[i, 1] = now
        rollout.notes[i, 2] = code
        rollout.notes[i, 3] = value
        rollout.progress.notes = i + 1


def record_decision(rollout: RolloutState, now: float, decision: int, subject: int, value: float) -> None:
    """A decision of the plan, with the counts it was taken at."""
    progress = rollout.progress
    row = rollout.log[progress.logged]
    row[0] = now
    row[1] = decision
    row[2] = subject
    row[3] = value
    row[4] = progress.targets
    row[5] = progress.released
    row[6] = progress.notified
    row[7] = completed(progress)
    row[8] = progress.succeeded
    row[9] = progress.failed + progress.timed_out + progress.rejected
    progress.logged += 1


# --- who is counted where ------------------------------------------------------------------------------------------


def wait(rollout: RolloutState, execution: Execution) -> None:
    """The module is online and may be offered its plan."""
    if execution.waiting_at < 0:
        execution.waiting_at = rollout.progress.waiting
        rollout.waiting[execution.waiting_at] = execution.index
        rollout.progress.waiting += 1


def wait_no_more(rollout: RolloutState, execution: Execution) -> None:
    """It is not, or needs no offer."""
    at = execution.waiting_at
    if at >= 0:
        last = rollout.waiting[rollout.progress.waiting - 1]
        rollout.waiting[at] = last
        rollout.executions[last].waiting_at = at
        execution.waiting_at = -1
        rollout.progress.waiting -= 1


def count(rollout: RolloutState, execution: Execution, counted: int) -> None:
    """The module is under way, or no longer: against the caps of the plan and of its cell."""
    if counted == execution.counted:
        return
    execution.counted = counted
    change = 1 if counted else -1
    rollout.progress.in_progress += change
    if counted:
        execution.counted_level = concurrency.cell_slot(rollout.settings, execution.level)
    else:
        rollout.progress.freed = 1
    if execution.cell >= 0 and concurrency.capped_by_cell(rollout.settings):
        rollout.cells[execution.cell, execution.counted_level] += change


def to_queue(rollout: RolloutState, execution: Execution) -> None:
    """Back to where the next push or request finds it."""
    count(rollout, execution, 0)
    execution_states.enter(rollout.progress, execution, ExecutionMove.REQUEUE)
    execution.step += 1


def finish(rollout: RolloutState, execution: Execution, move: ExecutionMove, now: float) -> None:
    """The execution is over by this move; the counts of plan and group follow (definition 3)."""
    progress = rollout.progress
    group = rollout.groups[execution.group]
    count(rollout, execution, 0)
    wait_no_more(rollout, execution)
    execution_states.enter(progress, execution, move)
    state = execution.state
    execution.ended_s = now
    execution.retry_pending = 0
    execution.canceling = 0
    execution.step += 1
    progress.dirty = 1
    note(rollout, execution.index, now, NOTE_OF_STATE + state, 0.0)
    if execution.reverting or execution.late == TO_JOIN:  # counted already; not in the plan yet
        return
    group.terminal += 1
    progress.terminal += 1
    progress.outstanding -= execution.released
    _tally(progress, group, state, 1)


def reopen(rollout: RolloutState, execution: Execution) -> None:
    """An execution that was over is queued again: what `finish` counted is taken back."""
    group = rollout.groups[execution.group]
    _tally(rollout.progress, group, execution.state, -1)
    group.terminal -= 1
    rollout.progress.terminal -= 1
    rollout.progress.outstanding += execution.released
    execution_states.enter(rollout.progress, execution, ExecutionMove.REOPEN)
    execution.reason = EndReason.NONE
    execution.failures = 0
    execution.timeouts = 0


def count_late_success(rollout: RolloutState, execution: Execution, now: float) -> None:
    """A timed-out execution that succeeded after all, where the strategy accepts it."""
    group = rollout.groups[execution.group]
    _tally(rollout.progress, group, execution.state, -1)
    execution_states.enter(rollout.progress, execution, ExecutionMove.SUCCEED_LATE)
    execution.reported_s = now
    _tally(rollout.progress, group, execution.state, 1)
    rollout.progress.dirty = 1


def withdraw(rollout: RolloutState, execution: Execution, now: float) -> None:
    """A success that did not last counts as a failure."""
    group = rollout.groups[execution.group]
    _tally(rollout.progress, group, execution.state, -1)
    execution_states.enter(rollout.progress, execution, ExecutionMove.WITHDRAW)
    execution.ended_s = now
    note(rollout, execution.index, now, Note.WITHDRAWN, 0.0)
    _tally(rollout.progress, group, execution.state, 1)
    rollout.progress.dirty = 1


def _tally(progress: Progress, group: Group, state: int, by: int) -> None:
    if state == ExecutionState.SUCCEEDED:
        progress.succeeded += by
        group.succeeded += by
    elif state == ExecutionState.FAILED:
        progress.failed += by
        group.failed += by
    elif state == ExecutionState.TIMED_OUT:
        progress.timed_out += by
        group.failed += by
    elif state == ExecutionState.REJECTED:
        progress.rejected += by
        group.failed += by
    elif state == ExecutionState.NOT_NEEDED:
        progress.targets -= by
        group.targets -= by
