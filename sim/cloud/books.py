"""The books of one plan: its rows, what it has to send and to be woken for, and who is counted where.

Leaves of the rules: nothing here decides. Messages, timers, log lines and decisions are put into outboxes, which the
caller empties after each call; their fills are numbers in `Progress`, so that the same source serves a compiler.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.cloud import execution as ex
from sim.cloud.execution import Execution
from sim.strategy import concurrency
from sim.strategy.progress import Criterion, Group, Progress, completed
from sim.strategy.settings import Settings

# Plan states. What a cancelled plan is called depends on who cancelled it.
SAVED, ACTIVATED, UPGRADING, SUSPENDED, TERMINATED, ENDED, ROLLING_BACK = range(7)
PLAN_STATES = ("Saved", "Activated", "Upgrading", "Suspended", "Terminated", "Ended", "Rolling back")

# Messages for a module.
SEND_NOTICE, SEND_URL, SEND_INSTALL, SEND_CANCEL, SEND_REVOKED = range(5)

# Timers of one execution.
T_RETRY, T_ATTEMPT, T_STEP, T_OFFER, T_INSTALL, T_OFFER_AGAIN = range(6)

# Decisions of the plan.
(
    D_ACTIVATED, D_GROUP_OPENED, D_GROUP_PASSED, D_GROUP_FAILED, D_RATE_RAISED, D_CRITERION, D_PAUSED, D_RESUMED,
    D_CANCELED, D_FORCE_CANCELED, D_ROLLED_BACK, D_TERMINATED, D_ENDED, D_ROLLOUT_STOPPED, D_DEVICES_REACHED, D_COMPLETED,
) = range(16)  # fmt: skip
DECISIONS = (
    "activated", "group_opened", "group_passed", "group_failed", "rate_raised", "criterion_fired", "paused", "resumed",
    "canceled", "force_canceled", "rolled_back", "terminated", "ended", "rollout_stopped", "max_devices_reached",
    "completed",
)  # fmt: skip
DECISION_WIDTH = 10
"""time, decision, subject (group or criterion, -1 none), value, targets, released, notified, completed, succeeded,
failed"""

# Lines of the upgrade log.
(
    N_ASKS, N_REPORTS, N_RELEASED, N_ISSUING, N_CONFIRMED, N_URL, N_RETRYING, N_DEFERRED, N_HELD_BY_CAP,
    N_HELD_BY_CELL, N_HELD_BY_WINDOW, N_HELD_BY_EARLIER_PLAN, N_AWAITS_APPROVAL, N_INSTALL, N_CANCEL, N_CANCEL_REFUSED,
    N_REVOKED, N_LATE_SUCCESS, N_REVERTING,
) = range(19)  # fmt: skip
NOTES = (
    "device requests its plan", "device reports its state", "released", "issuing plan", "confirmed",
    "Issue the URL to upgrade", "Upgrade failed and system is retrying", "deferred", "held: as many under way as allowed",
    "held: its cell has as many under way as allowed", "held: outside the window", "held: busy with an earlier plan",
    "awaits the operator's approval", "told to install", "asked to cancel", "goes on: cancelling came too late",
    "report refused: revoked", "late success", "to be rolled back",
)  # fmt: skip
N_STATE = 100
"""N_STATE + state: the execution ended in this state."""
N_STATUS = 200
"""N_STATUS + status: a status report; the value is 1 with the target version, 2 with another, else 0."""


@dataclass(slots=True)
class Books:
    """One plan over `len(es)` modules: settings, progress and the outboxes.

    `order` lists the executions in order of release, group by group; `rank` is its inverse, and goes on with those who
    join late, in the order they joined. Outboxes are arrays of numbers: `out` (module, message, component), `armed` (time,
    module, timer, stamp), `notes` (module, time, code, value), `log` (DECISION_WIDTH columns); `cells` counts modules
    under way by cell and coverage level.
    """

    r: Settings
    c: Progress
    es: Sequence[Execution]
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


def send(b: Books, e: Execution, message: int, component: int) -> None:
    """A message for a module."""
    i = b.c.out
    b.out[i, 0] = e.index
    b.out[i, 1] = message
    b.out[i, 2] = component
    b.c.out = i + 1


def arm(b: Books, at: float, e: Execution, timer: int, stamp: int) -> None:
    """Wants `timer` for this execution at that time."""
    if at < np.inf:
        i = b.c.armed
        b.armed[i, 0] = at
        b.armed[i, 1] = e.index
        b.armed[i, 2] = timer
        b.armed[i, 3] = stamp
        b.c.armed = i + 1


def note(b: Books, index: int, now: float, code: int, value: float) -> None:
    """A line of the upgrade log, when somebody reads it."""
    if b.c.noting:
        i = b.c.notes
        b.notes[i, 0] = index
        b.notes[i, 1] = now
        b.notes[i, 2] = code
        b.notes[i, 3] = value
        b.c.notes = i + 1


def decide(b: Books, now: float, decision: int, subject: int, value: float) -> None:
    """A decision of the plan, with the counts it was taken at."""
    c = b.c
    row = b.log[c.logged]
    row[0] = now
    row[1] = decision
    row[2] = subject
    row[3] = value
    row[4] = c.targets
    row[5] = c.released
    row[6] = c.notified
    row[7] = completed(c)
    row[8] = c.succeeded
    row[9] = c.failed + c.timed_out + c.rejected
    c.logged += 1


# --- who is counted where ------------------------------------------------------------------------------------------


def wait(b: Books, e: Execution) -> None:
    """The module is online and may be offered its plan."""
    if e.waiting_at < 0:
        e.waiting_at = b.c.waiting
        b.waiting[e.waiting_at] = e.index
        b.c.waiting += 1


def wait_no_more(b: Books, e: Execution) -> None:
    """It is not, or needs no offer."""
    at = e.waiting_at
    if at >= 0:
        last = b.waiting[b.c.waiting - 1]
        b.waiting[at] = last
        b.es[last].waiting_at = at
        e.waiting_at = -1
        b.c.waiting -= 1


def count(b: Books, e: Execution, counted: int) -> None:
    """The module is under way, or no longer: against the caps of the plan and of its cell."""
    if counted == e.counted:
        return
    e.counted = counted
    change = 1 if counted else -1
    b.c.in_progress += change
    if counted:
        e.counted_level = concurrency.cell_slot(b.r, e.level)
    else:
        b.c.freed = 1
    if e.cell >= 0 and concurrency.capped_by_cell(b.r):
        b.cells[e.cell, e.counted_level] += change


def to_queue(b: Books, e: Execution) -> None:
    """Back to where the next push or request finds it."""
    count(b, e, 0)
    e.state = ex.QUEUED
    e.step += 1


def finish(b: Books, e: Execution, state: int, now: float) -> None:
    """The execution is over; the counts of plan and group follow (definition 3)."""
    c = b.c
    g = b.groups[e.group]
    count(b, e, 0)
    wait_no_more(b, e)
    e.state = state
    e.ended_s = now
    e.retry_pending = 0
    e.canceling = 0
    e.step += 1
    c.dirty = 1
    note(b, e.index, now, N_STATE + state, 0.0)
    if e.reverting or e.late == 1:  # counted already; not in the plan yet
        return
    g.terminal += 1
    c.terminal += 1
    c.outstanding -= e.released
    _tally(c, g, state, 1)


def reopen(b: Books, e: Execution) -> None:
    """An execution that was over is queued again: what `finish` counted is taken back."""
    g = b.groups[e.group]
    _tally(b.c, g, e.state, -1)
    g.terminal -= 1
    b.c.terminal -= 1
    b.c.outstanding += e.released
    e.state = ex.QUEUED
    e.reason = ex.NO_REASON
    e.failures = 0
    e.timeouts = 0


def count_late_success(b: Books, e: Execution, now: float) -> None:
    """A timed-out execution that succeeded after all, where the strategy accepts it."""
    g = b.groups[e.group]
    _tally(b.c, g, e.state, -1)
    e.state = ex.SUCCEEDED
    e.reported_s = now
    _tally(b.c, g, e.state, 1)
    b.c.dirty = 1


def _tally(c: Progress, g: Group, state: int, by: int) -> None:
    if state == ex.SUCCEEDED:
        c.succeeded += by
        g.succeeded += by
    elif state == ex.FAILED:
        c.failed += by
        g.failed += by
    elif state == ex.TIMED_OUT:
        c.timed_out += by
        g.failed += by
    elif state == ex.REJECTED:
        c.rejected += by
        g.failed += by
    elif state == ex.NOT_NEEDED:
        c.targets -= by
        g.targets -= by
