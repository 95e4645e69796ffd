"""A sweep: one scenario at many settings, every setting on the same random numbers; resumable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from sim.errors import StudyError
from sim.records import check_kind
from sim.scenario import Scenario
from sim.stats.campaigns import STUDY_METRICS, estimate
from sim.study.arguments import check_counts, check_lists
from sim.study.axes import Axis, Settings, parse_axis
from sim.study.campaign import Campaign, Job, table
from sim.study.designs import points as design_points
from sim.study.journal import Journal
from sim.study.made import UNRECORDED, Made, options
from sim.study.pool import Pool, Progress, collect
from sim.study.study_folders import save_sweep

JOURNAL = "journal.jsonl"


@dataclass(slots=True)
class Sweep:
    """Result of a sweep. `frame`: one row per point and replication, the axes' keys first, then metrics and counts."""

    scenario: Scenario
    axes: tuple[Axis, ...]
    points: list[Settings]
    replications: int
    frame: pd.DataFrame
    complete: bool
    path: Path | None = None
    made: Made = UNRECORDED

    def summary(self, metric: str = "success_rate") -> pd.DataFrame:
        """One row per finished point: its number, its settings, the metric's mean and interval over campaigns."""
        _check(metric)
        rows = []
        for number, part in self.frame.groupby("point", sort=True):
            found = estimate(part, metric)
            rows.append({
                "point": number, **{a.key: part[a.key].iloc[0] for a in self.axes},
                "value": found.value, "low": found.low, "high": found.high, "campaigns": len(part),
            })  # fmt: skip
        return pd.DataFrame(rows, columns=["point", *(a.key for a in self.axes), "value", "low", "high", "campaigns"])

    def best(self, metric: str = "success_rate", *, largest: bool = True) -> dict[str, Any]:
        """The settings with the largest (or smallest) mean of a metric."""
        found = self.summary(metric)
        row = found.iloc[int(found["value"].argmax() if largest else found["value"].argmin())]
        return {axis.key: row[axis.key] for axis in self.axes}

    def plot(self, metric: str = "success_rate") -> Any:
        """A curve over one axis, curves by the second axis or a heat map; a matplotlib Figure."""
        from sim.report.figures.study_figures import sweep_figure

        return sweep_figure(self.summary(metric), list(self.axes), metric)

    def plot_heatmap(self, metric: str = "success_rate") -> Any:
        """The first two axes against each other, the metric's mean (over the others) in colour."""
        from sim.report.figures.study_figures import heat_map

        return heat_map(self.summary(metric), list(self.axes)[:2], metric)


def sweep(
    scenario: Scenario,
    vary: Sequence[str | Axis],
    *,
    design: str = "grid",
    points: int | None = None,
    replications: int = 10,
    out: str | Path | None = None,
    fresh: bool = False,
    command: str = "",
    engine: str = "auto",
    workers: int | None = None,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Runs `replications` campaigns at every point of a design over the varied keys.

    `vary` are texts like the command line's, or axes. With `out` every finished campaign is in that folder's journal at
    once: the same call goes on there after an interruption, and more replications or points only add what is new.
    A journal of another scenario or version is refused; `fresh` starts over. Raises StudyError and ScenarioError
    before anything runs.
    """
    check_lists(vary=vary)
    check_counts(points=points, replications=replications, workers=workers)
    axes = tuple(axis if isinstance(axis, Axis) else parse_axis(axis) for axis in vary)
    visited = design_points(axes, design, points, scenario.seed)
    jobs = [Job(varied, r, engine=engine) for varied in _scenarios(scenario, visited) for r in range(replications)]
    folder = None if out is None else Path(out)
    if folder is not None:
        check_kind(folder, "sweep")
    journal = None if folder is None else _journal(folder, scenario, fresh)
    try:
        found, complete, made = _run(jobs, visited, replications, journal, workers, cluster, progress)
    finally:
        if journal is not None:
            journal.close()
    frame = _frame(axes, visited, found, replications)
    again = options(vary=[axis.text for axis in axes], design=design, points=points, replications=replications)
    result = Sweep(scenario, axes, visited, replications, frame, complete, folder, replace(made, options=again))
    if folder is not None:
        save_sweep(result, folder, command=command)
    return result


def _scenarios(scenario: Scenario, visited: Sequence[Settings]) -> list[Scenario]:
    """The scenario at every point: all mistakes come before the first campaign."""
    return [scenario.computed(settings) for settings in visited]


def _journal(folder: Path, scenario: Scenario, fresh: bool) -> Journal:
    path = folder / JOURNAL
    if fresh:
        path.unlink(missing_ok=True)
    return Journal(path, scenario)


def _run(
    jobs: list[Job], visited: list[Settings], replications: int, journal: Journal | None, workers: int | None,
    cluster: str | None, progress: Progress | None,
) -> tuple[list[Campaign | None], bool, Made]:  # fmt: skip
    """Results of all jobs: from the journal where it has them, from the pool where not."""
    found: list[Campaign | None] = [
        None if journal is None else journal.get(visited[n // replications], job.replication)
        for n, job in enumerate(jobs)
    ]
    missing = [n for n, campaign in enumerate(found) if campaign is None]
    known = len(jobs) - len(missing)

    def keep(number: int, campaign: Campaign) -> None:
        if journal is not None:
            journal.add(visited[missing[number] // replications], campaign)

    if not missing:
        return found, True, Made()
    with Pool(workers, cluster) as pool:
        fresh, complete = collect(
            pool, [jobs[n] for n in missing], done=keep,
            progress=None if progress is None else lambda done, _: progress(known + done, len(jobs)),
        )  # fmt: skip
        made = pool.made()
    for number, campaign in zip(missing, fresh, strict=True):
        found[number] = campaign
    return found, complete, made


def _frame(
    axes: Sequence[Axis], visited: list[Settings], found: list[Campaign | None], replications: int
) -> pd.DataFrame:
    """The table of all campaigns that are there, in the order of the design."""
    there = [n for n, campaign in enumerate(found) if campaign is not None]
    measured = table([c for c in found if c is not None])
    numbers = [n // replications for n in there]
    columns: dict[str, Any] = {"point": numbers}
    for axis in axes:
        values = [visited[number][axis.key] for number in numbers]
        plain = len({type(v) for v in values}) <= 1 and all(isinstance(v, int | float | str) for v in values)
        columns[axis.key] = values if plain or axis.numeric else [json.dumps(v) for v in values]
    return pd.concat([pd.DataFrame(columns), measured], axis=1)


def _check(metric: str) -> None:
    if metric not in STUDY_METRICS:
        raise StudyError(f"{metric!r} is not a metric; choose from {', '.join(STUDY_METRICS)}")
