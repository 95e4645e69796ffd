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
from sim.engines.virtual import VirtualEngine
from sim.engines.world import build, build_profile
from sim.module.parameters import PARAMETERS
from sim.records import Records, Run
from sim.scenario import Scenario
from sim.stats.campaigns import with_intervals
from sim.stats.summary import summarise

ENGINES = ("auto", "simpy")


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
    events: bool = False,
    replications: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Outcome:
    """Runs every replication in virtual time. `progress` gets the finished share, 0-1. Ctrl-C keeps what is there."""
    parts: list[Records] = []
    for replication in range(replications):
        done = replication / replications

        def advance(share: float, done: float = done) -> None:
            if progress is not None:
                progress(done + share / replications)

        parts.append(campaign_records(scenario, replication, events=events, progress=advance))
        if not parts[-1].complete:
            break
    return assemble(scenario, parts)


def campaign_records(
    scenario: Scenario,
    replication: int,
    *,
    engine: str = "auto",
    events: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Records:
    """The records of one replication; `engine` is one of ENGINES, `progress` gets the finished share, 0-1."""
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r}: choose from {', '.join(ENGINES)}")
    world = build(scenario, replication)
    started = time.perf_counter()
    driver = VirtualEngine(world, events=events)
    complete = driver.run(None if progress is None else lambda now: progress(now / world.horizon_s))
    found = driver.recorder.records(complete=complete, wall_s=time.perf_counter() - started)
    found.modules_left_out = world.left_out
    return found


def assemble(scenario: Scenario, parts: list[Records]) -> Outcome:
    """One outcome from the records of all replications, in their order."""
    merged = _merge(parts)
    summary = summarise(
        merged.modules, scenario=scenario.name, engine="simpy", seed=scenario.seed,
        replications=len(parts), complete=merged.complete, gates=dict(scenario.gates),
        cloud_peaks=merged.cloud_peaks, wall_s=merged.wall_s, decisions=merged.decisions,
    )  # fmt: skip
    if len(parts) > 1:
        summary = with_intervals(summary, merged.modules, [part.cloud_peaks for part in parts], merged.decisions)
    return Outcome(scenario, merged, summary, _manifest(scenario, merged, len(parts)))


def save(outcome: Outcome, target: Path) -> Run:
    """Writes the run folder and reads it back."""
    path = records.write_folder(
        target, outcome.records, scenario_yaml=outcome.scenario.to_yaml(), manifest=outcome.manifest,
        summary=outcome.summary,
    )  # fmt: skip
    return Run.load(path)


def _merge(parts: list[Records]) -> Records:
    """Replications below each other; the timeline is their mean, the peaks their largest."""
    if len(parts) == 1:
        return parts[0]
    timeline: pd.DataFrame = pd.concat([p.timeline for p in parts]).groupby(level=0).mean()
    events = [p.events.assign(replication=i) for i, p in enumerate(parts) if p.events is not None]
    return Records(
        pd.concat([p.modules for p in parts], ignore_index=True),
        timeline,
        pd.concat(events, ignore_index=True) if events else None,
        {name: max(p.cloud_peaks[name] for p in parts) for name in parts[0].cloud_peaks},
        all(p.complete for p in parts),
        sum(p.wall_s for p in parts),
        min(p.watched_s for p in parts),
        modules_left_out=parts[0].modules_left_out,
        decisions=pd.concat([p.decisions for p in parts], ignore_index=True).astype(records.DECISION_COLUMNS),
    )


def _manifest(scenario: Scenario, merged: Records, replications: int) -> dict[str, Any]:
    text = scenario.to_yaml()
    return {
        "fotasim": version(),
        "commit": _commit(),
        "engine": "simpy",
        "seed": scenario.seed,
        "replications": replications,
        "complete": merged.complete,
        "watched_s": merged.watched_s,
        "host": {
            "python": platform.python_version(),
            "system": platform.system(),
            "machine": platform.machine(),
        },
        "wall_s": merged.wall_s,
        "scenario_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "modules_left_out": merged.modules_left_out,
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
