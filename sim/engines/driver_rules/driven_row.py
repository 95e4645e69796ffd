"""What a driver of virtual time keeps of a module beside its row, and the events that are under way to or from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from sim.module.rows import ModuleRow

NONE = -1
NOT_ANSWERED = -2


@dataclass(slots=True)
class DrivenRow(ModuleRow):
    """A module's row with what its driver knows of its session, its download and its talk with a server it polls."""

    heard_at_s: float = 0.0
    """When its last message reaches the cloud: later ones do not overtake it."""
    session: int = 0
    """Counts sessions as they begin and end; what was sent in an earlier one is void."""
    fetch: int = 0
    """Number of its last download."""
    transfer: int = NONE
    """Its number in the egress; NOT_ANSWERED while a download is asked for, NONE without one."""
    notice_reverts: int = 0
    """Whether the last notice was of a rollback."""
    busy: int = 0
    """A request to a cloud that is polled is under way."""
    polls: int = 0
    """Polls answered."""
    known_form: int = 0
    """The deployment as read: 0 not yet, else a number for each form it can have."""
    attributes_sent: int = NONE
    """Components at their target, as bits, when it last sent its attributes; NONE never."""
    action: int = 0
    """What it knows of the server's action, one of request_rules."""
    confirming: int = 0
    """The action waits for the user's word."""
    last_feedback: int = NONE
    """The last feedback as a number; the same is not told twice."""


class Kind(IntEnum):
    """Kinds of events under way. From SERVED on they are of modules that poll a server."""

    HELLO = 0
    """To the cloud: a module connected, or reports anew."""
    STATUS = 1
    """To the cloud: a status report."""
    ARRIVAL = 2
    """To the module: a message of the cloud."""
    CONNECTED = 3
    """The cloud has accepted the connection."""
    ANSWER = 4
    """The download server answers."""
    DROP = 5
    """The session breaks under a transfer."""
    UNHEARD = 6
    """The cloud's keep-alive runs out."""
    ACCESS = 7
    """Random access has gone through, or was given up."""
    TAKEN_OVER = 8
    """Another device of the same identity connects."""
    OUTAGE = 9
    """An outage of the module begins."""
    SERVED = 10
    """A request has reached the server."""
    ANSWERED = 11
    """Its answer has come."""
    POLL_DUE = 12
    """The server's sleep is over."""
    GO_ON = 13
    """The module goes on with the action it has agreed to."""
    IN_LINE = 14
    """A request that waits for the one before."""
    POLL_IN_LINE = 15
    """A poll that waits for all other requests."""


@dataclass(slots=True)
class UnderWay:
    """One event under way. What the numbers mean depends on its kind."""

    time: float = 0.0
    kind: int = 0
    battery_percent: float = 0.0
    """HELLO."""
    rsrp_dbm: float = 0.0
    """HELLO."""
    number: int = 0
    """HELLO: components at target. ARRIVAL, CONNECTED, UNHEARD, ACCESS, TAKEN_OVER: the session. ANSWER: the fetch.

    POLL_DUE: polls answered before. Requests: the session of a poll; whether feedback is the last word.
    """
    code: int = 0
    """STATUS: the status. ARRIVAL: the message. ACCESS: the module's input. Requests: status of feedback, message found."""
    component: int = 0
    """STATUS, ARRIVAL, requests."""
    flag: int = 0
    """STATUS: runs the target (1) or a previous image on order (2). ARRIVAL: rolls back.

    Requests: a poll that connects; feedback of a component at its target.
    """
    level: int = 0
    """HELLO: coverage level. Requests: what the request is, one of request_rules."""
