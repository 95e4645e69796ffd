"""Settings side by side: paired differences on common random numbers, and what they mean in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sim.engines.run_inputs import inputs_of
from sim.errors import StudyError
from sim.metrics import SHARES
from sim.records import Run
from sim.report.model.like_with_like import Terms, no_pairs_because, other_terms
from sim.report.pages.difference_words import sentence
from sim.report.show import plural
from sim.scenario import Scenario
from sim.stats.agreement import agreement
from sim.stats.campaigns import STUDY_METRICS, estimate
from sim.stats.paired import not_a_point, paired_difference, unpaired_difference
from sim.study import flow as flows
from sim.study.arguments import check_counts, check_lists
from sim.study.campaign import Campaign, Job
from sim.study.campaign import table as campaign_table
from sim.study.made import UNRECORDED, Made, options
from sim.study.pool import Pool, Progress, collect
from sim.study.sources import Side, changes, in_words, load, name_apart, pairs, side_of_run

METRICS = (
    "success_rate", "bricked", "failed", "rejected", "not_reached", "duration_p50", "duration_p95", "wasted_share",
    "energy_per_success_j",
)  # fmt: skip
"""What a comparison looks at unless told otherwise: one family for the control of false alarms."""
SIGNIFICANT = 0.05
"""Chance of any false alarm in a comparison."""


@dataclass(slots=True)
class Comparison:
    """Every alternative against the first side.

    `table`: one row per alternative and metric: a, b, difference, low, high (95 % for all rows together), p_value,
    p_adjusted, differs (the interval excludes zero), variance_reduction, paired, campaigns. `flows`: by alternative whose
    campaigns are pairs, modules per campaign from fate to fate. `changed`: the modules themselves. `agreement`: by
    alternative, tests whether a live run and a simulated one agree.
    """

    sides: list[Side]
    table: pd.DataFrame
    verdicts: list[str]
    complete: bool
    flows: dict[str, pd.DataFrame] = field(default_factory=dict)
    changed: pd.DataFrame = field(default_factory=pd.DataFrame)
    agreement: dict[str, pd.DataFrame] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    made: Made = UNRECORDED

    @property
    def frame(self) -> pd.DataFrame:
        """All campaigns of all sides, one row each."""
        return pd.concat([side.frame.assign(side=side.name) for side in self.sides], ignore_index=True)

    def plot(self, metric: str = "success_rate") -> Any:
        """The alternatives' differences in one metric with their intervals; a matplotlib Figure."""
        from sim.report.figures import study_figures

        return study_figures.differences(self.table[self.table["metric"] == metric], metric)

    def plot_flow(self, alternative: str | None = None) -> Any:
        """How fates changed between the first side and an alternative; a matplotlib Figure."""
        from sim.report.figures.study_figures import flow_figure

        return flow_figure(self.flows[alternative or next(iter(self.flows))])

    def save(self, folder: str | Path, *, overwrite: bool = False, command: str = "") -> Path:
        """Writes the tables and the page; returns the page. FolderInUse for a folder with a result, unless `overwrite`."""
        from sim.study.study_folders import save_comparison

        return save_comparison(self, Path(folder), overwrite=overwrite, command=command)


Source = Scenario | Run | str | Path


def compare(
    sources: Mapping[str, Source] | Sequence[Source],
    *,
    replications: int = 20,
    metrics: Sequence[str] = METRICS,
    engine: str = "auto",
    workers: int | None = None,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Lays scenarios or run folders side by side; the first is what the others are measured against.

    Scenarios run `replications` campaigns each on common random numbers: one seed for all, the first's. Run folders
    are taken as they are, paired where seed, modules and replications are the same. Differences come with Student's interval
    over campaigns, widened so that those of all alternatives and metrics hold at 95 % together (Bonferroni). A live run against
    a simulated one is tested for agreement of distributions instead. Raises StudyError for fewer than two sides or an unknown metric.
    """
    check_lists(sources=sources, metrics=metrics)
    check_counts(replications=replications, workers=workers)
    named = _named(sources)
    unknown = [metric for metric in metrics if metric not in STUDY_METRICS]
    if unknown:
        raise StudyError(f"{unknown[0]!r} is not a metric; choose from {', '.join(STUDY_METRICS)}")
    sides, complete, notes, made = _sides(named, replications, engine, workers, cluster, progress)
    chosen = [] if tuple(metrics) == METRICS else metrics
    made = replace(made, options=options(metric=chosen, replications=replications if made.engines else None))
    base, others = sides[0], sides[1:]
    table = differences(base, others, metrics)
    result = Comparison(sides, table, [], complete, notes=notes, made=made)
    for other in others:
        _explain(result, base, other)
    return result


def _named(sources: Mapping[str, Source] | Sequence[Source]) -> dict[str, Scenario | Run]:
    items = sources.items() if isinstance(sources, Mapping) else [(None, source) for source in sources]
    found: dict[str, Scenario | Run] = {}
    for given, source in items:
        loaded = load(source) if isinstance(source, str | Path) else source
        name = given or (loaded.path.name if isinstance(loaded, Run) else loaded.name)
        found[name_apart(name, found)] = loaded
    if len(found) < 2:
        raise StudyError("a comparison needs two sides: two scenarios or run folders, or a scenario and a --variant")
    return found


def _sides(
    named: dict[str, Scenario | Run], replications: int, engine: str, workers: int | None, cluster: str | None,
    progress: Progress | None,
) -> tuple[list[Side], bool, list[str], Made]:  # fmt: skip
    """The campaigns of every side; those of scenarios are run, all with one seed."""
    sides = {name: side_of_run(name, source) for name, source in named.items() if isinstance(source, Run)}
    asked = {name: source for name, source in named.items() if isinstance(source, Scenario)}
    seed = next((s.terms.seed for s in sides.values()), next((s.seed for s in asked.values()), 0))
    notes = [f"{name}: run with seed {seed}, as the others" for name, s in asked.items() if s.seed != seed]
    asked = {name: s.with_(seed=seed) if s.seed != seed else s for name, s in asked.items()}
    # Replication by replication, so that an interruption leaves whole pairs.
    jobs = [Job(s, r, "fates", engine) for r in range(replications) for s in asked.values()]
    complete, made = True, Made()
    if jobs:
        with Pool(workers, cluster) as pool:
            found, complete = collect(pool, jobs, progress=progress)
            made = pool.made()
        whole = _whole_rounds(found, len(asked))
        for number, (name, scenario) in enumerate(asked.items()):
            files = {found.key: found.sha256 for found in inputs_of(scenario).values()}
            terms = Terms(scenario.model_dump(mode="json"), seed, files=files)
            sides[name] = Side(name, terms, whole[number :: len(asked)])
    return [sides[name] for name in named], complete, notes, made


def _whole_rounds(found: list[Campaign | None], width: int) -> list[Campaign]:
    """Replications that are there for every scenario, up to the first that is not."""
    kept: list[Campaign] = []
    for start in range(0, len(found), width):
        round_ = [c for c in found[start : start + width] if c is not None]
        if len(round_) < width:
            break
        kept += round_
    if not kept:
        raise KeyboardInterrupt
    return kept


def differences(base: Side, others: Sequence[Side], metrics: Sequence[str]) -> pd.DataFrame:
    """One row per alternative and metric, see `Comparison.table`; of campaigns that are pairs, those that have a partner."""
    tests = len(others) * len(metrics)
    rows: list[dict[str, Any]] = []
    for other in others:
        both = pairs(base, other)
        frame_a, frame_b = (
            (campaign_table(list(side)) for side in zip(*both, strict=True)) if both else (base.frame, other.frame)
        )
        make = paired_difference if both else unpaired_difference
        for metric in metrics:
            found = make(frame_a[metric], frame_b[metric], 1 - SIGNIFICANT / tests)
            if metric in SHARES:
                found = not_a_point(found, int(min(frame_a["modules"].sum(), frame_b["modules"].sum())))
            rows.append({
                "alternative": other.name, "metric": metric, "a": estimate(frame_a, metric).value,
                "b": estimate(frame_b, metric).value, "difference": found.estimate.value, "low": found.estimate.low,
                "high": found.estimate.high, "p_value": found.p_value, "variance_reduction": found.variance_reduction,
                "paired": found.paired, "campaigns": found.pairs,
            })  # fmt: skip
    table = pd.DataFrame(rows)
    table["p_adjusted"] = (table["p_value"] * tests).clip(upper=1.0)
    table["differs"] = (table["low"] > 0) | (table["high"] < 0)
    return table


def in_sentences(base: Side, other: Side, table: pd.DataFrame) -> str:
    """What the differences of one alternative say, after what keeps them from being the plan's alone."""
    rows, both = table[table["alternative"] == other.name], pairs(base, other)
    settings = changes(base.terms, other.terms)
    if both and not settings:
        return _itself(base, other, rows, len(both))
    told, terms = sentence(in_words(base, other), rows), other_terms(base.terms, other.terms)
    named = len(settings) == 1 and settings[0][0] != "horizon" and not settings[0][0].endswith(".file")
    if terms and not named:
        told = f"Not like with like ({'; '.join(terms)}): no difference is a gain or a loss of the plan alone. {told}"
    if not both:
        why = no_pairs_because(base.terms, other.terms) or "no replication is the same"
        return f"{told} Campaigns are not paired: {why}."
    alone = len(base.campaigns) + len(other.campaigns) - 2 * len(both)
    return told if not alone else f"{told} Left out: {alone} campaigns without a partner on the other side."


def _itself(base: Side, other: Side, rows: pd.DataFrame, campaigns: int) -> str:
    """The sentence about two sides that are the same scenario on the same random numbers."""
    same = bool((rows["difference"].dropna() == 0).all())
    subject = f"{other.name} and {base.name} are the same scenario with the same seed"
    if same:
        return f"{subject}: their {plural(campaigns, 'campaign')} came to the same figures, so this compares nothing."
    made = " and ".join(
        f"fotasim {s.run.get('fotasim', '')} ({s.run.get('engine', '')})" for s in (base, other) if s.run
    )
    return f"{subject}, but not the same figures: {made or 'this must not be'}."


def _explain(result: Comparison, base: Side, other: Side) -> None:
    """Adds the verdict in words, and what stands behind it: changed modules, or agreement with a live run."""
    rows = result.table[result.table["alternative"] == other.name]
    if base.terms.simulated != other.terms.simulated and base.modules is not None and other.modules is not None:
        tested = agreement(base.modules, other.modules)
        result.agreement[other.name] = tested
        apart = list(tested["quantity"][tested["p_holm"] < SIGNIFICANT])
        told = f"differ in {', '.join(apart)}" if apart else "agree in all that was tested"
        result.verdicts.append(f"{other.name} beside {base.name}: the distributions {told}.")
        return
    result.verdicts.append(in_sentences(base, other, result.table))
    if both := pairs(base, other):
        changed = flows.changed(both).assign(alternative=other.name)
        if len(changed):
            result.changed = pd.concat([result.changed, changed], ignore_index=True)
        result.flows[other.name] = flows.flow(changed, len(both))
    elif np.isnan(rows["low"]).all():
        result.notes.append(
            f"{other.name}: too few campaigns for an interval; a difference of single runs is an anecdote"
        )
