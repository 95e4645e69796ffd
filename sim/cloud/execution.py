"""One module in one plan, as the cloud sees it: its states and what the cloud last heard from it (definition 1)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

SCHEDULED, QUEUED, NOTIFIED, WAIT_FOR_CONFIRMATION, CONFIRMED, DOWNLOADING, DOWNLOADED, UPDATING = range(8)
SUCCEEDED, FAILED, TIMED_OUT, REJECTED, CANCELED, NOT_NEEDED = range(8, 14)

STATE_NAMES = (
    "scheduled", "queued", "notified", "wait_for_confirmation", "confirmed", "downloading", "downloaded", "updating",
    "succeeded", "failed", "timed_out", "rejected", "canceled", "not_needed",
)  # fmt: skip

# Why an execution ended without the module's doing.
NO_REASON, PLAN_EXPIRED, PLAN_TERMINATED, INCOMPATIBLE, PLAN_ABORTED, REVOKED, STOPPED, ROLLED_BACK, BUSY = range(9)
REASON_NAMES = (
    "", "plan_expired", "plan_terminated", "source_mismatch", "plan_aborted", "revoked", "stopped", "rolled_back",
    "busy_with_earlier_plan",
)  # fmt: skip

DEVICE_STATES = {
    SCHEDULED: "Non-upgraded", QUEUED: "Non-upgraded", NOTIFIED: "Non-upgraded", WAIT_FOR_CONFIRMATION: "Non-upgraded",
    CONFIRMED: "In Upgrade", DOWNLOADING: "In Upgrade", DOWNLOADED: "In Upgrade", UPDATING: "In Upgrade",
    SUCCEEDED: "Upgraded", FAILED: "Upgrade Failed", TIMED_OUT: "Upgrade Failed", REJECTED: "Upgrade Failed",
    CANCELED: "Upgrade Failed", NOT_NEEDED: "No Update Required",
}  # fmt: skip
"""The Developer Center's device state for each state of an execution."""

COMPONENT_STATES = {
    SCHEDULED: "Start", QUEUED: "Start", NOTIFIED: "Start", WAIT_FOR_CONFIRMATION: "Start", CONFIRMED: "Confirm",
    DOWNLOADING: "Download", DOWNLOADED: "Download", UPDATING: "Upgrading", SUCCEEDED: "Success", FAILED: "Fail",
    TIMED_OUT: "Fail", REJECTED: "Fail", CANCELED: "Fail", NOT_NEEDED: "Success",
}  # fmt: skip
"""The status shown in Upgrade Monitoring for each state of an execution."""


@dataclass(slots=True)
class Execution:
    """One (module, plan). Times in seconds after activation, nan for never; flags 0 or 1; sets of components as bits."""

    index: int
    group: int = 0
    cell: int = -1
    late: int = 0
    busy_until_s: float = 0.0
    approval_delay_s: float = 0.0
    state: int = SCHEDULED
    reason: int = NO_REASON
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
    return state >= SUCCEEDED


def is_waiting(state: int) -> bool:
    """Whether the module has not confirmed yet."""
    return state <= WAIT_FOR_CONFIRMATION


def is_in_progress(state: int) -> bool:
    """CONFIRMED to UPDATING."""
    return CONFIRMED <= state <= UPDATING
