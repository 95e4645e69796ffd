"""Random access in the compiled engine: senders wait in a heap of opportunities; each opportunity is decided as a whole.

An entry of `state.senders` is (when decided, carrier, module, session), so the senders of one opportunity of one carrier
come out together and by rising number.
"""

from __future__ import annotations

import math

from sim.engines.compiled import pending, timers
from sim.engines.compiled.array_state import ArrayState
from sim.engines.driver_rules import session_rules
from sim.engines.driver_rules.driven_row import Kind
from sim.module.inputs import Input
from sim.network import cells
from sim.network import random_access as ra


def carrier_access(state: ArrayState, carrier: int) -> ra.Access:
    """Random-access settings of a carrier; figures of cells hold for the whole fleet."""
    profile = state.profiles[state.modules[0].group]
    return ra.lte_access(profile) if carrier % cells.CARRIERS else ra.nb_iot_access(profile)


def join(state: ArrayState, i: int, session: int, at: float) -> None:
    """The module sends at the first opportunity of its cell at or after `at`."""
    row = state.modules[i]
    carrier = cells.carrier(row.cell, state.profiles[row.group].technology)
    access = carrier_access(state, carrier)
    decided_s = ra.decided_s(ra.next_rao(at, access.period_s), access)
    timers.add(state.senders, decided_s, carrier, i, session)


def decide(state: ArrayState) -> int:
    """Decides the first opportunity; returns how many modules have sent, they are the first of `state.sent`."""
    first = state.senders.entries[0]
    time, carrier = float(first.time), int(first.who)
    access = carrier_access(state, carrier)
    count = 0
    while timers.first_s(state.senders) == time and state.senders.entries[0].who == carrier:
        i, session = int(state.senders.entries[0].kind), int(state.senders.entries[0].stamp)
        timers.drop(state.senders)
        if session_rules.is_accessing(state, i, session):
            state.sent[count] = i
            count += 1
    rao = math.floor((time - ra.SUBFRAME_S * access.time_factor) / access.period_s + 0.5)
    profile = state.profiles[state.modules[0].group]
    ra.resolve(
        state.modules,
        state.sent[:count],
        access,
        profile.key_0,
        profile.key_1,
        rao,
        state.outcomes,
        state.outcome_times,
    )
    for j in range(count):
        i = state.sent[j]
        session = int(state.modules[i].sessions)
        if state.outcomes[j] == ra.AGAIN:
            join(state, i, session, state.outcome_times[j])
        else:
            entry = pending.add(state, state.modules[i], state.outcome_times[j], Kind.ACCESS)
            entry.number = session
            entry.code = Input.ACCESSED if state.outcomes[j] == ra.CONNECTED else Input.CONNECT_FAILED
    return count
