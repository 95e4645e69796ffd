"""Random access of the reference engine: who sends at which opportunity of which cell, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.engines.driver_rules import session_rules
from sim.engines.driver_rules.driven_row import Kind
from sim.engines.driver_rules.tie_order import CELLS
from sim.module.inputs import Input
from sim.network import cells
from sim.network import random_access as ra

if TYPE_CHECKING:
    from sim.engines.reference.simpy_engine import SimpyEngine


class RandomAccess:
    """Collects the modules of each opportunity of a carrier and decides it when its preambles are over."""

    def __init__(self, engine: SimpyEngine) -> None:
        self._engine = engine
        profile = engine.profiles[engine.modules[0].group]  # figures of cells hold for the whole fleet
        self._key = (profile.key_0, profile.key_1)
        self._settings = (ra.nb_iot_access(profile), ra.lte_access(profile))
        self._waiting: dict[tuple[int, int], list[tuple[int, int]]] = {}  # carrier, opportunity: modules, sessions

    def join(self, i: int, session: int, at: float) -> None:
        """The module sends at the first opportunity of its carrier at or after `at`."""
        row = self._engine.modules[i]
        carrier = cells.carrier(row.cell, self._engine.profiles[row.group].technology)
        access = self._access(carrier)
        key = (carrier, ra.next_rao(at, access.period_s))
        if key not in self._waiting:
            self._waiting[key] = []
            self._engine.at(ra.decided_s(key[1], access), CELLS, lambda _now: self._decide(key))
        self._waiting[key].append((i, session))

    def _access(self, carrier: int) -> ra.Access:
        return self._settings[carrier % cells.CARRIERS]

    def _decide(self, key: tuple[int, int]) -> None:
        carrier, rao = key
        waiting = sorted(self._waiting.pop(key))
        senders = [(i, session) for i, session in waiting if session_rules.is_accessing(self._engine, i, session)]
        outcomes, times_s = [0] * len(senders), [0.0] * len(senders)
        rows = self._engine.modules
        ra.resolve(rows, [i for i, _ in senders], self._access(carrier), *self._key, rao, outcomes, times_s)
        for (i, session), outcome, at in zip(senders, outcomes, times_s, strict=True):
            if outcome == ra.AGAIN:
                self.join(i, session, at)
            else:
                event = self._engine.schedule(i, at, Kind.ACCESS)
                event.number = session
                event.code = Input.ACCESSED if outcome == ra.CONNECTED else Input.CONNECT_FAILED
