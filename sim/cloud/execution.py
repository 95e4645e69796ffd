"""One module in one plan, as the cloud sees it: its states and what the cloud last heard from it (definition 1)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

from sim.cloud import execution_states
from sim.named_enum import NamedEnum, numbers

ExecutionState = numbers(execution_states.ExecutionState)


class EndReason(NamedEnum):
    """Why an execution ended without the module's doing."""

    NONE = 0
    PLAN_EXPIRED = 1
    PLAN_TERMINATED = 2
    SOURCE_MISMATCH = 3
    PLAN_ABORTED = 4
    REVOKED = 5
    STOPPED = 6
    ROLLED_BACK = 7
    BUSY_WITH_EARLIER_PLAN = 8

    @property
    def word(self) -> str:
        """The reason as records spell it, "" for none."""
        return "" if self == EndReason.NONE else self.name.lower()


IN_PLAN, TO_JOIN, JOINED = range(3)
"""`late`: in the plan from the start; became known later, and joins at its first hello; has joined."""

STATE_NAMES = execution_states.ExecutionState.words()
REASON_NAMES = EndReason.words()

DEVICE_STATES: dict[int, str] = {
    ExecutionState.SCHEDULED: "Non-upgraded", ExecutionState.QUEUED: "Non-upgraded", ExecutionState.NOTIFIED: "Non-upgraded", ExecutionState.WAIT_FOR_CONFIRMATION: "Non-upgraded",
    ExecutionState.CONFIRMED: "In Upgrade", ExecutionState.DOWNLOADING: "In Upgrade", ExecutionState.DOWNLOADED: "In Upgrade", ExecutionState.UPDATING: "In Upgrade",
    ExecutionState.SUCCEEDED: "Upgraded", ExecutionState.FAILED: "Upgrade Failed", ExecutionState.TIMED_OUT: "Upgrade Failed", ExecutionState.REJECTED: "Upgrade Failed",
    ExecutionState.CANCELED: "Cancelled", ExecutionState.NOT_NEEDED: "No Update Required",
}  # fmt: skip
"""The Developer Center's device state for each state of an execution."""

COMPONENT_STATES: dict[int, str] = {
    ExecutionState.SCHEDULED: "Start", ExecutionState.QUEUED: "Start", ExecutionState.NOTIFIED: "Start", ExecutionState.WAIT_FOR_CONFIRMATION: "Start", ExecutionState.CONFIRMED: "Confirm",
    ExecutionState.DOWNLOADING: "Download", ExecutionState.DOWNLOADED: "Download", ExecutionState.UPDATING: "Upgrading", ExecutionState.SUCCEEDED: "Success", ExecutionState.FAILED: "Fail",
    ExecutionState.TIMED_OUT: "Fail", ExecutionState.REJECTED: "Fail", ExecutionState.CANCELED: "Cancelled", ExecutionState.NOT_NEEDED: "Success",
}  # fmt: skip
"""The status shown in Upgrade Monitoring for each state of an execution."""


@dataclass(slots=True)
class Execution:
    """One (module, plan). Times in seconds after activation, nan for never; flags 0 or 1; sets of components as bits."""

    index: int
    group: int = 0
    cell: int = -1
    late: int = IN_PLAN
    identity: int = 0
    """What keys its draws, where a strategy has any."""
    busy_until_s: float = 0.0
    approval_delay_s: float = 0.0
    state: int = ExecutionState.SCHEDULED
    reason: int = EndReason.NONE
    unmet: int = 0
    component: int = 0
    at_target: int = 0
    upgraded: int = 0
    source_ok: int = 1
    online: int = 0
    released: int = 0
    notified: int = 0
    counted: int = 0
    counted_level: int = 0
    acknowledged: int = 0
    held: int = 0
    retry_pending: int = 0
    retry_s: float = 0.0
    canceling: int = 0
    stop_pending: int = 0
    holds: int = 0
    """As last told to a module that polls: download, and do not install (yet)."""
    reverting: int = 0
    waiting_at: int = -1
    failures: int = 0
    timeouts: int = 0
    attempts: int = 0
    step: int = 0
    deferrals: int = 0
    battery_percent: float = nan
    rsrp_dbm: float = nan
    free_bytes: float = nan
    level: int = -1
    offered_s: float = nan
    released_s: float = inf
    confirmed_s: float = nan
    reported_s: float = nan
    ended_s: float = nan

    @property
    def terminal(self) -> bool:
        """Whether the cloud is done with this module."""
        return is_terminal(self.state)


def is_terminal(state: int) -> bool:
    """Whether nothing more is expected of an execution in this state."""
    return state >= ExecutionState.SUCCEEDED


def is_waiting(state: int) -> bool:
    """Whether the module has not confirmed yet."""
    return state <= ExecutionState.WAIT_FOR_CONFIRMATION


def is_in_progress(state: int) -> bool:
    """CONFIRMED to ExecutionState.UPDATING."""
    return ExecutionState.CONFIRMED <= state <= ExecutionState.UPDATING
