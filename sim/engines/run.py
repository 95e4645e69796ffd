"""Runs a scenario: build the world, drive it, write the run folder and its report."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from sim import records
from sim.engines.world.build import build, build_profile
from sim.errors import FotasimError
from sim.module.parameters import PARAMETERS
from sim.records import Records, Run
from sim.scenario import Scenario
from sim.stats.campaigns import with_intervals
from sim.stats.summary import SUMMARY_COLUMNS, summarise

ENGINES = ("auto", "simpy", "compiled")


@dataclass(slots=True)
class Outcome:
    """What `simulate` gives back: the tables and their summary, nothing written yet."""

    scenario: Scenario
    records: Records
    summary: dict[str, Any]
    manifest: dict[str, Any]


def simulate(
    scenario: Scenario,
    *,
    engine: str = "auto",
    events: bool | str = False,
    replications: int = 1,
    progress: Callable[[float], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Outcome:
    """Runs every replication in virtual time. `progress` gets the finished share, 0-1. Ctrl-C keeps what is there.

    `events` records every event, or those of a sample: a number of modules such as "1000", a share such as "1%".
    `engine` is one of ENGINES; `tell` gets a line when a first use compiles, or when auto falls back and why.
    """
    parts: list[Records] = []
    for replication in range(replications):
        done = replication / replications

        def advance(share: float, done: float = done) -> None:
            if progress is not None:
                progress(done + share / replications)

        parts.append(campaign_records(scenario, replication, engine=engine, events=events, progress=advance, tell=tell))
        if not parts[-1].complete:
            break
    return assemble(scenario, parts)


def campaign_records(
    scenario: Scenario,
    replication: int,
    *,
    engine: str = "auto",
    events: bool | str = False,
    progress: Callable[[float], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Records:
    """The records of one replication; `engine` is one of ENGINES, `progress` gets the finished share, 0-1."""
    name, make = driver_for(engine, tell)
    world = build(scenario, replication)
    driver = make(world, events=events)
    started = time.perf_counter()
    complete = driver.run(None if progress is None else lambda now: progress(now / world.horizon_s))
    found: Records = driver.records(complete=complete, wall_s=time.perf_counter() - started)
    found.engine, found.modules_left_out = name, world.left_out
    return found


def driver_for(engine: str, tell: Callable[[str], None] | None = None) -> tuple[str, Callable[..., Any]]:
    """The name and class of the engine asked for; auto takes the compiled one wherever it can run."""
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r}: choose from {', '.join(ENGINES)}")
    if engine != "simpy":
        try:
            from sim.engines.compiled.compiled_engine import CompiledEngine, prepare

            prepare(tell)
            return "compiled", CompiledEngine
        except ImportError as error:
            if engine == "compiled":
                raise FotasimError(f"the compiled engine cannot run: {error}") from None
            if tell is not None:
                tell(f"the compiled engine cannot run ({error}); SimPy takes its place")
    from sim.engines.reference.simpy_engine import VirtualEngine

    return "simpy", VirtualEngine


def assemble(scenario: Scenario, parts: list[Records]) -> Outcome:
    """One outcome from the records of all replications, in their order."""
    merged = _merge(parts)
    summary = summarise(
        merged.table.frame(SUMMARY_COLUMNS), scenario=scenario.name, engine=merged.engine, seed=scenario.seed,
        replications=len(parts), complete=merged.complete, gates=dict(scenario.gates),
        cloud_peaks=merged.cloud_peaks, wall_s=merged.wall_s, decisions=merged.decisions,
    )  # fmt: skip
    if len(parts) > 1:
        summary = with_intervals(summary, merged.modules, [part.cloud_peaks for part in parts], merged.decisions)
    return Outcome(scenario, merged, summary, _manifest(scenario, merged, len(parts)))


def save(outcome: Outcome, target: Path) -> Run:
    """Writes the run folder and reads it back."""
    return Run.load(write(outcome, target))


def write(outcome: Outcome, target: Path) -> Path:
    """Writes the run folder, tables block by block, and returns it."""
    return records.write_folder(
        target, outcome.records, scenario_yaml=outcome.scenario.to_yaml(), manifest=outcome.manifest,
        summary=outcome.summary,
    )  # fmt: skip


def _merge(parts: list[Records]) -> Records:
    """Replications below each other; the timeline is their mean, the peaks their largest."""
    if len(parts) == 1:
        return parts[0]
    timeline: pd.DataFrame = pd.concat([p.timeline for p in parts]).groupby(level=0).mean()
    events = [p.events.assign(replication=i) for i, p in enumerate(parts) if p.happened is not None]  # type: ignore[union-attr]
    return Records(
        records.WholeTable(pd.concat([p.modules for p in parts], ignore_index=True)),
        timeline,
        records.WholeTable(pd.concat(events, ignore_index=True)) if events else None,
        {name: max(p.cloud_peaks[name] for p in parts) for name in parts[0].cloud_peaks},
        all(p.complete for p in parts),
        sum(p.wall_s for p in parts),
        min(p.watched_s for p in parts),
        modules_left_out=parts[0].modules_left_out,
        engine=parts[0].engine,
        decisions=pd.concat([p.decisions for p in parts], ignore_index=True).astype(records.DECISION_COLUMNS),
    )


def provenance(scenario: Scenario) -> dict[str, Any]:
    """Where a result comes from: version, commit, host, seed and the scenario's hash."""
    return {
        "kind": "run",
        "fotasim": version(),
        "commit": _commit(),
        "seed": scenario.seed,
        "host": {
            "python": platform.python_version(),
            "system": platform.system(),
            "machine": platform.machine(),
        },
        "scenario_sha256": hashlib.sha256(scenario.to_yaml().encode()).hexdigest(),
    }


def _manifest(scenario: Scenario, merged: Records, replications: int) -> dict[str, Any]:
    return {
        **provenance(scenario),
        "engine": merged.engine,
        "replications": replications,
        "complete": merged.complete,
        "watched_s": merged.watched_s,
        "wall_s": merged.wall_s,
        "modules_left_out": merged.modules_left_out,
        "losses": [loss.model_dump() for loss in scenario.plan.strategy.losses],
        "scenario": scenario.model_dump(mode="json"),
        "parameters": _parameters(scenario),
    }


def _parameters(scenario: Scenario) -> list[dict[str, Any]]:
    """Every parameter in force, per group where groups differ, with its provenance."""
    profiles = {g.name: build_profile(scenario, g, (0, 0), ("",)) for g in scenario.fleet.groups}
    listed = []
    for row in PARAMETERS.values():
        values = {name: float(getattr(profile, row.name)) for name, profile in profiles.items()}
        distinct = set(values.values())
        listed.append({
            "name": row.name, "section": row.section, "value": next(iter(values.values())),
            "by_group": values if len(distinct) > 1 else None, "default": row.default, "unit": row.unit,
            "provenance": row.provenance, "source": row.source, "meaning": row.meaning, "low": row.low,
            "high": row.high,
        })  # fmt: skip
    return listed


def version() -> str:
    """Version of the installed package."""
    try:
        return metadata.version("fotasim")
    except metadata.PackageNotFoundError:
        return "unknown"


def _commit() -> str:
    """The commit this code is at, when it runs from a checkout; else empty."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
