"""The page of a study of the inputs: what the result depends on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.module.parameters import PARAMETERS
from sim.report.figures import study_figures
from sim.report.model.verdict_words import limit_words
from sim.report.page import Chart, Check, Column, Page, Section, Table, Text, Value, Verdict
from sim.report.pages.difference_words import label
from sim.report.pages.origin_section import evidence_of
from sim.report.pages.study_parts import facts
from sim.report.pages.study_results import Sensitivity
from sim.report.show import kind_of, quantity_words, show


def sensitivity_page(result: Sensitivity, manifest: Mapping[str, Any] | None = None) -> Page:
    """The page of a study of the inputs: what the result depends on."""
    evidence = evidence_of(manifest)
    metric, kind = result.metric, kind_of(result.metric)
    strongest = _strongest(result)
    method = {"morris": "Morris screening", "sobol": "Sobol indices"}[result.method]
    return Page(
        title=f"What {label(metric)} depends on", kind="sensitivity", kicker=f"{method} · {result.scenario.name}",
        lead=f"Strongest inputs: {strongest}." if strongest else _NONE[result.method], facts=facts(result.scenario, f"{len(result.samples):,} sampled worlds"),
        verdict=_hanging(result),
        sections=[
            Section("Each input alone", [
                Text(f"{label(metric).capitalize()} is {show(kind, result.nominal)} with every input at its value in the scenario."),
                Chart(result.plot(), alt=_swings(result)),
            ]),
            Section(method, [Chart(result.plot_indices(), alt=f"strongest: {strongest or 'none'}"), Text(_METHODS[result.method], hint=True)]),
            Section("Inputs", [_inputs(result)]), *evidence.sections(),
        ],
        checks=_gate_check(result), properties=evidence.properties(),
    )  # fmt: skip


def _strongest(result: Sensitivity) -> str:
    """The strongest inputs by name: of indices those that are resolved, of effects those that are any."""
    rows = study_figures.as_rows(result.table)
    if result.method == "morris":
        rows = [row for row in rows if row["mu_star"] > 0.0]
    else:
        rows = [row for row in rows if study_figures.resolved(row["total"], row["total_conf"])]
    return ", ".join(quantity_words(row["input"]) for row in rows[:3])


_NONE = {"morris": "No input has an effect over its range.", "sobol": "No index is resolved: give more --samples."}
_METHODS = {
    "morris": "Strength is the mean size of an input's effect over its whole range, wherever the others stand; a large "
    "spread says that its effect depends on the others or bends.",
    "sobol": "The total index is the share of the metric's variance that would be gone if the input were known. An index "
    "whose 95 % interval is wider than the index itself is not resolved: give more samples.",
}


def dependence(result: Sensitivity) -> str:
    """The answer in words."""
    kind = kind_of(result.metric)
    strongest = result.table.iloc[0]
    told = (
        f"{label(result.metric)} depends most on {quantity_words(strongest['input'])}: {show(kind, strongest['at_low'])} at the low "
        f"end of its range, {show(kind, strongest['at_high'])} at the high end."
    )
    if result.gate is None:
        return told
    sign, limit = result.gate
    gate = f"{label(result.metric)} {limit_words(sign)} {show(kind, limit)}"
    flips = result.flips
    alone = (
        f"Each of these, alone within its range, changes the answer: {', '.join(map(quantity_words, flips))}."
        if flips
        else "No input alone changes the answer."
    )
    return f"{told} The gate ({gate}) is met in {100 * (result.share_met or 0):.0f} % of {len(result.samples):,} sampled worlds. {alone}"


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
    told = dependence(result)
    return Verdict(key, word, [Text(told[0].upper() + told[1:])])  # type: ignore[arg-type]


def _gate_check(result: Sensitivity) -> list[Check]:
    """Whether the gate on the metric is met by the scenario as it is."""
    if result.gate is None:
        return []
    kind, (sign, limit) = kind_of(result.metric), result.gate
    name = f"{label(result.metric)} {limit_words(sign)} {show(kind, limit)}"
    text = f"found {show(kind, result.nominal)}; met in {100 * (result.share_met or 0):.0f} % of {len(result.samples):,} sampled worlds"
    return [Check(name, result.scenario.name, bool(result.met), text)]


def _swings(result: Sensitivity) -> str:
    kind = kind_of(result.metric)
    rows = study_figures.as_rows(result.table.nlargest(5, "swing"))
    return "; ".join(
        f"{quantity_words(r['input'])} {show(kind, r['at_low'])} to {show(kind, r['at_high'])}" for r in rows
    )


def _inputs(result: Sensitivity) -> Table:
    kind = kind_of(result.metric)
    indices = ("mu_star", "mu_star_conf", "sigma") if result.method == "morris" else ("first", "total", "total_conf")
    titles = {"mu_star": "Strength", "mu_star_conf": "± (95 %)", "sigma": "Spread", "first": "First-order index", "total": "Total index",
              "total_conf": "± (95 %)"}  # fmt: skip
    columns = [
        Column("input", "Input", "name"), Column("low", "Low end", "number"), Column("nominal", "In the scenario", "number"),
        Column("high", "High end", "number"), Column("unit", "Unit"), Column("at_low", f"{label(result.metric)} at the low end", kind),
        Column("at_high", f"{label(result.metric)} at the high end", kind), *(Column(n, titles[n], kind if result.method == "morris" else "number") for n in indices), Column("meaning", "Meaning"),
    ]  # fmt: skip
    rows = []
    for row in study_figures.as_rows(result.table):
        known = PARAMETERS[row["input"]]
        given = {**row, "input": quantity_words(row["input"]), "unit": known.unit, "meaning": known.meaning}
        if known.unit == "s":
            given |= {end: Value("duration", row[end]) for end in ("low", "nominal", "high")}
        if result.method == "sobol" and not study_figures.resolved(row["total"], row["total_conf"]):
            given |= {"total": Value("text", "not resolved"), "first": Value("text", "not resolved")}
        rows.append([given[c.key] for c in columns])
    return Table("inputs", columns, rows)
