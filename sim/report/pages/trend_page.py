"""The page over a folder of archived runs: each scenario's figures from release to release, regressions marked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from sim.errors import RecordsError
from sim.records import read_manifest
from sim.report.figures import charts
from sim.report.model.like_with_like import Terms, other_terms, terms_of
from sim.report.model.run_changes import changes_of_summaries, measures
from sim.report.model.run_report import VerdictKey
from sim.report.model.verdict_words import WORDS
from sim.report.page import Block, Chart, Column, Page, Points, Section, Table, Text, Value, Verdict
from sim.report.pages.side_by_side_page import change_table, change_text, regression_check, unlike_words
from sim.report.show import kind_of, metric_words, plural
from sim.stats.differences import Change

SHOWN = ("success_rate", "bricked", "failed", "duration_p50", "duration_p95", "wasted_share")
_CHARTS = (
    ("success_rate", "success, %", 100.0),
    ("bricked", "bricked, %", 100.0),
    ("duration_p95", "95 % done after, days", 1 / 86400.0),
)
_MOST_TICKS = 12


@dataclass(frozen=True, slots=True)
class Archived:
    """A run of the past: where it lies and what it came to."""

    path: Path
    name: str
    summary: dict[str, Any]
    terms: Terms
    written_at: float


def archived(folder: Path, order: str = "name") -> list[Archived]:
    """Complete runs anywhere below the folder, by name (release numbers as numbers) or by `time` they were written."""
    if not folder.is_dir():
        raise RecordsError(f"{folder}: no such folder")
    found = []
    for path in sorted(folder.rglob("summary.json")):
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            name, complete = str(path.parent.relative_to(folder)), summary["complete"] and "metrics" in summary
            terms = terms_of(read_manifest(path.parent))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecordsError):
            continue
        if complete:
            found.append(Archived(path.parent, name, summary, terms, path.stat().st_mtime))
    if not found:
        raise RecordsError(f"{folder}: no complete run folder below it")
    return sorted(found, key=lambda a: (a.written_at, a.name) if order == "time" else (0.0, _natural(a.name)))


def trend_page(runs: Sequence[Archived], title: str, *, fail_on_regression: bool = False) -> Page:
    """One part for each scenario with its runs in order; what got worse beyond noise from one to the next is marked; with `fail_on_regression` it is a check."""
    scenarios = list(dict.fromkeys(str(a.summary["scenario"]) for a in runs))
    sections, checks, regressions, failures, doubts, newest = [], [], [], [], [], []
    for scenario in scenarios:
        own = [a for a in runs if a.summary["scenario"] == scenario]
        apart = [other_terms(a.terms, b.terms) for a, b in pairwise(own)]
        steps = [
            changes_of_summaries(a.summary, b.summary, why) for (a, b), why in zip(pairwise(own), apart, strict=True)
        ]
        sections += _scenario(scenario, own, steps, apart)
        last = apart[-1] if apart else []
        worse = [c for c in steps[-1] if c.verdict == "worse"] if steps else []
        text = (
            "; ".join(f"{metric_words(c.metric)} {change_text(c)}" for c in worse) or "nothing got worse beyond noise"
        )
        if last:
            text = unlike_words(last)
            doubts.append(Text(f"{text} (from {own[-2].name} to {own[-1].name})", f"{scenario}:"))
        checks.append(regression_check(f"{own[-1].name}: no regression", scenario, worse, last, text))
        newest.append(str(own[-1].summary["verdict"]))
        if newest[-1] not in _PASSED:
            failures.append(Text(f"{own[-1].name}: {_judged(own[-1].summary)}.", f"{scenario}:"))
        if worse:
            regressions.append(Text(f"{text} (from {own[-2].name} to {own[-1].name}).", f"{scenario}:"))
    return Page(
        title=title, kind="trend", kicker="Trend", facts=f"{plural(len(runs), 'run')} of {plural(len(scenarios), 'scenario')}",
        verdict=_verdict(newest, failures, regressions, doubts, len(runs) - len(scenarios)), sections=sections,
        checks=checks if fail_on_regression else (),
    )  # fmt: skip


_PASSED = ("go", "none")
_GRAVEST: tuple[VerdictKey, ...] = ("no-go", "stopped", "marginal", "invalid")


def _judged(summary: Mapping[str, Any]) -> str:
    """The verdict of a run and the gates that are not met."""
    unmet = ", ".join(f"{g['gate']} {g['state']}" for g in summary["gates"] if not g["met"])
    return WORDS[summary["verdict"]] + (f" ({unmet})" if unmet else "")


def _verdict(newest: list[str], unmet: list[Text], worse: list[Text], doubts: list[Text], steps: int) -> Verdict:
    if worse or unmet:
        gravest: VerdictKey = next((key for key in _GRAVEST if key in newest), "no-go")
        word = "Regressions" if worse else f"Newest: {WORDS[gravest]}"
        return Verdict(
            "no-go" if worse else gravest, word, [Text("", "The newest runs:"), Points([*unmet, *worse, *doubts])]
        )
    if doubts:
        return Verdict("none", "Not like with like", [Text("", "The newest runs:"), Points(doubts)])
    if not steps:
        return Verdict("none", "No history", [Text("Only one run each: nothing to compare yet.")])
    text = "The newest run of every scenario meets its gates and is no worse than the one before it."
    return Verdict("go", "No regressions", [Text(text)])


def _scenario(scenario: str, runs: list[Archived], steps: list[list[Change]], apart: list[list[str]]) -> list[Section]:
    rows = []
    for i, run in enumerate(runs):
        found = measures(run.summary)
        marks = [metric_words(c.metric) for c in steps[i - 1] if c.verdict == "worse"] if i else []
        marks += [f"not like with like: {why}" for why in apart[i - 1]] if i else []
        gates = run.summary["gates"]
        met = f"{sum(g['met'] for g in gates)} of {len(gates)}"
        cells = [Value(kind_of(m), found[m].value) for m in SHOWN if m in found]
        rows.append((run.name, int(run.summary["modules"]), met, *cells, ", ".join(marks)))
    columns = (
        Column("run", "Run"), Column("modules", "Modules", "count"), Column("gates", "Gates met"),
        *(Column(m, metric_words(m).capitalize(), "number") for m in SHOWN if m in measures(runs[0].summary)),
        Column("worse", "Worse than before"),
    )  # fmt: skip
    blocks: list[Block] = [Table("runs", columns, rows)]
    listed = [Section(scenario, blocks)]
    if len(runs) > 1:
        listed += [
            Section(label.split(",")[0].capitalize(), [chart], half=True, minor=True) for label, chart in _charts(runs)
        ]
        name = f"From {runs[-2].name} to {runs[-1].name}"
        listed.append(Section(name, [change_table(steps[-1], "last_step")], minor=True))
    return listed


def _charts(runs: list[Archived]) -> list[tuple[str, Chart]]:
    listed = []
    for metric, label, scale in _CHARTS:
        points = [measures(run.summary).get(metric) for run in runs]
        if any(p is None or p.value is None for p in points):
            continue
        value, low, high = (
            np.array([scale * (v if v is not None else np.nan) for v in column], dtype=float)
            for column in zip(*((p.value, p.low, p.high) for p in points if p is not None), strict=True)
        )
        x = np.arange(len(runs), dtype=float)
        drawn = charts.curves(
            {label: (x, value)}, bands={label: (low, high)}, x_label="run", y_label=label, markers=True, from_zero=False
        )
        axes, step = drawn.axes[0], max(1, -(-len(runs) // _MOST_TICKS))
        axes.set_xticks(x[::step], [charts.plain(run.name[-14:]) for run in runs[::step]], rotation=30, ha="right")
        axes.margins(x=0.04)
        alt = f"{label}: " + ", ".join(f"{run.name} {v:.3g}" for run, v in zip(runs, value, strict=True))
        listed.append((label, Chart(drawn, alt)))
    return listed


def _natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sorts 1.9.0 before 1.10.0."""
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name) if part)
