"""Runs a scenario live: finds the cloud, drives the fleet, lays both sides' counts together, leaves the same records."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any

from sim import messages as msg
from sim.cloud import execution as ex
from sim.engines.live.api import CloudApi
from sim.engines.live.engine import LiveEngine, Settings, Watch
from sim.engines.live.host import allow_files, sources_for
from sim.engines.live.reconcile import ModuleBooks, Reconciliation, reconcile
from sim.engines.live.target import TOKEN, Target, checked_url, target_of
from sim.engines.run import Outcome, assemble, save
from sim.engines.world import World, build
from sim.errors import FotasimError
from sim.module import battery
from sim.module.machine import Module
from sim.records import Run
from sim.scenario import Scenario

LATENCIES_FILE = "latencies.json"


@dataclass(slots=True)
class LiveOutcome:
    """What a live run leaves: an outcome like a simulation's, latencies and the reconciliation."""

    outcome: Outcome
    latencies: dict[str, dict[str, Any]]
    reconciliation: Reconciliation


def run_live(
    scenario: Scenario, cloud: str, settings: Settings, *, plan: int | None = None, watch: Watch | None = None
) -> LiveOutcome:
    """Runs the scenario's fleet against the cloud at an http(s) or mqtt(s) URL, on uvloop where it is installed."""
    with _calm_collector(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(live(scenario, cloud, settings, plan=plan, watch=watch))


@contextmanager
def _calm_collector() -> Iterator[None]:
    """A fleet lives as long as its run: looking through it for garbage again and again costs a seventh of the time."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _loop_factory() -> Any:
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
    api, target = await _find(cloud, settings, plan)
    try:
        allow_files(len(world.modules))
        sources = sources_for(len(world.modules), target.host, settings.sources)
        settings = replace(settings, sources=sources)
        before = await _devices(api, target.plan)
        engine = LiveEngine(world, target, settings)
        complete = await engine.run(watch, api)
        wall_s = engine.clock() - engine.zero
        result = await _reconcile(engine, api, before)
    finally:
        if api is not None:
            await api.close()
    return _outcome(engine, result, complete=complete, wall_s=wall_s)


def save_live(found: LiveOutcome, target: Path) -> Run:
    """Writes the run folder, with the latencies beside the tables, and reads it back."""
    run = save(found.outcome, target)
    (run.path / LATENCIES_FILE).write_text(json.dumps(found.latencies, indent=1), encoding="utf-8")
    return run


async def _find(cloud: str, settings: Settings, plan: int | None) -> tuple[CloudApi | None, Target]:
    """The target behind a URL; an http(s) one is asked where its MQTT endpoint is."""
    url = checked_url(cloud, ("http", "https", "mqtt", "mqtts"))
    assert url.hostname is not None
    settings.limits.check(url.hostname)
    if url.scheme.startswith("mqtt"):
        found: dict[str, Any] = {} if plan is None else {"plan": plan}
        return None, target_of(cloud, api=None, found=found, limits=settings.limits)
    api = CloudApi(cloud, os.environ.get(TOKEN, ""))
    try:
        found = await api.live(plan)
        return api, target_of(str(found.get("mqtt", "")), api=cloud, found=found, limits=settings.limits)
    except BaseException:
        await api.close()
        raise


async def _devices(api: CloudApi | None, plan: int | None) -> dict[str, dict[str, Any]]:
    return {} if api is None or plan is None else await api.devices(plan)


async def _reconcile(
    engine: LiveEngine, api: CloudApi | None, before: Mapping[str, Mapping[str, Any]]
) -> Reconciliation:
    """Asks the cloud what became of each module, takes it into the world's books and compares."""
    for module in engine.modules:
        execution = engine.world.center.executions[module.module.row.index]
        _mirror(execution, module.acked, module.module.row)
        execution.unmet = _unmet(engine.world, module.module, engine.recorder.end_s)
    if api is None or engine.target.plan is None:
        return Reconciliation(note="not possible: the cloud's API or its plan is not known")
    try:
        cloud = await api.devices(engine.target.plan)
    except FotasimError as error:
        return Reconciliation(note=f"not possible: {error}")
    _adopt(engine.world, cloud)
    for name, device in cloud.items():
        if "reports" in device:
            device["reports"] -= before.get(name, {}).get("reports", 0)
    return reconcile({m.module.name: _books(m) for m in engine.modules}, cloud)


def _books(module: Any) -> ModuleBooks:
    row = module.module.row
    return ModuleBooks(
        connected=not isnan(row.first_contact_s),
        success_acknowledged=msg.UPDATE_SUCCESS in module.acked and not isnan(row.upgraded_s),
        upgraded=not isnan(row.upgraded_s),
        statuses_sent=module.sent_statuses,
        statuses_acknowledged=module.acknowledged_statuses,
    )


def _unmet(world: World, module: Module, now: float) -> int:
    """The limit for which the cloud defers a module that it has heard of, by what the module would report now."""
    row, wanted = module.row, world.center.plan.settings
    if not wanted.checked_by_cloud or isnan(row.first_contact_s):
        return msg.MET
    return msg.unmet(
        battery.gauge_percent(row, module.profile, now), row.rsrp_dbm, row.free_bytes, wanted.min_battery_percent,
        wanted.min_rsrp_dbm, wanted.needed_bytes,
    )  # fmt: skip


_STATE_AFTER = {
    msg.PLAN_RECEIVED: ex.NOTIFIED, msg.SUBMITTED: ex.CONFIRMED, msg.REFUSED: ex.QUEUED,
    msg.DOWNLOAD_START: ex.DOWNLOADING, msg.DOWNLOADING: ex.DOWNLOADING, msg.DOWNLOAD_ERROR: ex.CONFIRMED,
    msg.DOWNLOADED: ex.DOWNLOADED, msg.UPDATING: ex.UPDATING, msg.UPDATE_SUCCESS: ex.UPDATING,
    msg.UPDATE_ERROR: ex.CONFIRMED,
}  # fmt: skip
"""What the cloud must believe after each acknowledged status, when it cannot be asked."""


def _mirror(execution: ex.Execution, acked: Mapping[int, float], row: Any) -> None:
    """The execution as the acknowledged reports tell it."""
    if acked:
        execution.state = _STATE_AFTER[max(acked, key=lambda status: acked[status])]
    if msg.UPDATE_SUCCESS in acked and not isnan(row.upgraded_s):
        execution.state, execution.reported_s = ex.SUCCEEDED, acked[msg.UPDATE_SUCCESS]


def _adopt(world: World, cloud: Mapping[str, Mapping[str, Any]]) -> None:
    """The cloud's own word on each execution."""
    for module in world.modules:
        device = cloud.get(module.name)
        if device is None:
            continue
        execution = world.center.executions[module.row.index]
        if device.get("state") in ex.STATE_NAMES:
            execution.state = ex.STATE_NAMES.index(str(device["state"]))
        if device.get("reason") in ex.REASON_NAMES:
            execution.reason = ex.REASON_NAMES.index(str(device["reason"]))
        execution.attempts = int(device.get("attempts", 0))


def _outcome(engine: LiveEngine, result: Reconciliation, *, complete: bool, wall_s: float) -> LiveOutcome:
    records = engine.recorder.records(complete=complete, wall_s=wall_s)
    records.engine, records.modules_left_out = "live", engine.world.left_out
    outcome = assemble(engine.world.scenario, [records])
    outcome.manifest["live"] = {
        "target": f"{engine.target.host}:{engine.target.port}", "plan": engine.target.plan,
        "time_scale": engine.settings.time_scale, "ramp_per_s": engine.settings.ramp_per_s,
        "radio": engine.settings.radio, **engine.figures(), "reconciliation": result.as_dict(),
    }  # fmt: skip
    return LiveOutcome(outcome, engine.latencies.table(), result)
