"""A run's modules cut by one property: a row of figures for each group, coverage class, hardware revision or cell."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sim.stats.intervals import wilson

REACHED_NOT = ("pending", "never_online")
FAILED = ("failed", "timed_out")


@dataclass(frozen=True, slots=True)
class Slice:
    """Figures of the modules that share one value. Shares are of those that needed the upgrade, times in seconds."""

    name: str
    modules: int
    succeeded: int
    needed: int
    success_rate: float | None
    success_low: float
    success_high: float
    failed: int
    bricked: int
    rejected: int
    not_reached: int
    duration_p50_s: float | None
    duration_p95_s: float | None
    energy_mean_j: float
    wasted_bytes: int


def slices(modules: pd.DataFrame, by: str) -> list[Slice]:
    """One entry for each value of the column `by` that occurs, in the order of its categories or values."""
    outcome, cause = modules["outcome"], modules["cause"]
    table = pd.DataFrame({
        by: modules[by], "modules": 1, "succeeded": outcome == "succeeded", "not_needed": outcome == "not_needed",
        "failed": outcome.isin(FAILED), "bricked": cause == "bricked", "rejected": outcome == "rejected",
        "not_reached": outcome.isin(REACHED_NOT), "wasted": modules["bytes_wasted"], "energy": modules["energy_j"],
        "upgraded_s": modules["upgraded_s"],
    })  # fmt: skip
    grouped = table.groupby(by, observed=True)
    figures = grouped.sum()
    for name, q in (("p50", 0.5), ("p95", 0.95)):
        figures[name] = grouped["upgraded_s"].quantile(q)
    return [_slice(str(row[by]), row) for row in figures.reset_index().to_dict("records")]


def _slice(name: str, row: dict[Hashable, Any]) -> Slice:
    modules, succeeded = int(row["modules"]), int(row["succeeded"])
    needed = modules - int(row["not_needed"])
    low, high = wilson(succeeded, needed)
    return Slice(
        name, modules, succeeded, needed, succeeded / needed if needed else None, low, high, int(row["failed"]),
        int(row["bricked"]), int(row["rejected"]), int(row["not_reached"]), _finite(row["p50"]), _finite(row["p95"]),
        float(row["energy"]) / modules, int(row["wasted"]),
    )  # fmt: skip


def pairs(one: pd.Series[Any], other: pd.Series[Any]) -> list[tuple[str, str, int]]:
    """How often each pair of values occurs together, sorted."""
    table = pd.crosstab(one, other)
    counts = table.to_numpy()
    return [
        (str(a), str(b), int(counts[i, j])) for i, a in enumerate(table.index) for j, b in enumerate(table.columns) if counts[i, j]
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class HotSpot:
    """Where cases pile up: `cases` of `all_cases` have `value` of `column`, which `share_of_fleet` of the modules have."""

    column: str
    value: str
    cases: int
    all_cases: int
    share_of_cases: float
    share_of_fleet: float


def hot_spot(modules: pd.DataFrame, cases: pd.Series[bool], columns: tuple[str, ...]) -> HotSpot | None:
    """The value of any of the columns that holds most of the cases and far more than its share of the fleet.

    At least ten cases, six in ten of them, at least one and a half times the value's share; None where nothing stands
    out. It points at where to look, it is no test.
    """
    total = int(cases.sum())
    best: HotSpot | None = None
    if total < 10:
        return None
    for column in (c for c in columns if c in modules.columns):
        everywhere, here = modules[column].value_counts(), modules.loc[cases, column].value_counts()
        value = here.index[0]
        spot = HotSpot(
            column, str(value), int(here.iloc[0]), total, float(here.iloc[0]) / total,
            float(everywhere[value]) / len(modules),
        )  # fmt: skip
        if spot.share_of_cases < 0.6 or spot.share_of_cases < 1.5 * spot.share_of_fleet:
            continue
        if best is None or _lift(spot) > _lift(best):
            best = spot
    return best


def _lift(spot: HotSpot) -> float:
    return spot.share_of_cases / spot.share_of_fleet


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None
