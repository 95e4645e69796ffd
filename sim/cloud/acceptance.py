"""Which status report (0x0114) a cloud takes in which state of an execution: one table, read by the mock cloud.

A report is accepted (the rules act on it), ignored (it repeats or outlives what is settled) or refused (nothing led to
it). The rules themselves take every report for honest, as modules that are simulated send them.
"""

from __future__ import annotations

from enum import Enum

from sim.cloud.execution import STATE_NAMES, is_terminal
from sim.cloud.execution_states import ExecutionState
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


class Acceptance(Enum):
    """What becomes of a report."""

    ACCEPT = "accepted"
    IGNORE = "ignored"
    REFUSE = "refused"


YES, OLD, NO = Acceptance.ACCEPT, Acceptance.IGNORE, Acceptance.REFUSE
STATUSES = (
    PLAN_RECEIVED, SUBMITTED, REFUSED, DOWNLOAD_START, DOWNLOADING, DOWNLOAD_ERROR, DOWNLOADED, UPDATING,
    UPDATE_SUCCESS, UPDATE_ERROR,
)  # fmt: skip
_OVER = (OLD, OLD, OLD, OLD, OLD, OLD, OLD, OLD, YES, OLD)
_S = ExecutionState
# fmt: off
TABLE: dict[int, tuple[Acceptance, ...]] = {
    #                            1    2    3    4    5    6    8    9   11   12
    _S.SCHEDULED:             ( NO,  NO,  NO,  NO,  NO,  NO,  NO,  NO,  NO,  NO),
    _S.QUEUED:                (YES, YES, YES,  NO,  NO, OLD,  NO,  NO, YES, OLD),
    _S.NOTIFIED:              (YES, YES, YES,  NO,  NO, OLD,  NO,  NO, YES,  NO),
    _S.WAIT_FOR_CONFIRMATION: (YES, YES, YES,  NO,  NO, OLD,  NO,  NO, YES,  NO),
    _S.CONFIRMED:             (OLD, OLD, OLD, YES, YES, YES, YES, YES, YES, YES),
    _S.DOWNLOADING:           (OLD, OLD, OLD, YES, YES, YES, YES, YES, YES, YES),
    _S.DOWNLOADED:            (OLD, OLD, OLD, YES, YES, YES, YES, YES, YES, YES),
    _S.UPDATING:              (OLD, OLD, OLD, OLD, OLD, YES, OLD, YES, YES, YES),
    _S.SUCCEEDED:             _OVER,
    _S.FAILED:                _OVER,
    _S.TIMED_OUT:             _OVER,
    _S.REJECTED:              _OVER,
    _S.CANCELED:              _OVER,
    _S.NOT_NEEDED:            _OVER,
}
# fmt: on
"""By state of the execution and by status. A queued execution is judged by its row once it was offered, else as
scheduled; the next piece of an MCU's package begins in `downloaded`; a success may be a module's last word after all."""

_WHY: dict[int, str] = {
    _S.SCHEDULED: "nothing was offered", _S.QUEUED: "the offer was taken back",
    _S.NOTIFIED: "the offer is not confirmed", _S.WAIT_FOR_CONFIRMATION: "the offer is not confirmed",
}  # fmt: skip


def judge(state: int, status: int, *, offered: bool, cancelling: bool) -> Acceptance:
    """What becomes of a status in a state. `offered`: it has been offered before; `cancelling`: a Cancel is on its way."""
    if cancelling and status == REFUSED:
        return Acceptance.ACCEPT
    row = TABLE[_S.SCHEDULED if state == _S.QUEUED and not offered else state]
    return row[STATUSES.index(status)]


def reason(state: int, *, offered: bool) -> str:
    """Why a report is not taken in a state, for the upgrade log."""
    if is_terminal(state):
        return f"the upgrade is over ({STATE_NAMES[state]})"
    if state == _S.QUEUED and not offered:
        return _WHY[_S.SCHEDULED]
    return _WHY.get(state, f"the upgrade is {STATE_NAMES[state]} already")
