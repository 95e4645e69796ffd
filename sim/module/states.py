"""The OTA state machine of a module: everything that decides a transition is in this file.

States are QuecThing's statuses 0-12 (SDK 2.9). Three readers share the tables: the machine below, the drawing in the
documentation and the tests. Nothing here knows time, sockets or physics: what a state costs is decided elsewhere and
comes back as an input.

Statuses 3, 6, 11 and 12 are moments, not places: they are published as they are entered and then settle into
NO_PLAN, from where the module accepts a new notice or URL. [derived: the SDK does so after 6; after 3, 11 and 12
it must, or no second plan could ever be received.]
"""

from __future__ import annotations

from sim.messages import (
    DOWNLOAD_COMPLETE,
    DOWNLOAD_ERROR,
    DOWNLOAD_PROGRESS,
    DOWNLOAD_START,
    DOWNLOADED,
    DOWNLOADING,
    NO_PLAN,
    PLAN_RECEIVED,
    REFUSED,
    START,
    STATUS_COUNT,
    STATUS_TEXT,
    SUBMITTED,
    TASK_NOTIFY,
    UPDATE_ERROR,
    UPDATE_FAIL,
    UPDATE_OK,
    UPDATE_STARTED,
    UPDATE_SUCCESS,
    UPDATING,
)
from sim.module.inputs import OTA_INPUT_COUNT, Input

TRANSITIONS: dict[tuple[int, int], int] = {
    (NO_PLAN, Input.NOTICE): PLAN_RECEIVED,
    (PLAN_RECEIVED, Input.NOTICE): PLAN_RECEIVED,
    (PLAN_RECEIVED, Input.CONFIRM): SUBMITTED,
    (PLAN_RECEIVED, Input.REFUSE): REFUSED,
    (SUBMITTED, Input.CONFIRM): SUBMITTED,
    (SUBMITTED, Input.URL): DOWNLOAD_START,
    (NO_PLAN, Input.URL): DOWNLOAD_START,
    (SUBMITTED, Input.TIMEOUT): UPDATE_ERROR,
    (DOWNLOAD_START, Input.HEADER): DOWNLOADING,
    (DOWNLOAD_START, Input.BROKEN): DOWNLOAD_ERROR,
    (DOWNLOAD_START, Input.TIMEOUT): DOWNLOAD_ERROR,
    (DOWNLOAD_START, Input.NO_ROOM): UPDATE_ERROR,
    (DOWNLOAD_START, Input.TOO_MANY_ERRORS): UPDATE_ERROR,
    (DOWNLOADING, Input.DONE): DOWNLOADED,
    (DOWNLOADING, Input.BROKEN): DOWNLOAD_ERROR,
    (DOWNLOADING, Input.TOO_MANY_ERRORS): UPDATE_ERROR,
    (DOWNLOADED, Input.NEXT_BLOCK): DOWNLOAD_START,
    (DOWNLOADED, Input.UPDATE): UPDATING,
    (DOWNLOADED, Input.TIMEOUT): UPDATE_ERROR,
    (UPDATING, Input.UPDATE): UPDATING,
    (UPDATING, Input.UPDATED): UPDATE_SUCCESS,
    (UPDATING, Input.UPDATE_FAILED): UPDATE_ERROR,
    (UPDATING, Input.TIMEOUT): UPDATE_ERROR,
    # giving up is possible until the image is being written
    **{(s, Input.CANCEL): REFUSED for s in (PLAN_RECEIVED, SUBMITTED, DOWNLOAD_START, DOWNLOADING, DOWNLOADED)},
    # a momentary status is over
    (REFUSED, Input.SETTLE): NO_PLAN,
    (DOWNLOAD_ERROR, Input.SETTLE): NO_PLAN,
    (UPDATE_SUCCESS, Input.SETTLE): NO_PLAN,
    (UPDATE_ERROR, Input.SETTLE): NO_PLAN,
    # recovery at start-up, from the status that was stored
    (NO_PLAN, Input.BOOT_OLD): NO_PLAN,
    (NO_PLAN, Input.BOOT_TARGET): NO_PLAN,
    (NO_PLAN, Input.BOOT_MCU): NO_PLAN,
    (PLAN_RECEIVED, Input.BOOT_OLD): NO_PLAN,
    (PLAN_RECEIVED, Input.BOOT_TARGET): NO_PLAN,
    (PLAN_RECEIVED, Input.BOOT_MCU): NO_PLAN,
    **{(s, Input.BOOT_TARGET): UPDATE_SUCCESS for s in (SUBMITTED, DOWNLOAD_START, DOWNLOADING, DOWNLOADED, UPDATING)},
    **{(s, Input.BOOT_OLD): DOWNLOAD_ERROR for s in (SUBMITTED, DOWNLOAD_START, DOWNLOADING, DOWNLOADED)},
    **{(s, Input.BOOT_MCU): DOWNLOAD_ERROR for s in (SUBMITTED, DOWNLOAD_START, DOWNLOADING, DOWNLOADED)},
    (UPDATING, Input.BOOT_OLD): UPDATE_ERROR,
    (UPDATING, Input.BOOT_MCU): UPDATING,
    (DOWNLOAD_ERROR, Input.BOOT_OLD): DOWNLOAD_ERROR,
    (DOWNLOAD_ERROR, Input.BOOT_TARGET): DOWNLOAD_ERROR,
    (DOWNLOAD_ERROR, Input.BOOT_MCU): DOWNLOAD_ERROR,
}
"""(status, input) -> next status. What is not listed is refused and changes nothing."""

EVENT_OF: dict[int, int] = {
    PLAN_RECEIVED: TASK_NOTIFY, DOWNLOAD_START: START, DOWNLOADING: DOWNLOAD_PROGRESS, DOWNLOADED: DOWNLOAD_COMPLETE,
    UPDATING: UPDATE_STARTED, UPDATE_SUCCESS: UPDATE_OK, UPDATE_ERROR: UPDATE_FAIL,
}  # fmt: skip
"""Event the application's callback gets when a status is entered."""

# Timers of the SDK, seconds.
URL_TIMEOUT_S = 30.0
"""Confirmation sent until the URL arrives; else UPDATE_ERROR."""
HEADER_TIMEOUT_S = 5.0
"""Download started until the HTTP answer begins; else DOWNLOAD_ERROR."""
PROGRESS_INTERVAL_S = 5.0
"""A module in DOWNLOADING publishes its status this often."""
MCU_READ_TIMEOUT_S = 60.0
"""The MCU has to read the piece within this time of 10703 or of its last read."""
FLASH_DELAY_S = 5.0
"""A module waits this long between status 9 and flashing."""
MCU_UPDATE_TIMEOUT_S = 20 * 60.0
"""The MCU has to report its new version within this time."""
TOLERATED_ERRORS = 5
"""Consecutive download errors a module tolerates; the next one is UPDATE_ERROR."""

NEXT = tuple(TRANSITIONS.get((s, i), -1) for s in range(STATUS_COUNT) for i in range(OTA_INPUT_COUNT))
"""TRANSITIONS as numbers, NEXT[status * OTA_INPUT_COUNT + input], -1 where refused."""
EVENT = tuple(EVENT_OF.get(s, 0) for s in range(STATUS_COUNT))
"""EVENT_OF as numbers, EVENT[status], 0 where the callback hears nothing."""


def next_status(status: int, given: int) -> int:
    """The status that follows, or -1 when the input is refused in this status."""
    return NEXT[status * OTA_INPUT_COUNT + given]


def describe(status: int, given: int) -> str:
    """The pair as a reader knows it, for error texts."""
    return f"{Input(given).name} in status {status} ({STATUS_TEXT[status]})"
