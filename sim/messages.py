"""What a module and a cloud say to each other, as frozen values, and the numbers both sides share.

Status numbers and event codes are QuecThing's (SDK 2.9): the status is what command 0x0114 carries, the event code is
what the application's callback gets.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sim.causes import Cause

# OTA status of a module (7 and 10 are not used by the SDK).
NO_PLAN = 0
PLAN_RECEIVED = 1
SUBMITTED = 2
REFUSED = 3
DOWNLOAD_START = 4
DOWNLOADING = 5
DOWNLOAD_ERROR = 6
DOWNLOADED = 8
UPDATING = 9
UPDATE_SUCCESS = 11
UPDATE_ERROR = 12
STATUS_COUNT = 13

STATUS_TEXT = {
    NO_PLAN: "NOPLAN", PLAN_RECEIVED: "REVICEPLAN", SUBMITTED: "SUBMITOTA", REFUSED: "REFUSEDOTA",
    DOWNLOAD_START: "DOWNLOADSTART", DOWNLOADING: "DOWNLOADING", DOWNLOAD_ERROR: "DOWNLOADERROR",
    DOWNLOADED: "DOWNLOADSUCCESS", UPDATING: "UPDATING", UPDATE_SUCCESS: "UPDATESUCCESS", UPDATE_ERROR: "UPDATEERROR",
}  # fmt: skip
"""Message text that goes with each status on the wire (spelled as the SDK spells it)."""

# Events of type 7 as the application's callback sees them.
EVENT_TYPE_OTA = 7
TASK_NOTIFY = 10700
START = 10701
DOWNLOAD_PROGRESS = 10702
DOWNLOAD_COMPLETE = 10703
UPDATE_STARTED = 10704
UPDATE_OK = 10705
UPDATE_FAIL = 10706
UPDATE_FLAG = 10707

# Kinds of component.
FIRMWARE = 0
MCU = 1


def unmet(
    battery_percent: float, rsrp_dbm: float, free_bytes: float,
    min_battery_percent: float, min_rsrp_dbm: float, needed_bytes: float,
) -> int:  # fmt: skip
    """The first limit that is not met, or NONE. A value equal to its limit meets it (definition 10: `<` is unmet)."""
    if battery_percent < min_battery_percent:
        return Cause.LOW_BATTERY
    if rsrp_dbm < min_rsrp_dbm:
        return Cause.WEAK_SIGNAL
    if free_bytes < needed_bytes:
        return Cause.NO_SPACE
    return Cause.NONE


@dataclass(frozen=True, slots=True)
class Hello:
    """What a module publishes on connecting: commands 0x0034 and 0x0044, with 0x0115 when it asks for its plan."""

    battery_percent: float
    rsrp_dbm: float
    free_bytes: int
    versions: dict[str, str]
    """Reported version by component identifier."""
    asks: bool = True
    level: int = -1
    """Coverage level, where the network tells it to the cloud; -1 where it does not."""


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Command 0x0114. Statuses 11 and 12 carry the running version."""

    status: int
    component: int
    version: str = ""


@dataclass(frozen=True, slots=True)
class ComponentNotice:
    """One component of a plan notice, which becomes one event 10700."""

    component: str
    source_version: str
    target_version: str
    min_battery_percent: float
    min_rsrp_dbm: float
    needed_bytes: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Command 0x0111: the plan of this module, component by component, in order."""

    components: tuple[ComponentNotice, ...]
    silent: bool = True


@dataclass(frozen=True, slots=True)
class FirmwareUrl:
    """Command 0x0113: download this component now."""

    component: int
    size_bytes: int
    kind: int = FIRMWARE
    url: str = ""
    md5: str = "0" * 32
    crc32: int = 0
    sha256: str = ""
    hold: bool = False
    """Download now, install only when told to (a window gates the installation)."""
    reverting: bool = False
    """This package is the previous one, sent by a rollback."""


@dataclass(frozen=True, slots=True)
class Install:
    """The module may install the package it holds (hawkBit: deploymentBase outside "skip")."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """The module is asked to give up (hawkBit: cancelAction); honoured before UPDATING, refused after."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """The report of a success was refused, and the device rolls back (Mender: 409)."""


ToModule = Notice | FirmwareUrl | Install | Cancel | Revoked


class CallbackForm(Enum):
    """How events 10701 and 10703 are worded: as the upgrade example documents them, or as SDK 2.9 sends them."""

    DOCUMENT = "document"
    SDK_2_9 = "sdk-2.9"


def notify_callback(notice: ComponentNotice) -> str:
    """The callback of event 10700, exactly as `Ql_iotEventCB` gets it."""
    n = notice
    return (
        f'{EVENT_TYPE_OTA},{TASK_NOTIFY},"{n.component}","{n.source_version}","{n.target_version}",'
        f"{_shortest(n.min_battery_percent)},{_shortest(n.min_rsrp_dbm)},{n.needed_bytes}"
    )


def _shortest(number: float) -> str:
    """A whole number without decimals, as the SDK writes it; any other in full, for only a simulated cloud sends one."""
    return repr(int(number)) if number == int(number) else repr(number)


def start_callback(component: str, url: FirmwareUrl, form: CallbackForm = CallbackForm.DOCUMENT) -> str:
    """The callback of event 10701: component, size and MD5; from SDK 2.9 bare for module firmware, with CRC for an MCU."""
    if form is CallbackForm.DOCUMENT:
        return f'{EVENT_TYPE_OTA},{START},"{component}",{url.size_bytes},"{url.md5}"'
    if url.kind == FIRMWARE:
        return bare_callback(START)
    digest = f',"{url.sha256}"' if url.sha256 else ""
    return f'{EVENT_TYPE_OTA},{START},"{component}",{url.size_bytes},"{url.md5}",{url.crc32}{digest}'


def downloaded_callback(
    component: str, kind: int, size_bytes: int, start: int, piece_bytes: int,
    form: CallbackForm = CallbackForm.DOCUMENT,
) -> str:  # fmt: skip
    """The callback of event 10703: component, size, start and length of the piece; from SDK 2.9 bare for module firmware."""
    if form is CallbackForm.DOCUMENT:
        return f'{EVENT_TYPE_OTA},{DOWNLOAD_COMPLETE},"{component}","{size_bytes}","{start}","{piece_bytes}"'
    if kind == FIRMWARE:
        return bare_callback(DOWNLOAD_COMPLETE)
    return f'{EVENT_TYPE_OTA},{DOWNLOAD_COMPLETE},"{component}",{size_bytes},{start},{piece_bytes}'


def bare_callback(code: int) -> str:
    """The callback of an event without payload."""
    return f"{EVENT_TYPE_OTA},{code}"
