"""The page of a search: what is recommended, what it is worth on fresh campaigns, how the search went."""

from __future__ import annotations

from typing import Any

from sim.report.page import Block, Chart, Check, Code, Column, Page, Section, Table, Text, Tile, Tiles, Verdict
from sim.report.pages.difference_words import label, signed
from sim.report.pages.study_parts import axis_cell, axis_kind, facts, whole
from sim.report.pages.study_results import Candidate, Tuning
from sim.report.show import Kind, kind_of, show, words
from sim.stats.replicated import Estimate


def tuning_page(result: Tuning, strategy: str) -> Page:
    """The page of a search: what is recommended, what it is worth on fresh campaigns, how the search went; `strategy` is its file's text."""
    names = ", ".join(words(a.name) for a in result.axes)
    goals = " and ".join(f"{'smallest' if o.sign > 0 else 'largest'} {label(o.text)}" for o in result.objectives)
    bounds = f", subject to {' and '.join(c.text for c in result.constraints)}" if result.constraints else ""
    return Page(
        title=f"{result.scenario.name}: tuning of {names}", kind="tune", kicker="Search", lead=f"Objective: {goals}{bounds}.",
        facts=facts(result.scenario, f"{len(result.trials)} trials"), verdict=_tuning_verdict(result),
        opening=[_value_tiles(result)] if result.recommended is not None else [],
        sections=[*_recommendation(result, strategy), *_finalists(result), *_course(result)], checks=_constraint_checks(result),
    )  # fmt: skip


def shown(name: str, value: float) -> str:
    """A metric's value, or that of a weighted sum, with its unit."""
    return show(kind_of(name), value) if name.isidentifier() else f"{value:.4g}"


def _bounds(name: str, found: Estimate) -> str:
    return f"95 % interval {shown(name, found.low)} to {shown(name, found.high)}"


def settings_in_words(result: Tuning, candidate: Candidate) -> str:
    """The settings of a candidate as a reader knows them."""
    return ", ".join(f"{words(a.name)} {a.show(candidate.settings[a.key])}" for a in result.axes)


def _tuning_verdict(result: Tuning) -> Verdict:
    found = result.recommended
    if found is None:
        return Verdict(
            "partial", "Partial", [Text("The search was interrupted: these are its trials, not a recommendation.")]
        )
    told: list[Block] = [Text(f"{settings_in_words(result, found)}.", strong="Recommended:")]
    for name, gain in result.gain.items():
        known = gain.estimate
        if name.isidentifier():
            change = f"{signed(name, known.value)} [{signed(name, known.low)} to {signed(name, known.high)}]"
        else:
            change = f"{known.value:+.4g} [{known.low:+.4g} to {known.high:+.4g}]"
        told.append(Text(f"{label(name)} {change} against the scenario as it is."))
    if not found.feasible:
        told.append(Text("No setting meets every constraint; this one violates them least.", strong="Warning:"))
    unsure = [name for name, e in found.constraints.items() if found.feasible and not _surely(result, name, e)]
    if unsure:
        told.append(Text(f"Met on average, but the interval crosses the limit: {', '.join(unsure)}."))
    return Verdict("go" if found.feasible else "no-go", "Found" if found.feasible else "None fits", told)


def _constraint_checks(result: Tuning) -> list[Check]:
    """Whether the recommended setting keeps each constraint; an interrupted search recommends nothing."""
    found = result.recommended
    if found is None:
        return whole(result.complete, result.scenario.name)
    return [
        Check(
            c.text, result.scenario.name, c.excess(found.constraints[c.text].value) <= 0,
            f"found {shown(c.metric, found.constraints[c.text].value)}, {_bounds(c.metric, found.constraints[c.text])}",
        )
        for c in result.constraints
    ]  # fmt: skip


def _surely(result: Tuning, name: str, found: Estimate) -> bool:
    """Whether the whole interval keeps the constraint."""
    constraint = next(c for c in result.constraints if c.text == name)
    return constraint.excess(found.high if constraint.sign.startswith("<") else found.low) <= 0


def _value_tiles(result: Tuning) -> Tiles:
    assert result.recommended is not None
    tiles = [Tile(label(n), shown(n, e.value), _bounds(n, e)) for n, e in result.recommended.objectives.items()]
    for constraint in result.constraints:
        found = result.recommended.constraints[constraint.text]
        tiles.append(Tile(constraint.text, shown(constraint.metric, found.value), _bounds(constraint.metric, found)))
    return Tiles(tiles)


def _recommendation(result: Tuning, strategy: str) -> list[Section]:
    if result.recommended is None:
        return []
    note = (
        f"These values come from {len(result.recommended.frame)} campaigns that neither the search nor the choice among "
        "the finalists has seen, so they carry no selection bias."
    )
    return [Section("The strategy to use", [Code(strategy), Text(note, hint=True)])]


def _finalists(result: Tuning) -> list[Section]:
    if not result.finalists:
        return []
    columns = [Column(a.key, words(a.name), axis_kind(a)) for a in result.axes]
    kinds: dict[str, Kind] = {o.text: kind_of(o.text) if o.text.isidentifier() else "number" for o in result.objectives}
    for o in result.objectives:
        columns += [Column(o.text, label(o.text), kinds[o.text]), Column(f"{o.text}_interval", "95 % interval")]
    columns.append(Column("feasible", "Constraints", "met"))
    rows = []
    for c in result.finalists:
        row: list[Any] = [axis_cell(a, c.settings[a.key]) for a in result.axes]
        for name, found in c.objectives.items():
            row += [found.value, f"{shown(name, found.low)} to {shown(name, found.high)}"]
        rows.append([*row, c.feasible])
    several = len(result.objectives) > 1
    text = (
        "The Pareto front, evaluated again on fresh campaigns."
        if several
        else "The best of the search, evaluated again on fresh campaigns."
    )
    return [Section("Finalists", [Text(text), Table("finalists", columns, rows)])]


def _course(result: Tuning) -> list[Section]:
    first = result.objectives[0].text
    if not len(result.trials):
        return []
    told = f"{len(result.trials)} trials, {int(result.trials['feasible'].sum())} of them within the constraints"
    title = "The front" if len(result.objectives) > 1 else "The course of the search"
    sections = [
        Section(title, [Text(f"{told}, all on the same campaigns."), Chart(result.plot(), alt=told)], half=True)
    ]
    for axis in result.axes:
        chart = Chart(result.plot_setting(axis.key), alt=f"{label(first)} over {words(axis.name)}: {told}")
        sections.append(Section(f"{label(first)} over {words(axis.name)}", [chart], half=True))
    return sections
