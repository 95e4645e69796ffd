"""The page of a comparison of settings: the verdict in words, the differences, the modules that ended otherwise."""

from __future__ import annotations

from typing import Any

from sim.report.figures import study_figures
from sim.report.page import Chart, Column, Page, Points, Section, Table, Text, Verdict
from sim.report.pages.difference_words import label, signed
from sim.report.pages.study_parts import whole
from sim.report.pages.study_results import Comparison
from sim.report.show import kind_of, show, words


def comparison_page(result: Comparison) -> Page:
    """The page of a comparison: the verdict in words, the differences, and which modules ended otherwise."""
    base = result.sides[0]
    names = ", ".join(side.name for side in result.sides[1:])
    verdict = Verdict("partial" if not result.complete else "none", "Partial" if not result.complete else "Compared",
                      [Text(text) for text in result.verdicts])  # fmt: skip
    sections = [_difference_section(result, side.name) for side in result.sides[1:]]
    for name, flow in result.flows.items():
        sections.append(_flow_section(name, flow))
    for name, tested in result.agreement.items():
        sections.append(_agreement_section(name, tested))
    if result.notes:
        sections.append(Section("Notes", [Points([Text(note) for note in result.notes])]))
    return Page(
        title=f"{names} against {base.name}", kind="comparison", kicker="Comparison",
        facts=f"{len(base.campaigns)} campaigns a side · seed {base.seed}", verdict=verdict, sections=sections,
        checks=whole(result.complete, base.name),
    )  # fmt: skip


def _difference_section(result: Comparison, name: str) -> Section:
    rows = result.table[result.table["alternative"] == name]
    paired = bool(rows["paired"].all())
    columns = [
        Column("metric", "Metric", "name"), Column("a", result.sides[0].name), Column("b", name),
        Column("difference", "Difference"), Column("interval", "95 % interval"), Column("p_holm", "p (Holm)", "number"),
        Column("verdict", "Beyond noise?"), Column("narrower", "Narrower by", "number"),
    ]  # fmt: skip
    cells = []
    for row in study_figures.as_rows(rows):
        kind, low, high = kind_of(row["metric"]), row["low"], row["high"]
        reach = "–" if low != low else f"{signed(row['metric'], low)} to {signed(row['metric'], high)}"  # noqa: PLR0124 - NaN
        factor = row["variance_reduction"] ** 0.5
        cells.append([
            label(row["metric"]), show(kind, row["a"]), show(kind, row["b"]), signed(row["metric"], row["difference"]),
            reach, row["p_holm"],
            "differs" if row["differs"] else "not shown to differ", factor,
        ])  # fmt: skip
    how = (
        "Both sides ran on the same random numbers, so each campaign is its own control: “narrower by” tells how many "
        "times shorter that makes the interval than independent seeds would."
        if paired
        else "The sides do not share random numbers; the interval is Welch's."
    )
    holm = "p-values are adjusted by Holm's method for all alternatives and metrics looked at together."
    return Section(name, [Table("differences", columns, cells), Text(f"{how} {holm}", hint=True)])


def _flow_section(name: str, flow: Any) -> Section:
    if not len(flow):
        return Section("Which modules ended otherwise", [Text(f"None, between the sides of {name}.")])
    columns = [
        Column("outcome_a", "Was", "name"), Column("cause_a", "because of", "name"), Column("outcome_b", "Becomes", "name"),
        Column("cause_b", "because of", "name"), Column("modules_per_campaign", "Modules per campaign", "number"),
        Column("rsrp_dbm_median", "Typical RSRP, dBm", "number"),
    ]  # fmt: skip
    rows = [[row[c.key] for c in columns] for row in study_figures.as_rows(flow.head(30))]
    first = rows[0]
    alt = (
        f"most: {words(first[0])} {words(first[1])} to {words(first[2])} {words(first[3])}, {first[4]:.3g} per campaign"
    )
    chart = Chart(
        study_figures.flow_figure(flow),
        alt=alt,
        note="Modules per campaign; left under the first side, right under the other.",
    )
    return Section(f"Which modules ended otherwise: {name}", [chart, Table("flow", columns, rows, row_heads=False)])


def _agreement_section(name: str, tested: Any) -> Section:
    columns = [
        Column("quantity", "Quantity"), Column("test", "Test"), Column("n_a", "Modules", "count"),
        Column("n_b", "Modules, other", "count"), Column("median_a", "Median", "duration"),
        Column("median_b", "Median, other", "duration"), Column("p_holm", "p (Holm)", "number"),
    ]  # fmt: skip
    rows = [[row[c.key] for c in columns] for row in study_figures.as_rows(tested)]
    note = "A small p says that the two do not come from one distribution. Modules of one run are not independent, so these tests cry wolf more often than 5 %."
    return Section(f"Live beside simulated: {name}", [Table("agreement", columns, rows), Text(note, hint=True)])
