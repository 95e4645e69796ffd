"""What is under way to or from one module: a short list in order of time, first come first served at one instant.

The lists of all modules share one pool; only modules in the middle of something have entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

NONE = -1

# Kinds of entries.
HELLO = 0  # to the cloud: a module connected, or reports anew
STATUS = 1  # to the cloud: a status report
ARRIVAL = 2  # to the module: a message of the cloud
CONNECTED = 3  # the cloud has accepted the connection
ANSWER = 4  # the download server answers
DROP = 5  # the session breaks under a transfer
UNHEARD = 6  # the cloud's keep-alive runs out
ACCESS = 7  # random access has gone through, or was given up
SERVED = 8  # a request has reached a server that is polled; this and what follows is of polling.py
ANSWERED = 9  # its answer has come
POLL_DUE = 10  # the server's sleep is over
GO_ON = 11  # to the module: the action it has agreed to
IN_LINE = 12  # a request that waits for the one before
POLL_IN_LINE = 13  # a poll that waits for all others


@dataclass(slots=True)
class Pending:
    """One event under way. What the numbers mean depends on `kind`."""

    time: float = 0.0
    battery_percent: float = 0.0
    rsrp_dbm: float = 0.0
    order: int = 0
    next: int = NONE
    number: int = 0
    """HELLO: components at target; ARRIVAL, CONNECTED, UNHEARD, ACCESS: the session; ANSWER: the fetch.

    POLL_DUE: polls answered before. Requests: the session of a poll; whether feedback is the last word.
    """
    kind: int = 0
    code: int = 0
    """STATUS: the status; ARRIVAL: the message; ACCESS: the module's input. Requests: status of feedback, message found."""
    component: int = 0
    flag: int = 0
    """HELLO: asks for the plan; STATUS: runs the target (1) or a previous image on order (2); ARRIVAL: rolls back.

    Requests: a poll that connects; feedback of a component at its target.
    """
    level: int = 0
    """Coverage level; what a request is."""


@dataclass(slots=True)
class Drive:
    """What the driver adds to the row of a module under way: its armed timer, its list, its session and its download."""

    armed_at: float = inf
    heard_at: float = 0.0
    queued_at: float = inf
    parked_at: float = inf
    head: int = NONE
    order: int = 0
    armed_order: int = 0
    session: int = 0
    fetch: int = 0
    transfer: int = NONE
    """Its number in the egress; NOT_ANSWERED while a download is asked for."""
    told_back: int = 0
    """Whether the last notice was of a rollback."""
    busy: int = 0
    polls: int = 0
    known: int = 0
    told: int = -1
    action: int = 0
    confirming: int = 0
    said: int = -1
    """As of simpy_polling.Line."""


NOT_ANSWERED = -2


def add(s: Any, m: Any, time: float, kind: int) -> Any:
    """A new entry of the module's list, after those of the same time; returns it to be filled."""
    k = s.k
    at = k.pool_free
    if at == NONE:
        at = k.pool_used
        k.pool_used += 1
    else:
        k.pool_free = s.pool[at].next
    k.pool_filled += 1
    entry = s.pool[at]
    entry.time = time
    entry.kind = kind
    entry.order = m.order
    m.order += 1
    if m.head == NONE or s.pool[m.head].time > time:
        entry.next = m.head
        m.head = at
        return entry
    before = s.pool[m.head]
    while before.next != NONE and s.pool[before.next].time <= time:
        before = s.pool[before.next]
    entry.next = before.next
    before.next = at
    return entry


def take(s: Any, m: Any) -> Any:
    """Takes the first entry off the module's list. It stays readable until the next one is added."""
    at = m.head
    entry = s.pool[at]
    m.head = entry.next
    _give_back(s, at)
    return entry


def first_of(s: Any, m: Any, kind: int) -> int:
    """Place of the first entry of that kind, or NONE."""
    at = m.head
    while at != NONE and s.pool[at].kind != kind:
        at = s.pool[at].next
    return int(at)


def forget(s: Any, m: Any, kind: int) -> None:
    """Drops the first entry of that kind, if there is one."""
    before, at = NONE, m.head
    while at != NONE and s.pool[at].kind != kind:
        before, at = at, s.pool[at].next
    if at == NONE:
        return
    if before == NONE:
        m.head = s.pool[at].next
    else:
        s.pool[before].next = s.pool[at].next
    _give_back(s, at)


def _give_back(s: Any, at: int) -> None:
    s.pool[at].next = s.k.pool_free
    s.k.pool_free = at
    s.k.pool_filled -= 1
