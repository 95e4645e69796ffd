"""The SimPy engine: modules and Developer Center in virtual time, message by message. The reference engine.

Ties at one instant are broken by rule, not by order of insertion: plan events first, then modules by number. That,
and draws by key, is why another engine can give the same records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappush
from math import inf
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from sim import messages as msg
from sim.causes import Cause
from sim.cloud import capacity, egress
from sim.cloud.center import Command
from sim.draws import Purpose, uniform
from sim.engines.driver_rules.tie_order import CENTER, MODULES, OPERATOR, TRANSFERS
from sim.engines.recording import tally
from sim.engines.recording.simpy_recorder import Recorder
from sim.engines.reference.simpy_access import RandomAccess
from sim.engines.reference.simpy_polling import Polls
from sim.engines.world.build import World, operator_actions
from sim.module import behaviour as b
from sim.module import radio, states
from sim.module.inputs import Effect, Input
from sim.module.link_states import LinkState
from sim.module.machine import Module
from sim.module.rows import CheckIn
from sim.network import cells
from sim.records import Records

LOGIN_ROUND_TRIPS = 3
"""TCP, MQTT CONNECT and SUBSCRIBE."""
FETCH_ROUND_TRIPS = 2
"""TCP and the GET until its header arrives."""
HELLO_REQUESTS = 3
"""A connecting module publishes 0x0034 and 0x0044 and asks with 0x0115."""


class At(simpy.Event):
    """An event at an absolute time: like simpy.Timeout, but without the rounding of now + (at - now)."""

    def __init__(self, env: Clock, at: float, priority: int, action: Callable[[float], None]) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        self.callbacks = [lambda _event: action(at)]
        env.schedule_at(self, at, priority)


class Clock(simpy.Environment):
    """SimPy's environment with events at absolute times."""

    def schedule_at(self, event: simpy.Event, at: float, priority: int) -> None:
        """Queues a triggered event for the moment `at`; ties go by `priority`, then by order."""
        queue: Any = self._queue
        heappush(queue, (at, priority, next(self._eid), event))


class VirtualEngine:
    """Runs one world from activation to its horizon."""

    def __init__(self, world: World, *, events: bool | str = False) -> None:
        self.world = world
        self.clock = Clock()
        self.tally = tally.tally(world.horizon_s)
        self.recorder = Recorder(world, self.tally, events=events)
        count = len(world.modules)
        self._armed = [inf] * count
        self._epoch = [0] * count
        self.sessions = [0] * count
        self._heard_at = [0.0] * count
        self._access = RandomAccess(world.modules, self.at, self.deliver)
        self._polls = Polls(self) if world.plan.settings.polled else None
        self._fetch: dict[int, _Fetch] = {}
        self._egress_at = inf
        self._egress_epoch = 0
        self._center_at = inf
        if events:
            world.center.log = self.recorder.cloud_event

    def run(self, progress: Callable[[float], None] | None = None) -> bool:
        """Runs to the horizon; returns False when interrupted by Ctrl-C. `progress` gets the virtual time."""
        self._start()
        horizon = self.world.horizon_s
        try:
            step = horizon / 200.0
            for i in range(1, 201):
                self.clock.run(until=max(step * i, self.clock.now))
                if progress is not None:
                    progress(step * i)
        except KeyboardInterrupt:
            self._close(self.clock.now)
            return False
        self._close(horizon)
        return True

    @property
    def released_s(self) -> NDArray[np.float64]:
        """When each module was released, seconds after activation, inf for never; shape (n,)."""
        return np.array([execution.released_s for execution in self.world.center.executions])

    def _close(self, now: float) -> None:
        for fetch in self._fetch.values():
            if fetch.slot >= 0:
                tally.transfer(self.tally, fetch.began_s, now, 0.0)
        self.recorder.end_s = now

    def records(self, *, complete: bool, wall_s: float) -> Records:
        """The tables of this run."""
        return self.recorder.records(complete=complete, wall_s=wall_s)

    # --- start and plan ------------------------------------------------------------------------------------------

    def at(self, at: float, action: Callable[[float], None], priority: int) -> None:
        """Calls at a time of the run, unless that lies beyond its horizon."""
        if at < self.world.horizon_s:
            At(self.clock, at, priority, action)

    def _start(self) -> None:
        world = self.world
        self._send(world.center.activate(0.0), 0.0)
        for module in world.modules:
            row, profile = module.row, module.profile
            if row.link == LinkState.OFFLINE and b.start(row, profile, 0.0):
                self._start_online(module)
            self._rearm(module)
        self.rearm_center()
        for at, action in operator_actions(world):
            self.at(at, self._operate(action), OPERATOR)

    def _operate(self, action: Callable[[float], list[Command] | None]) -> Callable[[float], None]:
        return lambda now: self._send(action(now), now)

    def _start_online(self, module: Module) -> None:
        """Modules that are awake at activation have connected before: no load, known to the cloud."""
        b.start_online(module.row, module.profile, 0.0)
        tally.online(self.tally, 0.0, 1)
        if self._polls is not None:
            self._polls.start(module)
            return
        self._send(self.world.center.hello(module.row.index, _quiet(module.hello(0.0)), 0.0), 0.0)

    # --- modules -------------------------------------------------------------------------------------------------

    def _rearm(self, module: Module) -> None:
        """One timer per module, at its deadline; a finished module is left alone."""
        index = module.row.index
        at = module.deadline
        if self.retired(module):
            at = inf
        if at == self._armed[index]:
            return
        self._armed[index] = at
        self._epoch[index] += 1
        if at < inf:
            epoch = self._epoch[index]
            self.at(at, lambda now: self._wake(module, epoch, now), MODULES + index)

    def retired(self, module: Module) -> bool:
        """The cloud is done with the module, and it has nothing left to say."""
        row = module.row
        if row.link == LinkState.DARK:
            return True
        away = row.link == LinkState.OFFLINE or (
            row.link == LinkState.ONLINE and module.profile.check_in == CheckIn.ALWAYS
        )
        idle = row.status == 0 and row.cached == 0 and away
        return idle and self.world.may_retire and self.world.center.executions[row.index].terminal

    def _wake(self, module: Module, epoch: int, now: float) -> None:
        if epoch == self._epoch[module.row.index]:
            self._armed[module.row.index] = inf
            if self._polls is not None and self._polls.keeps_awake(module, now):
                self._rearm(module)
                return
            self.deliver(module, Input.WAKE, now)

    def deliver(self, module: Module, given: int | msg.ToModule, now: float) -> None:
        """Every input of a module goes through here: receive, perform the effects, arm the timer."""
        effects = module.receive(given, now)
        if effects:
            self._perform(module, effects, now)
        self._rearm(module)

    def _perform(self, module: Module, effects: int, now: float) -> None:
        row = module.row
        if effects & Effect.ENTERED:
            self.recorder.entered(module, now)
        if effects & Effect.STOP_FETCH:
            self._stop_fetch(module, now)
        if effects & Effect.ACCESS:
            self._access.begin(module, now)
        if self._polls is None:
            self._talk(module, effects, now)
        else:
            self._polls.perform(module, effects, now)
        if effects & Effect.FETCH:
            self._begin_fetch(module, now)
        if effects & Effect.DISCONNECT:
            self.sessions[row.index] += 1
            tally.online(self.tally, now, -1)
            self.world.center.offline(row.index)

    def _talk(self, module: Module, effects: int, now: float) -> None:
        """Connecting and reporting over one session that stays open."""
        index = module.row.index
        if effects & Effect.CONNECT:
            self._connect(module, now)
        if effects & Effect.HELLO:
            tally.requests(self.tally, now, HELLO_REQUESTS)
            hello = module.hello(now)
            self._uplink(module, now, lambda at: self.world.center.hello(index, hello, at))
        if effects & Effect.PUBLISH:
            tally.requests(self.tally, now, 1)
            report = module.report()
            self._uplink(module, now, lambda at: self.world.center.status(index, report, at))

    # --- link ----------------------------------------------------------------------------------------------------

    def _connect(self, module: Module, now: float) -> None:
        row = module.row
        accepted = capacity.admit(self.world.capacity.connections, now)
        tally.connects(self.tally, accepted)
        session = row.sessions

        def connected(at: float) -> None:
            if row.link == LinkState.CONNECTING and row.sessions == session:
                self.connected(module, at)

        self.at(accepted + LOGIN_ROUND_TRIPS * row.rtt_s, connected, MODULES + row.index)

    def connected(self, module: Module, now: float) -> None:
        """The cloud has let the module in: a session begins."""
        self.sessions[module.row.index] += 1
        tally.online(self.tally, now, 1)
        self.deliver(module, Input.CONNECTED, now)

    def _uplink(self, module: Module, now: float, arrive: Callable[[float], list[Command]]) -> None:
        """A message to the cloud: delayed or lost by the radio, in order, as one connection keeps it."""
        index = module.row.index
        delay = radio.uplink_s(module.row, module.profile)
        if delay >= 0.0:
            self._heard_at[index] = max(now + delay, self._heard_at[index])
            self.at(self._heard_at[index], lambda at: self._send(arrive(at), at), MODULES + index)

    def _send(self, commands: list[Command] | None, now: float) -> None:
        """Answers of the cloud: each takes a request worker, then the downlink."""
        workers, downloads = self.world.capacity.workers, self.world.capacity.downloads
        for index, message in commands or ():
            beats_per_s = downloads.active[0] / states.PROGRESS_INTERVAL_S
            leaves = capacity.answered_at(workers, now, beats_per_s, workers.service_s)
            module = self.world.modules[index]
            delay = radio.downlink_s(module.row, module.profile)
            if delay >= 0.0 and module.row.link == LinkState.ONLINE:
                session = self.sessions[index]
                self.at(leaves + delay, self._arrival(module, message, session), MODULES + index)
        self.rearm_center()

    def _arrival(self, module: Module, message: msg.ToModule, session: int) -> Callable[[float], None]:
        def arrive(now: float) -> None:
            if module.row.link == LinkState.ONLINE and self.sessions[module.row.index] == session:
                self.deliver(module, message, now)

        return arrive

    def rearm_center(self) -> None:
        """The center is woken when it next wants to."""
        at = self.world.center.deadline
        if at < self._center_at:
            self._center_at = at
            self.at(at, self._wake_center, CENTER)

    def _wake_center(self, now: float) -> None:
        self._center_at = inf
        self._send(self.world.center.wake(now), now)
        self.rearm_center()

    # --- download ------------------------------------------------------------------------------------------------

    def _begin_fetch(self, module: Module, now: float) -> None:
        """GET: a slot and an answer, or an error; then bytes until they are complete or the session breaks."""
        row, profile = module.row, module.profile
        fetch = self._fetch[row.index] = _Fetch()
        dice = uniform(profile.key_0, profile.key_1, row.index, Purpose.SERVER_ERROR, row.transfers)
        tally.requests(self.tally, now, 1)

        def answer(at: float) -> None:
            if self._fetch.get(row.index) is not fetch:
                return
            cause = self._refusal(module, dice)
            if cause != Cause.NONE:
                del self._fetch[row.index]
                row.cause = cause
                self.deliver(module, Input.BROKEN, at)
                return
            self._begin_transfer(module, fetch, at)

        self.at(now + FETCH_ROUND_TRIPS * row.rtt_s, answer, MODULES + row.index)

    def _refusal(self, module: Module, dice: float) -> int:
        """Why the cloud does not serve this download, or NONE and a slot is taken."""
        if self.world.center.refuses_downloads(module.row.index):
            return Cause.URL_GONE
        if dice < module.profile.server_error:
            return Cause.SERVER_ERROR
        return Cause.NONE if capacity.open_slot(self.world.capacity.downloads) else Cause.SERVER_BUSY

    def _begin_transfer(self, module: Module, fetch: _Fetch, now: float) -> None:
        row, profile, shared = module.row, module.profile, self.world.capacity
        tally.downloads(self.tally, shared.downloads.active[0])
        wanted = row.piece_bytes - row.kept_bytes
        fetch.began_s = now
        carrier, share = cells.carrier(row.cell, profile.technology), cells.download_share(row, profile)
        fetch.slot = egress.start(shared.egress, row.index, carrier, share, wanted, row.goodput_bit_s, now)
        drop_s = now + radio.drop_after_s(row, module.profile)
        self.at(drop_s, lambda at: self._drop(module, fetch, at), MODULES + row.index)
        self._rearm_egress(now)
        self.deliver(module, Input.HEADER, now)

    def _drop(self, module: Module, fetch: _Fetch, now: float) -> None:
        """The session breaks under the transfer; the cloud notices only when its keep-alive runs out."""
        row = module.row
        if self._fetch.get(row.index) is not fetch:
            return
        row.cause = Cause.LINK_LOST
        session = self.sessions[row.index]
        tally.online(self.tally, now, -1)

        def unheard(_at: float) -> None:
            if self.sessions[row.index] == session:
                self.world.center.offline(row.index)

        self.at(now + 1.5 * self.world.keepalive_s, unheard, MODULES + row.index)
        self.deliver(module, Input.LINK_LOST, now)

    def _rearm_egress(self, now: float) -> None:
        at = egress.next_at(self.world.capacity.egress)
        self._egress_epoch += 1
        epoch = self._egress_epoch
        if at < inf:
            self.at(max(at, now), lambda due: self._transfer_due(epoch, due), TRANSFERS)

    def _transfer_due(self, epoch: int, now: float) -> None:
        if epoch != self._egress_epoch:
            return
        shared = self.world.capacity.egress
        slot = egress.next_slot(shared)
        index = shared.transfers[slot].owner
        module = self.world.modules[index]
        egress.finish(shared, slot, now)
        row = module.row
        arrived = row.piece_bytes - row.kept_bytes
        self._close_fetch(module, arrived, now)
        row.received_bytes += arrived
        dice = uniform(module.profile.key_0, module.profile.key_1, index, Purpose.CHECKSUM, row.transfers)
        self._rearm_egress(now)
        if dice < module.profile.checksum_error:
            row.cause, row.kept_bytes = Cause.CHECKSUM, 0.0
            self.deliver(module, Input.BROKEN, now)
        else:
            self.deliver(module, Input.DONE, now)

    def _stop_fetch(self, module: Module, now: float) -> None:
        """The transfer under way, if any, ends here; what arrived is kept only by modules that can resume."""
        row = module.row
        fetch = self._fetch.get(row.index)
        if fetch is None:
            return
        if fetch.slot < 0:
            del self._fetch[row.index]  # not answered yet
            return
        arrived = egress.stop(self.world.capacity.egress, fetch.slot, now)
        row.received_bytes += arrived
        row.kept_bytes = row.kept_bytes + arrived if module.profile.resume_download else 0.0
        self._close_fetch(module, arrived, now)
        self._rearm_egress(now)

    def _close_fetch(self, module: Module, arrived_bytes: float, now: float) -> None:
        fetch = self._fetch.pop(module.row.index)
        capacity.close_slot(self.world.capacity.downloads)
        tally.transfer(self.tally, fetch.began_s, now, 8.0 * arrived_bytes)


@dataclass(slots=True)
class _Fetch:
    """A download asked for; its slot of the egress once bytes flow."""

    slot: int = -1
    began_s: float = inf


def _quiet(hello: msg.Hello) -> msg.Hello:
    """The same state, without asking for a plan."""
    return msg.Hello(
        hello.battery_percent, hello.rsrp_dbm, hello.free_bytes, hello.versions, asks=False, level=hello.level
    )
