"""A fleet that grows and shrinks while it runs: the live engine's modules, begun and ended by number.

It never has more than `most` modules, and within the limits of its settings never more connections or messages a
second, whatever is asked of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from sim.engines.live.host_limits import allow_files, sources_for
from sim.engines.live.latency import Latencies
from sim.engines.live.live_cloud import LiveTarget, live_side
from sim.engines.live.live_engine import LiveEngine, Settings
from sim.engines.live.live_module import LiveModule
from sim.engines.live.reconciliation import Reconciliation
from sim.engines.live.snapshot import Snapshot, Watch
from sim.engines.world.build import World, build
from sim.load.load_shape import check_ins_s
from sim.scenario import Scenario

STEP_S = 1.0
"""A master asks for more users once a second; those of one step begin spread over it."""
RAMP_DOWN_PER_S = 500.0
RAMP_DOWN_S = 20.0
"""However many they are, all have taken leave within this time."""
RECONCILE_S = 10.0
"""How long the cloud may take to have worked off what it was sent."""
WATCH_S = 1.0


def share_of(settings: Settings, workers: int) -> Settings:
    """A worker's part of the caps, so that all of them together stay within."""
    cap = settings.limits.rate_cap_per_s
    return replace(settings, limits=replace(settings.limits, rate_cap_per_s=None if cap is None else cap / workers))


class LoadFleet:
    """Modules of a scenario against a target. Every measurement goes to `latencies`."""

    def __init__(
        self, scenario: Scenario, target: LiveTarget, settings: Settings, latencies: Latencies,
        most: int | None = None, watch: Watch | None = None, *, compare: bool = False, shape: str = "ramp",
    ) -> None:  # fmt: skip
        """With `compare` the cloud is asked for its counts at the begin, so that `close` can compare.

        In the shape check-in the modules begin in the order of their own check-ins, else in that of the fleet.
        """
        self.scenario, self.target, self.settings = scenario, target, settings
        self.latencies = latencies
        self.count = 0
        self.most = most
        self._by_check_in = shape == "check-in"
        self.engine: LiveEngine
        self._watch = watch
        self._compares = compare
        self._watching: asyncio.Task[None] | None = None
        self._begins: list[asyncio.TimerHandle] = []
        self._halted = False
        self.waiting_at_end: Counter[str] = Counter()
        """Steps that had no answer yet when their modules ended."""

    async def open(
        self, index: int = 0, of: int = 1, name: Callable[[int], str] | None = None, world: World | None = None,
        at_once: float = inf,
    ) -> None:  # fmt: skip
        """Builds the fleet and takes every `of`-th module of it, from the `index`-th; sockets may open from now.

        `name` gives other device keys than the scenario's, `world` a fleet that is built already; `at_once` is how many
        are connected at the same time, where that is fewer than all.
        """
        if world is None:
            world = await asyncio.to_thread(build, self.scenario)  # the worker's heart goes on beating
        if name is not None:
            _rename(world, name)
        own = int(min(at_once, len(range(index, len(world.modules), of))))
        allow_files(own)
        settings = replace(self.settings, sources=sources_for(own, self.target.host, self.settings.sources))
        side = live_side(self.scenario.cloud.kind)
        cloud = side.cloud(self.target, world, self.settings, plan=None, compare=self._compares)
        self.engine = LiveEngine(world, cloud, settings, self.latencies)
        if self._by_check_in:
            order = np.argsort(check_ins_s(world), kind="stable").tolist()
            self.engine.modules = [self.engine.modules[number] for number in order]
        self.engine.modules = self.engine.modules[index::of]
        try:
            await self.engine.open()
        except BaseException:
            await cloud.free()
            raise
        if self._watch is not None:
            self._watching = self.engine.loop.create_task(self._tell(self._watch))

    async def _tell(self, watch: Watch) -> None:
        while True:
            watch(self.snapshot())
            await asyncio.sleep(WATCH_S)

    @property
    def size(self) -> int:
        """The most modules this fleet may run."""
        return len(self.engine.modules) if self.most is None else min(self.most, len(self.engine.modules))

    def begin(self, number: int, due: float) -> None:
        """A module wakes up at a time of the loop; its measurements count from there, however late it really is."""
        self.engine.when(due, lambda: self.engine.modules[number].begin(due, at_once=True))

    def resize(self, count: int) -> int:
        """Begins or ends modules until `count` of them run, at most all there are; gives how many that is."""
        loop = self.engine.loop
        count = min(count, self.size)
        now, more = self.engine.clock(), count - self.count
        for k in range(more):
            due, number = now + STEP_S * k / more, self.count + k
            self._begins.append(loop.call_at(due, self._begin, number, due))
        self._settle(self.engine.modules[count : self.count])
        for number in range(self.count - 1, count - 1, -1):
            self.engine.modules[number].end()
        self.count = count
        return count

    def _settle(self, modules: Sequence[LiveModule]) -> None:
        """What modules that are about to end still wait for; those that were halted wait for nothing."""
        if not self._halted:
            self.waiting_at_end.update(self.engine.settle(modules))

    def _begin(self, number: int, due: float) -> None:
        if number < self.count:
            self.engine.modules[number].begin(due, at_once=True)

    def halt(self) -> None:
        """All load stops at once: nothing more is begun, asked for or fetched. What was sent is still acknowledged."""
        for handle in self._begins:
            handle.cancel()
        self._settle(self.engine.modules)
        self._halted = True
        for module in self.engine.modules:
            module.halt()

    async def close(self, ramp_down_per_s: float = RAMP_DOWN_PER_S, *, compare: bool = True) -> Reconciliation:
        """Stops the load, then ends the connections one after the other: the cloud does not see all go at once.

        Gives what the modules did beside what the cloud says, where this fleet can ask it and is to `compare`.
        """
        try:
            self.halt()
            ramp_down_per_s = max(ramp_down_per_s, self.count / RAMP_DOWN_S)
            while self.count and self.engine.recorder.under_way[0]:
                self.resize(max(0, self.count - max(1, int(0.1 * ramp_down_per_s))))
                await asyncio.sleep(0.1)
            self.count = 0
            await self.engine.close()
            if compare and self._compares and self.engine.cloud.can_compare:
                return await self._compared()
            return Reconciliation(note="not possible: the cloud's API is not known")
        finally:
            if self._watching is not None:
                self._watching.cancel()
            await self.engine.cloud.free()

    async def _compared(self) -> Reconciliation:
        """The cloud may need a moment to have worked off what it was sent."""
        until = self.engine.clock() + RECONCILE_S
        found = await self.engine.cloud.reconcile(self.engine)
        while not found.agrees and self.engine.clock() < until:
            await asyncio.sleep(WATCH_S)
            found = await self.engine.cloud.reconcile(self.engine)
        waiting = ", ".join(f"{leg} {n:,}" for leg, n in sorted(self.waiting_at_end.items()))
        told = [f"without an answer yet when their modules ended: {waiting}"] if waiting else []
        return replace(found, findings=(*found.findings, *told))

    def snapshot(self) -> Snapshot:
        """How it stands: the modules that are to run now, or all of them when each was begun by itself."""
        return self.engine.snapshot(self.count or None)

    def figures(self) -> dict[str, Any]:
        """What the engine counted."""
        return self.engine.figures()


def _rename(world: World, name: Callable[[int], str]) -> None:
    for module in world.modules:
        module.name = name(module.row.index)
