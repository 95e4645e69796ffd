"""A study made again from its folder, to say whether it repeats, and what changed where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sim.engines.verification import Again, changes_since, compared_tables
from sim.errors import EngineUnavailable, RecordsError
from sim.records import KINDS, read_manifest
from sim.scenario import Scenario
from sim.study.compare import compare
from sim.study.sensitivity import sensitivity
from sim.study.study_folders import load_sensitivity, load_sweep, load_tuning
from sim.study.sweep import sweep
from sim.study.tune import tune

Tables = dict[str, pd.DataFrame]


def study_made_again(folder: Path) -> Again:
    """Runs the study of a folder again with the engine of then; where that is not to be had here with SimPy, and says so."""
    manifest = read_manifest(folder)
    again = {"comparison": _comparison, "sweep": _sweep, "tune": _tune, "sensitivity": _sensitivity}[manifest["kind"]]
    engines = list(manifest.get("engines", ()))
    engine = engines[0] if len(engines) == 1 else "auto"
    first = folder / (manifest.get("sources") or ["scenario.yaml"])[0]
    if not first.is_file() or "options" not in manifest:
        raise RecordsError(
            f"{folder}: this {KINDS[manifest['kind']]} cannot be made again: its folder lacks what it was made from"
        )
    changed = changes_since(manifest, Scenario.load(first))
    try:
        tables = again(folder, manifest, engine)
    except EngineUnavailable as error:
        changed.append(f"engine: {engine}, here simpy ({error})")
        tables = again(folder, manifest, "simpy")
    differs = [text for name, table in tables.items() for text in _apart(folder / f"{name}.parquet", table)]
    return Again(differs, changed)


def _apart(path: Path, now: pd.DataFrame) -> list[str]:
    """What a table holds otherwise, the first cell of it."""
    was = pd.read_parquet(path)
    _, findings = compared_tables(path.name, was[[c for c in was if c in now]], now[[c for c in was if c in now]])
    more = f" and {len(findings) - 1:,} more" if len(findings) > 1 else ""
    return [f"{findings[0].file}: {findings[0].what}{more}"] if findings else []


def _comparison(folder: Path, manifest: dict[str, Any], engine: str) -> Tables:
    sides: dict[str, Any] = {}
    for side, source in zip(manifest["sides"], manifest["sources"], strict=True):
        if side.get("run"):
            raise RecordsError(
                f"{folder}: a comparison of run folders is made again with `fotasim compare` and these folders"
            )
        sides[side["name"]] = Scenario.load(folder / source)
    metrics = list(dict.fromkeys(pd.read_parquet(folder / "differences.parquet")["metric"]))
    result = compare(sides, replications=_replications(manifest["options"]), metrics=metrics, engine=engine)
    return {"differences": result.table, "campaigns": result.frame}


def _sweep(folder: Path, manifest: dict[str, Any], engine: str) -> Tables:
    known, given = load_sweep(folder), manifest["options"]
    points = _option(given, "--points")
    result = sweep(
        Scenario.load(folder / "scenario.yaml"), known.axes, design=_option(given, "--design") or "grid",
        points=None if points is None else int(points), replications=known.replications, engine=engine,
    )  # fmt: skip
    return {"sweep": result.frame}


def _tune(folder: Path, manifest: dict[str, Any], engine: str) -> Tables:
    known, given = load_tuning(folder), manifest["options"]
    result = tune(
        [Scenario.load(folder / source) for source in manifest["sources"]], known.axes,
        minimise=[o.text for o in known.objectives if o.sign > 0], maximise=[o.text for o in known.objectives if o.sign < 0],
        subject_to=[c.text for c in known.constraints], trials=int(_option(given, "--trials") or 0),
        replications=_replications(given), final_replications=int(_option(given, "--final-replications") or 0), engine=engine,
    )  # fmt: skip
    return {"trials": result.trials, "finalists": result.table}


def _sensitivity(folder: Path, manifest: dict[str, Any], engine: str) -> Tables:
    known = load_sensitivity(folder)
    samples = _option(manifest["options"], "--samples")
    result = sensitivity(
        Scenario.load(folder / "scenario.yaml"), known.metric, method=known.method, inputs=[i.text for i in known.inputs],
        samples=None if samples is None else int(samples), replications=known.replications, engine=engine,
    )  # fmt: skip
    return {"inputs": result.table, "samples": result.samples}


def _option(given: Sequence[str], name: str) -> str | None:
    return given[list(given).index(name) + 1] if name in given else None


def _replications(given: Sequence[str]) -> int:
    return int(_option(given, "--replications") or 1)


__all__ = ["study_made_again"]
