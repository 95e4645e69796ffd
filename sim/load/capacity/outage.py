"""Outage and recovery: every connection is gone for a while, then everybody returns. When, and how many at once?

How modules come back is their own law (`back_off_s`, `back_off_jitter_s`, `long_back_off_s` of `fleet.physics`): the prediction drives
the same behaviour as a live run, module by module with its own draws, against a gate that lets in `cloud.capacity.connections_per_s`.
"""

from __future__ import annotations

import heapq
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.cloud import capacity
from sim.engines.live.link import CONNECT_TIMEOUT_S
from sim.engines.world.build import World
from sim.load.capacity.wake_ups import KINDS, probe_world
from sim.module.inputs import Effect, Input
from sim.module.machine import Module
from sim.module.parameters import PARAMETERS
from sim.scenario import Scenario
from sim.scenario.load import vary

STEP_S = 0.25
"""How often a run is looked at."""
MOST = 0.99
"""So many are most of the modules."""
SPARE_S = 30.0
"""Watched longer than the longest wait of a module."""
ONLINE_S = 5.0
"""From the last module's wake-up to the outage: all of them are online by then."""


@dataclass(frozen=True, slots=True)
class Outage:
    """So many modules lose their connections for so many seconds, and are watched for `watch_s` at most after that."""

    modules: int
    outage_s: float
    ramp_s: float
    watch_s: float

    @property
    def whole_s(self) -> float:
        """The most time it takes, seconds."""
        return self.ramp_s + ONLINE_S + self.outage_s + self.watch_s


@dataclass(slots=True)
class Watched:
    """How many are online, have logged in and have tried, STEP_S by STEP_S from the end of the outage; sums of several workers add up."""

    online: NDArray[np.int64]
    logins: NDArray[np.int64]
    attempts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Recovery:
    """How they came back. Times from the end of the outage, seconds; None: not while they were watched."""

    modules: int
    outage_s: float
    peak_attempts_per_s: float
    peak_logins_per_s: float
    half_s: float | None
    most_s: float | None
    all_s: float | None
    watched_s: float
    void: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For files."""
        return asdict(self)


def planned(scenario: Scenario, modules: int, outage_s: float, ramp_per_s: float) -> Outage:
    """The outage of so many modules; they come online at this rate before, and are watched until the longest back-off is over."""
    longest_s = _physics(scenario, "long_back_off_s") if _may_wait_long(scenario, outage_s) else 0.0
    return Outage(modules, outage_s, modules / ramp_per_s, outage_s + longest_s + SPARE_S)


def _may_wait_long(scenario: Scenario, outage_s: float) -> bool:
    """Whether a module can fail seven times in a row within the outage: 1 + 2 + … + 6 times its back-off."""
    return outage_s > 21.0 * _physics(scenario, "back_off_s") - 6.0 * 0.25 * _physics(scenario, "back_off_jitter_s")


def _physics(scenario: Scenario, name: str) -> float:
    given = getattr(scenario.fleet.physics, name)
    return float(PARAMETERS[name].default if given is None else given)


def outage_world(scenario: Scenario, outage: Outage) -> World:
    """The modules: always online, asking for nothing but their plan."""
    online = {f"fleet.groups.{number}.check_in": "always" for number in range(len(scenario.fleet.groups))}
    woken_s = outage.ramp_s * np.arange(outage.modules) / outage.modules
    return probe_world(vary(scenario, online), KINDS["wakeups"], woken_s)


def predicted(scenario: Scenario, outage: Outage) -> Recovery:
    """How they come back by their own law and the scenario's `cloud.capacity`."""
    world = outage_world(scenario, outage)
    run = _Return(world, outage)
    run.go()
    steps = np.arange(0.0, outage.watch_s, STEP_S)
    logins = np.searchsorted(np.sort(np.array(run.logins_s)), steps, side="right")
    attempts = np.searchsorted(np.sort(np.array(run.attempts_s)), steps, side="right")
    return judged(outage, Watched(logins.copy(), logins, attempts))


class _Return:
    """Every module by its behaviour alone: it is online, loses its link, tries and fails, waits, tries again."""

    def __init__(self, world: World, outage: Outage) -> None:
        self._modules = world.modules
        self._gate = capacity.Connections(1.0 / world.scenario.cloud.capacity.connections_per_s, [0.0])
        self._outage, self._lost_s = outage, outage.ramp_s + ONLINE_S
        self._end_s = self._lost_s + outage.outage_s
        self._due: list[tuple[float, int, int]] = []
        self.logins_s: list[float] = []
        self.attempts_s: list[float] = []

    def go(self) -> None:
        """From everybody online until everybody is again, or nobody is watched any longer."""
        for number, module in enumerate(self._modules):
            self._come_online(module)
            module.receive(Input.LINK_LOST, self._lost_s)
            self._push(number, module.deadline, Input.WAKE)
        until_s = self._end_s + self._outage.watch_s
        while self._due and self._due[0][0] <= until_s:
            now, number, given = heapq.heappop(self._due)
            self._happens(number, given, now)

    def _come_online(self, module: Module) -> None:
        module.receive(Input.CHECK_IN, 0.0)
        if module.deadline < self._lost_s:
            module.receive(Input.WAKE, module.deadline)
        module.receive(Input.CONNECTED, 0.0)

    def _push(self, number: int, at: float, given: int) -> None:
        heapq.heappush(self._due, (at, number, given))

    def _happens(self, number: int, given: int, now: float) -> None:
        module = self._modules[number]
        effects = module.receive(given, now)
        if given == Input.CONNECTED:
            self.logins_s.append(now - self._end_s)
            return
        if effects & Effect.ACCESS:
            effects |= module.receive(Input.ACCESSED, now)
        if effects & Effect.CONNECT:
            self._try(number, now)
        else:
            self._push(number, module.deadline, Input.WAKE)

    def _try(self, number: int, now: float) -> None:
        """A connection while the cloud is away is refused at once; one that waits at the gate for too long is given up."""
        if now < self._end_s:
            self._push(number, now, Input.CONNECT_FAILED)
            return
        self.attempts_s.append(now - self._end_s)
        accepted_s = capacity.admit(self._gate, now)
        late = accepted_s - now > CONNECT_TIMEOUT_S
        self._push(
            number, now + CONNECT_TIMEOUT_S if late else accepted_s, Input.CONNECT_FAILED if late else Input.CONNECTED
        )


def judged(outage: Outage, seen: Watched, void: tuple[str, ...] = ()) -> Recovery:
    """The recovery in figures."""
    half_s, most_s, all_s = (_reached_s(seen.online, round(share * outage.modules)) for share in (0.5, MOST, 1.0))
    return Recovery(
        outage.modules, outage.outage_s, _peak_per_s(seen.attempts), _peak_per_s(seen.logins), half_s, most_s, all_s,
        STEP_S * len(seen.online), void,
    )  # fmt: skip


def _peak_per_s(counted: NDArray[np.int64]) -> float:
    """The most that happened within one second."""
    width = round(1.0 / STEP_S)
    padded = np.concatenate([np.zeros(width, np.int64), counted])
    return float((padded[width:] - padded[:-width]).max(initial=0))


def _reached_s(online: NDArray[np.int64], wanted: int) -> float | None:
    there = np.flatnonzero(online >= wanted)
    return STEP_S * float(there[0]) if len(there) else None


def added_up(parts: list[Watched]) -> Watched:
    """What several workers saw at the same steps; who ended earlier has seen its last step to the end."""
    longest = max(len(part.online) for part in parts)

    def whole(name: str) -> NDArray[np.int64]:
        columns = [getattr(part, name) for part in parts]
        return sum(
            (np.pad(column, (0, longest - len(column)), mode="edge") for column in columns), np.zeros(longest, np.int64)
        )

    return Watched(whole("online"), whole("logins"), whole("attempts"))


__all__ = ["STEP_S", "Outage", "Recovery", "Watched", "added_up", "judged", "outage_world", "planned", "predicted"]
