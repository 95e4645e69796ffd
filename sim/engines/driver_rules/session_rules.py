"""Sessions in virtual time: connecting, messages up and down, the end. Nothing here delivers an input to a module."""

from __future__ import annotations

from sim.cloud import capacity, message_rules
from sim.cloud import execution as ex
from sim.engines.driver_rules import seam
from sim.engines.driver_rules.driven_row import Kind
from sim.engines.driver_rules.seam import EngineState
from sim.engines.recording import tally
from sim.module import radio, states
from sim.module.inputs import Effect
from sim.module.link_states import LinkState
from sim.module.rows import CheckIn

KEEPALIVES_UNTIL_UNHEARD = 1.5
"""MQTT: a server gives a silent client one and a half times its keep-alive."""


def is_retired(state: EngineState, i: int) -> bool:
    """Whether the cloud is done with the module, and it has nothing left to say."""
    row = state.modules[i]
    if row.link == LinkState.DARK:
        return True
    if row.status != 0 or row.cached != 0 or not state.driver.may_retire:
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
    if _reaches_cloud(state, i, now):
        event = seam.schedule(state, i, state.modules[i].heard_at_s, Kind.STATUS)
        seam.describe_status(state, i, event)


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
    if delay_s < 0.0 or row.link != LinkState.ONLINE:
        return False
    event = seam.schedule(state, i, leaves_s + delay_s, Kind.ARRIVAL)
    event.number = row.session
    event.code = message
    event.component = component
    event.flag = back
    return True


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
