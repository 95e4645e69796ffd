"""What only a real cloud can tell: where the modules went, how long each leg took, whether both sides' books agree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.report import figures
from sim.report.page import Block, Chart, Check, Column, Points, Section, Table, Text
from sim.report.show import number, plural

LATENCIES_FILE = "latencies.json"
MS = 1000.0
_MOST_EXAMPLES = 5
AGREEMENT = "client and cloud agree"


@dataclass(frozen=True, slots=True)
class Leg:
    """A leg of the upgrade: what it spans, how often it was measured, failures by reason, quantiles in seconds."""

    name: str
    meaning: str
    count: int
    failures: dict[str, int]
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    max_s: float | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """A count of the modules beside the cloud's, how many modules differ, and some of them by name."""

    what: str
    client: int
    cloud: int
    differ: int
    examples: list[str]


@dataclass(frozen=True, slots=True)
class Books:
    """Both sides' books laid together; `agrees` is None where nobody could be asked, and `note` says why."""

    agrees: bool | None
    note: str = ""
    checks: list[Agreement] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Live:
    """A live run beside its records: the target, how time went, the legs, the books."""

    target: str
    time_scale: float
    ramp_per_s: float
    radio: bool
    wall_s: float
    legs: list[Leg]
    books: Books


def live_of(folder: Path, manifest: Mapping[str, Any]) -> Live | None:
    """What a live run left beside its tables; None for a simulated one."""
    told = manifest.get("live")
    if not isinstance(told, Mapping):
        return None
    try:
        latencies = json.loads((folder / LATENCIES_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        latencies = {}
    return Live(
        str(told.get("target", "")), float(told.get("time_scale", 1.0)), float(told.get("ramp_per_s", 0.0)),
        bool(told.get("radio")), float(manifest.get("wall_s", 0.0)), legs_of(latencies),
        books_of(told.get("reconciliation") or {}),
    )  # fmt: skip


def legs_of(table: Mapping[str, Any]) -> list[Leg]:
    """The legs that were measured or failed, from a table of latencies as it was written."""
    listed = []
    for name, row in table.items():
        failures = {str(reason): int(n) for reason, n in row.get("failures", {}).items()}
        count = int(row.get("count", 0))
        if count or failures:
            quantiles = {key: row.get(key) for key in ("p50_s", "p95_s", "p99_s", "max_s")}
            listed.append(Leg(str(name), str(row.get("meaning", "")), count, failures, **quantiles))
    return listed


def books_of(told: Mapping[str, Any]) -> Books:
    """The reconciliation as it was written."""
    checks = [
        Agreement(str(c["what"]), int(c["client"]), int(c["cloud"]), int(c["differ"]), [str(e) for e in c["examples"]])
        for c in told.get("checks", [])
    ]
    return Books(told.get("agrees"), str(told.get("note", "")), checks, [str(f) for f in told.get("findings", [])])


def agreement_check(books: Books, suite: str) -> list[Check]:
    """The books as a test case; none where nobody could be asked."""
    if books.agrees is None:
        return []
    apart = [f"{c.what}: {c.client:,} and {c.cloud:,}, {c.differ:,} differ" for c in books.checks if c.differ]
    return [Check(AGREEMENT, suite, books.agrees, "; ".join(apart) or "every count is the same on both sides")]


def agreement_text(books: Books) -> Text:
    """Whether the figures can be trusted, in one line."""
    if books.agrees is None:
        return Text(books.note or "Nobody could be asked for the cloud's side.", "Not compared with the cloud's books.")
    if books.agrees:
        return Text("every count of the modules is the cloud's too.", "Client and cloud agree:")
    apart = max(books.checks, key=lambda c: c.differ)
    return Text(
        f"{apart.what} {apart.client:,} and {apart.cloud:,}, {plural(apart.differ, 'module')} apart. Until that is explained, "
        "the figures below decide nothing.", "Client and cloud do not agree:",
    )  # fmt: skip


def live_sections(live: Live) -> Iterator[Section]:
    """The books and the latencies of a live run."""
    yield from book_sections(live.books)
    yield from leg_sections(live.legs)


def book_sections(books: Books) -> Iterator[Section]:
    """Both sides' counts beside each other."""
    columns = (
        Column("what", "What the modules count / what the cloud counts"), Column("client", "Modules say", "count"), Column("cloud", "Cloud says", "count"),
        Column("differ", "Differ", "count"), Column("examples", "Which"),
    )  # fmt: skip
    rows = [(c.what, c.client, c.cloud, c.differ, _some(c.examples)) for c in books.checks]
    shown = columns if any(c.examples for c in books.checks) else columns[:-1]
    blocks: list[Block] = [] if rows else [agreement_text(books)]
    if rows:
        blocks.append(Table("books", shown, [row[: len(shown)] for row in rows]))
    if books.findings:
        blocks += [Text("", "What the cloud contradicts itself in:"), Points([Text(f) for f in books.findings])]
    yield Section("Client and cloud", blocks)


def _some(examples: list[str]) -> str:
    more = f" and {len(examples) - _MOST_EXAMPLES} more" if len(examples) > _MOST_EXAMPLES else ""
    return ", ".join(examples[:_MOST_EXAMPLES]) + more


def leg_sections(legs: list[Leg]) -> Iterator[Section]:
    """How long each leg took, and what failed."""
    measured = [leg for leg in legs if leg.count and leg.p50_s is not None]
    if not measured:
        return
    rows = {leg.name: (MS * (leg.p50_s or 0.0), MS * (leg.p95_s or 0.0), MS * (leg.p99_s or 0.0)) for leg in measured}
    alt = "Latencies in ms, half and 99 % within: " + ", ".join(
        f"{name} {number(p50)} and {number(p99)}" for name, (p50, _, p99) in rows.items()
    )
    columns = (
        Column("leg", "Leg"), Column("count", "Measured", "count"), Column("failed", "Failed", "count"),
        Column("p50_ms", "50 %, ms", "number"), Column("p95_ms", "95 %, ms", "number"),
        Column("p99_ms", "99 %, ms", "number"), Column("max_ms", "Longest, ms", "number"), Column("meaning", "From … until"),
    )  # fmt: skip
    cells = [
        (leg.name, leg.count, sum(leg.failures.values()), *(_ms(v) for v in (leg.p50_s, leg.p95_s, leg.p99_s, leg.max_s)),
         leg.meaning)
        for leg in legs
    ]  # fmt: skip
    note = "Dot: half of the measurements are within; thick to 95 %, thin to 99 %. The axis is in even ratios."
    yield Section(
        "How long each leg took",
        [Chart(figures.latencies(rows), alt, note=note), Table("latencies", columns, cells), *_failures(legs)],
    )


def _failures(legs: list[Leg]) -> list[Block]:
    rows = [(leg.name, reason, n) for leg in legs for reason, n in sorted(leg.failures.items(), key=lambda x: -x[1])]
    columns = (Column("leg", "Leg"), Column("reason", "Reason"), Column("count", "Failures", "count"))
    return [Table("failures", columns, rows, caption="What failed")] if rows else []


def _ms(value: float | None) -> float | None:
    return None if value is None else round(MS * value, 3)
