"""Runs a scenario: build the world, drive it, write the run folder and its report."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from sim import records
from sim.engines import compile_ahead, run_inputs
from sim.engines.plugin_results import results_of
from sim.engines.run_inputs import InputFile
from sim.engines.world.build import World, build, build_profile
from sim.errors import EngineUnavailable, InputError, because
from sim.module.parameters import PARAMETERS
from sim.plugins import load
from sim.records import Records, Run
from sim.scenario import Scenario
from sim.stats.campaigns import with_intervals
from sim.stats.judging import Beside, columns_of
from sim.stats.summary import SUMMARY_COLUMNS, summarise
from sim.version import version

ENGINES = ("auto", "simpy", "compiled")


@dataclass(slots=True)
class Outcome:
    """What `simulate` gives back: the tables and their summary, nothing written yet."""

    scenario: Scenario
    records: Records
    summary: dict[str, Any]
    manifest: dict[str, Any]
    inputs: dict[Path, InputFile] = field(default_factory=dict)


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

        parts.append(
            campaign_records(
                scenario, replication, engine=engine, events=events, progress=advance, tell=tell, plugins=True
            )
        )
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
    plugins: bool = False,
) -> Records:
    """The records of one replication; `engine` is one of ENGINES, `progress` gets the finished share, 0-1.

    `plugins` says that the caller keeps what plug-ins make of it; otherwise a scenario that has some is refused.
    """
    name, driver = driver_of(lambda: build(scenario, replication, plugins=plugins), engine, events=events, tell=tell)
    horizon_s = driver.world.horizon_s
    started = time.perf_counter()
    complete = driver.run(None if progress is None else lambda now: progress(now / horizon_s))
    found = driver.records(complete=complete, wall_s=time.perf_counter() - started)
    found.engine, found.modules_left_out = name, driver.world.left_out
    return found


class VirtualDriver(Protocol):
    """An engine that carries one world through virtual time."""

    world: World

    def run(self, progress: Callable[[float], None] | None = None) -> bool:
        """Runs to the horizon; False when interrupted. `progress` gets the virtual time."""

    def records(self, *, complete: bool, wall_s: float) -> Records:
        """The tables of the run."""


def driver_of(
    make_world: Callable[[], World],
    engine: str = "auto",
    *,
    events: bool | str = False,
    tell: Callable[[str], None] | None = None,
) -> tuple[str, VirtualDriver]:
    """The name of the engine and a driver of the world; `auto` takes the one that is done first.

    That is the compiled one, unless it has yet to be compiled and SimPy is through with this world before.
    `make_world` is called again when the compiled engine has to give way. `tell` gets a line when a first use compiles, or
    when `auto` falls back and why; `compiled` raises EngineUnavailable instead.
    """
    world = make_world()
    plugged = [entry.name for entry in world.scenario.plugins if entry.drives]
    if plugged:
        return "simpy", _plugged(engine, plugged, tell)(world, events=events)
    waits = engine == "auto" and not _compiled_is_near()
    if waits and compile_ahead.simpy_s(world.scenario, len(world.fleet.rows)) < compile_ahead.expected_s():
        if compile_ahead.start() and tell is not None:
            tell("SimPy runs this one; the compiled engine is made ready in the background, for later runs")
        engine = "simpy"
    name, make = driver_for(engine, tell)
    try:
        return name, make(world, events=events)
    except EngineUnavailable as error:  # this plan's rows have a layout of their own, which had to be compiled
        name, make = _given_way(engine, error, tell)
        return name, make(make_world(), events=events)


def driver_for(engine: str, tell: Callable[[str], None] | None = None) -> tuple[str, Callable[..., VirtualDriver]]:
    """The name and class of the engine asked for, ready to run; otherwise as `driver_of`."""
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r}: choose from {', '.join(ENGINES)}")
    if engine == "simpy":
        return _simpy()
    try:
        return "compiled", _compiled_engine(tell)
    except EngineUnavailable as error:
        return _given_way(engine, error, tell)


_unavailable: list[EngineUnavailable] = []
"""Why the compiled engine cannot run, once this process knows: it is not tried again, nor told again."""


def _compiled_engine(tell: Callable[[str], None] | None) -> Callable[..., VirtualDriver]:
    if _unavailable:
        raise _unavailable[0]
    try:
        import sim.engines.compiled.compiled_engine as compiled_engine  # noqa: PLR0402 - fails where the module does

        if not _compiled_is_near():
            _compile(compiled_engine, tell)
        compiled_engine.prepare()
    except EngineUnavailable:
        raise
    except Exception as error:  # Numba, or what it needs, may be missing, broken or of another time
        raise EngineUnavailable(because(error)) from error
    return compiled_engine.CompiledEngine


def _compiled_is_near() -> bool:
    """Whether the compiled engine can run without waiting for the compiler, or is known not to run at all."""
    if _unavailable:
        return True
    try:
        import sim.engines.compiled.compiled_engine as compiled_engine  # noqa: PLR0402 - fails where the module does

        return bool(compiled_engine._COMPILED) or compiled_engine.is_kept()
    except Exception:  # whatever is wrong with it, asking for the engine finds out and tells
        return True


def _compile(compiled_engine: Any, tell: Callable[[str], None] | None) -> None:
    """Compiles, or waits for the process that does; tells how long it will take."""
    if tell is not None:
        other = compile_ahead.running()
        who = "" if other is None else f" (process {other} is at it)"
        tell(f"compiling the engine, once after each installation: about {compile_ahead.expected_s():.0f} s{who}")
    with compile_ahead.alone():
        if compiled_engine.is_kept():  # the other process has done it
            return
        began = time.process_time()
        compiled_engine.prepare()
        compile_ahead.note_time(time.process_time() - began)


def _given_way(
    engine: str, error: EngineUnavailable, tell: Callable[[str], None] | None
) -> tuple[str, Callable[..., VirtualDriver]]:
    """SimPy in the place of the compiled engine, told once; where the compiled one was asked for by name, an error."""
    if engine == "compiled":
        raise error
    if not _unavailable:
        _unavailable.append(error)
        if tell is not None:
            tell(f"{error}; SimPy takes its place, with the same results, more slowly")
    return _simpy()


def _plugged(engine: str, names: Sequence[str], tell: Callable[[str], None] | None) -> Callable[..., VirtualDriver]:
    """SimPy for a scenario with plug-ins that are asked during the run; InputError where the compiled engine is asked for."""
    from sim.engines.reference.plugged_engine import PluggedEngine

    why = f"the compiled engine cannot call plug-in {', '.join(names)}, which is Python code"
    if engine == "compiled":
        raise InputError(f"--engine compiled: {why}; use auto or simpy")
    if engine == "auto" and tell is not None:
        tell(f"SimPy runs this one: {why}")
    return PluggedEngine


def _simpy() -> tuple[str, Callable[..., VirtualDriver]]:
    from sim.engines.reference.simpy_engine import SimpyEngine

    return "simpy", SimpyEngine


def assemble(scenario: Scenario, parts: list[Records], live: Beside | None = None) -> Outcome:
    """One outcome from the records of all replications, in their order; `live` is what only a live run's verdict rests on."""
    merged = _merge(parts)
    peaks = [part.cloud_peaks for part in parts]
    summary = summary_of(scenario, merged, peaks, live, results_of(scenario, merged) if scenario.plugins else ())
    inputs = run_inputs.inputs_of(scenario)
    manifest = {**_manifest(scenario, merged, len(parts), inputs), "cloud_peaks": peaks}
    return Outcome(scenario, merged, summary, manifest, inputs)


def summary_of(
    scenario: Scenario, merged: Records, peaks: list[dict[str, float]], live: Beside | None = None,
    plugins: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:  # fmt: skip
    """The figures of all replications; `peaks` are those of the cloud for each of them, `plugins` results of plug-ins."""
    gates = dict(scenario.gates)
    known: dict[str, Any] = {
        "watched_s": merged.watched_s, "components": tuple(c.component for c in scenario.plan.components),
        "plugins": plugins,
    }  # fmt: skip
    summary = summarise(
        merged.table.frame([*SUMMARY_COLUMNS, *columns_of(gates)]), scenario=scenario.name, engine=merged.engine, seed=scenario.seed,
        replications=len(peaks), complete=merged.complete, gates=gates,
        cloud_peaks=merged.cloud_peaks, wall_s=merged.wall_s, decisions=merged.decisions, live=live, **known,
    )  # fmt: skip
    if len(peaks) > 1:
        summary = with_intervals(summary, merged.modules, peaks, merged.decisions, gates=gates, **known)
    return {**summary, "plugins": list(plugins)} if plugins else summary


def save(outcome: Outcome, target: Path, *, overwrite: bool = False, command: str = "") -> Run:
    """Writes the run folder and reads it back; see `write`."""
    return Run.load(write(outcome, target, overwrite=overwrite, command=command))


def write(outcome: Outcome, target: Path, *, overwrite: bool = False, command: str = "") -> Path:
    """Writes the run folder, tables block by block, and returns it; `command` is what was typed to make it.

    FolderInUse when it holds something; with `overwrite` a run that was there is replaced.
    """
    copied = {found.copy: path for path, found in outcome.inputs.items() if found.copy}
    return records.write_folder(
        target, outcome.records, scenario_yaml=run_inputs.scenario_text(outcome.scenario, outcome.inputs), manifest={**outcome.manifest, "command": command},
        summary=outcome.summary, copied=copied, overwrite=overwrite,
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


def provenance(scenario: Scenario, inputs: dict[Path, InputFile] | None = None) -> dict[str, Any]:
    """Where a result comes from: version, commit, host, time, seed, the scenario's hash and the files it names."""
    inputs = run_inputs.inputs_of(scenario) if inputs is None else inputs
    return {
        "kind": "run",
        **host_provenance(),
        "seed": scenario.seed,
        "scenario_sha256": hashlib.sha256(run_inputs.scenario_text(scenario, inputs).encode()).hexdigest(),
        "inputs": run_inputs.plain(inputs),
    }


def host_provenance() -> dict[str, Any]:
    """Version, commit, host and time: what every result names, whatever it is of."""
    host = {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()}
    return {"made_at": _now(), "fotasim": version(), "commit": _commit(), "host": host}


def _now() -> str:
    """The time of making in UTC, to the second; SOURCE_DATE_EPOCH fixes it, as reproducible builds do."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    made = datetime.fromtimestamp(int(given), UTC) if given.isdigit() else datetime.now(UTC)
    return made.strftime("%Y-%m-%dT%H:%M:%SZ")


def _manifest(
    scenario: Scenario, merged: Records, replications: int, inputs: dict[Path, InputFile]
) -> dict[str, Any]:  # fmt: skip
    return {
        **provenance(scenario, inputs),
        "engine": merged.engine,
        "replications": replications,
        "complete": merged.complete,
        "watched_s": merged.watched_s,
        "wall_s": merged.wall_s,
        "modules_left_out": merged.modules_left_out,
        "losses": [loss.model_dump() for loss in scenario.plan.strategy.losses],
        "scenario": run_inputs.with_copies(scenario.model_dump(mode="json"), inputs),
        "parameters": parameters_of(scenario),
        **({"plugins": [plugin.provenance() for plugin in load(scenario.plugins)]} if scenario.plugins else {}),  # type: ignore[arg-type]
    }


def parameters_of(scenario: Scenario) -> list[dict[str, Any]]:
    """Every parameter in force, per group where groups differ, with its provenance."""
    profiles = {g.name: build_profile(scenario, g, (0, 0)) for g in scenario.fleet.groups}
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
