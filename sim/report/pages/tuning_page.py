"""The page of a search: what is recommended, what it is worth on fresh campaigns, how the search went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sim.exit_status import ExitStatus
from sim.report.page import Block, Chart, Check, Code, Column, Page, Section, Table, Text, Tile, Tiles, Verdict
from sim.report.pages.difference_words import label, title
from sim.report.pages.origin_section import evidence_of
from sim.report.pages.study_parts import axis_cell, axis_kind, facts, whole
from sim.report.pages.study_results import Tuning
from sim.report.pages.tuning_words import WORDS, bounds, headline, reach, reasons, shown, state_of
from sim.report.show import Kind, kind_of, metric_of, metric_words, quantity_words


def tuning_page(result: Tuning, strategy: str, manifest: Mapping[str, Any] | None = None) -> Page:
    """The page of a search: what is recommended, what it is worth on fresh campaigns, how the search went; `strategy` is its file's text."""
    evidence = evidence_of(manifest)
    names = ", ".join(quantity_words(a.name) for a in result.axes)
    goals = " and ".join(f"{'smallest' if o.sign > 0 else 'largest'} {label(o.text)}" for o in result.objectives)
    bounds = f", subject to {' and '.join(c.text for c in result.constraints)}" if result.constraints else ""
    return Page(
        title=f"{', '.join(result.scenarios)}: tuning of {names}", kind="tune", kicker="Search", lead=f"Objective: {goals}{bounds}.",
        facts=facts(result.scenario, f"{len(result.trials)} trials"), verdict=_tuning_verdict(result),
        opening=[_value_tiles(result)] if result.recommended is not None else [],
        sections=[*_recommendation(result, strategy), *_finalists(result), *_across(result), *_course(result), *evidence.sections()],
        checks=_checks(result), properties=evidence.properties(),
    )  # fmt: skip


_KEYS: dict[str, Literal["go", "marginal", "no-go", "partial"]] = {
    "found": "go", "undecided": "marginal", "none fits": "no-go", "partial": "partial",
}  # fmt: skip


def _tuning_verdict(result: Tuning) -> Verdict:
    lead, settings = headline(result)
    told: list[Block] = [Text(settings, strong=lead), *(Text(text) for text in reasons(result))]
    return Verdict(_KEYS[result.answer], WORDS[result.answer], told)


def _checks(result: Tuning) -> list[Check]:
    """Whether the recommended setting keeps each constraint and gains; an interrupted search recommends nothing."""
    found, suite = result.recommended, result.scenario.name
    if not result.complete:
        return whole(result.complete, suite)
    if found is None:
        return [Check("a setting has a value of every objective", suite, False, headline(result)[1])]
    checks = [
        Check(
            c.text, suite, c.surely(known),
            f"{state_of(c, known)}: found {shown(c.metric, known.value)}, {bounds(c.metric, known)}",
            ExitStatus.NO_GO if c.surely_not(known) else ExitStatus.UNDECIDED,
        )
        for c, known in ((c, found.constraints[c.text]) for c in result.constraints)
    ]  # fmt: skip
    if result.answer == "undecided" and not result.gains:
        checks.append(Check("an objective gains", suite, False, [*reasons(result)][-1], ExitStatus.UNDECIDED))
    return checks


def _value_tiles(result: Tuning) -> Tiles:
    assert result.recommended is not None
    tiles = [Tile(title(n), shown(n, e.value), bounds(n, e)) for n, e in result.recommended.objectives.items()]
    for constraint in result.constraints:
        found = result.recommended.constraints[constraint.text]
        note = f"{bounds(constraint.metric, found)}; constraint: {constraint.text}"
        tiles.append(Tile(title(constraint.metric), shown(constraint.metric, found.value), note))
    return Tiles(tiles)


def _recommendation(result: Tuning, strategy: str) -> list[Section]:
    if result.recommended is None:
        return []
    note = (
        f"These values come from {len(result.recommended.frame)} campaigns that neither the search nor the choice among "
        "the finalists has seen, so they carry no selection bias."
    )
    heading = "The nearest strategy: it breaks a constraint" if result.answer == "none fits" else "The strategy to use"
    return [Section(heading, [Code(strategy), Text(note, hint=True)])]


def _finalists(result: Tuning) -> list[Section]:
    if not result.finalists:
        return []
    columns = [Column(a.key, quantity_words(a.name), axis_kind(a)) for a in result.axes]
    kinds: dict[str, Kind] = {o.text: kind_of(o.text) if metric_of(o.text) else "number" for o in result.objectives}
    for o in result.objectives:
        columns += [Column(o.text, label(o.text), kinds[o.text]), Column(f"{o.text}_interval", "95 % interval")]
    columns.append(Column("feasible", "Constraints", "met"))
    rows = []
    for c in result.finalists:
        row: list[Any] = [axis_cell(a, c.settings[a.key]) for a in result.axes]
        for name, found in c.objectives.items():
            row += [found.value, reach(name, found)]
        rows.append([*row, c.feasible])
    several = len(result.objectives) > 1
    text = (
        "The Pareto front, evaluated again on fresh campaigns."
        if several
        else "The best of the search, evaluated again on fresh campaigns."
    )
    return [Section("Finalists", [Text(text), Table("finalists", columns, rows)])]


def _across(result: Tuning) -> list[Section]:
    """What each candidate does on each of several scenarios, a row each, with intervals."""
    if len(result.scenarios) == 1 or not result.finalists:
        return []
    judged = [(f"finalist {number}", candidate) for number, candidate in enumerate(result.finalists, 1)]
    judged += [
        (name, c) for name, c in (("recommended", result.recommended), ("as it is", result.present)) if c is not None
    ]
    columns = [Column("candidate", "Setting", "text"), Column("scenario", "Scenario", "text")]
    columns += [
        Column("metric", "Metric", "text"),
        Column("value", "Mean", "text"),
        Column("interval", "95 % interval", "text"),
    ]
    rows = [
        [name, scenario, metric_words(metric), shown(metric, e.value), reach(metric, e)]
        for name, candidate in judged
        for scenario, metrics in result.across(candidate).items()
        for metric, e in metrics.items()
    ]  # fmt: skip
    told = (
        "Every setting ran on every scenario. “Took the image” is the blast radius: modules that began to install, of those "
        "that needed the upgrade; “stopped” is the share of campaigns that the plan stopped by itself."
    )
    return [Section("What each candidate does on each scenario", [Text(told), Table("across", columns, rows)])]


def _course(result: Tuning) -> list[Section]:
    first = result.objectives[0].text
    if not len(result.trials):
        return []
    told = f"{len(result.trials)} trials, {int(result.trials['feasible'].sum())} of them within the constraints"
    course = "The front" if len(result.objectives) > 1 else "The course of the search"
    sections = [
        Section(course, [Text(f"{told}, all on the same campaigns."), Chart(result.plot(), alt=told)], half=True)
    ]
    for axis in result.axes:
        chart = Chart(result.plot_setting(axis.key), alt=f"{label(first)} over {quantity_words(axis.name)}: {told}")
        sections.append(Section(f"{title(first)} over {quantity_words(axis.name)}", [chart], half=True))
    return sections
