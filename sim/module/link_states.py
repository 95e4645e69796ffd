"""The link of a module: where its radio and its session with the cloud stand, and the rows that lead on."""

from __future__ import annotations

from typing import Protocol

from sim.errors import IllegalInput
from sim.named_enum import NamedEnum
from sim.state_table import Machine, Row, StateTable, names


class LinkState(NamedEnum):
    """OFFLINE to ONLINE in order of a connection; FLASHING: radio off, installing or rebooting; DARK: never comes back."""

    OFFLINE = 0
    ATTACHING = 1
    CONNECTING = 2
    ONLINE = 3
    FLASHING = 4
    DARK = 5


class LinkMove(NamedEnum):
    """What moves the link."""

    START_ONLINE = 0
    ATTACH = 1
    CONNECT = 2
    CONNECTED = 3
    DROP = 4
    LEAVE = 5
    FLASH = 6
    RESTART = 7
    RUN_EMPTY = 8
    POWER_BACK = 9
    DIE = 10


_S, _M = LinkState, LinkMove
ON_AIR = (_S.ATTACHING, _S.CONNECTING, _S.ONLINE)

TABLE = StateTable(
    Machine.LINK, names(LinkState), names(LinkMove),
    (
        Row(_M.START_ONLINE, (_S.OFFLINE,), _S.ONLINE, "a module that is always online, at activation"),
        Row(_M.ATTACH, (_S.OFFLINE,), _S.ATTACHING, "time to come online, and there is service"),
        Row(_M.ATTACH, (_S.ONLINE,), _S.ATTACHING, "reboots after its report was refused"),
        Row(_M.CONNECT, (_S.ATTACHING,), _S.CONNECTING, "the radio is up"),
        Row(_M.CONNECTED, (_S.CONNECTING,), _S.ONLINE, "the cloud accepted the session"),
        Row(_M.DROP, ON_AIR, _S.OFFLINE, "no access, no session, or it broke: tries again after a back-off"),
        Row(_M.LEAVE, (_S.ONLINE,), _S.OFFLINE, "the awake time is over"),
        Row(_M.LEAVE, (_S.OFFLINE,), _S.OFFLINE, "waits for its next check-in"),
        Row(_M.FLASH, (_S.OFFLINE, *ON_AIR), _S.FLASHING, "leaves the air and writes"),
        Row(_M.RESTART, (_S.FLASHING,), _S.OFFLINE, "flashing is over"),
        Row(_M.RUN_EMPTY, (_S.OFFLINE, *ON_AIR), _S.OFFLINE, "the battery is empty, and will be charged"),
        Row(_M.RUN_EMPTY, (_S.FLASHING,), _S.FLASHING, "the same while it writes"),
        Row(_M.POWER_BACK, (_S.OFFLINE, _S.FLASHING), _S.OFFLINE, "charged again"),
        Row(_M.DIE, (_S.OFFLINE, *ON_AIR, _S.FLASHING), _S.DARK, "bricked, or empty for good"),
    ),
)  # fmt: skip

MOVE_COUNT = len(LinkMove)


def trapping(table: StateTable) -> tuple[int, ...]:
    """The flat form in which a refused pair leads to a number below 0 that names it: there is no room for another."""
    return tuple(after if after >= 0 else -1 - pair for pair, after in enumerate(table.next_states()))


NEXT = trapping(TABLE)


class HasLink(Protocol):
    """What `enter` moves."""

    link: int


def enter(row: HasLink, move: LinkMove) -> None:
    """Moves a link. A refused move leaves a number below 0 there, which ends all moves; `refused` names it."""
    if row.link >= 0:
        row.link = NEXT[row.link * MOVE_COUNT + move]


def refused(module: str, link: int) -> IllegalInput:
    """The error of a module whose link is below 0."""
    return IllegalInput(f"module {module}: {TABLE.refused(*divmod(-1 - link, MOVE_COUNT))}")
