"""The OTA state machine of a module: everything that decides a transition is in this file.

States are QuecThing's statuses 0-12 (SDK 2.9). Three readers share the tables: the engines, docs/states.md, whose
diagrams are drawn from them, and the tests. Nothing here knows time, sockets or physics: what a state costs is decided
elsewhere and comes back as an input.

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
from sim.state_table import Machine, Row, StateTable

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

_IN_PROGRESS = (SUBMITTED, DOWNLOAD_START, DOWNLOADING, DOWNLOADED)
_IDLE = (NO_PLAN, PLAN_RECEIVED)

TABLE = StateTable(
    Machine.OTA, STATUS_TEXT,
    {int(input_): input_.name for input_ in Input if input_ < OTA_INPUT_COUNT},
    (
        Row(Input.NOTICE, (NO_PLAN,), PLAN_RECEIVED, "command 0x0111: a plan is offered"),
        Row(Input.NOTICE, (PLAN_RECEIVED,), PLAN_RECEIVED, "the same again"),
        Row(Input.CONFIRM, (PLAN_RECEIVED,), SUBMITTED, "the application or its user accepts"),
        Row(Input.CONFIRM, (SUBMITTED,), SUBMITTED, "the same again", in_runs=False),
        Row(Input.REFUSE, (PLAN_RECEIVED,), REFUSED, "a limit is unmet, or the user refuses"),
        Row(Input.URL, (SUBMITTED,), DOWNLOAD_START, "command 0x0113: the package's address"),
        Row(Input.URL, (NO_PLAN,), DOWNLOAD_START, "the same without a notice: a retry, or a cloud that is polled"),
        Row(Input.TIMEOUT, (SUBMITTED,), UPDATE_ERROR, f"no address within {URL_TIMEOUT_S:g} s"),
        Row(Input.HEADER, (DOWNLOAD_START,), DOWNLOADING, "the HTTP answer begins"),
        Row(Input.BROKEN, (DOWNLOAD_START,), DOWNLOAD_ERROR, "link lost or HTTP error before the answer"),
        Row(Input.TIMEOUT, (DOWNLOAD_START,), DOWNLOAD_ERROR, f"no answer within {HEADER_TIMEOUT_S:g} s"),
        Row(Input.NO_ROOM, (DOWNLOAD_START,), UPDATE_ERROR, "the package does not fit into the flash"),
        Row(Input.TOO_MANY_ERRORS, (DOWNLOAD_START,), UPDATE_ERROR, "one error more than is tolerated"),
        Row(Input.DONE, (DOWNLOADING,), DOWNLOADED, "the piece is complete, its checksum right"),
        Row(Input.BROKEN, (DOWNLOADING,), DOWNLOAD_ERROR, "link lost, HTTP error or wrong checksum"),
        Row(Input.TOO_MANY_ERRORS, (DOWNLOADING,), UPDATE_ERROR, "one error more than is tolerated"),
        Row(Input.NEXT_BLOCK, (DOWNLOADED,), DOWNLOAD_START, "the MCU asks for its next piece"),
        Row(Input.UPDATE, (DOWNLOADED,), UPDATING, "the last piece is there: install"),
        Row(Input.TIMEOUT, (DOWNLOADED,), UPDATE_ERROR, f"the MCU does not read within {MCU_READ_TIMEOUT_S:g} s"),
        Row(Input.UPDATE, (UPDATING,), UPDATING, "the same again", in_runs=False),
        Row(Input.UPDATED, (UPDATING,), UPDATE_SUCCESS, "the MCU reports the target version"),
        Row(Input.UPDATE_FAILED, (UPDATING,), UPDATE_ERROR, "the image is wrong, or the MCU reports another version"),
        Row(Input.TIMEOUT, (UPDATING,), UPDATE_ERROR, f"the MCU does not report within {MCU_UPDATE_TIMEOUT_S / 60:g} min"),
        Row(Input.CANCEL, (PLAN_RECEIVED, *_IN_PROGRESS), REFUSED, "the cloud cancels before the image is written"),
        Row(Input.SETTLE, (REFUSED,), NO_PLAN, "published, and over"),
        Row(Input.SETTLE, (DOWNLOAD_ERROR,), NO_PLAN, "published, and over"),
        Row(Input.SETTLE, (UPDATE_SUCCESS,), NO_PLAN, "published, and over"),
        Row(Input.SETTLE, (UPDATE_ERROR,), NO_PLAN, "published, and over"),
        # Recovery at start-up, from the status that was stored.
        Row(Input.BOOT_OLD, _IDLE, NO_PLAN, "starts with the old version: a pending notice is forgotten"),
        Row(Input.BOOT_TARGET, (NO_PLAN,), NO_PLAN, "starts with the target version: success was told before"),
        Row(Input.BOOT_TARGET, (PLAN_RECEIVED,), NO_PLAN, "starts with the target version: nothing was asked for", in_runs=False),
        Row(Input.BOOT_MCU, _IDLE, NO_PLAN, "starts with an MCU attached: nothing was being updated", in_runs=False),
        Row(Input.BOOT_OLD, _IN_PROGRESS, DOWNLOAD_ERROR, "starts in the middle of a download"),
        Row(Input.BOOT_MCU, _IN_PROGRESS, DOWNLOAD_ERROR, "the same with an MCU attached", in_runs=False),
        Row(Input.BOOT_TARGET, _IN_PROGRESS, UPDATE_SUCCESS, "starts with the target version before it was installed", in_runs=False),
        Row(Input.BOOT_TARGET, (UPDATING,), UPDATE_SUCCESS, "starts with the target version"),
        Row(Input.BOOT_OLD, (UPDATING,), UPDATE_ERROR, "starts with the old version"),
        Row(Input.BOOT_MCU, (UPDATING,), UPDATING, "power came back while an MCU is updated"),
        Row(Input.BOOT_OLD, (DOWNLOAD_ERROR,), DOWNLOAD_ERROR, "starts with the error still stored", in_runs=False),
        Row(Input.BOOT_TARGET, (DOWNLOAD_ERROR,), DOWNLOAD_ERROR, "starts with the error still stored", in_runs=False),
        Row(Input.BOOT_MCU, (DOWNLOAD_ERROR,), DOWNLOAD_ERROR, "starts with the error still stored", in_runs=False),
    ),
)  # fmt: skip
"""What is not listed is refused and changes nothing. Rows with `in_runs=False` are the SDK's, and no run asks for them."""

EVENT_OF: dict[int, int] = {
    PLAN_RECEIVED: TASK_NOTIFY, DOWNLOAD_START: START, DOWNLOADING: DOWNLOAD_PROGRESS, DOWNLOADED: DOWNLOAD_COMPLETE,
    UPDATING: UPDATE_STARTED, UPDATE_SUCCESS: UPDATE_OK, UPDATE_ERROR: UPDATE_FAIL,
}  # fmt: skip
"""Event the application's callback gets when a status is entered."""

NEXT = TABLE.next_states()
"""TABLE as numbers, NEXT[status * OTA_INPUT_COUNT + input], below 0 where refused."""
EVENT = tuple(EVENT_OF.get(s, 0) for s in range(STATUS_COUNT))
"""EVENT_OF as numbers, EVENT[status], 0 where the callback hears nothing."""


def next_status(status: int, input_: int) -> int:
    """The status that follows, or -1 when the input is refused in this status."""
    return NEXT[status * OTA_INPUT_COUNT + input_]
