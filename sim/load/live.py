"""A capacity probe in real time: fresh modules against a real or mock cloud, open loop, with a check of the generator."""

from __future__ import annotations

import asyncio
import os
import secrets
from math import isnan
from typing import Any

from sim import messages as msg
from sim.engines.live.api import CloudApi
from sim.engines.live.engine import Settings
from sim.engines.live.latency import LEGS, Latencies
from sim.engines.live.run import loop_factory
from sim.engines.live.target import TOKEN, Target
from sim.errors import FotasimError
from sim.load.fleet import LoadFleet, find_target
from sim.load.search import Measurement
from sim.load.slo import Slo
from sim.load.watch import MAX_LAG_S, SelfCheck
from sim.load.wave import Kind, probe_scenario, wake_times
from sim.scenario import Scenario

TAIL_S = 3.0
WATCH_S = 0.25
SETTLE_S = 1.0
MOST_SETTLES = 60
REST_S = 5.0
"""After a void measurement: whatever kept this host busy may pass."""
LAG_SHARE = 0.1
"""The generator may be late by this share of the tightest objective."""


class LiveProbe:
    """Measures a load on a running cloud. Each probe brings modules of its own, so that every one finds an upgrade."""

    def __init__(
        self, scenario: Scenario, cloud: str, kind: Kind, slo: Slo, settings: Settings, *, plan: int | None = None
    ) -> None:  # fmt: skip
        self._scenario, self._cloud, self._kind, self._slo = scenario, cloud, kind, slo
        self._settings, self._plan = settings, plan
        self._prefix = f"L{secrets.token_hex(2)}"
        self._probes = 0
        self._void = False
        self._runner = asyncio.Runner(loop_factory=loop_factory())

    def close(self) -> None:
        """Ends the event loop."""
        self._runner.close()

    def __call__(self, load: float, hold_s: float) -> Measurement:
        """See Probe."""
        return self._runner.run(self._measure(load, hold_s))

    async def _measure(self, load: float, hold_s: float) -> Measurement:
        if self._void:
            await asyncio.sleep(REST_S)
        target = await find_target(self._cloud, self._settings, self._plan)
        before = await _succeeded(target)
        found, check = (
            Latencies(),
            SelfCheck(len(self._settings.sources), max(MAX_LAG_S, LAG_SHARE * self._slo.tightest_s)),
        )
        times = wake_times(self._kind, load, hold_s)
        fleet = LoadFleet(
            probe_scenario(self._scenario, len(times), radio=self._settings.radio), target, self._settings, found
        )
        self._probes += 1
        prefix = f"{self._prefix}{self._probes:02x}"
        await fleet.open(name=lambda index: f"{prefix}{index:06d}")
        check.start()
        try:
            await self._wave(fleet, times, hold_s)
            health = check.look(fleet.figures()["connections_opened"])
            self._unanswered(fleet, found)
            figures = _figures(fleet, hold_s)
            acknowledged, upgraded = _successes(fleet)
        finally:
            await check.stop()
            await fleet.close()
        after = await _settled(target, self._slo.patience_s)
        hints = list(_reconciled(before, after, acknowledged, upgraded))
        hints += [f"{leg}: {reason} ({n:,})" for (leg, reason), n in found.failures.most_common(5)]
        figures |= {f"{leg}_failures": float(sum(found.failed(leg).values())) for leg in LEGS if found.failed(leg)}
        figures |= {f"{leg}_p99_s": p99 for leg in LEGS if (p99 := found.quantile_s(leg, 99.0)) is not None}
        self._void = bool(health.faults)
        return Measurement(self._slo.values(found), figures, tuple(health.faults), tuple(hints))

    async def _wave(self, fleet: LoadFleet, times: list[float], hold_s: float) -> None:
        """Wakes every module at its moment, whatever became of the others, and waits for the last ones."""
        engine = fleet.engine
        zero = engine.clock() + 0.05
        for number, at in enumerate(times):
            engine.loop.call_at(zero + at, fleet.begin, number, zero + at)
        patience_s = self._slo.patience_s + TAIL_S
        until = zero + max(times[-1], hold_s if self._kind.per_s is not None else 0.0) + patience_s
        if self._kind.per_s is None:
            until = max(until, zero + hold_s)
        while engine.clock() < until:
            await asyncio.sleep(WATCH_S)
            if engine.clock() > zero + times[-1] and all(m.done for m in engine.modules):
                return

    def _unanswered(self, fleet: LoadFleet, found: Latencies) -> None:
        """What has waited longer than any objective allows, and waits still, has broken it."""
        now = fleet.engine.clock()
        for module in fleet.engine.modules:
            for leg, since in module.waiting():
                if now - since > self._slo.patience_s:
                    found.add(leg, now - since)


def _figures(fleet: LoadFleet, hold_s: float) -> dict[str, float]:
    engine, counted = fleet.engine, fleet.figures()
    span_s = max(engine.clock() - engine.zero, 1e-9)
    return {
        **engine.recorder.peaks(), "messages_sent": float(counted["messages_sent"]),
        "connections_opened": float(counted["connections_opened"]),
        "requests_per_s": engine.recorder.requests_per_s(hold_s / 2.0, hold_s), "span_s": span_s,
        "done": float(sum(m.done for m in engine.modules)), "modules": float(fleet.size),
    }  # fmt: skip


def _successes(fleet: LoadFleet) -> tuple[int, int]:
    """Successes the cloud acknowledged, and modules that run the new version."""
    acknowledged = upgraded = 0
    for module in fleet.engine.modules:
        if not isnan(module.module.row.upgraded_s):
            upgraded += 1
            acknowledged += msg.UPDATE_SUCCESS in module.acked
    return acknowledged, upgraded


def _reconciled(before: int | None, after: int | None, acknowledged: int, upgraded: int) -> list[str]:
    """Says so when the cloud counted fewer successes than it acknowledged, or more than there were."""
    if before is None or after is None or acknowledged <= after - before <= upgraded:
        return []
    return [
        f"client and cloud DO NOT AGREE: the cloud counted {after - before:,} successes, "
        f"acknowledged {acknowledged:,}, and {upgraded:,} modules upgraded"
    ]


async def _settled(target: Target, patience_s: float) -> int | None:
    """Waits until the cloud has worked off what is still queued, so that the next probe finds it idle."""
    before = await _succeeded(target)
    if before is None:
        await asyncio.sleep(SETTLE_S + patience_s)
        return None
    for _ in range(MOST_SETTLES):
        await asyncio.sleep(SETTLE_S)
        after = await _succeeded(target)
        if after == before:
            break
        before = after
    return before


async def _succeeded(target: Target) -> int | None:
    """Successes the cloud's plan counts so far; None when it cannot be asked."""
    if target.api is None or target.plan is None:
        return None
    api = CloudApi(target.api, os.environ.get(TOKEN, ""))
    try:
        states: dict[str, Any] = dict(await api.states(target.plan))
        return int(states.get("succeeded", 0))
    except FotasimError:
        return None
    finally:
        await api.close()


__all__ = ["LiveProbe"]
