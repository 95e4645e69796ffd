"""Requests of modules that poll a DDI server, in the compiled engine: the same line of requests as reference/simpy_polling.py.

Nothing here delivers an input to a module; the kernel does.
"""

from __future__ import annotations

from math import inf
from typing import Any

from sim.causes import Cause
from sim.cloud import capacity
from sim.draws import Purpose, uniform
from sim.engines.compiled import pending
from sim.engines.compiled.pending import NONE
from sim.engines.driver_rules import ddi_requests
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


def _describe(entry: Any, what: int, code: int, component: int, flag: int, number: int) -> None:
    """Lays the request in an entry of the module's list."""
    entry.level = what
    entry.code = code
    entry.component = component
    entry.flag = flag
    entry.number = number


def ask(s: Any, i: int, what: int, code: int, component: int, flag: int, number: int, now: float) -> None:
    """A request gets in line, and begins when nothing else is under way."""
    m = s.modules[i]
    kind = pending.POLL_IN_LINE if what == ddi_requests.POLL else pending.IN_LINE
    if what == ddi_requests.POLL:
        pending.forget(s, m, kind)
    entry = pending.add(s, m, inf, kind)
    _describe(entry, what, code, component, flag, number)
    begin_next(s, i, now)


def begin(s: Any, i: int, what: int, code: int, component: int, flag: int, number: int, now: float) -> None:
    """A request opens its connection."""
    m = s.modules[i]
    m.busy = 1
    tally.requests(s.tally, now, 1)
    accepted = capacity.admit(s.connections, now)
    if what == ddi_requests.POLL and flag:
        tally.connects(s.tally, accepted)
    entry = pending.add(s, m, accepted + ddi_requests.THERE * m.rtt_s, pending.SERVED)
    _describe(entry, what, code, component, flag, number)


def begin_next(s: Any, i: int, now: float) -> None:
    """The next request in line, if there is one and nothing is under way; a poll after whatever else waits."""
    m = s.modules[i]
    if m.busy:
        return
    kind = pending.IN_LINE
    at = pending.first_of(s, m, kind)
    if at == NONE:
        kind = pending.POLL_IN_LINE
        at = pending.first_of(s, m, kind)
    if at == NONE:
        return
    entry = s.pool[at]
    what, code, component, flag, number = entry.level, entry.code, entry.component, entry.flag, entry.number
    pending.forget(s, m, kind)
    begin(s, i, what, code, component, flag, number, now)


def answer_later(s: Any, i: int, what: int, code: int, component: int, flag: int, number: int, now: float) -> None:
    """The server has acted; its answer leaves when a worker is through with it."""
    leaves = capacity.answered_at(s.workers, now, 0.0, s.workers.service_s)
    entry = pending.add(s, s.modules[i], leaves + ddi_requests.BACK * s.modules[i].rtt_s, pending.ANSWERED)
    _describe(entry, what, code, component, flag, number)


def poll_at(s: Any, i: int, at: float) -> None:
    """The next poll, unless another one is answered before."""
    m = s.modules[i]
    entry = pending.add(s, m, at, pending.POLL_DUE)
    entry.number = m.polls


def start(s: Any, i: int) -> None:
    """A module that is awake at activation has polled before, at a phase of its own."""
    p = s.profiles[s.modules[i].group]
    poll_at(s, i, p.sleep_s * uniform(p.key_0, p.key_1, s.modules[i].index, Purpose.SERVER_WAIT, 0))


def sleep(s: Any, i: int, now: float) -> None:
    """A poll was answered: the next one comes after the server's sleep, moved by its jitter."""
    m = s.modules[i]
    p = s.profiles[m.group]
    m.polls += 1
    sleep_s = p.registration_s if is_unknown(s, i) else p.sleep_s
    unit = uniform(p.key_0, p.key_1, m.index, Purpose.SERVER_WAIT, m.polls)
    poll_at(s, i, now + sleep_s * (1.0 + p.sleep_jitter * (2.0 * unit - 1.0)))


def is_unknown(s: Any, i: int) -> bool:
    """Whether the server still has to learn of the module before it offers anything."""
    return bool(s.profiles[s.modules[i].group].registration_s > 0.0 and s.modules[i].told < 0)


def keeps_awake(s: Any, i: int, now: float) -> bool:
    """Whether a module that would fall asleep now waits for an answer first; it then looks again soon."""
    m = s.modules[i]
    due = m.link == LinkState.ONLINE and m.link_then == Input.SLEEP and m.link_at <= now
    if not (due and s.modules[i].busy) or s.profiles[m.group].check_in == CheckIn.DIURNAL:
        return False
    m.link_at = now + ddi_requests.AWAKE_S
    return bool(behaviour.deadline(m) > now)


def form(s: Any, i: int, asks: bool) -> int:
    """Number of the form a deployment has: asked to confirm, held back, plain."""
    confirms = asks and s.profiles[s.modules[i].group].confirms_first
    return int(1 + s.rollout.executions[i].holds + (2 if confirms else 0))


def next_component(at_target: int) -> int:
    """The first component that does not run its target version."""
    component = 0
    while (at_target >> component) & 1:
        component += 1
    return component


def publish(s: Any, i: int, now: float) -> None:
    """The status just entered becomes feedback; an action agreed to goes on by itself."""
    m = s.modules[i]
    status = m.published
    if m.action != ddi_requests.OPEN or (m.confirming and status not in (SUBMITTED, REFUSED)):
        return
    if status == DOWNLOADING or (status == PLAN_RECEIVED and m.offers != 1):
        return
    whole = status == UPDATE_SUCCESS and m.at_target == (1 << s.profiles[m.group].components) - 1
    last_word = status == REFUSED and (m.cause == Cause.USER_REFUSED or s.rollout.settings.reject_unmet)
    if whole or last_word or status == UPDATE_ERROR:
        m.action = ddi_requests.OVER
    said = status * 64 + (m.cause if status in (REFUSED, DOWNLOAD_ERROR) else 0)
    if said != m.said:
        m.said = said
        on_target = status in (UPDATE_SUCCESS, UPDATE_ERROR) and (m.at_target >> m.component) & 1
        ask(s, i, ddi_requests.FEEDBACK, status, m.component, 1 if on_target else 0, 1 if last_word else 0, now)
    if (status == SUBMITTED and not m.confirming) or (status == UPDATE_SUCCESS and not whole):
        pending.add(s, m, now, pending.GO_ON)
