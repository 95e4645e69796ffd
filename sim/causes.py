"""Causes: why a module is not upgraded, or not yet. The one list that modules, clouds, records and pages share."""

from __future__ import annotations

from sim.named_enum import NamedEnum


class Cause(NamedEnum):
    """0 to 23 a module knows of itself; the numbers are also the codes of DDI feedback, so new ones go to the end."""

    NONE = 0
    LOW_BATTERY = 1
    WEAK_SIGNAL = 2
    NO_SPACE = 3
    USER_REFUSED = 4
    NO_SERVICE = 5
    LINK_LOST = 6
    SERVER_BUSY = 7
    SERVER_ERROR = 8
    CHECKSUM = 9
    IMAGE_MISMATCH = 10
    SOURCE_MISMATCH = 11
    URL_TIMEOUT = 12
    FLASH_ERROR = 13
    POWER_LOSS = 14
    BATTERY_DEAD = 15
    BOOT_FAILURE = 16
    BRICKED = 17
    MCU_TIMEOUT = 18
    NEVER_ONLINE = 19
    CANCELED = 20
    URL_GONE = 21
    ROLLED_BACK = 22
    CELL_CONGESTED = 23
    # What only the cloud, or a look at the end of a run, can tell.
    WAITING = 24
    IN_PROGRESS = 25
    OFFLINE = 26
    PLAN_EXPIRED = 27
    PLAN_TERMINATED = 28
    PLAN_ABORTED = 29
    REVOKED = 30
    STOPPED = 31
    BUSY_WITH_EARLIER_PLAN = 32
    # Further ones that a module knows of itself.
    DOWNLOAD_TOO_LONG = 33
    HUNG = 34
    OTHER_VERSION = 35
    DOWNGRADE_REFUSED = 36
    LATE_FAILURE = 37
    DUPLICATE_IDENTITY = 38
    OUTAGE = 39
    DATA_PLAN_EMPTY = 40
    LEFT_FLEET = 41

    @property
    def word(self) -> str:
        """The cause as records spell it, "" for none."""
        return "" if self == Cause.NONE else self.name.lower()
