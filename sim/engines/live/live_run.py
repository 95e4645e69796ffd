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
from sim.engines.live.host_limits import allow_files, sources_for
from sim.engines.live.live_cloud import Cloud, find_target, live_side
from sim.engines.live.live_engine import ABORTED, LiveEngine, Settings
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
    target = await find_target(cloud, settings, plan, scenario)
    adapted = live_side(scenario.cloud.kind).cloud(target, world, settings, plan=plan, compare=True)
    try:
        await adapted.attend(settings)
        return await _run(adapted, world, settings, watch)
    finally:
        await adapted.free()


async def _run(cloud: Cloud, world: World, settings: Settings, watch: Watch | None) -> LiveOutcome:
    allow_files(len(world.modules))
    settings = replace(settings, sources=sources_for(len(world.modules), cloud.host, settings.sources))
    engine = LiveEngine(world, cloud, settings)
    try:
        complete = await engine.run(watch)
        wall_s = engine.clock() - engine.zero
        result = await engine.compared()
        return _outcome(engine, result, complete=complete, wall_s=wall_s)
    finally:
        engine.release_signals()


def save_live(found: LiveOutcome, target: Path, *, overwrite: bool = False, command: str = "") -> Run:
    """Writes the run folder, with the latencies beside the tables, and reads it back."""
    run = save(found.outcome, target, overwrite=overwrite, command=command)
    latencies = run.path / LATENCIES_FILE
    latencies.write_text(json.dumps(found.latencies, indent=1), encoding="utf-8")
    archive.add(run.path, [latencies])
    return run


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
