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

# Inputs of the OTA machine.
NOTICE = 0  # command 0x0111
CONFIRM = 1  # Ql_iotCmdOtaAction(1)
REFUSE = 2  # Ql_iotCmdOtaAction(0)
URL = 3  # command 0x0113
HEADER = 4  # the HTTP answer begins
DONE = 5  # the piece is complete and its checksum right
BROKEN = 6  # link lost, HTTP error or wrong checksum
NO_ROOM = 7  # the package does not fit into the module's flash
NEXT_BLOCK = 8  # Ql_iotCmdOtaAction(2), MCU only
UPDATE = 9  # module: by itself; MCU: Ql_iotCmdOtaAction(3)
UPDATED = 10  # running version equals the target
UPDATE_FAILED = 11  # it does not
TIMEOUT = 12  # the timer of the state
BOOT_TARGET = 13  # power came back, target version runs
BOOT_OLD = 14  # power came back, another version runs
BOOT_MCU = 15  # power came back while an external MCU is being updated
SETTLE = 16  # a momentary status is over
TOO_MANY_ERRORS = 17  # one download error more than is tolerated
CANCEL = 18  # the cloud asks to give up (hawkBit's cancelAction; QuecThing has no such command)
INPUT_COUNT = 19

INPUT_NAMES = (
    "NOTICE", "CONFIRM", "REFUSE", "URL", "HEADER", "DONE", "BROKEN", "NO_ROOM", "NEXT_BLOCK", "UPDATE", "UPDATED",
    "UPDATE_FAILED", "TIMEOUT", "BOOT_TARGET", "BOOT_OLD", "BOOT_MCU", "SETTLE", "TOO_MANY_ERRORS",
    "CANCEL",
)  # fmt: skip

TRANSITIONS: dict[tuple[int, int], int] = {
    (NO_PLAN, NOTICE): PLAN_RECEIVED,
    (PLAN_RECEIVED, NOTICE): PLAN_RECEIVED,
    (PLAN_RECEIVED, CONFIRM): SUBMITTED,
    (PLAN_RECEIVED, REFUSE): REFUSED,
    (SUBMITTED, CONFIRM): SUBMITTED,
    (SUBMITTED, URL): DOWNLOAD_START,
    (NO_PLAN, URL): DOWNLOAD_START,
    (SUBMITTED, TIMEOUT): UPDATE_ERROR,
    (DOWNLOAD_START, HEADER): DOWNLOADING,
    (DOWNLOAD_START, BROKEN): DOWNLOAD_ERROR,
    (DOWNLOAD_START, TIMEOUT): DOWNLOAD_ERROR,
    (DOWNLOAD_START, NO_ROOM): UPDATE_ERROR,
    (DOWNLOAD_START, TOO_MANY_ERRORS): UPDATE_ERROR,
    (DOWNLOADING, DONE): DOWNLOADED,
    (DOWNLOADING, BROKEN): DOWNLOAD_ERROR,
    (DOWNLOADING, TOO_MANY_ERRORS): UPDATE_ERROR,
    (DOWNLOADED, NEXT_BLOCK): DOWNLOAD_START,
    (DOWNLOADED, UPDATE): UPDATING,
    (DOWNLOADED, TIMEOUT): UPDATE_ERROR,
    (UPDATING, UPDATE): UPDATING,
    (UPDATING, UPDATED): UPDATE_SUCCESS,
    (UPDATING, UPDATE_FAILED): UPDATE_ERROR,
    (UPDATING, TIMEOUT): UPDATE_ERROR,
    # giving up is possible until the image is being written
    **{(s, CANCEL): REFUSED for s in (PLAN_RECEIVED, SUBMITTED, DOWNLOAD_START, DOWNLOADING, DOWNLOADED)},
    # a momentary status is over
    (REFUSED, SETTLE): NO_PLAN,
    (DOWNLOAD_ERROR, SETTLE): NO_PLAN,
    (UPDATE_SUCCESS, SETTLE): NO_PLAN,
    (UPDATE_ERROR, SETTLE): NO_PLAN,
    # recovery at start-up, from the status that was stored
    (NO_PLAN, BOOT_OLD): NO_PLAN,
    (NO_PLAN, BOOT_TARGET): NO_PLAN,
    (NO_PLAN, BOOT_MCU): NO_PLAN,
    (PLAN_RECEIVED, BOOT_OLD): NO_PLAN,
    (PLAN_RECEIVED, BOOT_TARGET): NO_PLAN,
    (PLAN_RECEIVED, BOOT_MCU): NO_PLAN,
    **{(s, BOOT_TARGET): UPDATE_SUCCESS for s in (SUBMITTED, DOWNLOAD_START, DOWNLOADING, DOWNLOADED, UPDATING)},
    **{(s, BOOT_OLD): DOWNLOAD_ERROR for s in (SUBMITTED, DOWNLOAD_START, DOWNLOADING, DOWNLOADED)},
    **{(s, BOOT_MCU): DOWNLOAD_ERROR for s in (SUBMITTED, DOWNLOAD_START, DOWNLOADING, DOWNLOADED)},
    (UPDATING, BOOT_OLD): UPDATE_ERROR,
    (UPDATING, BOOT_MCU): UPDATING,
    (DOWNLOAD_ERROR, BOOT_OLD): DOWNLOAD_ERROR,
    (DOWNLOAD_ERROR, BOOT_TARGET): DOWNLOAD_ERROR,
    (DOWNLOAD_ERROR, BOOT_MCU): DOWNLOAD_ERROR,
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

NEXT = tuple(TRANSITIONS.get((s, i), -1) for s in range(STATUS_COUNT) for i in range(INPUT_COUNT))
"""TRANSITIONS as numbers, NEXT[status * INPUT_COUNT + input], -1 where refused."""
EVENT = tuple(EVENT_OF.get(s, 0) for s in range(STATUS_COUNT))
"""EVENT_OF as numbers, EVENT[status], 0 where the callback hears nothing."""
MOMENTARY = tuple(s in (REFUSED, DOWNLOAD_ERROR, UPDATE_SUCCESS, UPDATE_ERROR) for s in range(STATUS_COUNT))
"""Whether a status settles into NO_PLAN at once."""


def next_status(status: int, given: int) -> int:
    """The status that follows, or -1 when the input is refused in this status."""
    return NEXT[status * INPUT_COUNT + given]


def describe(status: int, given: int) -> str:
    """The pair as a reader knows it, for error texts."""
    return f"{INPUT_NAMES[given]} in status {status} ({STATUS_TEXT[status]})"
