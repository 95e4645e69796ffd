"""Sections on a live run: whether client and cloud agree, how long each leg took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sim.exit_status import ExitStatus
from sim.report.figures import charts
from sim.report.model.live_findings import Compared, Leg, Live
from sim.report.model.verdict_words import slo_sentence
from sim.report.page import Block, Chart, Check, Column, Points, Section, Table, Text, Value
from sim.report.show import number, plural, share
from sim.stats.slo_result import MOST_FAILURES, SloResult

MS = 1000.0
_MOST_EXAMPLES = 5
AGREEMENT = "client and cloud agree"


def agreement_check(compared: Compared, suite: str) -> list[Check]:
    """The agreement as a test case; none where nobody could be asked."""
    if compared.agrees is None:
        return []
    apart = [f"{c.what}: {c.client:,} and {c.cloud:,}, {c.differ:,} differ" for c in compared.checks if c.differ]
    return [Check(AGREEMENT, suite, compared.agrees, "; ".join(apart) or "every count is the same on both sides",
        ExitStatus.RUN_FAILED,
    )]  # fmt: skip


def agreement_text(compared: Compared) -> Text:
    """Whether the figures can be trusted, in one line."""
    if compared.agrees is None:
        why = compared.note or "nobody could be asked for the cloud's side"
        return Text(f"{why.rstrip('.')}.", "Not compared with the cloud's counts:")
    if compared.agrees:
        return Text("every count of the modules is the cloud's too.", "Client and cloud agree:")
    apart = max(compared.checks, key=lambda c: c.differ)
    return Text(
        f"{apart.what} {apart.client:,} and {apart.cloud:,}, {plural(apart.differ, 'module')} apart. Until that is explained, "
        "the figures below decide nothing.", "Client and cloud do not agree:",
    )  # fmt: skip


def slo_blocks(results: Sequence[SloResult]) -> list[Block]:
    """Objectives that were asked for, and steps that failed more often than tolerated; else one sentence that none did."""
    shown = [slo for slo in results if slo.asked or slo.state != "kept"]
    failed = sum(slo.over for slo in results if not slo.asked)
    tried = sum(slo.tried for slo in results if not slo.asked)
    blocks: list[Block] = []
    if shown:
        blocks.append(Table("slo", SLO_COLUMNS, [_slo_row(slo) for slo in shown]))
    if tried and not any(slo.state != "kept" for slo in results if not slo.asked):
        blocks.append(
            Text(
                f"{failed:,} of {tried:,} steps failed, of no step more than {share(MOST_FAILURES)}.",
                "Within the tolerance:",
            )
        )
    return blocks


SLO_COLUMNS = (
    Column("objective", "Objective"), Column("state", "Result", "state"), Column("found", "Found", "number"),
    Column("over", "Did not keep it", "count"), Column("tried", "Of", "count"), Column("why", "Reasons"),
)  # fmt: skip


def _slo_row(slo: SloResult) -> tuple[object, ...]:
    found = Value("share" if slo.unit == "share" else "duration", slo.value)
    return slo.text, _STATES[slo.state], found, slo.over, slo.tried, reasons_text(slo.reasons) if slo.over else ""


_STATES = {"kept": "met", "broken": "not met", "undecided": "undecided"}
"""States of objectives in the words of gates, whose column they share."""


def reasons_text(reasons: Mapping[str, int], most: int = 4) -> str:
    """Failures by reason, the most frequent first."""
    ranked = sorted(reasons.items(), key=lambda x: -x[1])
    rest = sum(n for _, n in ranked[most:])
    return ", ".join([*(f"{reason} ({n:,})" for reason, n in ranked[:most]), *([f"others ({rest:,})"] if rest else [])])


def slo_checks(results: Sequence[SloResult], suite: str) -> list[Check]:
    """Each objective as a test case, of the tolerance those steps that were tried."""
    statuses = {"broken": ExitStatus.NO_GO, "undecided": ExitStatus.UNDECIDED}
    return [
        Check(slo.text, suite, slo.state == "kept", slo_sentence(slo), statuses.get(slo.state, ExitStatus.GO))
        for slo in results if slo.asked or slo.tried
    ]  # fmt: skip


def generator_check(faults: Sequence[str], suite: str) -> Check:
    """Whether the generator left the figures to the cloud."""
    return Check(
        "the generator kept up",
        suite,
        not faults,
        "; ".join(faults) or "it was not the bottleneck",
        ExitStatus.RUN_FAILED,
    )


def live_sections(live: Live) -> Iterator[Section]:
    """What client and cloud counted, and the latencies of a live run."""
    yield from comparison_sections(live.compared)
    yield from leg_sections(live.legs)


def comparison_sections(compared: Compared) -> Iterator[Section]:
    """Both sides' counts beside each other."""
    columns = (
        Column("what", "What the modules count / what the cloud counts"), Column("client", "Modules say", "count"), Column("cloud", "Cloud says", "count"),
        Column("differ", "Differ", "count"), Column("examples", "Which"),
    )  # fmt: skip
    rows = [(c.what, c.client, c.cloud, c.differ, _some(c.examples)) for c in compared.checks]
    shown = columns if any(c.examples for c in compared.checks) else columns[:-1]
    blocks: list[Block] = [] if rows else [agreement_text(compared)]
    if rows:
        blocks.append(Table("client_and_cloud", shown, [row[: len(shown)] for row in rows]))
    if compared.findings:
        blocks += [Text("", "What the counts do not say:"), Points([Text(f) for f in compared.findings])]
    yield Section("Client and cloud", blocks)


def _some(examples: list[str]) -> str:
    more = f" and {len(examples) - _MOST_EXAMPLES} more" if len(examples) > _MOST_EXAMPLES else ""
    return ", ".join(examples[:_MOST_EXAMPLES]) + more


def leg_sections(legs: list[Leg]) -> Iterator[Section]:
    """How long each leg took, and what failed."""
    measured = [leg for leg in legs if leg.count and leg.p50_s is not None]
    if not measured:
        failures = _failures(legs)
        if failures:
            yield Section("What failed", failures)
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
    rows = [
        (leg.name, reason, n, leg.tries) for leg in legs for reason, n in sorted(leg.failures.items(), key=lambda x: -x[1])
    ]  # fmt: skip
    columns = (
        Column("leg", "Step"), Column("reason", "Reason"), Column("count", "Failures", "count"), Column("tries", "Of tries", "count"),
    )  # fmt: skip
    return [Table("failures", columns, rows, caption="What failed")] if rows else []


def _ms(value: float | None) -> float | None:
    return None if value is None else round(MS * value, 3)
