"""The figures of a run, from its tables alone: what summary.json holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sim import gates as gate_rules
from sim.records import OUTCOMES, STAGES
from sim.stats.intervals import wilson
from sim.stats.replicated import finite, quantile_interval
from sim.stats.stopping import stopped

SUMMARY_COLUMNS = (
    "replication", "group", "power", "outcome", "cause", "cloud_state", "stage", "deferrals", "updating_s", "upgraded_s",
    "bytes_useful", "bytes_wasted", "energy_j",
)  # fmt: skip
"""Columns of modules.parquet that the figures come from."""

QUANTILES = (50, 90, 95, 99)
_ENDED_FOR_THE_CLOUD = ("succeeded", "failed", "timed_out", "rejected", "canceled", "not_needed")


SHARES = {
    "success_rate": "eligible", "success_of_finished": "finished", "coverage": "modules", "bricked": "modules", "failed": "modules",
    "rejected": "modules", "pending": "modules",
}  # fmt: skip
"""Metrics that are shares of modules, and what they are shares of; eligible are modules that needed the upgrade,
finished those that succeeded, failed or timed out (the Developer Center's success rate leaves all others out)."""


@dataclass(frozen=True, slots=True)
class Headline:
    """What one campaign came to: counts of outcomes and causes, and every metric a gate may name."""

    outcomes: dict[str, int]
    causes: dict[str, int]
    hits: dict[str, int]
    denominators: dict[str, int]
    metrics: dict[str, float | None]


def headline(modules: pd.DataFrame, cloud_peaks: dict[str, float]) -> Headline:
    """Counts and metrics of a table of modules; None where there is nothing to tell."""
    outcomes = _counts(modules["outcome"], OUTCOMES)
    causes = _counts(modules["cause"][modules["cause"] != ""])
    duration = _quantiles(modules["upgraded_s"])
    useful, wasted = int(modules["bytes_useful"].sum()), int(modules["bytes_wasted"].sum())
    sizes = {
        "modules": len(modules), "eligible": len(modules) - outcomes["not_needed"],
        "finished": outcomes["succeeded"] + outcomes["failed"] + outcomes["timed_out"],
    }  # fmt: skip
    hits = {
        "success_rate": outcomes["succeeded"], "success_of_finished": outcomes["succeeded"], "coverage": outcomes["succeeded"] + outcomes["not_needed"],
        "bricked": causes.get("bricked", 0), "failed": outcomes["failed"] + outcomes["timed_out"],
        "rejected": outcomes["rejected"], "pending": outcomes["pending"] + outcomes["never_online"],
    }  # fmt: skip
    denominators = {name: sizes[of] for name, of in SHARES.items()}
    metrics: dict[str, float | None] = {
        **{name: hits[name] / denominators[name] if denominators[name] else None for name in SHARES},
        **{f"duration_{name}": duration[name] for name in ("p50", "p90", "p95", "p99")},
        "wasted_share": wasted / (useful + wasted) if useful + wasted else 0.0, **cloud_peaks,
    }  # fmt: skip
    return Headline(outcomes, causes, hits, denominators, metrics)


def losses(modules: pd.DataFrame) -> dict[str, float | None]:
    """What a rollout costs besides time, beyond the metrics of the gates."""
    energy = _energy(modules)
    return {
        "silent_losses": _silent(modules), "deferrals": int(modules["deferrals"].sum()),
        "wasted_bytes": int(modules["bytes_wasted"].sum()), "energy_lost_j": energy["lost"],
        "energy_per_success_j": energy["per_success_p50"],
    }  # fmt: skip


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
    With replications the figures pool them; `sim.stats.campaigns.with_intervals` puts intervals over campaigns in.
    """
    head = headline(modules, cloud_peaks)
    outcomes, metrics = head.outcomes, head.metrics
    intervals = _intervals(head, modules["upgraded_s"])
    total = len(modules)
    useful, wasted = int(modules["bytes_useful"].sum()), int(modules["bytes_wasted"].sum())
    return {
        "scenario": scenario, "engine": engine, "seed": seed, "modules": total // replications,
        "replications": replications, "complete": complete,
        "outcomes": outcomes, "causes": head.causes, "stages": _stages(modules),
        "success_rate": metrics["success_rate"], "coverage": metrics["coverage"],
        "duration_s": _quantiles(modules["upgraded_s"]), "bytes": {"useful": useful, "wasted": wasted}, "energy_j": _energy(modules),
        "cloud": cloud_peaks, "cloud_view": _counts(modules["cloud_state"]), "silent_losses": _silent(modules),
        "deferrals": int(modules["deferrals"].sum()), "metrics": metrics,
        "intervals": {name: list(bounds) for name, bounds in intervals.items()},
        "stopped": _stopped(modules, decisions), "groups": _groups(modules),
        "gates": gate_rules.judge(gates, metrics, intervals), "wall_s": wall_s,
    }  # fmt: skip


def _intervals(head: Headline, times_s: pd.Series[float]) -> dict[str, tuple[float | None, float | None]]:
    """Descriptive 95 % intervals over the modules of one run: Wilson's of shares, order statistics of durations."""
    found: dict[str, tuple[float | None, float | None]] = {
        name: wilson(hits, head.denominators[name]) for name, hits in head.hits.items()
    }
    times = finite(times_s)
    for q in QUANTILES:
        bounds = quantile_interval(times, q / 100.0).plain()
        found[f"duration_p{q}"] = (bounds["low"], bounds["high"])
    return found


def _stopped(modules: pd.DataFrame, decisions: pd.DataFrame) -> list[dict[str, Any] | None]:
    """For each replication, how the strategy stopped the rollout, or None."""
    return [
        stopped(part, decisions[decisions["replication"] == number])
        for number, part in modules.groupby("replication", sort=True)
    ]


def _counts(column: pd.Series[Any], names: tuple[str, ...] = ()) -> dict[str, int]:
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
