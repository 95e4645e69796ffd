"""Sessions in virtual time: connecting, messages up and down, the end. Nothing here delivers an input to a module."""

from __future__ import annotations

from math import inf

from sim import draws
from sim.cloud import capacity, message_rules
from sim.cloud import execution as ex
from sim.draws import exponential, uniform
from sim.engines.driver_rules import driven_row, seam
from sim.engines.driver_rules.seam import EngineState
from sim.engines.recording import tally
from sim.module import inputs, link_states, outage, radio, states
from sim.module.rows import CheckIn
from sim.named_enum import numbers

Effect = numbers(inputs.Effect)
LinkState = numbers(link_states.LinkState)
Kind = numbers(driven_row.Kind)
Purpose = numbers(draws.Purpose)

KEEPALIVES_UNTIL_UNHEARD = 1.5
"""MQTT: a server gives a silent client one and a half times its keep-alive."""


def is_retired(state: EngineState, i: int) -> bool:
    """Whether the cloud is done with the module, and it has nothing left to say."""
    row = state.modules[i]
    if row.link == LinkState.DARK:
        return True
    if row.status != 0 or row.cached != 0 or row.late_at < inf or not state.driver.may_retire:
        return False
    away = row.link == LinkState.OFFLINE or (
        row.link == LinkState.ONLINE and state.profiles[row.group].check_in == CheckIn.ALWAYS
    )
    return away and ex.is_terminal(state.rollout.executions[i].state)


def is_accessing(state: EngineState, i: int, session: int) -> bool:
    """Whether the module is still in the random access it began: flashing or an empty battery end it."""
    row = state.modules[i]
    return bool(row.link == LinkState.ATTACHING and row.sessions == session)


def talk(state: EngineState, i: int, effects: int, now: float) -> None:
    """Connecting and reporting over one session that stays open."""
    if effects & Effect.CONNECT:
        _connect(state, i, now)
    if effects & Effect.HELLO:
        tally.requests(state.tally, now, state.driver.hello_requests)
        _say_hello(state, i, now)
    if effects & Effect.PUBLISH:
        tally.requests(state.tally, now, 1)
        _report(state, i, now)


def _connect(state: EngineState, i: int, now: float) -> None:
    row = state.modules[i]
    accepted = capacity.admit(state.connections, now)
    tally.connects(state.tally, accepted)
    event = seam.schedule(state, i, accepted + state.driver.login_round_trips * row.rtt_s, Kind.CONNECTED)
    event.number = row.sessions


def _say_hello(state: EngineState, i: int, now: float) -> None:
    if _reaches_cloud(state, i, now):
        event = seam.schedule(state, i, state.modules[i].heard_at_s, Kind.HELLO)
        seam.describe_hello(state, i, event, now)


def _report(state: EngineState, i: int, now: float) -> None:
    if not _reaches_cloud(state, i, now):
        return
    heard_at_s = state.modules[i].heard_at_s
    event = seam.schedule(state, i, heard_at_s, Kind.STATUS)
    seam.describe_status(state, i, event)
    if loses_acknowledgement(state, i):
        tally.requests(state.tally, now, 1)
        timeout_s = state.profiles[state.modules[i].group].acknowledgement_timeout_s
        again = seam.schedule(state, i, heard_at_s + timeout_s, Kind.STATUS)
        seam.describe_status(state, i, again)


def loses_acknowledgement(state: EngineState, i: int) -> bool:
    """Whether the cloud has got the module's last message, and the module does not get to know it."""
    row = state.modules[i]
    profile = state.profiles[row.group]
    if profile.acknowledgement_lost <= 0.0:
        return False
    unit = uniform(profile.key_0, profile.key_1, row.identity, Purpose.ACKNOWLEDGEMENT, row.messages)
    return unit < profile.acknowledgement_lost


def _reaches_cloud(state: EngineState, i: int, now: float) -> bool:
    """Whether the module's next message reaches the cloud, at `heard_at_s`: in order, as one connection keeps it."""
    row = state.modules[i]
    delay_s = radio.uplink_s(row, state.profiles[row.group])
    if delay_s < 0.0:
        return False
    row.heard_at_s = max(now + delay_s, row.heard_at_s)
    return True


def request_time_s(state: EngineState, i: int, number: int) -> float:
    """Time a worker takes for a module's request of this number."""
    row = state.modules[i]
    profile = state.profiles[row.group]
    return capacity.request_time_s(state.workers, profile.key_0, profile.key_1, row.identity, number)


def send(state: EngineState, i: int, message: int, component: int, back: int, now: float) -> bool:
    """A message of the cloud leaves for a module: it takes a request worker, then the downlink. False when it is lost."""
    beats_per_s = state.downloads.active[0] / states.PROGRESS_INTERVAL_S
    row = state.modules[i]
    leaves_s = capacity.answered_at(state.workers, now, beats_per_s, request_time_s(state, i, row.notices))
    delay_s = radio.downlink_s(row, state.profiles[row.group])
    if delay_s < 0.0 or row.link != LinkState.ONLINE or _is_forgotten(state, i, now):
        return False
    event = seam.schedule(state, i, leaves_s + delay_s, Kind.ARRIVAL)
    event.number = row.session
    event.code = message
    event.component = component
    event.flag = back
    return True


def _is_forgotten(state: EngineState, i: int, now: float) -> bool:
    """Whether the carrier's NAT has dropped the connection: the module was silent too long since its last message or ping."""
    row = state.modules[i]
    nat_timeout_s, keepalive_s = state.profiles[row.group].nat_timeout_s, state.driver.keepalive_s
    if nat_timeout_s <= 0.0:
        return False
    return max(0.0, now - row.heard_at_s) % keepalive_s > nat_timeout_s


def begin_session(state: EngineState, i: int, now: float) -> None:
    """A session begins. Where another device uses the module's identity, it will take the session over."""
    row = state.modules[i]
    row.session += 1
    tally.online(state.tally, now, 1)
    expect_takeover(state, i, now)
    expect_outage(state, i, now)


def expect_outage(state: EngineState, i: int, now: float) -> None:
    """The next outage of the module is waited for, by one event at a time."""
    row = state.modules[i]
    if row.outages == 0 or seam.is_waiting(state, i, Kind.OUTAGE):
        return
    at = outage.next_start_s(row, state.profiles[row.group], now)
    if at < inf:
        seam.schedule(state, i, at, Kind.OUTAGE)


def expect_takeover(state: EngineState, i: int, now: float) -> None:
    """The other device of the same identity, if there is one, connects after a while."""
    row = state.modules[i]
    profile = state.profiles[row.group]
    if profile.duplicate_identity <= 0.0 or state.driver.polled:
        return
    if uniform(profile.key_0, profile.key_1, row.identity, Purpose.DUPLICATE_IDENTITY, 0) < profile.duplicate_identity:
        unit = uniform(profile.key_0, profile.key_1, row.identity, Purpose.TAKEOVER, row.sessions)
        event = seam.schedule(state, i, now + exponential(unit, profile.duplicate_takeover_s), Kind.TAKEN_OVER)
        event.number = row.session


def lose(state: EngineState, i: int, now: float) -> None:
    """The session breaks; the cloud notices only when its keep-alive runs out."""
    tally.online(state.tally, now, -1)
    event = seam.schedule(state, i, now + KEEPALIVES_UNTIL_UNHEARD * state.driver.keepalive_s, Kind.UNHEARD)
    event.number = state.modules[i].session


def end(state: EngineState, i: int, now: float) -> None:
    """The module takes its leave, and the cloud knows."""
    state.modules[i].session += 1
    tally.online(state.tally, now, -1)
    message_rules.offline(state.rollout, i)
