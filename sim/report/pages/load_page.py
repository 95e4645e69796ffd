"""The page of a load run: whether its figures can be trusted, what the cloud answered and how fast, who carried it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sim.exit_status import ExitStatus
from sim.records import SPANS
from sim.report.model.live_findings import Compared, Leg, compared_of, legs_of
from sim.report.model.load_verdict import decision_of, slo_of
from sim.report.model.origin import origin_of
from sim.report.model.verdict_words import tell
from sim.report.page import Block, Check, Column, Page, Points, Section, Table, Text, Tile, Tiles, Verdict
from sim.report.pages.live_sections import (
    MS,
    agreement_check,
    agreement_text,
    comparison_sections,
    leg_sections,
    slo_blocks,
    slo_checks,
)
from sim.report.pages.origin_section import origin_section
from sim.report.show import number, plural
from sim.units import show_duration

_LEGS_FIRST = ("wake", "connect", "notice", "download")


@dataclass(frozen=True, slots=True)
class LoadRun:
    """What a load run left: `facts` are those of its manifest, `found` the merged report of its workers."""

    facts: Mapping[str, Any]
    found: Mapping[str, Any]

    @property
    def legs(self) -> list[Leg]:
        """The legs that were measured or failed."""
        return legs_of(self.found.get("legs", {}))

    @property
    def compared(self) -> Compared:
        """What client and cloud counted."""
        return compared_of(self.found.get("reconciliation") or {})

    @property
    def workers(self) -> Mapping[str, Any]:
        """What each worker reported, by its name."""
        told: Mapping[str, Any] = self.found.get("workers", {})
        return told


_REPEAT = (
    "Type it in this folder: it holds the scenario with every default written out. A real network does not repeat exactly. Every "
    "figure is in load.json, with the histograms of the workers; locust.html and the CSV files beside it are Locust's own. "
    "fotasim verify . checks every file against SHA256SUMS and works the figures out again from the workers' histograms."
)


def load_page(run: LoadRun) -> Page:
    """The page."""
    facts, suite, origin = run.facts, str(run.facts.get("name", "load")), origin_of(run.facts)
    spans = [run.found.get("began"), run.found.get("ended")]
    lasted = f" · {show_duration(spans[1] - spans[0])}" if None not in spans else ""  # type: ignore[operator]
    return Page(
        title=f"{suite}: load on {facts.get('cloud', 'a cloud')}", kind="load", kicker=f"Load run · fotasim {facts.get('fotasim', '')}",
        lead=str(facts.get("description", "")),
        facts=f"{plural(int(facts.get('users', 0)), 'module')} asked for · {plural(len(run.workers), 'worker')}{lasted}",
        verdict=_verdict(run), opening=[_tiles(run)], checks=_checks(run, suite),
        sections=[
            *leg_sections(run.legs), *comparison_sections(run.compared), *_workers(run),
            origin_section(origin, "Repeat this run", _REPEAT),
        ],
        properties=origin.rows(),
    )  # fmt: skip


def _verdict(run: LoadRun) -> Verdict:
    """Partial, void or untrue figures say so first; else the load that was carried is stated, which decides nothing by itself."""
    faults = [str(fault) for fault in run.found.get("faults", [])]
    told: list[Block] = [Points([Text(fault) for fault in faults])] if faults else []
    if run.found.get("interrupted"):
        return Verdict(
            "partial", "Partial", [Text("Its figures end where it stopped.", "The run was interrupted."), *told]
        )
    if run.found.get("void") or not run.found.get("complete", True):
        text = Text("the generator, not the cloud, decided these figures.", "Void:")
        return Verdict("no-go", "Void", [text, *told])
    if run.compared.agrees is False:
        return Verdict("no-go", "Counts differ", [agreement_text(run.compared)])
    failures = _failures(run)
    done = sum(leg.count for leg in run.legs if leg.name not in SPANS)
    decision, objectives = decision_of(run.found), slo_of(run.found)
    if not done and not failures:
        return Verdict("none", "No load", [Text("No leg of any upgrade was measured.")])
    if decision.verdict != "none":
        told_by = tell(decision)
        reason = Text(" ".join(told_by.reasons), told_by.headline)
        return Verdict(
            decision.verdict.value, told_by.word, [reason, *slo_blocks(objectives), agreement_text(run.compared), *told]
        )
    carried = Text(
        f"{f'{failures:,}' if failures else 'None'} of {plural(done + failures, 'exchange')} failed; the generator kept up, so the times are the cloud's.",
        "The figures can be trusted." if not failures else "Some exchanges failed.",
    )
    bound = Text(
        "Without --slo only failures are judged; fotasim capacity finds the largest load that keeps objectives.", hint=True
    )  # fmt: skip
    return Verdict("none", "Measured", [carried, *slo_blocks(objectives), agreement_text(run.compared), *told, bound])


def _tiles(run: LoadRun) -> Tiles:
    legs = {leg.name: leg for leg in run.legs}
    modules = sum(int(worker.get("users", 0)) for worker in run.workers.values())
    tiles = [Tile("Modules", f"{modules:,}", f"at once, in {plural(len(run.workers), 'worker')}")]
    for name in _LEGS_FIRST:
        leg = legs.get(name)
        p99 = None if leg is None else leg.p99_s
        if leg is not None and p99 is not None:
            tiles.append(Tile(f"{name}, 99 % within".capitalize(), f"{number(MS * p99)} ms", f"{leg.count:,} measured"))
    tried = sum(leg.count for leg in run.legs if leg.name not in SPANS) + _failures(run)
    return Tiles(
        [*tiles, Tile("Failures", f"{_failures(run):,}", f"of {plural(tried, 'exchange')}, all legs together")]
    )


def _failures(run: LoadRun) -> int:
    """Exchanges that failed; a span goes over several and would count them twice."""
    return sum(sum(leg.failures.values()) for leg in run.legs if leg.name not in SPANS)


def _checks(run: LoadRun, suite: str) -> list[Check]:
    """What has to hold for the figures to mean anything."""
    faults = "; ".join(str(fault) for fault in run.found.get("faults", []))
    void = bool(run.found.get("void"))
    interrupted = bool(run.found.get("interrupted"))
    complete = bool(run.found.get("complete", True)) and not interrupted
    missing = "it was interrupted" if interrupted else faults or "a worker went missing"
    return [
        Check("the run is complete", suite, complete, "every worker reported" if complete else missing,
              ExitStatus.INTERRUPTED if interrupted else ExitStatus.NO_GO),
        Check("the generator kept up", suite, not void, faults if void else "no worker was the bottleneck"),
        *slo_checks(slo_of(run.found), suite),
        *agreement_check(run.compared, suite),
    ]  # fmt: skip


def _workers(run: LoadRun) -> Iterator[Section]:
    """What carried the load: whether the generator had room left."""
    columns = (
        Column("worker", "Worker"), Column("modules", "Modules", "count"), Column("final", "Reported"),
        Column("cpu", "CPU used", "share"), Column("lag_p99_ms", "Loop late by, 99 %, ms", "number"),
        Column("connections", "Connections", "count"), Column("clock_off_ms", "Clock off by, ms", "number"),
    )  # fmt: skip
    rows = []
    for name, worker in run.workers.items():
        health = worker.get("health") or {}
        lag, off = health.get("lag_p99_s"), worker.get("clock_off_s")
        rows.append((
            str(name), int(worker.get("users", 0)), "yes" if worker.get("final") else "no", health.get("cpu"),
            None if lag is None else MS * float(lag), health.get("connections"), None if off is None else MS * float(off),
        ))  # fmt: skip
    if rows:
        note = "A worker whose loop is late or whose CPU is full measures itself; the run is then void."
        yield Section("What carried the load", [Table("workers", columns, rows), Text(note, hint=True)])


__all__ = ["LoadRun", "load_page"]
