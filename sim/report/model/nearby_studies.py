"""Results of studies that lie beside a run: what a verdict depends on, which settings a search recommends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sim import gates as gate_rules
from sim.errors import RecordsError
from sim.metrics import figure
from sim.stats.campaigns import STUDY_METRICS
from sim.stats.verdict import Sampled

INPUTS, SAMPLES, FINALISTS = "inputs.parquet", "samples.parquet", "finalists.parquet"
SUFFIXES = ("-sensitivity", "-tune")
_FREE = ("name", "description", "seed", "gates", "fleet.size", "fleet.modules")
"""Keys in which a study may differ from the run beside it."""
_STRENGTHS = (("total", "Sobol, total index"), ("mu_star", "Morris, mean absolute effect"))


@dataclass(frozen=True, slots=True)
class Influence:
    """An uncertain input: its range, the metric with this input alone at either end, and its strength."""

    input: str
    low: float
    high: float
    at_low: float | None
    at_high: float | None
    strength: float | None


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What a metric depends on, the most influential input first."""

    metric: str
    method: str
    influences: list[Influence]
    sampled: list[float | None] = field(default_factory=list)
    """The metric in every sampled world."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Settings a search found, with (value, low, high) of each of its objectives over fresh campaigns.

    `answer` is what the search came to (found, undecided, none fits) at the settings it puts first, else empty.
    """

    settings: dict[str, str]
    objectives: dict[str, tuple[float | None, float | None, float | None]]
    feasible: bool
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Beside:
    """Folders a study of a run may lie in, and of those left out, why."""

    folders: list[Path]
    left_out: list[str] = field(default_factory=list)


def beside(run: Path, further: Sequence[Path] = ()) -> Beside:
    """Folders a study may lie in: those given, the run's own, and its neighbours RUN-sensitivity and RUN-tune.

    A study of another scenario answers another question: a neighbour is left out and said, one that was given refused.
    """
    for folder in further:
        if not any((folder / name).exists() for name in (INPUTS, FINALISTS)):
            raise RecordsError(f"{folder}: holds no result of fotasim sensitivity or tune")
        if other := another_scenario(run, folder):
            raise RecordsError(f"{folder}: a study of another scenario: {other}; run it again on the scenario of {run}")
    whole = run.resolve()
    neighbours = {
        folder: another_scenario(run, folder) for folder in (whole.with_name(whole.name + s) for s in SUFFIXES)
    }
    return Beside(
        [*further, whole, *(folder for folder, other in neighbours.items() if not other)],
        [f"{folder.name}: a study of another scenario: {other}" for folder, other in neighbours.items() if other],
    )


def another_scenario(run: Path, study: Path) -> str:
    """The first key in which the scenarios of a run and a study differ, with both values; empty when they agree.

    A study may have other gates, another seed and a smaller fleet; a search may have started from another strategy. Folders
    without a scenario, and keys that one version does not know, say nothing.
    """
    other = _scenario(study)
    one = None if other is None else _scenario(run)  # most runs have no study beside them
    free = {*_FREE, *(("plan.strategy",) if (study / FINALISTS).exists() else ())}
    found = None if one is None else _difference(one, other, free)
    return "" if found is None else f"{found[0]} is {found[2]} there and {found[1]} here"


def _scenario(folder: Path) -> Any:
    try:
        return YAML(typ="safe").load((folder / "scenario.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, YAMLError):
        return None


def _difference(one: Any, other: Any, free: set[str], key: str = "") -> tuple[str, Any, Any] | None:
    """The first key that both have with different values."""
    if key in free:
        return None
    if isinstance(one, dict) and isinstance(other, dict):
        within = ((name, one[name], other[name]) for name in one if name in other)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        within = ((str(i), *pair) for i, pair in enumerate(zip(one, other, strict=True)))
    else:
        return None if one == other else (key, one, other)
    found = (_difference(a, b, free, f"{key}.{name}".lstrip(".")) for name, a, b in within)
    return next((x for x in found if x is not None), None)


def sensitivity_of(folders: Sequence[Path]) -> Sensitivity | None:
    """The first sensitivity study of the folders; None without one that can be read."""
    for folder in folders:
        inputs, samples = _read(folder / INPUTS), _read(folder / SAMPLES)
        if inputs is None or samples is None or "input" not in inputs:
            continue
        metric = next((str(name) for name in samples.columns if name in STUDY_METRICS), "")
        column, method = next(((c, m) for c, m in _STRENGTHS if c in inputs), ("swing", "one at a time"))
        rows = [
            Influence(
                str(row["input"]), float(row["low"]), float(row["high"]), _number(row.get("at_low")),
                _number(row.get("at_high")), _number(row.get(column)),
            )
            for row in inputs.to_dict("records")
        ]  # fmt: skip
        return Sensitivity(metric, method, rows, [_number(v) for v in samples[metric]] if metric else [])
    return None


def sampled_gates(
    found: Sensitivity | None, scenario: Mapping[str, Any], further: Sequence[gate_rules.Gate] = ()
) -> list[Sampled]:
    """In how many of the sampled worlds each gate on the studied figure is met, under either of its names; empty without
    such a gate. `further` gates stand beside those of the scenario."""
    if found is None or not found.sampled:
        return []
    gates = [gate_rules.parse_entry(metric, entry) for metric, entry in scenario.get("gates", {}).items()]
    return [
        Sampled(
            g.metric, sum(v is not None and g.holds(v) for v in found.sampled) / len(found.sampled), len(found.sampled)
        )
        for g in (*gates, *further)
        if figure(g.metric) == figure(found.metric)
    ]


def candidates_of(folders: Sequence[Path]) -> list[Candidate]:
    """What the first search of the folders found, the recommended settings first; empty without one."""
    for folder in folders:
        table = _read(folder / FINALISTS)
        if table is not None:
            return [_candidate(row) for row in table.to_dict("records")]
    return []


def _candidate(row: dict[Any, Any]) -> Candidate:
    """Columns with a dot are settings; objectives come with `NAME low` and `NAME high` beside them."""
    names = [name for name in row if f"{name} low" in row]
    ends = {f"{name} {end}" for name in names for end in ("low", "high")}
    told = {*ends, *names, "feasible", "answer"}
    settings = {str(k): str(v) for k, v in row.items() if k not in told}
    objectives = {
        str(n): (_number(row[n]), _number(row[f"{n} low"]), _number(row[f"{n} high"])) for n in names
    }  # fmt: skip
    return Candidate(settings, objectives, bool(row.get("feasible", True)), str(row.get("answer") or ""))


def _read(path: Path) -> pd.DataFrame | None:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError):
        return None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float | np.number) and np.isfinite(value) else None
