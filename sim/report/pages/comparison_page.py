"""The page of a comparison of settings: the verdict in words, the differences, the modules that end differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.report.figures import study_figures
from sim.report.model.origin import UNKNOWN
from sim.report.page import Block, Chart, Column, Page, Points, Section, Table, Text, Verdict
from sim.report.pages.difference_words import label, signed
from sim.report.pages.origin_section import evidence_of
from sim.report.pages.study_parts import whole
from sim.report.pages.study_results import Comparison, Side
from sim.report.show import kind_of, plural, show, words


def comparison_page(result: Comparison, manifest: Mapping[str, Any] | None = None) -> Page:
    """The page of a comparison: the verdict in words, the differences, and which modules end differently."""
    evidence = evidence_of(manifest)
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
    sections += [*_run_sides(manifest or {}), *evidence.sections()]
    return Page(
        title=f"{names} against {base.name}", kind="comparison", kicker="Comparison",
        facts=_facts(result.sides), verdict=verdict, opening=_pictures(result), sections=sections,
        checks=whole(result.complete, base.name), properties=evidence.properties(),
    )  # fmt: skip


def _facts(sides: Sequence[Side]) -> str:
    """Campaigns and seeds: once where all sides have the same, else of each."""
    campaigns, seeds = (
        [*dict.fromkeys(told)] for told in zip(*((len(s.campaigns), s.terms.seed) for s in sides), strict=True)
    )
    counted = f"{plural(campaigns[0], 'campaign')} a side" if len(campaigns) == 1 else f"{_listed(campaigns)} campaigns"
    return f"{counted} · seed{'s' * (len(seeds) > 1)} {_listed(seeds)} · intervals in brackets: 95 % for all differences together"


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))


def _run_sides(manifest: Mapping[str, Any]) -> list[Section]:
    """The run folders that were compared, by what tells them from any other."""
    columns = (
        Column("name", "Run folder"), Column("made_at", "Made at"), Column("fotasim", "fotasim"), Column("commit", "Commit"),
        Column("engine", "Engine"), Column("scenario_sha256", "Scenario SHA-256"), Column("modules_sha256", "modules.parquet SHA-256"),
    )  # fmt: skip
    rows = [
        [side["name"], *(side["run"].get(c.key) or UNKNOWN for c in columns[1:])]
        for side in manifest.get("sides", []) if side.get("run")
    ]  # fmt: skip
    return [Section("The run folders", [Table("run_folders", columns, rows)])] if rows else []


_MOST_PICTURES = 4


def _pictures(result: Comparison) -> list[Block]:
    """A forest plot for each alternative, the first ones: the answer before its numbers."""
    blocks: list[Block] = []
    for side in result.sides[1 : 1 + _MOST_PICTURES]:
        rows = result.table[result.table["alternative"] == side.name]
        panels = study_figures.forest_rows(rows)
        if not panels:
            continue
        told = "; ".join(
            f"{label(row['metric'])} {signed(row['metric'], row['difference'])} [{signed(row['metric'], row['low'])} to {signed(row['metric'], row['high'])}]"
            for row in study_figures.as_rows(rows[rows["differs"]])
        )
        blocks.append(Chart(
            study_figures.forest(panels), f"Differences of {side.name} from {result.sides[0].name}: {told or 'none is significant'}",
            title=f"{side.name} compared with {result.sides[0].name}",
            note="Dot: mean difference; line: its interval. Filled: significant, the interval excludes zero; hollow: no significant difference. Bricks are of modules that installed, failures of modules that confirmed, the rest of all targets.",
        ))  # fmt: skip
    return blocks


def _difference_section(result: Comparison, name: str) -> Section:
    rows = study_figures.by_importance(result.table[result.table["alternative"] == name])
    paired = bool(rows["paired"].all())
    columns = [
        Column("metric", "Metric", "name"), Column("a", result.sides[0].name), Column("b", name),
        Column("difference", "Difference"), Column("interval", "95 % interval"), Column("p_adjusted", "p", "p_value"),
        Column("verdict", "Significant?"), Column("narrower", "Interval narrower by pairing, times", "number"),
    ]  # fmt: skip
    cells = []
    for row in study_figures.as_rows(rows):
        kind, low, high = kind_of(row["metric"]), row["low"], row["high"]
        reach = "–" if low != low else f"{signed(row['metric'], low)} to {signed(row['metric'], high)}"  # noqa: PLR0124 - NaN
        factor = row["variance_reduction"] ** 0.5
        cells.append([
            label(row["metric"]), show(kind, row["a"]), show(kind, row["b"]), signed(row["metric"], row["difference"]),
            reach, row["p_adjusted"],
            "yes" if row["differs"] else "no", factor,
        ])  # fmt: skip
    how = (
        "Both sides ran on the same random numbers and are compared campaign by campaign. The last column: how many times "
        "wider the interval would be with independent seeds."
        if paired
        else "The sides do not share random numbers; the interval is Welch's."
    )
    family = (
        "A difference is significant when its interval excludes zero. Intervals and p-values are adjusted so that those of all "
        "alternatives and metrics of this page hold at 95 % together (Bonferroni)."
    )
    return Section(name, [Table("differences", columns, cells), Text(f"{how} {family}", hint=True)])


def _flow_section(name: str, flow: Any) -> Section:
    if not len(flow):
        return Section("Modules with another outcome", [Text(f"None: every module ends the same under {name}.")])
    columns = [
        Column("outcome_a", "Was", "name"), Column("cause_a", "because of", "name"), Column("outcome_b", "Becomes", "name"),
        Column("cause_b", "because of", "name"), Column("modules_per_campaign", "Modules per campaign", "number"),
        Column("rsrp_dbm_median", "Median RSRP, dBm", "number"),
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
    return Section(f"Modules with another outcome: {name}", [chart, Table("flow", columns, rows, row_heads=False)])


def _agreement_section(name: str, tested: Any) -> Section:
    columns = [
        Column("quantity", "Quantity"), Column("test", "Test"), Column("n_a", "Modules", "count"),
        Column("n_b", "Modules, other", "count"), Column("median_a", "Median", "duration"),
        Column("median_b", "Median, other", "duration"), Column("p_holm", "p (Holm)", "p_value"),
    ]  # fmt: skip
    rows = [[row[c.key] for c in columns] for row in study_figures.as_rows(tested)]
    note = "A small p means that the two samples do not come from one distribution. Modules of one run are not independent, so these tests raise more than 5 % false alarms."
    return Section(f"Live beside simulated: {name}", [Table("agreement", columns, rows), Text(note, hint=True)])
