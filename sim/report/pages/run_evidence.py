"""The sections below a run's verdict: assumptions, strategy, losses and time; then risk, resources and appendix."""

from __future__ import annotations

from collections.abc import Iterator

from sim.gates import Judged
from sim.records import Run
from sim.report.figures import charts, rollout_figures
from sim.report.model.nearby_studies import Sensitivity
from sim.report.model.risk import HARM
from sim.report.model.run_report import Assumption, RunReport
from sim.report.page import Block, Chart, Column, Section, Table, Text, Value
from sim.report.pages.live_sections import live_sections
from sim.report.pages.plugin_section import plugin_sections
from sim.report.pages.run_provenance import appendix_sections, release_sections
from sim.report.pages.run_resources import breakdown_sections, cost_sections, load_sections
from sim.report.pages.run_risk import risk_sections
from sim.report.show import kind_of, metric_words, number, plural, share, show, was, words
from sim.stats.survival import cumulative_share
from sim.units import show_duration


def sections(report: RunReport, run: Run, variant: str = "") -> list[Section]:
    """Every section, in the order of a release review."""
    listed = [
        *(live_sections(report.live) if report.live else ()), *_assumed(report), *_recommended(report), *_lost(report), *_time(report, run), *risk_sections(report, run),
        *load_sections(report, run), *cost_sections(report), *breakdown_sections(report), *plugin_sections(report.plugins), *release_sections(report), *appendix_sections(report),
    ]  # fmt: skip
    return [Section(s.title, s.blocks, s.half, variant, s.minor) for s in listed]


def _assumed(report: RunReport) -> Iterator[Section]:
    """What the verdict rests on and depends on."""
    listed = report.assumptions
    estimated = sum(a.provenance == "estimated" for a in listed)
    changed = [a for a in listed if a.changed]
    blocks: list[Block] = []
    blocks += [Text(f"{study}.", "Not used:") for study in report.studies_left_out]
    if report.sensitivity is not None and report.sensitivity.influences:
        blocks += _dependence(report, report.sensitivity)
    else:
        blocks.append(Text(
            f"{estimated} of {len(listed)} inputs are engineering estimates. No sensitivity study of this scenario lies beside this run, "
            "so it is not known which of them the verdict depends on: run fotasim sensitivity.", "What the verdict depends on.",
        ))  # fmt: skip
    if report.release.defects:
        blocks.append(
            Text(f"{'; '.join(report.release.defects)}.", "Defects of the release, injected by this scenario:")
        )
    changed_text = ", ".join(f"{words(a.name)} ({_value_text(a)})" for a in changed[:8])
    more = f" and {len(changed) - 8} more" if len(changed) > 8 else ""
    blocks.append(
        Text(f"{changed_text}{more}." if changed else "none.", "Model parameters that differ from their defaults:")
    )
    if listed:
        blocks.append(_assumption_table(report))
    yield Section("What was assumed", blocks)


def _dependence(report: RunReport, found: Sensitivity) -> list[Block]:
    """The inputs ranked, and whether one of them alone changes the answer of a gate."""
    kind, top = kind_of(found.metric), found.influences[0]
    flips = [
        words(x.input) for x in found.influences for gate in report.gates
        if gate.metric == found.metric and None not in (x.at_low, x.at_high) and _flips(gate, x.at_low, x.at_high)
    ]  # fmt: skip
    text = f"{metric_words(found.metric).capitalize()} depends most on {words(top.input)}: {show(kind, top.at_low)} at the low end of its range, {show(kind, top.at_high)} at the high end."
    if any(gate.metric == found.metric for gate in report.gates):
        alone = ", ".join(dict.fromkeys(flips))
        text += (
            f" On its own within its range, {alone} changes the answer of the gate."
            if flips
            else " No input changes the answer of its gate alone."
        )
    shown = [x for x in found.influences if x.strength][:10]
    figure = charts.bars({x.input: x.strength or 0.0 for x in shown}, labels=[number(x.strength or 0.0) for x in shown])
    alt = "Influence: " + ", ".join(f"{words(x.input)} {number(x.strength or 0.0)}" for x in shown)
    columns = (
        Column("input", "Input", "name"), Column("low", "Low", "number"), Column("high", "High", "number"),
        Column("at_low", f"{metric_words(found.metric)} at low", "number"),
        Column("at_high", "… at high", "number"), Column("strength", found.method, "number"),
    )  # fmt: skip
    rows = [
        (x.input, x.low, x.high, Value(kind, x.at_low), Value(kind, x.at_high), x.strength) for x in found.influences
    ]
    return [
        Text(text, "What it depends on."),
        *([Chart(figure, alt, note=f"Influence on {metric_words(found.metric)}: {found.method}.")] if shown else []),
        Table("sensitivity", columns, rows, folded=True, caption="Influence of each input"),
    ]  # fmt: skip


def _flips(gate: Judged, at_low: float | None, at_high: float | None) -> bool:
    """Whether the gate's answer differs between the ends of an input's range."""
    values = [v for v in (at_low, at_high) if v is not None]
    beyond = [v >= gate.limit if gate.sign.startswith(">") else v <= gate.limit for v in values]
    return len(set(beyond)) > 1


def _value_text(a: Assumption) -> str:
    unit = "" if a.unit in ("1", "probability", "factor") else f" {a.unit}"
    if a.by_group:
        return ", ".join(f"{name} {value:.4g}{unit}" for name, value in a.by_group.items())
    return f"{a.value:.4g}{unit}"


def _assumption_table(report: RunReport) -> Table:
    columns = (
        Column("parameter", "Parameter", "name"), Column("value", "Value"), Column("default", "Default", "number"),
        Column("low", "Low", "number"), Column("high", "High", "number"), Column("unit", "Unit"),
        Column("meaning", "Meaning"), Column("provenance", "Provenance"), Column("source", "Source"),
    )  # fmt: skip
    rows = [
        (a.name, _value_text(a), a.default, a.low, a.high, a.unit, a.meaning, a.provenance, a.source)
        for a in report.assumptions
    ]
    return Table("assumptions", columns, rows, folded=True, caption="Every input with its range and provenance")


def _recommended(report: RunReport) -> Iterator[Section]:
    """The strategy to use: from a study where one lies beside the run, else what the losses say."""
    if report.candidates:
        yield Section("Recommended strategy", _candidates(report))
        return
    columns = (
        Column("cause", "Cause", "name"), Column("modules", "Modules", "count"), Column("share", "Share", "share"),
        Column("action", "What to do"), Column("key", "Key to try"), Column("current", "Now"),
    )  # fmt: skip
    changes = [(a.cause, a.modules, a.share, a.action, a.key, a.current) for a in report.advice]
    text = (
        "No search or comparison of strategies lies beside this run. These changes address the causes of loss, largest "
        "loss first:"
        if changes
        else "The run was interrupted: its losses are those of where it stood, so nothing is advised."
        if not report.facts.complete
        else "Every module was upgraded: no other strategy can upgrade more."
    )
    blocks: list[Block] = [Text(text)]
    if changes:
        blocks.append(Table("changes_to_try", columns, changes))
    yield Section("Strategy and alternatives", blocks)


_SEARCH = {
    "found": "The search beside this run recommends:",
    "undecided": "The search beside this run came out undecided; it puts first:",
    "none fits": "In the search beside this run no setting kept every constraint; the nearest:",
    "": "The search beside this run puts first:",
}
"""What a search came to, before the settings it is about."""


def _candidates(report: RunReport) -> list[Block]:
    """The settings a search recommends and its other finalists, with their objectives over fresh campaigns."""
    first = report.candidates[0]
    names = list(first.objectives)
    columns = [Column("settings", "Settings")]
    for name in names:
        columns += [
            Column(name, metric_words(name), "number"),
            Column(f"{name} low", "95 % low", "number"),
            Column(f"{name} high", "95 % high", "number"),
        ]
    rows = [
        (", ".join(f"{key} = {value}" for key, value in c.settings.items()),
         *(Value(kind_of(name), v) for name in names for v in c.objectives.get(name, (None, None, None))))
        for c in report.candidates
    ]  # fmt: skip
    statement = ", ".join(f"{key} = {value}" for key, value in first.settings.items())
    return [
        Text(f"{statement}.", _SEARCH.get(first.answer, _SEARCH[""])),
        Text("The first row is that setting; the others are alternatives. All were evaluated on campaigns the search did not use.", hint=True),
        Table("strategies", columns, rows),
    ]  # fmt: skip


def _lost(report: RunReport) -> Iterator[Section]:
    """The funnel and where modules are lost."""
    total = sum(report.outcomes.values())
    stages = [("in the plan", total), *report.stages.items()]
    order = {"none": 0, **{name: i for i, name in enumerate(report.stages, 1)}}
    losses = [(order.get(x.stage, 0), words(x.cause), x.modules, x.cause in HARM) for x in report.losses]
    alt = "Stages: " + charts.describe([s for s, _ in stages], [n for _, n in stages]) + ". Lost: "
    alt += "; ".join(f"{n:,} past “{stages[at][0]}” held back by {cause}" for at, cause, n, _ in losses) or "none"
    funnel = Table(
        "stages", (Column("stage", "Stage", "name"), Column("modules", "Modules", "count"), Column("share", "Share of the plan", "share")),
        [(name, n, n / total if total else None) for name, n in stages], folded=True, caption="The funnel in figures",
    )  # fmt: skip
    lost = Table(
        "losses", (Column("stage", "Got as far as", "name"), Column("cause", "Held back by", "name"),
                   Column("modules", "Modules", "count"), Column("share", "Share of the plan", "share")),
        [("in the plan" if x.stage == "none" else x.stage, x.cause, x.modules, x.modules / total) for x in report.losses],
        folded=True, caption="Losses in figures",
    )  # fmt: skip
    note = "Stages as they truly happened, known to the cloud or not; “reported” is what the cloud received. One cause for each module, the last that held it back. Orange: harm by the image or by flashing."
    if unneeded := report.outcomes.get("not_needed", 0):
        note += f" The plan had nothing for {plural(unneeded, 'module')}, which are not lost."
    yield Section(
        "How far the modules got, and where they are lost",
        [Chart(rollout_figures.loss_flow(stages, losses), alt, note=note), funnel, *([lost] if lost.rows else [])],
    )


def _time(report: RunReport, run: Run) -> Iterator[Section]:
    """Time to upgrade, the long tail, the expected finish."""
    modules = run.modules
    curves = {"all": cumulative_share(modules["upgraded_s"], len(modules))}
    parts = modules.groupby("group", observed=True)["upgraded_s"]
    if 1 < parts.ngroups < charts.MAX_SERIES:
        curves |= {str(name): cumulative_share(part, len(part)) for name, part in parts}
    ends = ", ".join(f"{name} {share(float(y[-1]) if len(y) else 0.0)}" for name, (_, y) in curves.items())
    drawn = charts.upgrade_curve(curves, horizon_s=report.facts.watched_s)
    yield Section("Time to upgrade", [
        Chart(drawn, f"Share on the target version over time; at the end: {ends}", note=(
            "Modules that fail, are rejected or never appear stay in the denominator. Modules still waiting at the end "
            "are censored: the curve may rise further after it.")),
    ], half=True)  # fmt: skip
    yield Section("Expected finish", [
        Text(_finish_text(report)), _milestone_table(report),
        _quantile_table(report),
    ], half=True)  # fmt: skip


def _milestone_table(report: RunReport) -> Table:
    columns = (
        Column("share", "Of those that need it", "share"), Column("time_s", "Done after", "duration"),
        Column("earliest_s", "Earliest", "duration"), Column("latest_s", "Latest", "duration"),
        Column("reached", "Campaigns that got there"),
    )  # fmt: skip
    shown = 2 if report.facts.replications == 1 else len(columns)
    rows = [
        (m.share, m.time_s, m.earliest_s, m.latest_s, f"{m.reached_in} of {m.campaigns}")[:shown]
        for m in report.finish.milestones
    ]
    return Table(
        "milestones",
        columns[:shown],
        rows,
        caption=f"When so much of the fleet is done (–: not within {show_duration(report.facts.watched_s)})",
    )


def _finish_text(report: RunReport) -> str:
    finish = report.finish
    if finish.last_s is None:
        return "No module was upgraded."
    text = (
        f"99 % of the upgraded modules were done {show_duration(finish.settled_s or 0.0)} after activation, the "
        f"last one after {show_duration(finish.last_s)}."
    )
    if finish.waiting and finish.per_day_at_end >= 0.5:
        text += f" At the end {number(round(finish.per_day_at_end, 1))} modules a day were still being upgraded, and {finish.waiting:,} {was(finish.waiting)} waiting."
    elif finish.waiting:
        text += (
            f" At the end hardly any module was still being upgraded; {finish.waiting:,} {was(finish.waiting)} waiting."
        )
    return text


def _quantile_table(report: RunReport) -> Table:
    columns = (
        Column("quantile", "Of the successes"), Column("time_s", "Done after", "duration"),
        Column("low_s", "95 % low", "duration"), Column("high_s", "95 % high", "duration"),
    )  # fmt: skip
    rows = []
    for name in report.finish.quantiles_s:
        metric = report.metrics[f"duration_{name}"]
        rows.append((f"{name[1:]} %", metric.value, metric.low, metric.high))
    return Table("durations", columns, rows, caption="The long tail")
