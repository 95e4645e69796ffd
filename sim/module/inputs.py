"""What goes into a module and what comes out: inputs one at a time, effects or-ed together."""

from __future__ import annotations

from enum import IntEnum


class Input(IntEnum):
    """Inputs of a module: first those of the OTA machine, columns of its table; then the link's, then those of power."""

    NOTICE = 0
    """Command 0x0111."""
    CONFIRM = 1
    """Ql_iotCmdOtaAction(1)."""
    REFUSE = 2
    """Ql_iotCmdOtaAction(0)."""
    URL = 3
    """Command 0x0113."""
    HEADER = 4
    """The HTTP answer begins."""
    DONE = 5
    """The piece is complete and its checksum right."""
    BROKEN = 6
    """Link lost, HTTP error or wrong checksum."""
    NO_ROOM = 7
    """The package does not fit into the module's flash."""
    NEXT_BLOCK = 8
    """Ql_iotCmdOtaAction(2), MCU only."""
    UPDATE = 9
    """Module: by itself; MCU: Ql_iotCmdOtaAction(3)."""
    UPDATED = 10
    """The running version equals the target."""
    UPDATE_FAILED = 11
    """It does not."""
    TIMEOUT = 12
    """The timer of the state."""
    BOOT_TARGET = 13
    """Power came back, the target version runs."""
    BOOT_OLD = 14
    """Power came back, another version runs."""
    BOOT_MCU = 15
    """Power came back while an external MCU is being updated."""
    SETTLE = 16
    """A momentary status is over."""
    TOO_MANY_ERRORS = 17
    """One download error more than is tolerated."""
    CANCEL = 18
    """The cloud asks to give up (hawkBit's cancelAction; QuecThing has no such command)."""

    WAKE = 20
    """The timer at `deadline` is due."""
    CHECK_IN = 21
    """Time to come online."""
    ATTACHED = 22
    """The radio is up: connect to the cloud."""
    CONNECTED = 23
    """The cloud accepted the session."""
    CONNECT_FAILED = 24
    """It did not."""
    LINK_LOST = 25
    """The session broke."""
    SLEEP = 26
    """The awake time is over."""
    ACCESSED = 27
    """Random access in the cell went through."""

    BEGIN_FLASH = 28
    """Radio off, write."""
    FLASH_ENDED = 29
    """The module starts again."""
    BATTERY_EMPTY = 30
    POWER_BACK = 31

    DECIDE = 32
    """The application (or its user) decides on a notice."""
    READ_PIECE = 33
    """The MCU has read its piece."""
    REVOKED = 34
    """The report of a success was refused: back to the previous image."""
    FAIL_LATE = 35
    """The new image fails after its success."""


OTA_INPUT_COUNT = Input.CANCEL + 1
"""Inputs of the OTA machine: 0 to this."""


class Effect(IntEnum):
    """What the driver has to do after an input; or-ed together."""

    REFUSED_INPUT = 1
    CONNECT = 2
    DISCONNECT = 4
    HELLO = 8
    PUBLISH = 16
    """`published` goes to the cloud."""
    FETCH = 32
    """Download `piece_bytes` from `offset_bytes`."""
    STOP_FETCH = 64
    ERASE = 128
    ENTERED = 256
    """A status was entered: `published`, its event in `event`."""
    ACCESS = 512
    """Random access in the module's cell, then ACCESSED or CONNECT_FAILED."""
