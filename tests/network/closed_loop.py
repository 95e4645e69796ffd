"""Random access of one cell in a closed loop over given arrivals, with the figures TR 37.868 reports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.module.rows import ModuleRow
from sim.network import random_access as ra


@dataclass(frozen=True)
class Figures:
    """Success in percent, transmissions and delay of those that succeed, collided share of the preambles offered."""

    success_pct: float
    transmissions: float
    delay_ms: float
    collided_pct: float


def traffic_1(count: int, seed: int) -> np.ndarray:
    """Model 1: uniform over a minute; arrival times in seconds, shape (count,)."""
    return 60.0 * np.random.default_rng(seed).random(count)


def traffic_2(count: int, seed: int, seconds: float = 10.0) -> np.ndarray:
    """Model 2: Beta(3, 4) over ten seconds; arrival times in seconds, shape (count,)."""
    return seconds * np.random.default_rng(seed).beta(3, 4, count)


def closed_loop(arrivals_s: np.ndarray, access: ra.Access, key: tuple[int, int]) -> Figures:
    """Every module starts its access at its arrival and tries until it is through or gives up."""
    waiting: dict[int, list[ModuleRow]] = {}
    first_s, delays, transmissions = {}, [], []
    for i, at in enumerate(arrivals_s.tolist()):
        rao = ra.next_rao(at, access.period_s)
        waiting.setdefault(rao, []).append(ModuleRow(index=i))
        first_s[i] = rao * access.period_s
    rao, collided = 0, 0
    last_arrival = ra.next_rao(float(arrivals_s.max()), access.period_s)
    while waiting:
        members = sorted(waiting.pop(rao, []), key=lambda m: m.index)
        outcomes, times = [0] * len(members), [0.0] * len(members)
        hit = ra.resolve(members, access, *key, rao, outcomes, times)
        collided += hit if rao <= last_arrival else 0
        for m, outcome, at in zip(members, outcomes, times, strict=True):
            if outcome == ra.AGAIN:
                waiting.setdefault(ra.next_rao(at, access.period_s), []).append(m)
            elif outcome == ra.CONNECTED:
                delays.append(at - first_s[m.index])
                transmissions.append(m.access_attempts)
        rao += 1
    return Figures(
        100 * len(delays) / len(arrivals_s),
        float(np.mean(transmissions)),
        1000 * float(np.mean(delays)),
        100 * collided / (access.preambles * (last_arrival + 1)),
    )
