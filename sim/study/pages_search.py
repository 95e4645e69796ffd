"""Pages of a search and of a study of the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.module.parameters import PARAMETERS
from sim.report import study_figures as drawn
from sim.report.page import Block, Chart, Check, Code, Column, Page, Section, Table, Text, Tile, Tiles, Verdict
from sim.report.show import Kind, kind_of, show, words
from sim.study.pages import axis_cell, axis_kind, facts, whole
from sim.study.sensitivity import met
from sim.study.strategy_file import strategy_yaml
from sim.study.words import label, signed

if TYPE_CHECKING:
    from sim.stats.replicated import Estimate
    from sim.study.sensitivity import Sensitivity
    from sim.study.tune import Candidate, Tuning


def tuning_page(result: Tuning) -> Page:
    """The page of a search: what is recommended, what it is worth on fresh campaigns, how the search went."""
    names = ", ".join(words(a.name) for a in result.axes)
    goals = " and ".join(f"{'smallest' if o.sign > 0 else 'largest'} {label(o.text)}" for o in result.objectives)
    bounds = f", subject to {' and '.join(c.text for c in result.constraints)}" if result.constraints else ""
    return Page(
        title=f"{result.scenario.name}: tuning of {names}", kind="tune", kicker="Search", lead=f"Wanted: {goals}{bounds}.",
        facts=facts(result.scenario, f"{len(result.trials)} trials"), verdict=_tuning_verdict(result),
        opening=[_value_tiles(result)] if result.recommended is not None else [],
        sections=[*_recommendation(result), *_finalists(result), *_course(result)], checks=_constraint_checks(result),
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
        told.append(
            Text("No setting was found that keeps every constraint; this one breaks them least.", strong="Warning:")
        )
    unsure = [name for name, e in found.constraints.items() if found.feasible and not _surely(result, name, e)]
    if unsure:
        told.append(Text(f"Kept on average, but the interval reaches beyond the limit: {', '.join(unsure)}."))
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


def _recommendation(result: Tuning) -> list[Section]:
    if result.recommended is None:
        return []
    note = (
        f"These values come from {len(result.recommended.frame)} campaigns that neither the search nor the choice among "
        "the finalists has seen, so they are not flattered by having been picked."
    )
    return [Section("The strategy to use", [Code(strategy_yaml(result)), Text(note, hint=True)])]


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
        "The front, judged again on fresh campaigns."
        if several
        else "The best of the search, judged again on fresh campaigns."
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


def sensitivity_page(result: Sensitivity) -> Page:
    """The page of a study of the inputs: what the result hangs on."""
    metric, kind = result.metric, kind_of(result.metric)
    strongest = ", ".join(words(n) for n in result.table["input"].head(3))
    method = {"morris": "Morris screening", "sobol": "Sobol indices"}[result.method]
    return Page(
        title=f"What {label(metric)} hangs on", kind="sensitivity", kicker=f"{method} · {result.scenario.name}",
        lead=f"Most: {strongest}.", facts=facts(result.scenario, f"{len(result.samples):,} sampled worlds"),
        verdict=_hanging(result),
        sections=[
            Section("Each input alone", [
                Text(f"{label(metric)} is {show(kind, result.nominal)} with every input at its value in the scenario."),
                Chart(result.plot(), alt=_swings(result)),
            ]),
            Section(method, [Chart(result.plot_indices(), alt=f"strongest: {strongest}"), Text(_METHODS[result.method], hint=True)]),
            Section("Inputs", [_inputs(result)]),
        ],
        checks=_gate_check(result),
    )  # fmt: skip


_METHODS = {
    "morris": "Strength is the mean size of an input's effect over its whole range, wherever the others stand; a large "
    "spread says that its effect depends on the others or bends.",
    "sobol": "The total index is the share of the metric's variance that would be gone if the input were known. Indices "
    "whose interval holds 0 are not shown to matter.",
}


def hangs_on(result: Sensitivity) -> str:
    """The answer in words."""
    kind = kind_of(result.metric)
    strongest = result.table.iloc[0]
    told = (
        f"{label(result.metric)} hangs most on {words(strongest['input'])}: {show(kind, strongest['at_low'])} at its low "
        f"end, {show(kind, strongest['at_high'])} at its high end."
    )
    if result.gate is None:
        return told
    sign, limit = result.gate
    gate = f"{label(result.metric)} {sign} {show(kind, limit)}"
    flips = result.flips
    alone = f"alone can change that: {', '.join(map(words, flips))}" if flips else "no input changes that alone"
    return f"{told} The gate {gate} is met in {100 * (result.share_met or 0):.0f} % of the sampled worlds; {alone}."


def _hanging(result: Sensitivity) -> Verdict:
    key = (
        "none"
        if result.gate is None
        else "go"
        if result.share_met == 1.0
        else "no-go"
        if result.share_met == 0.0
        else "none"
    )
    word = "Ranked" if result.gate is None else {"go": "Holds", "no-go": "Fails", "none": "Depends"}[key]
    told = hangs_on(result)
    return Verdict(key, word, [Text(told[0].upper() + told[1:])])  # type: ignore[arg-type]


def _gate_check(result: Sensitivity) -> list[Check]:
    """Whether the gate on the metric is met by the scenario as it is."""
    if result.gate is None:
        return []
    kind, (sign, limit) = kind_of(result.metric), result.gate
    name = f"{label(result.metric)} {sign} {show(kind, limit)}"
    text = f"found {show(kind, result.nominal)}; met in {100 * (result.share_met or 0):.0f} % of the sampled worlds"
    return [Check(name, result.scenario.name, met(result.gate, result.nominal), text)]


def _swings(result: Sensitivity) -> str:
    kind = kind_of(result.metric)
    rows = drawn.as_rows(result.table.nlargest(5, "swing"))
    return "; ".join(f"{words(r['input'])} {show(kind, r['at_low'])} to {show(kind, r['at_high'])}" for r in rows)


def _inputs(result: Sensitivity) -> Table:
    kind = kind_of(result.metric)
    indices = ("mu_star", "mu_star_conf", "sigma") if result.method == "morris" else ("first", "total", "total_conf")
    titles = {"mu_star": "Strength", "mu_star_conf": "±", "sigma": "Spread", "first": "First index", "total": "Total index",
              "total_conf": "±"}  # fmt: skip
    columns = [
        Column("input", "Input", "name"), Column("low", "Low", "number"), Column("nominal", "In the scenario", "number"),
        Column("high", "High", "number"), Column("unit", "Unit"), Column("at_low", f"{label(result.metric)} at low", kind),
        Column("at_high", "at high", kind), *(Column(n, titles[n], "number") for n in indices), Column("meaning", "Meaning"),
    ]  # fmt: skip
    rows = []
    for row in drawn.as_rows(result.table):
        known = PARAMETERS[row["input"]]
        given = {**row, "unit": known.unit, "meaning": known.meaning}
        rows.append([given[c.key] for c in columns])
    return Table("inputs", columns, rows)
