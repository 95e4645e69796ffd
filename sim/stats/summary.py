"""The figures of a run, from its tables alone: what summary.json holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sim import gates as gate_rules
from sim.records import OUTCOMES, STAGES
from sim.stats.intervals import wilson
from sim.stats.stopping import stopped

QUANTILES = (50, 90, 95, 99)
_ENDED_FOR_THE_CLOUD = ("succeeded", "failed", "timed_out", "rejected", "canceled", "not_needed")


def summarise(
    modules: pd.DataFrame,
    *,
    scenario: str,
    engine: str,
    seed: int,
    replications: int,
    complete: bool,
    gates: dict[str, str],
    cloud_peaks: dict[str, float],
    wall_s: float,
    decisions: pd.DataFrame,
) -> dict[str, Any]:
    """Counts, rates, quantiles, sums and gates of one run; plain values only, None where there is nothing to tell.

    Durations are from activation to the moment the module runs the target version, over modules that got there.
    With replications the figures pool them; intervals over replications are the study's affair.
    """
    total = len(modules)
    outcomes = _counts(modules["outcome"], OUTCOMES)
    causes = _counts(modules["cause"][modules["cause"] != ""])
    stages = _stages(modules)
    duration = _quantiles(modules["upgraded_s"])
    useful, wasted = int(modules["bytes_useful"].sum()), int(modules["bytes_wasted"].sum())
    eligible = total - outcomes["not_needed"]
    counted = {
        "success_rate": outcomes["succeeded"], "coverage": outcomes["succeeded"] + outcomes["not_needed"],
        "bricked": causes.get("bricked", 0), "failed": outcomes["failed"] + outcomes["timed_out"],
        "rejected": outcomes["rejected"], "pending": outcomes["pending"] + outcomes["never_online"],
    }  # fmt: skip
    denominators = {name: eligible if name == "success_rate" else total for name in counted}
    shares = {name: hits / denominators[name] if denominators[name] else None for name, hits in counted.items()}
    metrics = {
        **shares, **{f"duration_{name}": duration[name] for name in ("p50", "p90", "p95", "p99")},
        "wasted_share": wasted / (useful + wasted) if useful + wasted else 0.0, **cloud_peaks,
    }  # fmt: skip
    return {
        "scenario": scenario, "engine": engine, "seed": seed, "modules": total // replications,
        "replications": replications, "complete": complete,
        "outcomes": outcomes, "causes": causes, "stages": stages,
        "success_rate": shares["success_rate"], "coverage": shares["coverage"],
        "duration_s": duration, "bytes": {"useful": useful, "wasted": wasted}, "energy_j": _energy(modules),
        "cloud": cloud_peaks, "cloud_view": _counts(modules["cloud_state"]), "silent_losses": _silent(modules),
        "deferrals": int(modules["deferrals"].sum()), "metrics": metrics,
        "intervals": {name: list(wilson(hits, denominators[name])) for name, hits in counted.items()},
        "stopped": _stopped(modules, decisions), "groups": _groups(modules), "gates": gate_rules.judge(gates, metrics), "wall_s": wall_s,
    }  # fmt: skip


def _stopped(modules: pd.DataFrame, decisions: pd.DataFrame) -> list[dict[str, Any] | None]:
    """For each replication, how the strategy stopped the rollout, or None."""
    return [
        stopped(part, decisions[decisions["replication"] == number])
        for number, part in modules.groupby("replication", sort=True)
    ]


def _counts(column: pd.Series[Any], names: tuple[str, ...] = ()) -> dict[str, int]:
    """How often each value occurs: all of `names` in their order, or those that occur, most frequent first."""
    found = column.astype(str).value_counts()
    found = found[found > 0]
    ordered = names or sorted(found.index, key=lambda name: (-int(found[name]), name))
    return {name: int(found.get(name, 0)) for name in ordered}


def _stages(modules: pd.DataFrame) -> dict[str, int]:
    """Modules that got at least as far as each stage."""
    reached = modules["stage"].astype(str).map({name: i for i, name in enumerate(STAGES)}).to_numpy()
    return {name: int((reached >= i).sum()) for i, name in enumerate(STAGES) if i > 0}


def _quantiles(times_s: pd.Series[float]) -> dict[str, float | None]:
    """Order statistics of the finite times, linearly interpolated (Hyndman and Fan's type 7); None without any."""
    finite = times_s.dropna().to_numpy()
    if not len(finite):
        return {**{f"p{q}": None for q in QUANTILES}, "max": None}
    values = np.percentile(finite, QUANTILES)
    return {**{f"p{q}": float(v) for q, v in zip(QUANTILES, values, strict=True)}, "max": float(finite.max())}


def _energy(modules: pd.DataFrame) -> dict[str, float | None]:
    """Energy of the rollout on battery modules; what is spent on modules that did not succeed is lost."""
    battery = modules[modules["power"] == "battery"]
    done = battery[battery["outcome"] == "succeeded"]["energy_j"]
    return {
        "per_success_p50": float(done.median()) if len(done) else None,
        "total": float(battery["energy_j"].sum()),
        "lost": float(battery["energy_j"].sum() - done.sum()),
    }


def _silent(modules: pd.DataFrame) -> int:
    """Modules whose end is true and the cloud does not know it: bricks are silence, lost reports are unknown."""
    ended = modules["outcome"].isin(["succeeded", "failed"])
    known = modules["cloud_state"].isin(_ENDED_FOR_THE_CLOUD)
    return int((ended & ~known).sum())


def _groups(modules: pd.DataFrame) -> list[dict[str, Any]]:
    """One entry per group: size, outcomes and the median and 95th percentile of its durations."""
    listed = []
    for name, part in modules.groupby("group", observed=True):
        outcomes = _counts(part["outcome"], OUTCOMES)
        eligible = len(part) - outcomes["not_needed"]
        duration = _quantiles(part["upgraded_s"])
        listed.append({
            "group": str(name), "modules": len(part), "outcomes": outcomes,
            "success_rate": outcomes["succeeded"] / eligible if eligible else None,
            "interval": list(wilson(outcomes["succeeded"], eligible)),
            "duration_p50": duration["p50"], "duration_p95": duration["p95"],
            "energy_j": float(part["energy_j"].mean()), "bytes_wasted": int(part["bytes_wasted"].sum()),
        })  # fmt: skip
    return listed
