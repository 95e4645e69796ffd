"""When the rollout is done: milestones of the fleet, the long tail, and what still trickles in at the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sim.stats.survival import cumulative_share

MILESTONES = (0.5, 0.8, 0.9, 0.95, 0.99, 1.0)
QUANTILES = (50, 90, 95, 99)
DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Milestone:
    """When this share of the modules that needed it ran the target version; with replications the range over them."""

    share: float
    time_s: float | None
    earliest_s: float | None
    latest_s: float | None
    reached_in: int
    campaigns: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Times in seconds after activation.

    `quantiles_s` are over modules that were upgraded. `per_day_at_end` is how many a day still got there in the last
    seventh of the watched time, over all replications; `waiting` how many had not, could still and were waiting then.
    """

    quantiles_s: dict[str, float | None]
    milestones: list[Milestone]
    last_s: float | None
    waiting: int
    per_day_at_end: float
    settled_s: float | None


def finish_of(modules: pd.DataFrame, watched_s: float) -> Finish:
    """Milestones count over modules that needed the upgrade, so failures and absences stay in the denominator."""
    times = modules["upgraded_s"].to_numpy(dtype=float)
    done = np.sort(times[np.isfinite(times)])
    quantiles = {f"p{q}": float(np.percentile(done, q)) if len(done) else None for q in QUANTILES}
    parts = [part for _, part in modules.groupby("replication", sort=True)]
    window_s = watched_s / 7.0
    lately = int((done > watched_s - window_s).sum())
    return Finish(
        quantiles_s=quantiles, milestones=[_milestone(share, parts) for share in MILESTONES],
        last_s=float(done[-1]) if len(done) else None,
        waiting=int(modules["outcome"].isin(["pending", "never_online"]).sum()),
        per_day_at_end=lately / (window_s / DAY_S) if window_s > 0 else 0.0,
        settled_s=float(done[int(np.ceil(0.99 * len(done))) - 1]) if len(done) else None,
    )  # fmt: skip


def _milestone(share: float, parts: list[pd.DataFrame]) -> Milestone:
    times = [_reached(part, share) for part in parts]
    there = [t for t in times if t is not None]
    whole = there if len(there) == len(times) else []
    return Milestone(
        share, float(np.median(whole)) if whole else None, min(there, default=None),
        max(whole, default=None), len(there), len(times),
    )  # fmt: skip


def _reached(modules: pd.DataFrame, share: float) -> float | None:
    """When `share` of the modules that needed it had the target version; None if they never did."""
    needed = modules[modules["outcome"] != "not_needed"]
    at, part = cumulative_share(needed["upgraded_s"], len(needed))
    first = int(np.searchsorted(part, share - 1e-12))
    return float(at[first]) if first < len(at) else None
