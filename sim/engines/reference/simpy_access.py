"""Random access of a virtual run: who sends at which opportunity of which cell, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable

from sim.engines.driver_rules.tie_order import CELLS, MODULES
from sim.module.inputs import Input
from sim.module.link_states import LinkState
from sim.module.machine import Module
from sim.network import cells
from sim.network import random_access as ra

Deliver = Callable[[Module, int, float], None]
Schedule = Callable[[float, Callable[[float], None], int], None]


class RandomAccess:
    """Collects the modules of each opportunity of a carrier and decides it when its preambles are over.

    `schedule(at, action, priority)` and `deliver(module, input, now)` are the engine's.
    """

    def __init__(self, modules: list[Module], schedule: Schedule, deliver: Deliver) -> None:
        self._modules = modules
        self._schedule = schedule
        self._deliver = deliver
        self._rows = [module.row for module in modules]
        profile = modules[0].profile  # figures of cells hold for the whole fleet
        self._key = (profile.key_0, profile.key_1)
        self._settings = (ra.nb_iot_access(profile), ra.lte_access(profile))
        self._waiting: dict[tuple[int, int], list[tuple[int, int]]] = {}  # carrier, opportunity: modules, sessions

    def begin(self, module: Module, now: float) -> None:
        """The module starts its random access."""
        self._join(module.row.index, module.row.sessions, now)

    def _join(self, index: int, session: int, at: float) -> None:
        """The module sends at the first opportunity of its carrier at or after `at`."""
        carrier = cells.carrier(self._rows[index].cell, self._modules[index].profile.technology)
        access = self._access(carrier)
        key = (carrier, ra.next_rao(at, access.period_s))
        if key not in self._waiting:
            self._waiting[key] = []
            self._schedule(ra.decided_s(key[1], access), lambda _now: self._decide(key), CELLS)
        self._waiting[key].append((index, session))

    def _access(self, carrier: int) -> ra.Access:
        return self._settings[carrier % cells.CARRIERS]

    def _decide(self, key: tuple[int, int]) -> None:
        carrier, rao = key
        senders = [(i, session) for i, session in sorted(self._waiting.pop(key)) if self._tries(i, session)]
        outcomes, times_s = [0] * len(senders), [0.0] * len(senders)
        ra.resolve(self._rows, [i for i, _ in senders], self._access(carrier), *self._key, rao, outcomes, times_s)
        for (index, session), outcome, at in zip(senders, outcomes, times_s, strict=True):
            if outcome == ra.AGAIN:
                self._join(index, session, at)
            else:
                given = Input.ACCESSED if outcome == ra.CONNECTED else Input.CONNECT_FAILED
                self._schedule(at, self._end(index, session, given), MODULES + index)

    def _end(self, index: int, session: int, given: int) -> Callable[[float], None]:
        def end(now: float) -> None:
            if self._tries(index, session):
                self._deliver(self._modules[index], given, now)

        return end

    def _tries(self, index: int, session: int) -> bool:
        """Whether the module is still in the access it began: flashing or an empty battery end it."""
        row = self._rows[index]
        return row.link == LinkState.ATTACHING and row.sessions == session
