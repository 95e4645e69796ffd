"""The sections on risk: harm by the image, what the cloud notices of it, what decisions prevented."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sim.records import Run
from sim.report.figures import rollout_figures
from sim.report.model.risk import HARM
from sim.report.model.run_report import RunReport
from sim.report.page import Block, Chart, Column, Section, Table, Text
from sim.report.show import outcome_words, plural, was, words
from sim.units import show_duration

_ROUTINE = ("activated", "completed", "ended")
"""Decisions of every rollout, which alone make no timeline."""


def risk_sections(report: RunReport, run: Run) -> Iterator[Section]:
    """Harm, what the cloud notices of it, and what decisions prevented."""
    risk = report.risk
    blocks: list[Block] = [Text(_risk_text(report)), *_decisions(report, run)]
    yield Section("Risk: harm, detection and blast radius", blocks)
    columns = sorted({outcome for _, outcome, _ in risk.cloud_view})
    counts = {(state, outcome): n for state, outcome, n in risk.cloud_view}
    rows = [
        (state, *(counts.get((state, c), 0) for c in columns))
        for state in dict.fromkeys(s for s, _, _ in risk.cloud_view)
    ]
    table = Table(
        "cloud_view",
        (Column("cloud_state", "cloud ↓ · truth →", "name"), *(Column(c, outcome_words(c), "count") for c in columns)),
        rows,
    )
    yield Section("What is true and what the cloud sees", [table, Text(
        "A bricked module sends nothing and a lost report is unknown, so the cloud's statistics can differ from the truth. "
        f"{_silent_text(risk.silent_losses)}", hint=True,
    )], half=True)  # fmt: skip
    took = max(risk.took_image, 1)
    harm = [(name, n, n / took) for name, n in report.causes.items() if name in HARM]
    harm_columns = (
        Column("cause", "Cause", "name"), Column("modules", "Modules", "count"),
        Column("share", "Of those that took the image", "share"),
    )  # fmt: skip
    nothing = Text("No module was left harmed by the image or its flashing.")
    yield Section("Harm by cause", [Table("harm", harm_columns, harm) if harm else nothing], half=True)


def _silent_text(losses: int) -> str:
    return (
        f"Here it does not know the outcome of {plural(losses, 'module')}."
        if losses
        else "Here it knows the outcome of every module that has one."
    )


def _risk_text(report: RunReport) -> str:
    risk = report.risk
    if not risk.harmed and risk.first_failed:
        return (
            f"{plural(risk.took_image, 'module')} took the image; the first installation of {risk.first_failed:,} of them failed, and "
            "none was left harmed: further attempts or the bootloader saved them."
        )
    if not risk.harmed:
        return f"{plural(risk.took_image, 'module')} took the image; none was harmed by it or its flashing."
    text = (
        f"{plural(risk.took_image, 'module')} took the image; {risk.harmed:,} of them {was(risk.harmed)} harmed by it or its flashing, "
        f"{risk.bricked:,} bricked. The cloud sees {risk.seen_by_cloud:,} of these as failed."
    )
    if risk.first_harm_s is not None:
        text += f" The first of them began to flash {show_duration(risk.first_harm_s)} after activation"
        seen = risk.first_harm_seen_s
        text += (
            "; none was ever reported."
            if seen is None
            else f"; the first failure was reported {show_duration(seen)} after activation."
        )
    return text


def _decisions(report: RunReport, run: Run) -> Iterator[Block]:
    risk = report.risk
    if all(decision.decision in _ROUTINE for decision in risk.decisions):
        yield Text(
            "The strategy took no decision during the rollout: nothing paused or aborted it, so a bad image would have reached every released module."
        )
        return
    took = np.sort(run.modules["updating_s"].dropna().to_numpy(dtype=float))
    harmed = np.sort(run.modules.loc[run.modules["cause"].isin(HARM), "updating_s"].dropna().to_numpy(dtype=float))
    last_s = max([*took[-1:], *(d.time_s for d in risk.decisions if d.decision not in _ROUTINE)])
    shown_s = min(report.facts.watched_s, 1.25 * last_s)
    grid = np.linspace(0.0, shown_s, 300)
    labels = [(d.time_s, words(f"{d.decision} {d.group}".strip())) for d in risk.decisions]
    yield Chart(
        rollout_figures.decision_timeline(grid, np.searchsorted(took, grid, "right"), np.searchsorted(harmed, grid, "right"), labels, horizon_s=shown_s),
        "Decisions: " + "; ".join(f"{text} at {show_duration(at)}" for at, text in labels[:30]),
        title="Decisions of the strategy",
    )  # fmt: skip
    if risk.stops:
        yield _stop_table(report)
    names = list(dict.fromkeys(name for d in risk.decisions for name in d.counts))
    columns = (
        Column("time_s", "After activation", "duration"), Column("decision", "Decision", "name"), Column("group", "Group"),
        Column("detail", "Detail"), *(Column(n, words(n), "number") for n in names),
    )  # fmt: skip
    rows = [(d.time_s, d.decision, d.group, d.detail, *(d.counts.get(n) for n in names)) for d in risk.decisions]
    yield Table("decisions", columns, rows, folded=True, row_heads=False, caption="Every decision with its counts")


def _stop_table(report: RunReport) -> Table:
    columns = (
        Column("replication", "Replication", "count"), Column("decision", "Decision", "name"), Column("why", "Why"),
        Column("time_s", "After activation", "duration"), Column("detection_delay_s", "Detection delay", "duration"),
        Column("took_image_before", "Took the image before", "count"), Column("took_image_after", "… and after", "count"),
        Column("bricked_before", "Bricked before", "count"), Column("bricked_after", "… and after", "count"),
    )  # fmt: skip
    shown = columns if report.facts.replications > 1 else columns[1:]
    rows = [[getattr(stop, column.key) for column in shown] for stop in report.risk.stops]
    return Table("blast_radius", shown, rows, caption="Detection delay and blast radius of the stop")
