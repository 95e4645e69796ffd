"""Replications of one scenario: a fixed number, or until the intervals of named metrics are narrow enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sim import units
from sim.engines.run import Outcome, assemble
from sim.scenario import Scenario
from sim.stats.campaigns import STUDY_METRICS, bootstrap, campaign_quantile, estimate
from sim.stats.replicated import Estimate
from sim.study.arguments import check_counts, check_lists
from sim.study.campaign import Campaign, Job, Keep, table
from sim.study.pool import Pool, Progress, collect

FIRST_LOOK = 20
STEP = 10
MOST = 200


@dataclass(frozen=True, slots=True)
class Until:
    """A metric's interval is narrow enough when its half-width is at most the larger of the two bounds.

    `absolute` in the metric's unit, `relative` as a share of the mean.
    """

    metric: str
    absolute: float = 0.0
    relative: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Until:
        """From `duration_p95=2h`, `success_rate=0.005`, `duration_p50=2%`, or a metric alone (0.005 or 2 %)."""
        metric, _, width = text.replace(" ", "").partition("=")
        if metric not in STUDY_METRICS:
            raise ValueError(f"--until {text}: {metric!r} is not a metric; choose from {', '.join(STUDY_METRICS)}")
        if not width:
            return cls(metric, absolute=0.005, relative=0.02)
        try:
            if width.endswith("%"):
                return cls(metric, relative=float(width[:-1]) / 100.0)
            return cls(metric, absolute=units.duration(width) if metric.startswith("duration") else float(width))
        except ValueError:
            raise ValueError(f"--until {text}: write a half-width like 0.005, 2% or, for a duration, 2h") from None

    def met(self, found: Estimate) -> bool:
        """Whether the interval is narrow enough; never without an interval."""
        return bool(found.half_width <= max(self.absolute, self.relative * abs(found.value)))


@dataclass(slots=True)
class Replications:
    """Campaigns of one scenario. `frame` has one row per campaign: replication, metrics, counts.

    `complete` is False after Ctrl-C; the campaigns that are there are then the first ones, without gaps, so that none
    is missing because it took long. `reached` is None, or whether every `until` was met within the cap.
    """

    scenario: Scenario
    frame: pd.DataFrame
    complete: bool
    reached: bool | None = None
    until: tuple[Until, ...] = ()
    campaigns: list[Campaign] = field(default_factory=list, repr=False)

    def estimate(self, metric: str, confidence: float = 0.95) -> Estimate:
        """Mean over campaigns with its interval (Student's; honest for rare events)."""
        return estimate(self.frame, metric, confidence)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per metric: mean and interval, bootstrap bounds, and the campaigns' 10th, 50th and 90th percentile."""
        rows = {}
        for metric in STUDY_METRICS:
            mean, boot = self.estimate(metric), bootstrap(self.frame, metric)
            spread = {f"q{q}": campaign_quantile(self.frame, metric, q / 100.0) for q in (10, 50, 90)}
            rows[metric] = {
                "mean": mean.value, "low": mean.low, "high": mean.high,
                "bootstrap_low": boot.low, "bootstrap_high": boot.high,
                **{name: found.value for name, found in spread.items()},
                "q50_low": spread["q50"].low, "q50_high": spread["q50"].high,
                "campaigns": int(np.isfinite(self.frame[metric]).sum()),
            }  # fmt: skip
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")

    def outcome(self) -> Outcome:
        """Tables and summary of all campaigns as one run, ready to be saved; needs campaigns kept with their records."""
        parts = [c.records for c in self.campaigns if c.records is not None]
        if not parts:
            raise ValueError("these campaigns kept no records: replicate(…, keep='records')")
        for part in parts:
            part.complete = self.complete
        return assemble(self.scenario, parts)

    def plot(self, metric: str = "success_rate") -> Any:
        """Every campaign's value with the mean and its interval as they settle; a matplotlib Figure."""
        from sim.report.figures.study_figures import settling

        return settling(self.frame, metric)


def replicate(
    scenario: Scenario,
    replications: int | None = None,
    *,
    until: Sequence[Until | str] = (),
    most: int = MOST,
    keep: Keep = "metrics",
    engine: str = "auto",
    workers: int | None = None,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Replications:
    """Independent campaigns of one scenario.

    A fixed number of `replications` (default 20), or with `until` as many as it takes: the intervals are looked at
    after FIRST_LOOK campaigns and after every STEP more, up to `most`. Looking often and stopping at the first
    narrow interval would cover too rarely; with so few looks coverage stays close to nominal (docs/study.md).
    """
    check_lists(until=until)
    check_counts(replications=replications, most=most, workers=workers)
    goals = tuple(Until.parse(g) if isinstance(g, str) else g for g in until)
    wanted = (min(replications or FIRST_LOOK, most) if goals else replications) or FIRST_LOOK
    campaigns: list[Campaign] = []
    with Pool(workers, cluster) as pool:
        while True:
            jobs = [Job(scenario, r, keep, engine, plugins=True) for r in range(len(campaigns), wanted)]
            before = len(campaigns)
            found, complete = collect(pool, jobs, progress=_shifted(progress, before))
            campaigns += _without_gaps(found)
            frame = table(campaigns)
            reached = all(goal.met(estimate(frame, goal.metric)) for goal in goals) if complete and goals else None
            if not complete or not goals or reached or wanted >= most:
                return Replications(scenario, frame, complete, reached, goals, campaigns)
            wanted = min(wanted + STEP, most)


def _shifted(progress: Progress | None, before: int) -> Progress | None:
    return None if progress is None else lambda done, total: progress(before + done, before + total)


def _without_gaps(found: Sequence[Campaign | None]) -> list[Campaign]:
    """The first results up to the first that is missing."""
    kept: list[Campaign] = []
    for campaign in found:
        if campaign is None:
            break
        kept.append(campaign)
    return kept
