"""One module in virtual time: an input goes in, what it asks for is carried out, its timer is armed."""

from __future__ import annotations

from math import inf

from sim.causes import Cause
from sim.engines.driver_rules import request_rules, seam, session_rules, transfer_rules
from sim.engines.driver_rules.seam import EngineState
from sim.messages import UPDATE_SUCCESS
from sim.module import behaviour, inputs, outage
from sim.named_enum import numbers

Effect = numbers(inputs.Effect)
Input = numbers(inputs.Input)


def deliver(state: EngineState, i: int, input_: int, now: float) -> None:
    """Every input of a module goes through here: receive, perform the effects, arm the timer."""
    effects = seam.receive(state, i, input_, now)
    if effects:
        _perform(state, i, effects, now)
    rearm(state, i)


def arrive(state: EngineState, i: int, message: int, component: int, back: int, now: float) -> None:
    """A message of the cloud has reached its module."""
    effects = seam.receive_message(state, i, message, component, back, now)
    if effects:
        _perform(state, i, effects, now)
    rearm(state, i)


def wake(state: EngineState, i: int, now: float) -> None:
    """The module's timer is due."""
    if state.driver.polled and request_rules.keeps_awake(state, i, now):
        rearm(state, i)
    else:
        deliver(state, i, Input.WAKE, now)


def connected(state: EngineState, i: int, now: float) -> None:
    """The cloud has let the module in: a session begins."""
    row = state.modules[i]
    if row.outages and outage.is_out(row, state.profiles[row.group], now):
        row.cause = Cause.OUTAGE
        deliver(state, i, Input.CONNECT_FAILED, now)
        return
    session_rules.begin_session(state, i, now)
    deliver(state, i, Input.CONNECTED, now)


def rearm(state: EngineState, i: int) -> None:
    """One timer per module, at its deadline; a module that is retired is left alone."""
    seam.arm(state, i, inf if session_rules.is_retired(state, i) else behaviour.deadline(state.modules[i]))


def _perform(state: EngineState, i: int, effects: int, now: float) -> None:
    """What a module's receiving asks of its driver."""
    if effects & Effect.ENTERED:
        seam.record_status(state, i, now)
        row = state.modules[i]
        if row.published == UPDATE_SUCCESS:
            row.kept_bytes = 0.0
    if effects & Effect.STOP_FETCH:
        transfer_rules.stop(state, i, now)
    if effects & Effect.ACCESS:
        seam.begin_access(state, i, now)
    if not state.driver.polled:
        session_rules.talk(state, i, effects, now)
    else:
        if effects & Effect.CONNECT:
            request_rules.ask_first_poll(state, i, now)
        if effects & Effect.PUBLISH:
            request_rules.publish(state, i, now)
    if effects & Effect.FETCH:
        transfer_rules.ask(state, i, now)
    if effects & Effect.DISCONNECT:
        session_rules.end(state, i, now)
