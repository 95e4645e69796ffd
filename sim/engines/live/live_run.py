"""Runs a scenario live: finds the cloud, drives the fleet, lays both sides' counts together, leaves the same records."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sim import archive
from sim.engines.live.api import CloudApi
from sim.engines.live.cloud_adapter import Cloud
from sim.engines.live.host_limits import allow_files, sources_for
from sim.engines.live.live_engine import ABORTED, LiveEngine, Settings
from sim.engines.live.live_target import Target, checked_url, target_of
from sim.engines.live.quecthing import QuecThing
from sim.engines.live.reconciliation import Reconciliation
from sim.engines.live.snapshot import Watch
from sim.engines.run import Outcome, assemble, save
from sim.engines.world.build import World, build
from sim.records import Run
from sim.scenario import Scenario
from sim.stats.judging import Beside

LATENCIES_FILE = "latencies.json"


@dataclass(slots=True)
class LiveOutcome:
    """What a live run leaves: an outcome like a simulation's, latencies and the reconciliation."""

    outcome: Outcome
    latencies: dict[str, dict[str, Any]]
    reconciliation: Reconciliation
    ended_by: str = ""
    """Why it ended before its time: SIGINT, SIGTERM, objectives that were broken, an error inside fotasim."""
    surprises: tuple[Exception, ...] = ()
    """Errors inside fotasim, each of which ended a connection, or the run."""


def run_live(
    scenario: Scenario, cloud: str, settings: Settings, *, plan: int | None = None, watch: Watch | None = None
) -> LiveOutcome:
    """Runs the scenario's fleet against the cloud at an http(s) or mqtt(s) URL, on uvloop where it is installed."""
    with calm_collector(), asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(live(scenario, cloud, settings, plan=plan, watch=watch))


@contextmanager
def calm_collector() -> Iterator[None]:
    """A fleet lives as long as its run: looking through it for garbage again and again costs a seventh of the time."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def loop_factory() -> Any:
    """uvloop's event loop where it is installed, None for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def live(
    scenario: Scenario, cloud: str, settings: Settings, *, plan: int | None = None, watch: Watch | None = None
) -> LiveOutcome:
    """`run_live` for callers that have an event loop."""
    world = build(scenario)
    if scenario.cloud.kind == "ddi":
        return await _run(_ddi(scenario, world, cloud, settings, plan), world, settings, watch)
    api, target = await _find(cloud, settings, plan)
    try:
        return await _run(QuecThing(target, api, world), world, settings, watch)
    finally:
        if api is not None:
            await api.close()


def _ddi(scenario: Scenario, world: World, cloud: str, settings: Settings, plan: int | None) -> Cloud:
    from sim.engines.live.ddi.ddi_cloud import Ddi
    from sim.engines.live.ddi.ddi_target import ddi_target

    section = scenario.cloud
    return Ddi(ddi_target(cloud, section.tenant, section.server or "", settings.limits), world, plan)


async def _run(cloud: Cloud, world: World, settings: Settings, watch: Watch | None) -> LiveOutcome:
    allow_files(len(world.modules))
    settings = replace(settings, sources=sources_for(len(world.modules), cloud.host, settings.sources))
    engine = LiveEngine(world, cloud, settings)
    complete = await engine.run(watch)
    wall_s = engine.clock() - engine.zero
    result = await cloud.reconcile(engine)
    return _outcome(engine, result, complete=complete, wall_s=wall_s)


def save_live(found: LiveOutcome, target: Path, *, overwrite: bool = False, command: str = "") -> Run:
    """Writes the run folder, with the latencies beside the tables, and reads it back."""
    run = save(found.outcome, target, overwrite=overwrite, command=command)
    latencies = run.path / LATENCIES_FILE
    latencies.write_text(json.dumps(found.latencies, indent=1), encoding="utf-8")
    archive.add(run.path, [latencies])
    return run


async def _find(cloud: str, settings: Settings, plan: int | None) -> tuple[CloudApi | None, Target]:
    """The target behind a URL; an http(s) one is asked where its MQTT endpoint is."""
    url = checked_url(cloud, ("http", "https", "mqtt", "mqtts"))
    assert url.hostname is not None
    settings.limits.check(url.hostname)
    if url.scheme.startswith("mqtt"):
        found: dict[str, Any] = {} if plan is None else {"plan": plan}
        return None, target_of(cloud, api=None, found=found, limits=settings.limits)
    api = CloudApi.from_environment(cloud, settings.ca_file)
    try:
        found = await api.live(plan)
        await api.reset(found.get("product_id"))
        return api, target_of(str(found.get("mqtt", "")), api=cloud, found=found, limits=settings.limits)
    except BaseException:
        await api.close()
        raise


def _outcome(engine: LiveEngine, result: Reconciliation, *, complete: bool, wall_s: float) -> LiveOutcome:
    records = engine.recorder.records(complete=complete, wall_s=wall_s)
    records.engine, records.modules_left_out = "live", engine.world.left_out
    told = {
        "target": f"{engine.cloud.host}:{engine.cloud.port}", "plan": engine.cloud.plan,
        "time_scale": engine.settings.time_scale, "ramp_per_s": engine.settings.ramp_per_s,
        "radio": engine.settings.radio, **engine.figures(), "reconciliation": result.as_dict(), "aborted": engine.ended_by.startswith(ABORTED),
    }  # fmt: skip
    outcome = assemble(engine.world.scenario, [records], Beside.of(told))
    outcome.manifest["live"] = told
    return LiveOutcome(outcome, engine.latencies.table(), result, engine.ended_by, tuple(engine.surprises))
