"""What happens when something under way is due: the one list of events and their consequences, for every driver of virtual time."""

from __future__ import annotations

from sim.causes import Cause
from sim.cloud import message_rules
from sim.engines.driver_rules import (
    answer_rules,
    driven_row,
    module_rules,
    request_rules,
    seam,
    session_rules,
    transfer_rules,
)
from sim.engines.driver_rules.driven_row import NONE, NOT_ANSWERED, UnderWay
from sim.engines.driver_rules.seam import EngineState
from sim.engines.recording import tally
from sim.module import behaviour, inputs, link_states
from sim.named_enum import numbers

Kind = numbers(driven_row.Kind)
LinkState = numbers(link_states.LinkState)
Input = numbers(inputs.Input)


def start_online(state: EngineState, i: int) -> None:
    """A module that is awake at activation has connected before: no load, known to the cloud. Without service it is offline."""
    row = state.modules[i]
    profile = state.profiles[row.group]
    behaviour.start_online(row, profile, 0.0)
    if row.link == LinkState.ONLINE:
        tally.online(state.tally, 0.0, 1)
        session_rules.expect_takeover(state, i, 0.0)
        session_rules.expect_outage(state, i, 0.0)
        if state.driver.polled:
            request_rules.start(state, i)
        else:
            seam.cloud_knows(state, i)
    module_rules.rearm(state, i)


def happen(state: EngineState, i: int, event: UnderWay, now: float) -> None:
    """Something under way to or from module `i` is due."""
    row, kind = state.modules[i], event.kind
    if kind >= Kind.SERVED:
        answer_rules.happen(state, i, event, now)
    elif kind == Kind.HELLO:
        seam.cloud_hello(state, i, event, now)
    elif kind == Kind.STATUS:
        seam.cloud_status(state, i, event, now)
    elif kind == Kind.ARRIVAL:
        if row.link == LinkState.ONLINE and row.session == event.number:
            module_rules.arrive(state, i, event.code, event.component, event.flag, now)
    elif kind == Kind.CONNECTED:
        if row.link == LinkState.CONNECTING and row.sessions == event.number:
            module_rules.connected(state, i, now)
    elif kind == Kind.ANSWER:
        if row.transfer == NOT_ANSWERED and row.fetch == event.number:
            _download_answered(state, i, now)
    elif kind == Kind.ACCESS:
        if session_rules.is_accessing(state, i, event.number):
            module_rules.deliver(state, i, event.code, now)
    elif kind == Kind.DROP:
        _drop(state, i, Cause.LINK_LOST, now)
    elif kind == Kind.TAKEN_OVER:
        if row.link == LinkState.ONLINE and row.session == event.number:
            _drop(state, i, Cause.DUPLICATE_IDENTITY, now)
    elif kind == Kind.OUTAGE:
        session_rules.expect_outage(state, i, now)
        if row.link == LinkState.ONLINE:
            _drop(state, i, Cause.OUTAGE, now)
    elif row.session == event.number:  # unheard
        message_rules.offline(state.rollout, i)


def transfer_due(state: EngineState, i: int, now: float) -> None:
    """The module's transfer, the first of the egress, has carried what it was to carry."""
    cause = transfer_rules.end(state, i, now)
    if cause == Cause.NONE:
        module_rules.deliver(state, i, Input.DONE, now)
    else:
        state.modules[i].cause = cause
        module_rules.deliver(state, i, Input.BROKEN, now)


def _download_answered(state: EngineState, i: int, now: float) -> None:
    """The answer to a GET: a slot and bytes, or an error."""
    row = state.modules[i]
    cause = transfer_rules.refusal(state, i)
    if cause != Cause.NONE:
        row.transfer = NONE
        row.cause = cause
        module_rules.deliver(state, i, Input.BROKEN, now)
    else:
        transfer_rules.begin(state, i, now)
        module_rules.deliver(state, i, Input.HEADER, now)


def _drop(state: EngineState, i: int, cause: int, now: float) -> None:
    """The session breaks, and with it a transfer."""
    state.modules[i].cause = cause
    session_rules.lose(state, i, now)
    module_rules.deliver(state, i, Input.LINK_LOST, now)
