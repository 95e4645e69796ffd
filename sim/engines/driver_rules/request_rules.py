"""Requests of modules that poll their cloud: one line for each module, one connection for each request.

Nothing here delivers an input to a module; what follows from the answers is in answer_rules.py. `live/ddi/ddi_module.py`
does the same with sockets.
"""

from __future__ import annotations

from math import inf

from sim.causes import Cause
from sim.cloud import capacity
from sim.draws import Purpose, uniform
from sim.engines.driver_rules import seam
from sim.engines.driver_rules.driven_row import NONE, Kind
from sim.engines.driver_rules.seam import EngineState
from sim.engines.recording import tally
from sim.messages import (
    DOWNLOAD_ERROR,
    DOWNLOADING,
    PLAN_RECEIVED,
    REFUSED,
    SUBMITTED,
    UPDATE_ERROR,
    UPDATE_SUCCESS,
)
from sim.module import behaviour
from sim.module.inputs import Input
from sim.module.link_states import LinkState
from sim.module.rows import CheckIn
from sim.strategy import windows

POLL, CONFIG, DOCUMENT, FEEDBACK = range(4)
"""Kinds of requests."""
WINDOW_POLLS = 3.0
"""hawkBit wants so many polls before a window opens (its tenants' maintenanceWindowPollCount)."""
AWAKE_S = 0.25
"""A module does not fall asleep over a request: it looks again after this time."""
NO_ACTION, OPEN, OVER = range(3)
"""What a module knows of the server's action."""
FEEDBACK_CAUSES = 64
"""The number of a feedback is its status times this, plus its cause."""


def request(
    state: EngineState, i: int, at: float, kind: int, what: int, code: int, component: int, flag: int, number: int
) -> None:  # fmt: skip
    """Schedules a request, or its answer; the numbers mean what `UnderWay` says."""
    event = seam.schedule(state, i, at, kind)
    event.level = what
    event.code = code
    event.component = component
    event.flag = flag
    event.number = number


def ask(
    state: EngineState, i: int, what: int, code: int, component: int, flag: int, number: int, now: float
) -> None:  # fmt: skip
    """A request gets in line, and begins when nothing else is under way. Of polls only the last one waits."""
    if what == POLL:
        seam.forget(state, i, Kind.POLL_IN_LINE)
        request(state, i, inf, Kind.POLL_IN_LINE, what, code, component, flag, number)
    else:
        request(state, i, inf, Kind.IN_LINE, what, code, component, flag, number)
    begin_next(state, i, now)


def ask_poll(state: EngineState, i: int, now: float) -> None:
    """A poll of a module that has a session."""
    ask(state, i, POLL, NONE, 0, 0, state.modules[i].session, now)


def ask_first_poll(state: EngineState, i: int, now: float) -> None:
    """The poll that connects."""
    ask(state, i, POLL, NONE, 0, 1, state.modules[i].sessions, now)


def begin_next(state: EngineState, i: int, now: float) -> None:
    """The next request in line opens its connection, if nothing is under way; a poll after whatever else waits."""
    row = state.modules[i]
    if row.busy:
        return
    if seam.is_waiting(state, i, Kind.IN_LINE):
        event = seam.take_waiting(state, i, Kind.IN_LINE)
    elif seam.is_waiting(state, i, Kind.POLL_IN_LINE):
        event = seam.take_waiting(state, i, Kind.POLL_IN_LINE)
    else:
        return
    what, code, component, flag, number = event.level, event.code, event.component, event.flag, event.number
    row.busy = 1
    tally.requests(state.tally, now, 1)
    accepted = capacity.admit(state.connections, now)
    if what == POLL and flag:
        tally.connects(state.tally, accepted)
    request(
        state,
        i,
        accepted + state.driver.round_trips_there * row.rtt_s,
        Kind.SERVED,
        what,
        code,
        component,
        flag,
        number,
    )


def start(state: EngineState, i: int) -> None:
    """A module that is awake at activation has polled before, at a phase of its own."""
    row = state.modules[i]
    profile = state.profiles[row.group]
    unit = uniform(profile.key_0, profile.key_1, row.identity, Purpose.SERVER_WAIT, 0)
    _poll_at(state, i, profile.sleep_s * unit)


def _poll_at(state: EngineState, i: int, at: float) -> None:
    """The next poll, unless another one is answered before."""
    event = seam.schedule(state, i, at, Kind.POLL_DUE)
    event.number = state.modules[i].polls


def sleep(state: EngineState, i: int, message: int, now: float) -> None:
    """A poll was answered with a `message`, or none: the next one comes after the server's sleep, moved by its jitter."""
    row = state.modules[i]
    profile = state.profiles[row.group]
    row.polls += 1
    sleep_s = profile.registration_s if is_unknown(state, i) else profile.sleep_s
    if message != NONE and profile.window_sleep_s > 0.0:
        sleep_s = _sleep_before_window_s(state, i, sleep_s, now)
    unit = uniform(profile.key_0, profile.key_1, row.identity, Purpose.SERVER_WAIT, row.polls)
    _poll_at(state, i, now + sleep_s * (1.0 + profile.sleep_jitter * (2.0 * unit - 1.0)))


def _sleep_before_window_s(state: EngineState, i: int, sleep_s: float, now: float) -> float:
    """hawkBit asks a device that has an action to poll more often towards its window: a third of what is left."""
    opens_s = windows.next_open_s(state.rollout.windows, now)
    if opens_s <= now:
        return sleep_s
    least_s = state.profiles[state.modules[i].group].window_sleep_s
    return min(sleep_s, max(least_s, (opens_s - now) / WINDOW_POLLS))


def is_unknown(state: EngineState, i: int) -> bool:
    """Whether the server still has to learn of the module before it offers anything."""
    row = state.modules[i]
    return bool(state.profiles[row.group].registration_s > 0.0 and row.attributes_sent < 0)


def keeps_awake(state: EngineState, i: int, now: float) -> bool:
    """Whether a module that would fall asleep now waits for an answer first; it then looks again soon."""
    row = state.modules[i]
    due = row.link == LinkState.ONLINE and row.link_then == Input.SLEEP and row.link_at <= now
    if not (due and row.busy) or state.profiles[row.group].check_in == CheckIn.DIURNAL:
        return False
    row.link_at = now + AWAKE_S
    return bool(behaviour.deadline(row) > now)


def form(state: EngineState, i: int, asks: bool) -> int:
    """Number of the form a deployment has: asked to confirm, held back, plain."""
    confirms = asks and state.profiles[state.modules[i].group].confirms_first
    return int(1 + state.rollout.executions[i].holds + (2 if confirms else 0))


def next_component(at_target: int) -> int:
    """The first component that does not run its target version."""
    component = 0
    while (at_target >> component) & 1:
        component += 1
    return component


def publish(state: EngineState, i: int, now: float) -> None:
    """The status just entered becomes feedback; an action agreed to goes on by itself."""
    row = state.modules[i]
    status = row.published
    if row.action != OPEN or (row.confirming and status not in (SUBMITTED, REFUSED)):
        return
    if status == DOWNLOADING or (status == PLAN_RECEIVED and row.offers != 1):
        return
    whole = status == UPDATE_SUCCESS and row.at_target == (1 << state.profiles[row.group].components) - 1
    last_word = status == REFUSED and (row.cause == Cause.USER_REFUSED or state.rollout.settings.reject_unmet)
    if whole or last_word or status == UPDATE_ERROR:
        row.action = OVER
    feedback = status * FEEDBACK_CAUSES + (row.cause if status in (REFUSED, DOWNLOAD_ERROR) else 0)
    if feedback != row.last_feedback:
        row.last_feedback = feedback
        on_target = status in (UPDATE_SUCCESS, UPDATE_ERROR) and (row.at_target >> row.component) & 1
        ask(state, i, FEEDBACK, status, row.component, 1 if on_target else 0, 1 if last_word else 0, now)
    if (status == SUBMITTED and not row.confirming) or (status == UPDATE_SUCCESS and not whole):
        seam.schedule(state, i, now, Kind.GO_ON)
