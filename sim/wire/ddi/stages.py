"""What a module's OTA status means to a DDI server: execution, result, code and details of its feedback.

The code of a stage is the module's status (1 to 12); what went wrong has CAUSE_CODES + the number of its cause.
"""

from __future__ import annotations

from sim import messages as msg
from sim.wire.ddi.documents import Feedback

CAUSE_CODES = 1000
STEPS = 5
"""Stages of an upgrade: accepted, downloading, downloaded, installing, closed."""


def accepted() -> Feedback:
    """The module takes the action on."""
    return Feedback("proceeding", "none", msg.SUBMITTED, ("accepted",), (1, STEPS))


def notified() -> Feedback:
    """The module has the action and thinks about it."""
    return Feedback("proceeding", "none", msg.PLAN_RECEIVED, ("received, waiting for a decision",), (0, STEPS))


def deferred(cause: str, number: int) -> Feedback:
    """Not now: the module decides again when it is offered again. Servers keep the action open."""
    return Feedback("rejected", "none", CAUSE_CODES + number, (f"not now: {cause}",))


def refused(cause: str, number: int) -> Feedback:
    """Never: what is refused for good is over, and only a closed action tells a server so."""
    return Feedback("closed", "failure", CAUSE_CODES + number, (f"refused: {cause}",))


def downloading(start: int, size: int) -> Feedback:
    """The download begins, or goes on where it stopped."""
    if start:
        return Feedback("resumed", "none", msg.DOWNLOAD_START, (f"resumed at byte {start} of {size}",), (2, STEPS))
    return Feedback("download", "none", msg.DOWNLOAD_START, (f"downloading {size} bytes",), (2, STEPS))


def broken(cause: str, number: int) -> Feedback:
    """The download broke and will be tried again."""
    return Feedback("proceeding", "none", CAUSE_CODES + number, (f"download broken: {cause}",), (2, STEPS))


def downloaded() -> Feedback:
    """The package is here and its checksum right."""
    return Feedback("downloaded", "none", msg.DOWNLOADED, ("downloaded, checksum right",), (3, STEPS))


def scheduled() -> Feedback:
    """The package is here; the maintenance window decides when it is installed."""
    return Feedback("scheduled", "none", msg.DOWNLOADED, ("waiting for the maintenance window",), (3, STEPS))


def installing() -> Feedback:
    """The module installs and starts again."""
    return Feedback("proceeding", "none", msg.UPDATING, ("installing",), (4, STEPS))


def component_done(name: str, version: str) -> Feedback:
    """One of several components runs its new version."""
    return Feedback("proceeding", "none", msg.UPDATE_SUCCESS, (f"{name} runs {version}",), (4, STEPS))


def succeeded(version: str) -> Feedback:
    """Everything runs its new version."""
    return Feedback("closed", "success", msg.UPDATE_SUCCESS, (f"version {version} runs",), (STEPS, STEPS))


def failed(cause: str, number: int, version: str) -> Feedback:
    """The upgrade failed; the module runs `version`."""
    details = (cause or "failed", f"version {version} runs") if version else (cause or "failed",)
    return Feedback("closed", "failure", CAUSE_CODES + number, details)
