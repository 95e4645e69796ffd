"""The page of a sweep: which settings meet the gates, every metric over the varied keys, every point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sim import gates as gate_rules
from sim.exit_status import ExitStatus
from sim.gates import Figure, State
from sim.report.figures import study_figures
from sim.report.page import Chart, Check, Column, Page, Points, Section, Table, Text, Value, Verdict
from sim.report.pages.difference_words import label, title
from sim.report.pages.origin_section import evidence_of
from sim.report.pages.study_parts import PARTIAL, at_borders, axis_cell, axis_kind, facts, whole
from sim.report.pages.study_results import Axis, Sweep
from sim.report.show import kind_of, plural, quantity_words, show

SHOWN = (
    "success_rate",
    "bricked",
    "failed",
    "duration_p50",
    "duration_p95",
    "wasted_share",
    "energy_per_success_j",
    "took_image",
)
"""Metrics a page shows unless the study is about others."""
_MOST_ROWS = 400
_MOST_NAMED = 4


def sweep_page(result: Sweep, manifest: Mapping[str, Any] | None = None) -> Page:
    """The page of a sweep: which settings meet the gates, the metrics over the varied keys, and every point."""
    evidence = evidence_of(manifest)
    metrics = [m for m in SHOWN if result.summary(m)["value"].notna().any()] if len(result.frame) else []
    same = [m for m in metrics if len({show(kind_of(m), value) for value in result.summary(m)["value"]}) == 1]
    names = " and ".join(quantity_words(a.name) for a in result.axes)
    return Page(
        title=f"{result.scenario.name}: {names}", kind="sweep", kicker="Sweep",
        lead=f"{len(result.points)} settings, {result.replications} campaigns each, all on the same random numbers.",
        facts=facts(result.scenario, f"{len(result.frame):,} campaigns"),
        verdict=_sweep_verdict(result), checks=_sweep_checks(result),
        sections=[
            *(_metric_section(result, m) for m in metrics if m not in same), *_same_section(result, same),
            Section("Every setting", [_point_table(result, metrics), _interval_table(result, metrics)]),
            *evidence.sections(),
        ],
        properties=evidence.properties(),
    )  # fmt: skip


def answer_lines(result: Sweep) -> list[str]:
    """What the page's verdict says, for a terminal: which settings meet the gates, which one to use, whether it lies at a border."""
    verdict = _sweep_verdict(result) if result.complete else None
    if verdict is None:
        return []
    first, *others = [f"{block.strong} {block.text}" for block in verdict.blocks if isinstance(block, Text)]
    return [f"{verdict.word}: {first}", *others]


def gate_states(result: Sweep) -> pd.DataFrame:
    """One row per point, one column per gate of the scenario: what it came to over the point's campaigns.

    A sweep keeps no slices: a gate by a slice is missed where the whole fleet misses it, and never met beyond doubt.
    """
    found: dict[str, list[str]] = {}
    for metric, entry in result.scenario.gates.items():
        gate = gate_rules.parse_entry(metric, entry)
        rows = result.summary(gate.metric)[["value", "low", "high"]].itertuples(index=False)
        states = [gate_rules.judge(gate, Figure(_known(v), _known(low), _known(high))).state for v, low, high in rows]
        found[gate.text] = [State.UNDECIDED if gate.by and state == State.MET else state for state in states]
    return pd.DataFrame(found, index=result.summary()["point"])


def _known(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _together(states: pd.DataFrame) -> list[str]:
    """What all gates together come to at each point: not met before undecided before met."""
    ranks = (State.NOT_MET, State.TOO_LITTLE, State.UNDECIDED, State.MET)
    return [next((s for s in ranks if s in row), State.MET) for row in states.itertuples(index=False, name=None)]


def _sweep_verdict(result: Sweep) -> Verdict | None:
    """Which settings meet every gate; nothing to say without gates."""
    if not result.complete:
        return PARTIAL
    states = gate_states(result)
    if states.empty:
        return None
    fates, points = _together(states), study_figures.as_rows(result.summary())
    fits = [row for row, fate in zip(points, fates, strict=True) if fate == State.MET]
    open_ = [row for row, fate in zip(points, fates, strict=True) if fate in (State.UNDECIDED, State.TOO_LITTLE)]
    count = f"{len(fits)} of {plural(len(points), 'setting')}"
    doubt = (
        f" {plural(len(open_), 'more setting')} {'is' if len(open_) == 1 else 'are'} undecided: an interval reaches past a limit."
        if open_
        else ""
    )
    if fits:
        text = f"{'meets' if len(fits) == 1 else 'meet'} every gate of the scenario: {_listed(result, fits)}.{doubt}"
        word = "All fit" if len(fits) == len(points) else "Some fit"
        return Verdict("go", word, [Text(text, strong=count), _recommendation(result, fits)])
    if open_:
        text = (
            f"meet every gate beyond doubt; at {len(open_)} an interval reaches past a limit, so more --replications could "
            f"decide: {_listed(result, open_)}."
        )
        return Verdict("marginal", "Not decided", [Text(text, strong=count)])
    worst = [str(gate) for gate in states if (states[gate] == State.NOT_MET).all()]
    hard = f" None meets {', '.join(worst)}." if worst else " Each gate is met somewhere, but never all at once."
    return Verdict("no-go", "None fits", [Text(f"meet every gate of the scenario.{hard}", strong=count)])


_RANKED = (("bricked", 1.0), ("success_rate", -1.0), ("duration_p95", 1.0))
"""What settings that meet every gate are ranked by, in this order, and the sign by which less is better."""


def _recommendation(result: Sweep, fits: Sequence[dict[str, Any]]) -> Text:
    """The setting to use: of those that meet every gate the one with fewest bricks, then most success, then least time.

    A metric decides only where the best interval lies apart from the next one's.
    """
    left = [int(row["point"]) for row in fits]
    for metric, sign in _RANKED:
        found = _by_point(result, metric)
        known = [point for point in left if np.isfinite(found[point]["value"])]
        if not known:
            continue
        best = min(known, key=lambda point: sign * found[point]["value"])
        near, far = ("low", "high") if sign > 0 else ("high", "low")
        reach = found[best][far]
        left = [point for point in left if point == best or not sign * (found[point][near] - reach) > 0.0]
    success = _by_point(result, "success_rate")
    chosen = max(left, key=lambda point: float(success[point]["value"]))
    row = next(r for r in fits if int(r["point"]) == chosen)
    best_known = success[chosen]
    others = len(left) - 1
    equal = f" {plural(others, 'other setting')} cannot be distinguished from it." if others else ""
    borders = "".join(f" {text}" for text in at_borders(result.axes, row))
    return Text(
        f"{_settings(result.axes, row)}: success {show('share', best_known['value'])} (95 % interval "
        f"{show('share', best_known['low'])} to {show('share', best_known['high'])}).{equal}{borders}", "Recommended:",
    )  # fmt: skip


def _by_point(result: Sweep, metric: str) -> dict[int, dict[str, Any]]:
    return {int(row["point"]): row for row in study_figures.as_rows(result.summary(metric))}


def _listed(result: Sweep, rows: Sequence[dict[str, Any]]) -> str:
    more = f"; and {len(rows) - _MOST_NAMED} more" if len(rows) > _MOST_NAMED else ""
    return "; ".join(_settings(result.axes, row) for row in rows[:_MOST_NAMED]) + more


def _sweep_checks(result: Sweep) -> list[Check]:
    """Every gate of the scenario: whether some setting meets it; and whether one meets all of them."""
    suite = result.scenario.name
    if not result.complete:
        return whole(False, suite)
    states = gate_states(result)
    checks = [_check(str(gate), suite, list(states[gate])) for gate in states]
    return [*checks, _check("every gate at one setting", suite, _together(states))] if len(checks) > 1 else checks


def _check(name: str, suite: str, fates: list[str]) -> Check:
    """A gate over all points: held when one meets it; in doubt when none does and one might."""
    met, missed = fates.count(State.MET), fates.count(State.NOT_MET)
    status = ExitStatus.NO_GO if missed == len(fates) else ExitStatus.UNDECIDED
    return Check(name, suite, met > 0, f"met at {met} of {plural(len(fates), 'setting')}, missed at {missed}", status)


def _same_section(result: Sweep, metrics: Sequence[str]) -> list[Section]:
    """Metrics that are the same at every setting, in a line each."""
    lines = []
    for metric in metrics:
        summary, kind = result.summary(metric), kind_of(metric)
        text = f"{show(kind, summary['value'].iloc[0])}; the intervals reach up to {show(kind, float(summary['high'].max()))}"
        lines.append(Text(text, strong=f"{title(metric)}:"))
    return [Section("The same at every setting", [Points(lines)])] if lines else []


def _metric_section(result: Sweep, metric: str) -> Section:
    summary = result.summary(metric)
    low, high = summary.iloc[int(summary["value"].argmin())], summary.iloc[int(summary["value"].argmax())]
    told = (
        f"lowest {show(kind_of(metric), low['value'])} at {_settings(result.axes, low)}; "
        f"highest {show(kind_of(metric), high['value'])} at {_settings(result.axes, high)}"
    )
    blocks: list[Any] = [
        Text(f"{told[0].upper()}{told[1:]}."),
        Chart(result.plot(metric), alt=f"{label(metric)}: {told}"),
    ]
    crossed = len(result.axes) == 2 and summary.groupby([a.key for a in result.axes]).ngroups == len(summary)
    if crossed and all(summary[a.key].nunique() > 2 for a in result.axes) and len(summary) <= _MOST_ROWS:
        blocks.append(Chart(result.plot_heatmap(metric), alt=f"{label(metric)} as a map: {told}"))
    return Section(title(metric), blocks, half=True)


def _settings(axes: Sequence[Axis], row: Any) -> str:
    return ", ".join(f"{quantity_words(a.name)} {a.show(row[a.key])}" for a in axes)


def _point_table(result: Sweep, metrics: Sequence[str]) -> Table:
    """Every setting with whether it meets the gates and the mean of each metric."""
    columns = [Column(a.key, quantity_words(a.name), axis_kind(a)) for a in result.axes]
    parts = [result.summary(m) for m in metrics]
    fates = _together(gate_states(result)) if result.scenario.gates and parts else None
    if fates is not None:
        columns.append(Column("gates", "Gates", "state"))
    columns += [Column(metric, label(metric), kind_of(metric)) for metric in metrics]
    rows = []
    for i in range(min(len(parts[0]) if parts else 0, _MOST_ROWS)):
        row = [axis_cell(a, parts[0][a.key].iloc[i]) for a in result.axes]
        row += [] if fates is None else [fates[i]]
        rows.append(row + [part["value"].iloc[i] for part in parts])
    note = f" (the first {_MOST_ROWS}; all are in sweep.parquet)" if parts and len(parts[0]) > _MOST_ROWS else ""
    return Table("points", columns, rows, caption=f"Means over campaigns{note}", row_heads=True)


def _interval_table(result: Sweep, metrics: Sequence[str]) -> Table:
    """Every mean with its interval, a row for each setting and metric."""
    columns = [
        *(Column(a.key, quantity_words(a.name), axis_kind(a)) for a in result.axes), Column("metric", "Figure", "metric"),
        Column("value", "Mean", "number"), Column("low", "95 % low", "number"), Column("high", "95 % high", "number"),
    ]  # fmt: skip
    rows = [
        [*(axis_cell(a, row[a.key]) for a in result.axes), metric,
         *(Value(kind_of(metric), row[name]) for name in ("value", "low", "high"))]
        for metric in metrics for row in study_figures.as_rows(result.summary(metric).head(_MOST_ROWS // len(metrics)))
    ]  # fmt: skip
    cut = len(metrics) * len(result.points) > len(rows)
    caption = f"With 95 % intervals over campaigns{' (the first; all are in sweep.parquet)' if cut else ''}"
    return Table("intervals", columns, rows, caption=caption, row_heads=False, folded=True)
