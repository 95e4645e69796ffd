"""Random access in the compiled engine: senders wait in a heap of opportunities; each opportunity is decided as a whole.

An entry of `s.senders` is (when decided, carrier, module, session), so the senders of one opportunity of one carrier
come out together and by rising number.
"""

from __future__ import annotations

import math
from typing import Any

from sim.engines.compiled import pending, timers
from sim.module.inputs import Input
from sim.module.link_states import LinkState
from sim.network import cells
from sim.network import random_access as ra


def carrier_access(s: Any, carrier: int) -> ra.Access:
    """Random-access settings of a carrier; figures of cells hold for the whole fleet."""
    p = s.profiles[s.modules[0].group]
    return ra.lte_access(p) if carrier % cells.CARRIERS else ra.nb_iot_access(p)


def join(s: Any, i: int, session: int, at: float) -> None:
    """The module sends at the first opportunity of its cell at or after `at`."""
    m = s.modules[i]
    carrier = cells.carrier(m.cell, s.profiles[m.group].technology)
    access = carrier_access(s, carrier)
    decided_s = ra.decided_s(ra.next_rao(at, access.period_s), access)
    timers.add(s.senders, decided_s, carrier, i, session)


def decide(s: Any) -> int:
    """Decides the first opportunity; returns how many modules have sent, they are the first of `s.sent`."""
    first = s.senders.entries[0]
    time, carrier = float(first.time), int(first.who)
    access = carrier_access(s, carrier)
    count = 0
    while timers.first_s(s.senders) == time and s.senders.entries[0].who == carrier:
        i, session = int(s.senders.entries[0].kind), int(s.senders.entries[0].stamp)
        timers.drop(s.senders)
        if tries(s.modules[i], session):
            s.sent[count] = i
            count += 1
    rao = math.floor((time - ra.SUBFRAME_S * access.time_factor) / access.period_s + 0.5)
    p = s.profiles[s.modules[0].group]
    ra.resolve(s.modules, s.sent[:count], access, p.key_0, p.key_1, rao, s.outcomes, s.outcome_times)
    for j in range(count):
        i = s.sent[j]
        session = int(s.modules[i].sessions)
        if s.outcomes[j] == ra.AGAIN:
            join(s, i, session, s.outcome_times[j])
        else:
            entry = pending.add(s, s.modules[i], s.outcome_times[j], pending.ACCESS)
            entry.number = session
            entry.code = Input.ACCESSED if s.outcomes[j] == ra.CONNECTED else Input.CONNECT_FAILED
    return count


def tries(m: Any, session: int) -> bool:
    """Whether the module is still in the access it began: flashing or an empty battery end it."""
    return bool(m.link == LinkState.ATTACHING and m.sessions == session)
