"""The states of an execution, one module in one plan, and the rows that lead from one to the next (definition 1)."""

from __future__ import annotations

from typing import Protocol

from sim.named_enum import NamedEnum
from sim.state_table import Machine, Row, StateTable, names, refusal_code
from sim.strategy.progress import Progress


class ExecutionState(NamedEnum):
    """Where a module stands in a plan, in order of progress; from SUCCEEDED on nothing more is expected of it."""

    SCHEDULED = 0
    QUEUED = 1
    NOTIFIED = 2
    WAIT_FOR_CONFIRMATION = 3
    CONFIRMED = 4
    DOWNLOADING = 5
    DOWNLOADED = 6
    UPDATING = 7
    SUCCEEDED = 8
    FAILED = 9
    TIMED_OUT = 10
    REJECTED = 11
    CANCELED = 12
    NOT_NEEDED = 13


class ExecutionMove(NamedEnum):
    """What moves an execution: decisions of the cloud, and reports of the module it believes."""

    RELEASE = 0
    AWAIT_APPROVAL = 1
    OFFER = 2
    REQUEUE = 3
    RECEIVE = 4
    CONFIRM = 5
    RETRY = 6
    DOWNLOAD = 7
    HOLD_PACKAGE = 8
    INSTALL = 9
    SUCCEED = 10
    FAIL = 11
    TIME_OUT = 12
    REJECT = 13
    CANCEL = 14
    NEED_NOTHING = 15
    REOPEN = 16
    SUCCEED_LATE = 17
    REVERT = 18
    WITHDRAW = 19


_S, _M = ExecutionState, ExecutionMove
WAITING = (_S.QUEUED, _S.NOTIFIED, _S.WAIT_FOR_CONFIRMATION)
IN_PROGRESS = (_S.CONFIRMED, _S.DOWNLOADING, _S.DOWNLOADED, _S.UPDATING)
OPEN = (_S.SCHEDULED, *WAITING, *IN_PROGRESS)

TABLE = StateTable(
    Machine.EXECUTION, names(ExecutionState), names(ExecutionMove),
    (
        Row(_M.RELEASE, (_S.SCHEDULED,), _S.QUEUED, "group, window, rate and cap let it go"),
        Row(_M.AWAIT_APPROVAL, (_S.QUEUED, _S.NOTIFIED), _S.WAIT_FOR_CONFIRMATION, "the operator has to approve"),
        Row(_M.OFFER, WAITING, _S.NOTIFIED, "the notice goes out"),
        Row(_M.REQUEUE, OPEN, _S.QUEUED, "deferred, held, refused, out of reach, stopped, approved"),
        Row(_M.RECEIVE, (_S.NOTIFIED,), _S.WAIT_FOR_CONFIRMATION, "status 1, where a user confirms"),
        # A report is believed in every open state: the cloud's view may be behind the module's.
        Row(_M.CONFIRM, OPEN, _S.CONFIRMED, "status 2"),
        Row(_M.RETRY, OPEN, _S.CONFIRMED, "an attempt failed, another follows"),
        Row(_M.DOWNLOAD, OPEN, _S.DOWNLOADING, "status 4 or 5"),
        Row(_M.HOLD_PACKAGE, OPEN, _S.DOWNLOADED, "status 8"),
        Row(_M.INSTALL, OPEN, _S.UPDATING, "status 9"),
        Row(_M.SUCCEED, OPEN, _S.SUCCEEDED, "status 11 with the version wanted; status 8 where that is all"),
        Row(_M.FAIL, OPEN, _S.FAILED, "no attempt is left, or busy with an earlier plan"),
        Row(_M.TIME_OUT, OPEN, _S.TIMED_OUT, "a timer is due and no attempt is left"),
        Row(_M.REJECT, OPEN, _S.REJECTED, "a limit is unmet or the user refuses, and that is final"),
        Row(_M.CANCEL, OPEN, _S.CANCELED, "by the operator, a criterion, the end of the plan"),
        Row(_M.NEED_NOTHING, (_S.SCHEDULED, *WAITING), _S.NOT_NEEDED, "runs the target, or a delta does not fit"),
        Row(_M.REOPEN, (_S.FAILED,), _S.QUEUED, "the operator's retry"),
        Row(_M.SUCCEED_LATE, (_S.TIMED_OUT,), _S.SUCCEEDED, "reported after all, and `accept_late`"),
        Row(_M.WITHDRAW, (_S.SUCCEEDED,), _S.FAILED, "reports another version later, and `withdraw_success`"),
        Row(_M.REVERT, (_S.SUCCEEDED, _S.CANCELED), _S.QUEUED, "a rollback sends the previous package"),
    ),
)  # fmt: skip

NEXT = TABLE.next_states()
MOVE_COUNT = len(ExecutionMove)


class HasState(Protocol):
    """What `enter` moves."""

    state: int


def enter(progress: Progress, execution: HasState, move: ExecutionMove) -> None:
    """Moves an execution; a refused move changes nothing and is left in `progress.refusal`."""
    after = NEXT[execution.state * MOVE_COUNT + move]
    if after < 0:
        progress.refusal = refusal_code(Machine.EXECUTION, execution.state, move)
    else:
        execution.state = after
