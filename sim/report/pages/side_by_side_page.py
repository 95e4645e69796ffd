"""Pages that lay runs side by side: several strategies against each other, a run against the previous release's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sim.exit_status import ExitStatus
from sim.records import Run
from sim.report.figures import charts
from sim.report.model.run_changes import changes, settings, unlike
from sim.report.model.run_report import RunReport
from sim.report.model.verdict_words import WORDS
from sim.report.page import Block, Chart, Check, Column, Page, Section, Table, Text, Value, Verdict
from sim.report.pages import run_evidence
from sim.report.pages.run_page import checks, gate_table, interval_note, risk_sentence, tiles
from sim.report.show import Kind, kind_of, metric_words, plural
from sim.stats.differences import Change
from sim.stats.survival import cumulative_share
from sim.units import show_duration

MARKS = {
    "better": "▲ better",
    "worse": "▼ worse",
    "changed": "changed",
    "unclear": "within noise",
    "same": "same",
    "unknown": "noise not known",
    "unlike": "not like with like",
}
_RANKING = ("bricked", "success_rate", "duration_p95")
_NOISE = (
    "A difference counts when its interval excludes zero; intervals hold at 95 % for all figures of a comparison "
    "together. Between single runs they come from the modules of each and take the runs as independent; campaign by "
    "campaign they are paired where seed and fleet are the same."
)


def compare_page(reports: Sequence[RunReport], runs: Mapping[str, Run]) -> Page:
    """Several runs on one page, the recommended one first named; `runs` are keyed by the labels of the reports."""
    names = ", ".join(r.facts.label for r in reports)
    per_run = [
        Section(f"{r.facts.label}: verdict", [_verdict_text(r), *([gate_table(r.gates)] if r.gates else []), tiles(r)], variant=r.facts.label)
        for r in reports
    ]  # fmt: skip
    return Page(
        title=f"Comparison of {plural(len(reports), 'run')}", kind="comparison", kicker=f"Comparison · fotasim {reports[0].facts.version}",
        lead=names, facts="The first is what the others are compared with.", verdict=_verdict(reports, runs),
        opening=[_figures_table(reports), Text(interval_note(reports[0]), hint=True)],
        sections=[*_together(reports, runs), *(s for r, own in zip(reports, per_run, strict=True)
                  for s in (own, *run_evidence.sections(r, runs[r.facts.label], r.facts.label)))],
        checks=[check for r in reports for check in checks(r)],
    )  # fmt: skip


def against(report: RunReport, run: Run, old: RunReport, old_run: Run) -> tuple[Text, list[Section], Check]:
    """The outcome of comparing a run with an older one, its sections, and the check that nothing got worse."""
    found, apart = changes(old, report, (old_run, run)), unlike(old_run, run)
    worse = [c for c in found if c.verdict == "worse"]
    better = [c for c in found if c.verdict == "better"]
    text = f"Worse beyond noise: {_names(worse)}." if worse else "Nothing got worse beyond noise."
    if apart:
        text = unlike_words(apart)
    more = f" Better: {_names(better)}." if better else ""
    label = old.facts.label
    blocks: list[Block] = [Text(text + more), change_table(found, f"against_{label}"), Text(_NOISE, hint=True)]
    pair = {f"before: {label}": old_run, "now": run}
    differing = settings(pair)
    sections = [Section(f"Against {label}", blocks)]
    sections.append(Section("Time to upgrade, then and now", [_curves(pair)], half=True))
    sections.append(Section("What was set differently", [_settings_table(["before", "now"], differing)], half=True))
    return (
        Text(text + more, f"Against {label}:"),
        sections,
        regression_check(f"nothing worse than {label} beyond noise", report.facts.label, worse, apart, text),
    )


def unlike_words(apart: Sequence[str]) -> str:
    """That runs are not like with like, and why."""
    return f"Not like with like ({'; '.join(apart)}): no figure is called better or worse."


def regression_check(name: str, suite: str, worse: Sequence[Change], apart: Sequence[str], text: str) -> Check:
    """The check that nothing got worse: in doubt where the runs are not like with like."""
    if apart:
        return Check(name, suite, False, text, ExitStatus.UNDECIDED, "not like with like", by_chance=False)
    return Check(name, suite, not worse, text)


def change_table(found: Sequence[Change], name: str) -> Table:
    """Figures before and after with the interval of their difference and what it says."""
    columns = (
        Column("metric", "Figure", "metric"), Column("before", "Before", "number"), Column("after", "Now", "number"),
        Column("difference", "Difference", "number"), Column("low", "95 % low", "number"), Column("high", "95 % high", "number"),
        Column("verdict", "Beyond noise?"),
    )  # fmt: skip
    return Table(name, columns, [change_row(c) for c in found])


def change_row(change: Change) -> tuple[object, ...]:
    """A change as cells of the table above."""
    kind = kind_of(change.metric)
    step: Kind = "points" if kind == "share" else kind
    return (
        change.metric, Value(kind, change.before), Value(kind, change.after), Value(step, change.difference, signed=True),
        Value(step, change.low, signed=True), Value(step, change.high, signed=True), MARKS[change.verdict],
    )  # fmt: skip


def _recommended(reports: Sequence[RunReport], runs: Mapping[str, Run]) -> RunReport:
    """Gates first; then fewer bricks, more success, less time, in this order and only where it is beyond noise."""
    passing = [r for r in reports if r.verdict in ("go", "none")] or list(reports)
    best = passing[0]
    for other in passing[1:]:
        found = {c.metric: c.verdict for c in changes(best, other, (runs[best.facts.label], runs[other.facts.label]))}
        telling = next((found[m] for m in _RANKING if found.get(m) in ("better", "worse")), "")
        best = other if telling == "better" else best
    return best


def _verdict(reports: Sequence[RunReport], runs: Mapping[str, Run]) -> Verdict:
    first, *others = runs.values()
    apart = list(dict.fromkeys(text for other in others for text in unlike(first, other)))
    met = sum(r.verdict == "go" for r in reports)
    if apart:
        gates = f"{met} of {plural(len(reports), 'run')} meet every gate, each of its own."
        return Verdict("none", "Not like with like", [Text(unlike_words(apart)), Text(gates)])
    best = _recommended(reports, runs)
    label = best.facts.label
    if best.verdict in ("go", "none"):
        gates = f"{met} of {plural(len(reports), 'run')} meet every gate. " if best.verdict == "go" else ""
        reason = f"{gates}Ranked by bricks, then success, then time to 95 %; only differences beyond noise count."
        blocks: list[Block] = [
            Text(reason, f"Recommended: {label}."),
            Text(risk_sentence(best), f"Risk to the fleet under {label}:"),
        ]
    else:
        blocks = [
            Text(f"{label} comes closest.", "None of the runs meets every gate."),
            Text(risk_sentence(best), f"Risk to the fleet under {label}:"),
        ]
    return Verdict(best.verdict, WORDS[best.verdict], blocks)


def _figures_table(reports: Sequence[RunReport]) -> Table:
    """The main figures of every run, one column each."""
    wanted = [m for m in reports[0].metrics if all(m in r.metrics for r in reports)]
    columns = [Column("metric", "Figure", "metric")]
    columns += [Column(f"run_{i}", r.facts.label, "number") for i, r in enumerate(reports, 1)]
    rows: list[tuple[object, ...]] = [
        ("verdict", *(Value("text", WORDS[r.verdict]) for r in reports)),
        *((m, *(Value(kind_of(m), r.metrics[m].value) for r in reports)) for m in wanted),
    ]
    return Table("figures", columns, rows, caption="Figures side by side")


def _together(reports: Sequence[RunReport], runs: Mapping[str, Run]) -> list[Section]:
    first = reports[0]
    sections = [
        Section("Time to upgrade", [_curves(runs)], half=True),
        Section("Success and bricks", _intervals(reports), half=True),
    ]
    for other in reports[1:]:
        found = changes(first, other, (runs[first.facts.label], runs[other.facts.label]))
        name = f"{other.facts.label} instead of {first.facts.label}"
        apart = unlike(runs[first.facts.label], runs[other.facts.label])
        told = unlike_words(apart) if apart else _in_words(found)
        sections.append(Section(name, [Text(told), change_table(found, "differences"), Text(_NOISE, hint=True)]))
    sections.append(
        Section("What is set differently", [_settings_table([r.facts.label for r in reports], settings(runs))])
    )
    return sections


def _in_words(found: Sequence[Change]) -> str:
    better, worse = ([c for c in found if c.verdict == v] for v in ("better", "worse"))
    if not better and not worse:
        return "No figure differs beyond noise."
    parts = [f"{word}: {_names(listed)}" for word, listed in (("Better", better), ("Worse", worse)) if listed]
    return ". ".join(parts) + "."


def _names(listed: Sequence[Change]) -> str:
    return ", ".join(f"{metric_words(c.metric)} ({change_text(c)})" for c in listed)


def change_text(change: Change) -> str:
    """A change in words: from what to what."""
    from sim.report.show import show

    kind = kind_of(change.metric)
    return f"{show(kind, change.before)} to {show(kind, change.after)}"


def _curves(runs: Mapping[str, Run]) -> Chart:
    series = {
        label: cumulative_share(run.modules["upgraded_s"], len(run.modules))
        for label, run in list(runs.items())[: charts.MAX_SERIES]
    }
    horizon_s = max(float(run.manifest["watched_s"]) for run in runs.values())
    ends = ", ".join(f"{label} {100 * float(y[-1]) if len(y) else 0:.1f} %" for label, (_, y) in series.items())
    return Chart(
        charts.upgrade_curve(series, horizon_s=horizon_s),
        f"Share on the target version over {show_duration(horizon_s)}; at the end: {ends}",
    )


def _intervals(reports: Sequence[RunReport]) -> list[Block]:
    blocks: list[Block] = []
    for metric, label in (("success_rate", "success, %"), ("bricked", "bricked, %")):
        rows = {}
        for r in reports:
            m = r.metrics[metric]
            if m.value is not None and m.low is not None and m.high is not None:
                rows[r.facts.label] = (100 * m.value, 100 * m.low, 100 * m.high)
        if rows:
            alt = f"{metric_words(metric)}: " + ", ".join(
                f"{k} {v:.3g} % ({lo:.3g} to {hi:.3g})" for k, (v, lo, hi) in rows.items()
            )
            blocks.append(Chart(charts.intervals(rows, x_label=label, zero=False), alt))
    return blocks or [Text("No intervals to show.")]


def _settings_table(labels: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Table | Text:
    if not rows:
        return Text("No setting differs; only names or seeds do.")
    columns = [Column("key", "Key"), *(Column(f"run_{i}", label) for i, label in enumerate(labels, 1))]
    return Table("settings", columns, rows)


def _verdict_text(report: RunReport) -> Text:
    return Text(risk_sentence(report), f"{WORDS[report.verdict]}.")
