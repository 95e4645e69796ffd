"""The reference engine: modules and cloud as Python objects in virtual time, event by event in SimPy.

What happens when something is due is written in driver_rules and shared with the compiled engine. What this engine does
by itself, and is compared by, is the rest: the clock and who is next (SimPy), the order of transfers at one instant, the
events under way, random access, and modules and cloud with their messages, versions and texts (`Module`,
`DeveloperCenter`), where the compiled engine has only numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count
from math import inf

import numpy as np
import simpy
from numpy.typing import NDArray

from sim import messages as msg
from sim.cloud import egress
from sim.cloud.center import Command, firmware_url, notice
from sim.cloud.rollout_state import MessageKind
from sim.engines.driver_rules import event_rules, module_rules, session_rules, transfer_rules
from sim.engines.driver_rules.driven_row import NONE, DrivenRow, UnderWay
from sim.engines.driver_rules.tie_order import CENTER, MODULES, OPERATOR, TRANSFERS
from sim.engines.recording import tally
from sim.engines.recording.simpy_recorder import Recorder
from sim.engines.reference.moments import moment, time_of
from sim.engines.reference.simpy_access import RandomAccess
from sim.engines.world.build import World, operator_actions
from sim.module import behaviour
from sim.module.link_states import LinkState
from sim.records import Records

STRETCHES = 200
"""A run is interruptible, and shows its progress, this many times."""

Action = Callable[[float], None]

MESSAGES: dict[int, msg.ToModule] = {
    MessageKind.INSTALL: msg.Install(), MessageKind.CANCEL: msg.Cancel(), MessageKind.REVOKED: msg.Revoked(),
}  # fmt: skip
NUMBERS: dict[type, int] = {
    msg.Notice: MessageKind.NOTICE, msg.FirmwareUrl: MessageKind.URL, msg.Install: MessageKind.INSTALL,
    msg.Cancel: MessageKind.CANCEL, msg.Revoked: MessageKind.REVOKED,
}  # fmt: skip


@dataclass(slots=True)
class ScheduledEvent(UnderWay):
    """An event under way, with what its sender has put into words."""

    hello: msg.Hello | None = None
    report: msg.StatusReport | None = None


@dataclass(slots=True)
class RunSettings:
    """What holds for the whole run."""

    keepalive_s: float
    may_retire: int
    polled: int
    login_round_trips: int
    hello_requests: int
    round_trips_there: float
    round_trips_back: float
    reads_document: int
    tells_attributes: int
    serves_files: int


class SimpyEngine:
    """Runs one world from activation to its horizon: an `EngineState` and a `Driver` for the rules."""

    def __init__(self, world: World, *, events: bool | str = False) -> None:
        self.world = world
        self.clock = simpy.Environment()
        self._horizon_s = world.horizon_s
        world.row_type = DrivenRow
        self.modules: list[DrivenRow] = [module.row for module in world.modules]  # type: ignore[misc]
        self.profiles = world.fleet.profiles
        self.driver = RunSettings(
            world.keepalive_s, int(world.may_retire), world.plan.settings.polled, **world.talk_costs
        )
        self.rollout = world.center.rollout
        self.connections, self.workers = world.capacity.connections, world.capacity.workers
        self.downloads, self.egress = world.capacity.downloads, world.capacity.egress
        self.tally = tally.tally(world.horizon_s)
        self.recorder = Recorder(world, self.tally, events=events)
        self._events: list[list[ScheduledEvent]] = [[] for _ in self.modules]
        self._armed = [inf] * len(self.modules)
        self._arming = [0] * len(self.modules)
        self._access = RandomAccess(self)
        self._center_at = self._egress_at = inf
        self._overdue: list[tuple[int, int, Action]] = []
        self._order = count()
        if events:
            world.center.log = self.recorder.cloud_event

    def run(self, progress: Callable[[float], None] | None = None) -> bool:
        """Runs to the horizon; returns False when interrupted by Ctrl-C. `progress` gets the virtual time."""
        self._start()
        horizon = self._horizon_s
        try:
            for i in range(1, STRETCHES + 1):
                stop_s = horizon if i == STRETCHES else horizon * i / STRETCHES
                self.clock.run(until=moment(stop_s, OPERATOR))
                if progress is not None:
                    progress(stop_s)
        except KeyboardInterrupt:
            self._close(time_of(int(self.clock.now)))
            return False
        self._close(horizon)
        return True

    @property
    def released_s(self) -> NDArray[np.float64]:
        """When each module was released, seconds after activation, inf for never; shape (n,)."""
        return np.array([execution.released_s for execution in self.world.center.executions])

    def _close(self, now: float) -> None:
        for i in range(len(self.modules)):
            transfer_rules.count_unfinished(self, i, now)
        self.recorder.end_s = now

    def records(self, *, complete: bool, wall_s: float) -> Records:
        """The tables of this run."""
        return self.recorder.records(complete=complete, wall_s=wall_s)

    # --- the clock ---------------------------------------------------------------------------------------------------

    def at(self, at: float, rank: int, action: Action) -> None:
        """Calls at a time of the run, unless that lies beyond its horizon; `rank` is one of tie_order.

        Whoever is wanted at the present instant before those who act now acts as soon as they are through.
        """
        if at >= self._horizon_s:
            return
        delay = moment(at, rank) - self.clock.now
        if delay < 0:
            heappush(self._overdue, (rank, next(self._order), action))
            return
        self.clock.timeout(delay).callbacks.append(lambda _: self._act(action, at))

    def _act(self, action: Action, now: float) -> None:
        """Something happens now, and whatever it makes due at once."""
        action(now)
        self._rearm_egress(now)
        while self._overdue:
            _, _, action = heappop(self._overdue)
            action(now)
            self._rearm_egress(now)

    def _rearm_center(self, now: float) -> None:
        """The center, to which something was said, is woken when it next wants to."""
        center_s = self.world.center.deadline
        if center_s < self._center_at:
            self._center_at = center_s
            self.at(max(center_s, now), CENTER, self._wake_center)

    def _rearm_egress(self, now: float) -> None:
        """The first transfer is complete when the egress says so, after whatever has happened to the others."""
        egress_s = egress.next_at(self.egress)
        if egress_s == self._egress_at:
            return
        self._egress_at = egress_s
        if egress_s < inf:
            self.at(max(egress_s, now), TRANSFERS, lambda at: self._transfer_due(egress_s, at))

    def _wake_center(self, now: float) -> None:
        self._center_at = inf
        self._send(self.world.center.wake(now), now)

    def _transfer_due(self, armed_at: float, now: float) -> None:
        if armed_at == self._egress_at:
            self._egress_at = inf
            i = self.egress.transfers[egress.next_slot(self.egress)].owner
            event_rules.transfer_due(self, i, now)

    # --- start and plan ----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        world = self.world
        self._send(world.center.activate(0.0), 0.0)
        for i, row in enumerate(self.modules):
            if row.link == LinkState.OFFLINE and self._is_awake(i, row):
                event_rules.start_online(self, i)
            else:
                module_rules.rearm(self, i)
        for at, action in operator_actions(world):
            self.at(at, OPERATOR, lambda now, action=action: self._send(action(now), now))  # type: ignore[misc]

    def _is_awake(self, i: int, row: DrivenRow) -> bool:  # noqa: ARG002
        """Sets the first check-in of a module; whether it is awake at activation."""
        return behaviour.start(row, self.profiles[row.group], 0.0)

    def _send(self, commands: list[Command] | None, now: float) -> None:
        """Messages of the cloud leave for their modules."""
        for i, message in commands or ():
            component = message.component if isinstance(message, msg.FirmwareUrl) else 0
            back = self.world.center.executions[i].reverting
            session_rules.send(self, i, NUMBERS[type(message)], component, back, now)
        self._rearm_center(now)

    # --- the seam: events under way ----------------------------------------------------------------------------------

    def schedule(self, i: int, at: float, kind: int) -> ScheduledEvent:
        """See seam.schedule."""
        event = ScheduledEvent(at, kind)
        self._events[i].append(event)
        self.at(at, MODULES + i, lambda now: self._happen(i, event, now))
        return event

    def _happen(self, i: int, event: ScheduledEvent, now: float) -> None:
        if self._taken(i, event):
            event_rules.happen(self, i, event, now)

    def _taken(self, i: int, event: ScheduledEvent) -> bool:
        """Takes an event out; False when it has been forgotten."""
        for place, other in enumerate(self._events[i]):
            if other is event:
                del self._events[i][place]
                return True
        return False

    def _first(self, i: int, kind: int) -> ScheduledEvent | None:
        return next((event for event in self._events[i] if event.kind == kind), None)

    def forget(self, i: int, kind: int) -> None:
        """See seam.forget."""
        event = self._first(i, kind)
        if event is not None:
            self._taken(i, event)

    def is_waiting(self, i: int, kind: int) -> bool:
        """See seam.is_waiting."""
        return self._first(i, kind) is not None

    def take_waiting(self, i: int, kind: int) -> UnderWay:
        """See seam.take_waiting."""
        event = self._first(i, kind)
        assert event is not None
        self._taken(i, event)
        return event

    def arm(self, i: int, at: float) -> None:
        """See seam.arm."""
        if at == self._armed[i]:
            return
        self._armed[i] = at
        self._arming[i] += 1
        arming = self._arming[i]
        if at < inf:
            self.at(at, MODULES + i, lambda now: self._wake(i, arming, now))

    def _wake(self, i: int, arming: int, now: float) -> None:
        if arming == self._arming[i]:
            self._armed[i] = inf
            module_rules.wake(self, i, now)

    # --- the seam: the module ----------------------------------------------------------------------------------------

    def receive(self, i: int, input_: int, now: float) -> int:
        """See seam.receive."""
        return self.world.modules[i].receive(input_, now)

    def receive_message(self, i: int, message: int, component: int, back: int, now: float) -> int:
        """See seam.receive_message; the message is put into words."""
        return self.world.modules[i].receive(self._message(i, message, component, back), now)

    def _message(self, i: int, message: int, component: int, back: int) -> msg.ToModule:
        if message == MessageKind.NOTICE:
            return notice(self.world.plan, bool(back))
        if message == MessageKind.URL:
            url = firmware_url(self.world.plan, component, bool(back))
            return replace(url, hold=bool(self.rollout.executions[i].holds)) if self.driver.polled else url
        return MESSAGES[message]

    def record_status(self, i: int, now: float) -> None:
        """See seam.record_status."""
        self.recorder.entered(self.world.modules[i], now)

    def begin_access(self, i: int, now: float) -> None:
        """See seam.begin_access."""
        self._access.join(i, self.modules[i].sessions, now)

    def describe_hello(self, i: int, event: UnderWay, now: float) -> None:
        """See seam.describe_hello."""
        assert isinstance(event, ScheduledEvent)
        event.hello = self.world.modules[i].hello(now)

    def describe_status(self, i: int, event: UnderWay) -> None:
        """See seam.describe_status."""
        assert isinstance(event, ScheduledEvent)
        event.report = self.world.modules[i].report()

    # --- the seam: the cloud -----------------------------------------------------------------------------------------

    def cloud_knows(self, i: int) -> None:
        """See seam.cloud_knows."""
        hello = replace(self.world.modules[i].hello(0.0), asks=False)
        self._send(self.world.center.hello(i, hello, 0.0), 0.0)

    def cloud_hello(self, i: int, event: UnderWay, now: float) -> None:
        """See seam.cloud_hello."""
        assert isinstance(event, ScheduledEvent) and event.hello is not None
        self._send(self.world.center.hello(i, event.hello, now), now)

    def cloud_status(self, i: int, event: UnderWay, now: float) -> None:
        """See seam.cloud_status."""
        assert isinstance(event, ScheduledEvent) and event.report is not None
        self._send(self.world.center.status(i, event.report, now), now)

    def cloud_polled(self, i: int, now: float) -> tuple[int, int]:
        """See seam.cloud_polled."""
        commands = self.world.center.hello(i, self.world.modules[i].hello(now), now)
        self._rearm_center(now)
        if not commands:
            return NONE, 0
        message = commands[0][1]
        return NUMBERS[type(message)], message.component if isinstance(message, msg.FirmwareUrl) else 0

    def cloud_feedback(
        self, i: int, status: int, component: int, on_target: int, last_word: int, now: float  # noqa: ARG002
    ) -> None:  # fmt: skip
        """See seam.cloud_feedback. The center is told the version and judges by itself whether that is the target."""
        version = ""
        if status in (msg.UPDATE_SUCCESS, msg.UPDATE_ERROR):
            version = self.world.modules[i].versions.get(self.world.plan.components[component].component, "")
        report = msg.StatusReport(status, component, version)
        self.world.center.status(i, report, now, last_word=bool(last_word))
        self._rearm_center(now)
