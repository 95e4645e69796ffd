"""Modules of a virtual run that poll a DDI server: each keeps one line of requests, one connection for each request.

A poll that is answered is the session; what it finds is read, decided on by the unchanged behaviour, and reported as
feedback. `compiled/polling.py` is the same over arrays; `live/ddi/ddi_module.py` does it with sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sim import messages as msg
from sim.causes import Cause
from sim.cloud import capacity
from sim.draws import Purpose, uniform
from sim.engines.driver_rules.ddi_requests import (
    AWAKE_S,
    BACK,
    CONFIG,
    DOCUMENT,
    FEEDBACK,
    NO_ACTION,
    OPEN,
    OVER,
    POLL,
    THERE,
)
from sim.engines.driver_rules.tie_order import MODULES
from sim.engines.recording import tally
from sim.module import states
from sim.module.inputs import Effect, Input
from sim.module.link_states import LinkState
from sim.module.machine import Module
from sim.module.rows import CheckIn

if TYPE_CHECKING:
    from sim.engines.reference.simpy_engine import VirtualEngine


@dataclass(slots=True)
class Request:
    """One request. `session` is the radio session for the first poll of a connection, else the engine's session."""

    kind: int
    session: int = 0
    connects: bool = False
    report: msg.StatusReport | None = None
    last_word: bool = False
    found: msg.ToModule | None = None
    """POLL: what the server wants. DOCUMENT: what it is about."""
    gone: bool = False
    """FEEDBACK: the action is closed at the server (410)."""


@dataclass(slots=True)
class Line:
    """What a module has to ask and to tell, and what it knows of its action."""

    waiting: deque[Request] = field(default_factory=deque)
    poll: Request | None = None
    """A poll that is due; whatever else waits goes first."""
    busy: bool = False
    polls: int = 0
    known: int = 0
    """The deployment as read: 0 not yet, else a number for each form it can have."""
    told: int = -1
    """Components at their target, as bits, when it last sent its attributes; -1 never."""
    action: int = NO_ACTION
    confirming: bool = False
    last: int = -1
    """The last feedback; the same is not told twice."""


class Polls:
    """The talk of all modules of one engine with its server."""

    def __init__(self, engine: VirtualEngine) -> None:
        self._engine = engine
        self._world, self._tally = engine.world, engine.tally
        self._lines = [Line() for _ in engine.world.modules]
        self._reject_unmet = bool(engine.world.plan.settings.reject_unmet)

    def start(self, module: Module) -> None:
        """A module that is awake at activation has polled before, at a phase of its own."""
        row, profile = module.row, module.profile
        unit = uniform(profile.key_0, profile.key_1, row.index, Purpose.SERVER_WAIT, 0)
        self._poll_at(module, profile.sleep_s * unit)

    def perform(self, module: Module, effects: int, now: float) -> None:
        """The effects that concern the talk with the server."""
        if effects & Effect.CONNECT:
            self._ask(module, Request(POLL, module.row.sessions, connects=True), now)
        if effects & Effect.PUBLISH:
            self._publish(module, now)

    def keeps_awake(self, module: Module, now: float) -> bool:
        """Whether a module that would fall asleep now waits for an answer first; it then looks again soon."""
        row, line = module.row, self._lines[module.row.index]
        due = row.link == LinkState.ONLINE and row.link_then == Input.SLEEP and row.link_at <= now
        if not (due and line.busy) or module.profile.check_in == CheckIn.DIURNAL:
            return False
        row.link_at = now + AWAKE_S
        return module.deadline > now

    # --- requests ----------------------------------------------------------------------------------------------------

    def _ask(self, module: Module, request: Request, now: float) -> None:
        line = self._lines[module.row.index]
        if request.kind == POLL:
            line.poll = request
        else:
            line.waiting.append(request)
        self._begin_next(module, now)

    def _begin_next(self, module: Module, now: float) -> None:
        """The next request in line opens its connection, when nothing else is under way."""
        row, line = module.row, self._lines[module.row.index]
        if line.busy or not (line.waiting or line.poll):
            return
        request = line.waiting.popleft() if line.waiting else line.poll
        assert request is not None
        if request is line.poll:
            line.poll = None
        line.busy = True
        tally.requests(self._tally, now, 1)
        accepted = capacity.admit(self._world.capacity.connections, now)
        if request.connects:
            tally.connects(self._tally, accepted)
        self._at(module, accepted + THERE * row.rtt_s, lambda at: self._served(module, request, at))

    def _served(self, module: Module, request: Request, now: float) -> None:
        """The request has reached the server: it acts, and answers when a worker is through with it."""
        index, center = module.row.index, self._world.center
        if request.kind == POLL:
            if not self._unknown(module):
                commands = center.hello(index, module.hello(now), now)
                request.found = commands[0][1] if commands else None
        elif request.report is not None:
            request.gone = center.executions[index].terminal
            if not request.gone:
                center.status(index, request.report, now, last_word=request.last_word)
        self._engine.rearm_center()
        workers = self._world.capacity.workers
        leaves = capacity.answered_at(workers, now, 0.0, workers.service_s)
        self._at(module, leaves + BACK * module.row.rtt_s, lambda at: self._answered(module, request, at))

    def _answered(self, module: Module, request: Request, now: float) -> None:
        line = self._lines[module.row.index]
        line.busy = False
        if request.kind == POLL:
            self._polled(module, request, now)
        elif request.kind == DOCUMENT and request.found is not None:
            self._act(module, request.found, now)
        elif request.kind == FEEDBACK:
            if request.gone:
                self._give_up(module, now)
            elif line.confirming and request.report is not None and request.report.status == msg.SUBMITTED:
                self._ask(module, Request(POLL, self._engine.sessions[module.row.index]), now)
        if module.row.link != LinkState.DARK:
            self._begin_next(module, now)

    def _at(self, module: Module, at: float, action: Callable[[float], None]) -> None:
        self._engine.at(at, action, MODULES + module.row.index)

    # --- polls -------------------------------------------------------------------------------------------------------

    def _poll_at(self, module: Module, at: float) -> None:
        line, index = self._lines[module.row.index], module.row.index
        polls = line.polls

        def due(now: float) -> None:
            if module.row.link == LinkState.ONLINE and line.polls == polls and not self._engine.retired(module):
                self._ask(module, Request(POLL, self._engine.sessions[index]), now)

        self._at(module, at, due)

    def _polled(self, module: Module, request: Request, now: float) -> None:
        row, line, profile = module.row, self._lines[module.row.index], module.profile
        if request.connects:
            if row.link != LinkState.CONNECTING or row.sessions != request.session:
                return
            self._engine.connected(module, now)
        if row.link != LinkState.ONLINE or (
            not request.connects and self._engine.sessions[row.index] != request.session
        ):
            return
        line.polls += 1
        unit = uniform(profile.key_0, profile.key_1, row.index, Purpose.SERVER_WAIT, line.polls)
        sleep_s = profile.registration_s if self._unknown(module) else profile.sleep_s
        self._poll_at(module, now + sleep_s * (1.0 + profile.sleep_jitter * (2.0 * unit - 1.0)))
        if line.told != row.at_target:
            line.told = row.at_target
            self._ask(module, Request(CONFIG), now)
        found = request.found
        if found is None:
            line.known = 0
        elif line.known == self._form(module, found):
            self._act(module, found, now)
        else:
            self._ask(module, Request(DOCUMENT, found=found), now)

    def _unknown(self, module: Module) -> bool:
        """Whether the server still has to learn of the module before it offers anything."""
        return module.profile.registration_s > 0.0 and self._lines[module.row.index].told < 0

    def _form(self, module: Module, found: msg.ToModule) -> int:
        """Number of the form a deployment has: asked to confirm, held back, plain; 0 for a cancel, read each time."""
        if isinstance(found, msg.Cancel):
            return 0
        asks = isinstance(found, msg.Notice) and bool(module.profile.confirms_first)
        return 1 + self._world.center.executions[module.row.index].holds + 2 * asks

    # --- what the server wants -----------------------------------------------------------------------------------------

    def _act(self, module: Module, found: msg.ToModule, now: float) -> None:
        """The module has read what the server wants."""
        row, line = module.row, self._lines[module.row.index]
        line.known = self._form(module, found)
        if isinstance(found, msg.Cancel):
            self._cancel(module, now)
            return
        line.confirming = isinstance(found, msg.Notice) and bool(module.profile.confirms_first)
        if row.link != LinkState.ONLINE:
            return
        if not isinstance(found, msg.Notice):
            self._go_on(module, now)
        elif row.status == msg.NO_PLAN:
            line.action = OPEN
            self._engine.deliver(module, found, now)

    def _go_on(self, module: Module, now: float) -> None:
        """An action the module has agreed to: the next component, or the order to install what it holds."""
        row, line = module.row, self._lines[module.row.index]
        holds = self._world.center.executions[row.index].holds
        if line.action != OPEN or row.link != LinkState.ONLINE:
            return
        if row.status in (msg.NO_PLAN, msg.SUBMITTED):
            self._engine.deliver(module, self._world.center.url_of(row.index, _next(row.at_target), holds), now)
        elif row.status == msg.DOWNLOADED and row.hold and not holds:
            self._engine.deliver(module, msg.Install(), now)

    def _cancel(self, module: Module, now: float) -> None:
        """Honoured until the image is being written."""
        if module.row.status != msg.UPDATING:
            self._give_up(module, now)
            self._ask(module, Request(FEEDBACK, report=msg.StatusReport(msg.REFUSED, 0)), now)

    def _give_up(self, module: Module, now: float) -> None:
        self._lines[module.row.index].action = OVER
        if states.next_status(module.row.status, Input.CANCEL) >= 0:
            self._engine.deliver(module, msg.Cancel(), now)

    # --- what the module reports -----------------------------------------------------------------------------------------

    def _publish(self, module: Module, now: float) -> None:
        row, line = module.row, self._lines[module.row.index]
        status = row.published
        if line.action != OPEN or (line.confirming and status not in (msg.SUBMITTED, msg.REFUSED)):
            return
        if status == msg.DOWNLOADING or (status == msg.PLAN_RECEIVED and row.offers != 1):
            return
        whole = status == msg.UPDATE_SUCCESS and row.at_target == (1 << module.profile.components) - 1
        last_word = status == msg.REFUSED and (row.cause == Cause.USER_REFUSED or self._reject_unmet)
        if whole or last_word or status == msg.UPDATE_ERROR:
            line.action = OVER
        said = status * 64 + (row.cause if status in (msg.REFUSED, msg.DOWNLOAD_ERROR) else 0)
        if said != line.last:
            line.last = said
            self._ask(module, Request(FEEDBACK, report=module.report(), last_word=last_word), now)
        if (status == msg.SUBMITTED and not line.confirming) or (status == msg.UPDATE_SUCCESS and not whole):
            self._at(module, now, lambda at: self._go_on(module, at))


def _next(at_target: int) -> int:
    """The first component that does not run its target version."""
    component = 0
    while (at_target >> component) & 1:
        component += 1
    return component
