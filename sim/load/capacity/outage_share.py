"""One worker's share of a played outage: its modules come online, lose everything at one moment, and are watched coming back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from sim.engines.live.latency import Latencies
from sim.engines.live.live_cloud import find_target
from sim.engines.live.quecthing import QuecThing
from sim.engines.live.self_check import SelfCheck
from sim.engines.live.snapshot import Watch
from sim.errors import InputError
from sim.load.capacity.outage import ONLINE_S, STEP_S, outage_world
from sim.load.capacity.probe_share import Job, device_key
from sim.load.load_fleet import LoadFleet
from sim.load.locust_workers.worker_reports import encoded_legs

LEAST_WATCHED_S = 2.0
"""Watched at least: the peak of the attempts is over."""


async def run_outage(job: Job, begun: Callable[[], Awaitable[float]], watch: Watch | None = None) -> dict[str, Any]:
    """Plays the share's part of `job.outage`; the report holds `online`, `logins` and `attempts` step by step from its end.

    `missing` are modules that were not online before it.
    """
    outage = job.outage
    assert outage is not None
    target = await find_target(job.cloud, job.settings, job.plan, job.scenario)
    world = outage_world(job.scenario, outage)
    fleet = LoadFleet(world.scenario, target, job.settings, Latencies(), watch=watch)
    await fleet.open(job.index, job.of, name=lambda number: device_key(job.prefix, job.index, number), world=world)
    for module in fleet.engine.modules:
        module.ignores_offers = True
    check = SelfCheck(len(fleet.engine.settings.sources))
    try:
        zero = await begun()
        check.start()
        seen = await _played(job, fleet, zero)
        health = check.look(fleet.figures()["connections_opened"])
    finally:
        await check.stop()
        await fleet.close()
    return {
        "user_count": len(fleet.engine.modules), **seen,
        "fotasim": {"legs": encoded_legs(fleet.latencies), "health": health.as_dict(), "final": True},
    }  # fmt: skip


async def _played(job: Job, fleet: LoadFleet, zero: float) -> dict[str, Any]:
    outage, engine, cloud = job.outage, fleet.engine, fleet.engine.cloud
    assert outage is not None
    if not isinstance(cloud, QuecThing):
        raise InputError("--outage: modules that poll keep no connection that could be lost; see polling_time")
    for number, at in enumerate(
        (zero + outage.ramp_s * np.arange(job.index, outage.modules, job.of) / outage.modules).tolist()
    ):
        engine.loop.call_at(at, fleet.begin, number, at)
    lost_at = zero + outage.ramp_s + ONLINE_S
    await asyncio.sleep(lost_at - engine.clock())
    missing = len(engine.modules) - engine.recorder.under_way[0]
    cloud.links.cut()
    await asyncio.sleep(max(0.0, lost_at + outage.outage_s - engine.clock()))
    before, dialled = fleet.latencies.count("login"), engine.recorder.dials
    cloud.links.away = False
    end = engine.clock()
    rows: list[tuple[int, int, int]] = []
    while len(rows) * STEP_S < outage.watch_s:
        await asyncio.sleep(max(0.0, end + len(rows) * STEP_S - engine.clock()))
        online = engine.recorder.under_way[0]
        rows.append((online, fleet.latencies.count("login") - before, engine.recorder.dials - dialled))
        if online == len(engine.modules) and len(rows) * STEP_S > LEAST_WATCHED_S:
            break
    seen = {name: [row[column] for row in rows] for column, name in enumerate(("online", "logins", "attempts"))}
    return {**seen, "missing": missing}


__all__ = ["run_outage"]
