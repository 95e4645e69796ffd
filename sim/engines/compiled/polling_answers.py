"""What modules that poll a DDI server get for their requests, and do with it; the same as reference/simpy_polling.py."""

from __future__ import annotations

from typing import Any

from sim.cloud import execution as ex
from sim.cloud import message_rules
from sim.cloud.rollout_state import MessageKind
from sim.engines.compiled import module, pending, polling
from sim.engines.compiled.pending import NONE
from sim.engines.driver_rules import ddi_requests
from sim.messages import DOWNLOADED, NO_PLAN, REFUSED, SUBMITTED, UPDATING
from sim.module import battery, states
from sim.module.inputs import Input
from sim.module.link_states import LinkState


def happen_polled(s: Any, i: int, kind: int, entry: Any, now: float) -> None:
    """An entry of a module that polls is due."""
    m = s.modules[i]
    what, code, component, flag, number = entry.level, entry.code, entry.component, entry.flag, entry.number
    if kind == pending.SERVED:
        if what == ddi_requests.POLL:
            code, component = serve_poll(s, i, now)
        elif what == ddi_requests.FEEDBACK and serve_feedback(s, i, code, component, flag, number, now):
            code = NONE
        polling.answer_later(s, i, what, code, component, flag, number, now)
    elif kind == pending.ANSWERED:
        answered(s, i, what, code, flag, number, now)
    elif kind == pending.POLL_DUE:
        if m.link == LinkState.ONLINE and m.polls == number and not module.is_retired(s, i):
            polling.ask(s, i, ddi_requests.POLL, NONE, 0, 0, m.session, now)
    else:
        go_on(s, i, now)


def serve_poll(s: Any, i: int, now: float) -> tuple[int, int]:
    """A poll has reached the server: the message it finds, NONE for none, and its component."""
    m, b = s.modules[i], s.rollout
    if polling.is_unknown(s, i):
        return NONE, 0
    module.hear(s, i, battery.gauge_percent(m, s.profiles[m.group], now), m.rsrp_dbm, m.level, m.at_target, 1, now)
    code, component = NONE, 0
    if b.progress.out:
        code, component = int(b.out[0, 1]), int(b.out[0, 2])
    b.progress.out = 0
    module.send(s, i, now)
    return code, component


def serve_feedback(s: Any, i: int, status: int, component: int, on_target: int, last_word: int, now: float) -> bool:
    """Feedback has reached the server. True when the action is closed there (410)."""
    if ex.is_terminal(s.rollout.executions[i].state):
        return True
    message_rules.status(s.rollout, i, status, component, int(on_target or last_word), now)
    if s.rollout.progress.notes:
        s.rollout.notes[0, 3] = on_target + module.VERSION_FLAGS * component
    module.send(s, i, now)
    return False


def answered(s: Any, i: int, what: int, code: int, flag: int, number: int, now: float) -> None:
    """The answer to a request; `code` is the message found, or the status told, NONE for nothing and for 410."""
    m = s.modules[i]
    m.busy = 0
    if what == ddi_requests.POLL:
        poll_answered(s, i, code, flag, number, now)
    elif what == ddi_requests.DOCUMENT:
        act(s, i, code, now)
    elif what == ddi_requests.FEEDBACK:
        if code == NONE:
            give_up(s, i, now)
        elif m.confirming and code == SUBMITTED:
            polling.ask(s, i, ddi_requests.POLL, NONE, 0, 0, m.session, now)
    if m.link != LinkState.DARK:
        polling.begin_next(s, i, now)


def poll_answered(s: Any, i: int, found: int, connects: int, session: int, now: float) -> None:
    """A poll was answered: the session stands, the next poll is set, what was found is read."""
    m = s.modules[i]
    if connects:
        if m.link != LinkState.CONNECTING or m.sessions != session:
            return
        module.connected(s, i, now)
    if m.link != LinkState.ONLINE or (not connects and m.session != session):
        return
    polling.sleep(s, i, now)
    if m.told != m.at_target:
        m.told = m.at_target
        polling.ask(s, i, ddi_requests.CONFIG, NONE, 0, 0, 0, now)
    if found == NONE:
        m.known = 0
    elif found != MessageKind.CANCEL and m.known == polling.form(s, i, found == MessageKind.NOTICE):
        act(s, i, found, now)
    else:
        polling.ask(s, i, ddi_requests.DOCUMENT, found, 0, 0, 0, now)


def act(s: Any, i: int, found: int, now: float) -> None:
    """The module has read what the server wants."""
    m = s.modules[i]
    if found == MessageKind.CANCEL:
        m.known = 0
        if m.status != UPDATING:  # honoured until the image is being written
            give_up(s, i, now)
            polling.ask(s, i, ddi_requests.FEEDBACK, REFUSED, 0, 0, 0, now)
        return
    asks = found == MessageKind.NOTICE
    m.known = polling.form(s, i, asks)
    m.confirming = int(asks and s.profiles[m.group].confirms_first)
    if m.link != LinkState.ONLINE:
        return
    if not asks:
        go_on(s, i, now)
    elif m.status == NO_PLAN:
        m.action = ddi_requests.OPEN
        module.arrive(s, i, MessageKind.NOTICE, 0, 0, now)


def go_on(s: Any, i: int, now: float) -> None:
    """An action the module has agreed to: the next component, or the order to install what it holds."""
    m = s.modules[i]
    if m.action != ddi_requests.OPEN or m.link != LinkState.ONLINE:
        return
    if m.status in (NO_PLAN, SUBMITTED):
        module.arrive(s, i, MessageKind.URL, polling.next_component(m.at_target), 0, now)
    elif m.status == DOWNLOADED and m.hold and not s.rollout.executions[i].holds:
        module.arrive(s, i, MessageKind.INSTALL, 0, 0, now)


def give_up(s: Any, i: int, now: float) -> None:
    """The action is over, whatever the module was at."""
    s.modules[i].action = ddi_requests.OVER
    if states.next_status(s.modules[i].status, Input.CANCEL) >= 0:
        module.arrive(s, i, MessageKind.CANCEL, 0, 0, now)
