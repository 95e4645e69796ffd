"""Random access of one cell in a closed loop over given arrivals, with the figures TR 37.868 reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np

from sim.engines.compiled.numba_layer.mirror import Mirror
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


@cache
def compiled_resolve() -> Callable[..., int]:
    """`resolve` under the compiler: the same source, the same decisions (test_compiled_it_decides_alike)."""
    inner: Any = Mirror("sim.network.random_access")["sim.network.random_access"].resolve

    @numba.njit
    def resolve(rows, senders, access, k0, k1, rao, outcomes, times):
        return inner(rows, senders, access, k0, k1, rao, outcomes, times)

    return resolve


def closed_loop(arrivals_s: np.ndarray, access: ra.Access, key: tuple[int, int]) -> Figures:
    """Every module starts its access at its arrival and tries until it is through or gives up."""
    count = len(arrivals_s)
    rows = np.zeros(count, dtype=[(name, np.int64) for name in ("identity", "preambles", "access_attempts")])
    rows["identity"] = np.arange(count)
    first = np.ceil(arrivals_s / access.period_s).astype(np.int64)
    waiting: dict[int, list[int]] = {}
    for i, number in enumerate(first.tolist()):
        waiting.setdefault(number, []).append(i)
    through, delays, collided = [], [], 0
    rao = -1
    while waiting:
        rao += 1
        if rao not in waiting:
            continue
        senders = np.array(sorted(waiting.pop(rao)), dtype=np.int64)
        outcomes, times = np.zeros(len(senders), dtype=np.int64), np.zeros(len(senders))
        hit = compiled_resolve()(rows, senders, access, *key, rao, outcomes, times)
        collided += hit if rao <= first.max() else 0
        for i, outcome, at in zip(senders.tolist(), outcomes.tolist(), times.tolist(), strict=True):
            if outcome == ra.AGAIN:
                waiting.setdefault(ra.next_rao(at, access.period_s), []).append(i)
            elif outcome == ra.CONNECTED:
                through.append(i)
                delays.append(at - first[i] * access.period_s)
    return Figures(
        100 * len(through) / count,
        float(rows["access_attempts"][through].mean()),
        1000 * float(np.mean(delays)),
        100 * collided / (access.preambles * (int(first.max()) + 1)),
    )
