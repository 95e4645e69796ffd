"""One worker's share of a live probe: wakes its modules at their moments, times every leg, watches itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim import messages as msg
from sim.engines.live.latency import Latencies
from sim.engines.live.live_cloud import find_target
from sim.engines.live.live_engine import Settings
from sim.engines.live.live_module import OVERDUE, UPGRADE_FAILED, LiveModule
from sim.engines.live.self_check import MAX_LAG_S, SelfCheck
from sim.engines.live.slo import Slo
from sim.engines.live.snapshot import Watch
from sim.engines.world.build import World
from sim.load.capacity.outage import Outage
from sim.load.capacity.wake_ups import Kind, phase_times, probe_world, takes_upgrade, wake_times
from sim.load.load_fleet import LoadFleet
from sim.load.locust_workers.worker_reports import encoded_legs
from sim.scenario import Scenario

START_S = 0.05
"""From the moment all is ready to the first wake-up."""
TAIL_S = 3.0
WATCH_S = 0.25
SPARE = 1.5
"""Room for chance, and for sessions that take long, among modules that come and go."""
LINGERS_S = 60.0
"""How long Linux keeps the port of a connection that this side has closed (TIME_WAIT)."""
LAG_SHARE = 0.1
"""The generator may be late by this share of the tightest objective."""


@dataclass(frozen=True, slots=True)
class Job:
    """A probe, and which share of it: every `of`-th wake-up from the `index`-th on. `prefix` begins the device keys."""

    scenario: Scenario
    cloud: str
    plan: int | None
    kind: Kind
    slo: Slo
    settings: Settings
    load: float
    hold_s: float
    taking: float
    prefix: str
    index: int = 0
    of: int = 1
    phases: tuple[tuple[float, float], ...] = ()
    """Loads and seconds one after the other, instead of `load` for `hold_s`, which is then all of it."""
    outage: Outage | None = None
    """Played instead of a probe."""
    hands_out_secrets: bool | None = None
    """What an earlier probe found out about the endpoint."""

    @property
    def wake_times(self) -> NDArray[np.float64]:
        """When the modules of this share wake up, seconds from the probe's begin."""
        seed = self.scenario.seed
        if self.phases:
            return phase_times(self.kind, self.phases, seed)[self.index :: self.of]
        return wake_times(self.kind, self.load, self.hold_s, seed)[self.index :: self.of]

    @property
    def patience_s(self) -> float:
        """How long the last one is waited for."""
        return self.slo.patience_s + TAIL_S


async def run_share(job: Job, begun: Callable[[], Awaitable[float]], watch: Watch | None = None) -> dict[str, Any]:
    """Runs the share and reports it. `begun` is awaited when all is ready, and gives the zero of the wake times.

    The zero is a time of the monotonic clock, which the processes of a host share. The report is one that
    `worker_reports.Gathered` takes, with `figures`, `acknowledged`, `upgraded` and `spans` beside it.
    """
    target = await find_target(job.cloud, job.settings, job.plan, job.scenario)
    if job.hands_out_secrets is not None and target.hand_out is not None:
        target.hand_out.known = job.hands_out_secrets
    times, found = job.wake_times, Latencies()
    world = probe_world(job.scenario, job.kind, times, taking=job.taking, radio=job.settings.radio)
    fleet = LoadFleet(world.scenario, target, job.settings, found, watch=watch)
    await fleet.open(
        name=lambda number: device_key(job.prefix, job.index, number), world=world, at_once=_at_once(job, world)
    )
    takes = takes_upgrade(job.kind, len(times), job.taking).tolist()
    for module, taken in zip(fleet.engine.modules, takes, strict=True):
        module.ignores_offers = not taken
    check = SelfCheck(len(fleet.engine.settings.sources), max(MAX_LAG_S, LAG_SHARE * job.slo.tightest_s))
    try:
        zero = await begun()
        check.start()
        await _wave(job, fleet, times, zero, takes)
        opened = fleet.figures()["connections_opened"]
        health = check.look(job.of * min(opened, _at_once(job, world, LINGERS_S)))
        _unanswered(job, fleet, found)
        spans = _spans(fleet, takes, found, job.slo)
        acknowledged, upgraded = _successes(fleet)
        figures = _figures(fleet, job.hold_s)
    finally:
        await check.stop()
        await fleet.close()
    return {
        "user_count": len(times), "figures": figures, "acknowledged": acknowledged, "upgraded": upgraded,
        "spans": spans, "hands_out_secrets": target.hand_out and target.hand_out.known,
        "fotasim": {"legs": encoded_legs(found), "health": health.as_dict(), "final": True},
    }  # fmt: skip


def device_key(prefix: str, index: int, number: int) -> str:
    """The key of a share's module, by the prefix of its probe, the share and its number in it."""
    return f"{prefix}{index:02x}{number:06d}"


def _at_once(job: Job, world: World, lingers_s: float = 0.0) -> float:
    """Connections at the same time, each `lingers_s` longer than its session; inf when none ends before the probe does.

    Modules that take the upgrade stay; those that woke up by themselves go back to sleep.
    """
    awake_s = max(profile.awake_s for profile in world.fleet.profiles) / job.settings.time_scale
    there_s = awake_s + job.patience_s + lingers_s
    if job.kind.decided or there_s >= job.hold_s:
        return inf
    return ceil(SPARE * len(world.fleet.rows) * there_s / job.hold_s)


async def _wave(job: Job, fleet: LoadFleet, times: NDArray[np.float64], zero: float, takes: Sequence[bool]) -> None:
    """Wakes every module at its moment, whatever became of the others, and waits for the last ones."""
    engine = fleet.engine
    for number, at in enumerate(times.tolist()):
        engine.loop.call_at(zero + at, fleet.begin, number, zero + at)
    last = zero + float(times[-1])
    until = max(last, zero + job.hold_s) + (job.patience_s if job.kind.per_s is not None else 0.0)
    until = max(until, last + job.patience_s)
    while engine.clock() < until:
        await asyncio.sleep(WATCH_S)
        if engine.clock() > last and all(
            is_over(m, t, answers=job.slo.needs_answers) for m, t in zip(engine.modules, takes, strict=True)
        ):
            return


def is_over(module: LiveModule, takes: bool, *, answers: bool = True) -> bool:
    """Nothing more is to be measured: it is upgraded, or it was not to be and has all its answers.

    Without `answers` nobody waits for the notice.
    """
    if takes and answers:
        return module.done
    waits = (leg for leg, _ in module.waiting() if answers or leg != "notice")
    return not isnan(module.module.row.first_contact_s) and next(waits, None) is None


def _unanswered(job: Job, fleet: LoadFleet, found: Latencies) -> None:
    """What has waited longer than any objective allows, and waits still, has broken it."""
    now = fleet.engine.clock()
    for module in fleet.engine.modules:
        for leg, since in module.waiting():
            if now - since > job.slo.patience_s and (job.slo.needs_answers or leg != "notice"):
                found.add(leg, now - since)


def _spans(fleet: LoadFleet, takes: Sequence[bool], found: Latencies, slo: Slo) -> dict[str, list[tuple[float, float]]]:
    """For each span when each module was due and how long it took, seconds; what is open counts as long as it waited.

    An open span failed if it is overdue, or if the module's last word is a failed upgrade.
    """
    now = fleet.engine.clock()
    if not slo.needs_answers:
        return {"login": _logins(fleet, now)}
    spans: dict[str, list[tuple[float, float]]] = {"wake": [], "upgrade": []}
    for span, concerned in (("wake", [True] * len(takes)), ("upgrade", takes)):
        overdue_s, overdue = slo.overdue_s(span, found), 0
        for module, counts in zip(fleet.engine.modules, concerned, strict=True):
            row = module.span_so_far(span, now) if counts else None
            if row is None:
                continue
            spans[span].append(row)
            if span in module.span_s:
                continue
            if row[1] > overdue_s:
                overdue += 1
            elif span == "upgrade" and msg.UPDATE_ERROR in module.acked:
                found.fail(span, UPGRADE_FAILED)
        for _ in range(overdue - slo.by_chance(span, len(spans[span]))):
            found.fail(span, OVERDUE)
    return spans


def _logins(fleet: LoadFleet, now: float) -> list[tuple[float, float]]:
    """When each module was due and how long it took until it was logged in, or has waited so far, seconds."""
    found = []
    for module in fleet.engine.modules:
        row = module.span_so_far("wake", now)
        if row is not None:
            there_s = module.module.row.first_contact_s
            found.append((row[0], (now if isnan(there_s) else fleet.engine.real(there_s)) - row[0]))
    return found


def _figures(fleet: LoadFleet, hold_s: float) -> dict[str, float]:
    engine, counted = fleet.engine, fleet.figures()
    return {
        **engine.recorder.peaks(), "messages_sent": float(counted["messages_sent"]),
        "connections_opened": float(counted["connections_opened"]),
        "requests_per_s": engine.recorder.requests_per_s(hold_s / 2.0, hold_s),
        "upgraded": float(sum(not isnan(m.module.row.upgraded_s) for m in engine.modules)),
        "modules": float(fleet.size),
    }  # fmt: skip


def _successes(fleet: LoadFleet) -> tuple[int, int]:
    """Successes the cloud acknowledged, and modules that run the new version."""
    acknowledged = upgraded = 0
    for module in fleet.engine.modules:
        if not isnan(module.module.row.upgraded_s):
            upgraded += 1
            acknowledged += "upgrade" in module.span_s
    return acknowledged, upgraded


__all__ = ["START_S", "TAIL_S", "Job", "device_key", "is_over", "run_share"]
