"""What modules that poll their cloud get for their requests, and do with it.

A poll that is answered is the session; what it finds is read, decided on by the unchanged behaviour, and reported as
feedback.
"""

from __future__ import annotations

from sim.cloud import capacity
from sim.cloud import execution as ex
from sim.cloud.rollout_state import MessageKind
from sim.engines.driver_rules import module_rules, request_rules, seam, session_rules
from sim.engines.driver_rules.driven_row import NONE, Kind, UnderWay
from sim.engines.driver_rules.request_rules import CONFIG, DOCUMENT, FEEDBACK, OPEN, OVER, POLL
from sim.engines.driver_rules.seam import EngineState
from sim.engines.recording import tally
from sim.messages import DOWNLOADED, NO_PLAN, REFUSED, SUBMITTED, UPDATING
from sim.module import states
from sim.module.inputs import Input
from sim.module.link_states import LinkState


def happen(state: EngineState, i: int, event: UnderWay, now: float) -> None:
    """An event of a module that polls is due."""
    row = state.modules[i]
    what, code, component, flag, number = event.level, event.code, event.component, event.flag, event.number
    if event.kind == Kind.SERVED:
        _served(state, i, what, code, component, flag, number, now)
    elif event.kind == Kind.ANSWERED:
        _answered(state, i, what, code, flag, number, now)
    elif event.kind == Kind.POLL_DUE:
        if row.link == LinkState.ONLINE and row.polls == number and not session_rules.is_retired(state, i):
            request_rules.ask_poll(state, i, now)
    else:
        _go_on(state, i, now)


def _served(
    state: EngineState, i: int, what: int, code: int, component: int, flag: int, number: int, now: float
) -> None:  # fmt: skip
    """A request has reached the server: it acts, and answers when a worker is through with it.

    The answer's code is the message found, or the status told; NONE for nothing found, and for an action that is closed
    at the server (410).
    """
    told = code
    if what == POLL:
        code, component = NONE, 0
        if not request_rules.is_unknown(state, i):
            code, component = seam.cloud_polled(state, i, now)
    elif what == FEEDBACK:
        if ex.is_terminal(state.rollout.executions[i].state):
            code = NONE
        else:
            seam.cloud_feedback(state, i, code, component, flag, number, now)
    row = state.modules[i]
    row.messages += 1
    takes_s = session_rules.request_time_s(state, i, row.messages)
    at = capacity.answered_at(state.workers, now, 0.0, takes_s) + state.driver.round_trips_back * row.rtt_s
    if what == FEEDBACK and session_rules.loses_acknowledgement(state, i):  # the same again, on a new connection
        tally.requests(state.tally, now, 1)
        again = at + state.profiles[row.group].acknowledgement_timeout_s
        request_rules.request(state, i, again, Kind.SERVED, what, told, component, flag, number)
        return
    request_rules.request(state, i, at, Kind.ANSWERED, what, code, component, flag, number)


def _answered(state: EngineState, i: int, what: int, code: int, flag: int, number: int, now: float) -> None:
    """The answer to a request has come; the next one in line begins."""
    row = state.modules[i]
    row.busy = 0
    if what == POLL:
        _poll_answered(state, i, code, flag, number, now)
    elif what == DOCUMENT:
        _act(state, i, code, now)
    elif what == FEEDBACK:
        if code == NONE:
            _give_up(state, i, now)
        elif row.confirming and code == SUBMITTED:
            request_rules.ask_poll(state, i, now)
    if row.link != LinkState.DARK:
        request_rules.begin_next(state, i, now)


def _poll_answered(state: EngineState, i: int, message: int, connects: int, session: int, now: float) -> None:
    """A poll was answered: the session stands, the next poll is set, what was found is read."""
    row = state.modules[i]
    if connects:
        if row.link != LinkState.CONNECTING or row.sessions != session:
            return
        module_rules.connected(state, i, now)
    if row.link != LinkState.ONLINE or (not connects and row.session != session):
        return
    request_rules.sleep(state, i, message, now)
    if row.attributes_sent != row.at_target:
        row.attributes_sent = row.at_target
        if state.driver.tells_attributes:
            request_rules.ask(state, i, CONFIG, NONE, 0, 0, 0, now)
    if message == NONE:
        row.known_form = 0
    elif _is_known(state, i, message):
        _act(state, i, message, now)
    else:
        request_rules.ask(state, i, DOCUMENT, message, 0, 0, 0, now)


def _is_known(state: EngineState, i: int, message: int) -> bool:
    """Whether the module need not ask what the cloud wants: the poll said it, or it was read before."""
    if not state.driver.reads_document:
        return True
    known_form = state.modules[i].known_form
    return bool(
        message != MessageKind.CANCEL and known_form == request_rules.form(state, i, message == MessageKind.NOTICE)
    )


def _act(state: EngineState, i: int, message: int, now: float) -> None:
    """The module has read what the server wants."""
    row = state.modules[i]
    if message == MessageKind.CANCEL:
        row.known_form = 0
        if row.status != UPDATING:  # honoured until the image is being written
            _give_up(state, i, now)
            request_rules.ask(state, i, FEEDBACK, REFUSED, 0, 0, 0, now)
        return
    asks = message == MessageKind.NOTICE
    row.known_form = request_rules.form(state, i, asks)
    row.confirming = 1 if asks and state.profiles[row.group].confirms_first else 0
    if row.link != LinkState.ONLINE:
        return
    if not asks:
        _go_on(state, i, now)
    elif row.status == NO_PLAN:
        row.action = OPEN
        module_rules.arrive(state, i, MessageKind.NOTICE, 0, 0, now)


def _go_on(state: EngineState, i: int, now: float) -> None:
    """An action the module has agreed to: the next component, or the order to install what it holds."""
    row = state.modules[i]
    if row.action != OPEN or row.link != LinkState.ONLINE:
        return
    if row.status in (NO_PLAN, SUBMITTED):
        module_rules.arrive(state, i, MessageKind.URL, request_rules.next_component(row.at_target), 0, now)
    elif row.status == DOWNLOADED and row.hold and not state.rollout.executions[i].holds:
        module_rules.arrive(state, i, MessageKind.INSTALL, 0, 0, now)


def _give_up(state: EngineState, i: int, now: float) -> None:
    """The action is over, whatever the module was at."""
    row = state.modules[i]
    row.action = OVER
    if states.next_status(row.status, Input.CANCEL) >= 0:
        module_rules.arrive(state, i, MessageKind.CANCEL, 0, 0, now)
