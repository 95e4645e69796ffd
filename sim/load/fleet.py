"""A fleet that grows and shrinks while it runs: the live engine's modules, begun and ended by number.

It never has more than `most` modules, and within the limits of its settings never more connections or messages a
second, whatever is asked of it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sim.engines.live.api import CloudApi
from sim.engines.live.engine import LiveEngine, Settings, Watch
from sim.engines.live.host import allow_files, sources_for
from sim.engines.live.latency import Latencies
from sim.engines.live.quecthing import QuecThing
from sim.engines.live.target import TOKEN, Target, checked_url, target_of
from sim.engines.world import World, build
from sim.scenario import Scenario

STEP_S = 1.0
"""A master asks for more users once a second; those of one step begin spread over it."""
RAMP_DOWN_PER_S = 500.0
WATCH_S = 1.0


async def find_target(cloud: str, settings: Settings, plan: int | None = None) -> Target:
    """The target behind an http(s) or mqtt(s) URL; checked against the limits before anything is sent."""
    url = checked_url(cloud, ("http", "https", "mqtt", "mqtts"))
    assert url.hostname is not None
    settings.limits.check(url.hostname)
    if url.scheme.startswith("mqtt"):
        return target_of(cloud, api=None, found={} if plan is None else {"plan": plan}, limits=settings.limits)
    api = CloudApi(cloud, os.environ.get(TOKEN, ""))
    try:
        found = await api.live(plan)
        return target_of(str(found.get("mqtt", "")), api=cloud, found=found, limits=settings.limits)
    finally:
        await api.close()


def share_of(settings: Settings, workers: int) -> Settings:
    """A worker's part of the caps, so that all of them together stay within."""
    cap = settings.limits.rate_cap_per_s
    return replace(settings, limits=replace(settings.limits, rate_cap_per_s=None if cap is None else cap / workers))


class LoadFleet:
    """Modules of a scenario against a target. Every measurement goes to `latencies`."""

    def __init__(
        self, scenario: Scenario, target: Target, settings: Settings, latencies: Latencies,
        most: int | None = None, watch: Watch | None = None,
    ) -> None:  # fmt: skip
        self.scenario, self.target, self.settings = scenario, target, settings
        self.latencies = latencies
        self.count = 0
        self.most = most
        self.engine: LiveEngine
        self._watch = watch
        self._watching: asyncio.Task[None] | None = None
        self._begins: list[asyncio.TimerHandle] = []

    async def open(
        self, index: int = 0, of: int = 1, name: Callable[[int], str] | None = None, world: World | None = None
    ) -> None:  # fmt: skip
        """Builds the fleet and takes every `of`-th module of it, from the `index`-th; sockets may open from now.

        `name` gives other device keys than the scenario's, `world` a fleet that is built already.
        """
        world = build(self.scenario) if world is None else world
        if name is not None:
            _rename(world, name)
        own = len(range(index, len(world.modules), of))
        allow_files(own)
        settings = replace(self.settings, sources=sources_for(own, self.target.host, self.settings.sources))
        self.engine = LiveEngine(world, QuecThing(self.target, None, world), settings, self.latencies)
        self.engine.modules = self.engine.modules[index::of]
        await self.engine.open()
        if self._watch is not None:
            self._watching = self.engine.loop.create_task(self._tell(self._watch))

    async def _tell(self, watch: Watch) -> None:
        while True:
            watch(self.engine.snapshot())
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
        for number in range(self.count - 1, count - 1, -1):
            self.engine.modules[number].end()
        self.count = count
        return count

    def _begin(self, number: int, due: float) -> None:
        if number < self.count:
            self.engine.modules[number].begin(due, at_once=True)

    async def close(self, ramp_down_per_s: float = RAMP_DOWN_PER_S) -> None:
        """Ends the modules one after the other, so that the cloud does not see all of them go at once."""
        if self._watching is not None:
            self._watching.cancel()
        for handle in self._begins:
            handle.cancel()
        while self.count and self.engine.recorder.under_way[0]:
            self.resize(max(0, self.count - max(1, int(0.1 * ramp_down_per_s))))
            await asyncio.sleep(0.1)
        self.count = 0
        await self.engine.close()

    def figures(self) -> dict[str, Any]:
        """What the engine counted."""
        return self.engine.figures()


def _rename(world: World, name: Callable[[int], str]) -> None:
    for module in world.modules:
        module.name = name(module.row.index)
