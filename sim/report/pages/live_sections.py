"""Sections on a live run: whether both sides' books agree, how long each leg took."""

from __future__ import annotations

from collections.abc import Iterator

from sim.exit_status import ExitStatus
from sim.report.figures import charts
from sim.report.model.live_findings import Books, Leg, Live
from sim.report.page import Block, Chart, Check, Column, Points, Section, Table, Text
from sim.report.show import number, plural

MS = 1000.0
_MOST_EXAMPLES = 5
AGREEMENT = "client and cloud agree"


def agreement_check(books: Books, suite: str) -> list[Check]:
    """The books as a test case; none where nobody could be asked."""
    if books.agrees is None:
        return []
    apart = [f"{c.what}: {c.client:,} and {c.cloud:,}, {c.differ:,} differ" for c in books.checks if c.differ]
    return [Check(AGREEMENT, suite, books.agrees, "; ".join(apart) or "every count is the same on both sides",
        ExitStatus.RUN_FAILED,
    )]  # fmt: skip


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
        [Chart(charts.latencies(rows), alt, note=note), Table("latencies", columns, cells), *_failures(legs)],
    )


def _failures(legs: list[Leg]) -> list[Block]:
    rows = [(leg.name, reason, n) for leg in legs for reason, n in sorted(leg.failures.items(), key=lambda x: -x[1])]
    columns = (Column("leg", "Leg"), Column("reason", "Reason"), Column("count", "Failures", "count"))
    return [Table("failures", columns, rows, caption="What failed")] if rows else []


def _ms(value: float | None) -> float | None:
    return None if value is None else round(MS * value, 3)
