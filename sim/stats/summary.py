"""The figures of a run, from its tables alone: what summary.json holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sim.metrics import METRICS
from sim.records import OUTCOMES, STAGES
from sim.stats.counts import COLUMNS, counts, energy, figures, lot_effect, metrics, silent
from sim.stats.intervals import share_interval
from sim.stats.judging import Beside, Grounds, judged, verdict_of
from sim.stats.replicated import finite
from sim.stats.stopping import stopped

SUMMARY_COLUMNS = ("replication", "stage", *COLUMNS)
"""Columns of modules.parquet that the figures come from."""

_QUANTILES = (50, 90, 95, 99)


def summarise(
    modules: pd.DataFrame,
    *,
    scenario: str,
    engine: str,
    seed: int,
    replications: int,
    complete: bool,
    gates: Mapping[str, Any],
    cloud_peaks: dict[str, float],
    wall_s: float,
    decisions: pd.DataFrame,
    watched_s: float | None = None,
    components: tuple[str, ...] = (),
    live: Beside | None = None,
    plugins: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Counts, rates, quantiles, sums, gates and verdict of one run; plain values only, None where there is nothing to tell.

    Durations are from activation to the moment the module runs the target version, over modules that got there.
    With replications the counts pool them, and metrics, intervals and gates are over campaigns
    (`sim.stats.campaigns.with_intervals`). `gates` are as the scenario holds them, `components` the names of the plan's.
    """
    counted = counts(modules)
    found = metrics(modules, counted, cloud_peaks, stopped=_ever_stopped(modules, decisions))
    told = figures(modules, counted, found, watched_s)
    grounds = Grounds(modules, told, decisions, replications, complete, components, watched_s, plugins)
    results = judged(gates, grounds)
    decision = verdict_of(results, grounds, live=live)
    useful, wasted = int(modules["bytes_useful"].sum()), int(modules["bytes_wasted"].sum())
    return {
        "scenario": scenario, "engine": engine, "seed": seed, "modules": len(modules) // replications,
        "replications": replications, "complete": complete,
        "outcomes": occurrences(modules["outcome"], OUTCOMES),
        "causes": occurrences(modules["cause"][modules["cause"] != ""]), "counts": counted, "stages": _stages(modules),
        "success_rate": found["success_rate"], "coverage": found["coverage"],
        "duration_s": _quantiles(modules["upgraded_s"]), "bytes": {"useful": useful, "wasted": wasted},
        "energy_j": energy(modules), "cloud": cloud_peaks, "cloud_view": occurrences(modules["cloud_state"]),
        "silent_losses": silent(modules), "deferrals": int(modules["deferrals"].sum()),
        "metrics": {name: found[name] for name in METRICS},
        "intervals": {name: [f.low, f.high] for name, f in told.items() if f.low is not None or f.high is not None},
        "stopped": _stopped(modules, decisions), "groups": _groups(modules),
        "gates": [result.plain() for result in results], "verdict": str(decision.verdict), "wall_s": wall_s,
    }  # fmt: skip


def _ever_stopped(modules: pd.DataFrame, decisions: pd.DataFrame) -> bool:
    return any(stop is not None for stop in _stopped(modules, decisions))


def _stopped(modules: pd.DataFrame, decisions: pd.DataFrame) -> list[dict[str, Any] | None]:
    """For each replication, how the strategy or the operator stopped the rollout, or None."""
    return [
        stopped(part, decisions[decisions["replication"] == number])
        for number, part in modules.groupby("replication", sort=True)
    ]


def occurrences(column: pd.Series[Any], names: tuple[str, ...] = ()) -> dict[str, int]:
    """How often each value occurs: all of `names` in their order, or those that occur, most frequent first."""
    found = column.value_counts()
    found = found[found > 0]
    ordered = names or sorted(found.index, key=lambda name: (-int(found[name]), name))
    return {name: int(found.get(name, 0)) for name in ordered}


def _stages(modules: pd.DataFrame) -> dict[str, int]:
    """Modules that got at least as far as each stage."""
    reached = modules["stage"].map({name: i for i, name in enumerate(STAGES)}).to_numpy()
    return {name: int((reached >= i).sum()) for i, name in enumerate(STAGES) if i > 0}


def _quantiles(times_s: pd.Series[float]) -> dict[str, float | None]:
    """Order statistics of the finite times, linearly interpolated (Hyndman and Fan's type 7); None without any."""
    times = finite(times_s)
    if not len(times):
        return {**{f"p{q}": None for q in _QUANTILES}, "max": None}
    values = pd.Series(times).quantile([q / 100.0 for q in _QUANTILES])
    return {**{f"p{q}": float(v) for q, v in zip(_QUANTILES, values, strict=True)}, "max": float(times.max())}


def _groups(modules: pd.DataFrame) -> list[dict[str, Any]]:
    """One entry per group: size, outcomes and the median and 95th percentile of its durations."""
    listed = []
    for name, part in modules.groupby("group", observed=True):
        outcomes = occurrences(part["outcome"], OUTCOMES)
        targets = len(part) - outcomes["not_needed"]
        duration, effect = _quantiles(part["upgraded_s"]), lot_effect(part)
        listed.append({
            "group": str(name), "modules": len(part), "outcomes": outcomes,
            "success_rate": outcomes["succeeded"] / targets if targets else None,
            "interval": list(share_interval(outcomes["succeeded"] / effect, targets / effect)),
            "duration_p50": duration["p50"], "duration_p95": duration["p95"],
            "energy_j": float(part["energy_j"].mean()), "bytes_wasted": int(part["bytes_wasted"].sum()),
        })  # fmt: skip
    return listed
