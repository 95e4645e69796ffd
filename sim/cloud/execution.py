"""One module in one plan, as the cloud sees it: its states and what the cloud last heard from it."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

SCHEDULED, QUEUED, NOTIFIED, CONFIRMED, DOWNLOADING, DOWNLOADED, UPDATING = range(7)
SUCCEEDED, FAILED, TIMED_OUT, REJECTED, CANCELED, NOT_NEEDED = range(7, 13)

STATE_NAMES = (
    "scheduled", "queued", "notified", "confirmed", "downloading", "downloaded", "updating", "succeeded", "failed",
    "timed_out", "rejected", "canceled", "not_needed",
)  # fmt: skip

WAITING = (SCHEDULED, QUEUED, NOTIFIED)
IN_PROGRESS = (CONFIRMED, DOWNLOADING, DOWNLOADED, UPDATING)

# Why an execution ended without the module's doing.
NO_REASON, PLAN_EXPIRED, PLAN_TERMINATED, INCOMPATIBLE = range(4)
REASON_NAMES = ("", "plan_expired", "plan_terminated", "source_mismatch")

DEVICE_STATES = {
    SCHEDULED: "Non-upgraded", QUEUED: "Non-upgraded", NOTIFIED: "Non-upgraded", CONFIRMED: "In Upgrade",
    DOWNLOADING: "In Upgrade", DOWNLOADED: "In Upgrade", UPDATING: "In Upgrade", SUCCEEDED: "Upgraded",
    FAILED: "Upgrade Failed", TIMED_OUT: "Upgrade Failed", REJECTED: "Upgrade Failed", CANCELED: "Upgrade Failed",
    NOT_NEEDED: "No Update Required",
}  # fmt: skip
"""The Developer Center's device state for each state of an execution."""

COMPONENT_STATES = {
    SCHEDULED: "Start", QUEUED: "Start", NOTIFIED: "Start", CONFIRMED: "Confirm", DOWNLOADING: "Download",
    DOWNLOADED: "Download", UPDATING: "Upgrading", SUCCEEDED: "Success", FAILED: "Fail", TIMED_OUT: "Fail",
    REJECTED: "Fail", CANCELED: "Fail", NOT_NEEDED: "Success",
}  # fmt: skip
"""The status shown in Upgrade Monitoring for each state of an execution."""


@dataclass(slots=True)
class Execution:
    """One (module, plan). Times in seconds after activation, nan for never."""

    index: int
    rank: float = 0.0
    state: int = SCHEDULED
    reason: int = NO_REASON
    unmet: int = 0
    component: int = 0
    at_target: int = 0
    source_ok: bool = True
    online: bool = False
    counted: bool = False
    acknowledged: bool = False
    retry_pending: bool = False
    failures: int = 0
    attempts: int = 0
    deferrals: int = 0
    battery_percent: float = nan
    rsrp_dbm: float = nan
    free_bytes: float = nan
    offered_s: float = nan
    confirmed_s: float = nan
    reported_s: float = nan
    ended_s: float = nan

    @property
    def terminal(self) -> bool:
        """Whether the cloud is done with this module."""
        return self.state >= SUCCEEDED
