"""Results of studies that lie beside a run: what a verdict depends on, which settings a search recommends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sim import gates as gate_rules
from sim.errors import RecordsError
from sim.stats.campaigns import STUDY_METRICS
from sim.stats.verdict import Sampled

INPUTS, SAMPLES, FINALISTS = "inputs.parquet", "samples.parquet", "finalists.parquet"
_SUFFIXES = ("-sensitivity", "-tune")
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


def beside(run: Path, further: Sequence[Path] = ()) -> list[Path]:
    """Folders a study may lie in: those given, the run's own, and its neighbours RUN-sensitivity and RUN-tune."""
    for folder in further:
        if not any((folder / name).exists() for name in (INPUTS, FINALISTS)):
            raise RecordsError(f"{folder}: holds no result of fotasim sensitivity or tune")
    whole = run.resolve()
    return [*further, whole, *(whole.with_name(whole.name + suffix) for suffix in _SUFFIXES)]


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


def sampled_gates(found: Sensitivity | None, scenario: Mapping[str, Any]) -> list[Sampled]:
    """In how many of the sampled worlds the scenario's gate on the studied metric is met; empty without such a gate."""
    entry = scenario.get("gates", {}).get(found.metric) if found is not None else None
    if found is None or entry is None or not found.sampled:
        return []
    gate = gate_rules.parse_entry(found.metric, entry)
    met = sum(value is not None and gate.holds(value) for value in found.sampled)
    return [Sampled(found.metric, met / len(found.sampled), len(found.sampled))]


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
