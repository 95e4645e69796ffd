"""The page of one run, in the order a release review asks: the answer, its risk, what to change; then the evidence."""

from __future__ import annotations

from collections.abc import Sequence

from sim.records import Run
from sim.report.model.advice import CONSEQUENCES
from sim.report.model.run_report import GateResult, RunReport
from sim.report.page import Block, Check, Column, Page, Points, Section, Table, Text, Tile, Tiles, Value, Verdict
from sim.report.pages import run_evidence
from sim.report.pages.live_sections import agreement_check, agreement_text
from sim.report.show import interval, kind_of, metric_words, plural, share, show, was, words
from sim.units import show_duration

WORDS = {"go": "Go", "no-go": "No go", "none": "No gates", "partial": "Partial"}
_SIGNS = {"<=": "≤", ">=": "≥", "<": "<", ">": ">"}
GATE_COLUMNS = (
    Column("gate", "Gate"), Column("met", "Result", "met"), Column("wanted", "Wanted"),
    Column("value", "Found", "number"), Column("low", "95 % low", "number"), Column("high", "95 % high", "number"),
    Column("margin", "Margin", "number"),
)  # fmt: skip


def run_page(report: RunReport, run: Run, *, remarks: Sequence[Text] = (), extra: Sequence[Section] = ()) -> Page:
    """A run's page; `remarks` stand in the verdict, `extra` sections, such as a comparison, follow the opening."""
    facts = report.facts
    return Page(
        title=facts.scenario, kicker=f"Rollout report · {facts.kind} · fotasim {facts.version}", lead=facts.description,
        facts=_facts_line(report), verdict=verdict(report, remarks), opening=opening(report),
        sections=[*extra, *run_evidence.sections(report, run)], checks=checks(report),
    )  # fmt: skip


def verdict(report: RunReport, remarks: Sequence[Text] = ()) -> Verdict:
    """The answer with its reasons, the risk and what to change."""
    blocks: list[Block] = [*_not_carried_over(report), _reason(report)]
    if report.gates:
        blocks.append(gate_table(report.gates))
    if report.live is not None and report.live.books.agrees is not False:
        blocks.append(agreement_text(report.live.books))
    blocks += [*remarks, Text(risk_sentence(report), "At what risk?")]
    blocks += _changes(report)
    return Verdict(report.verdict, WORDS[report.verdict], blocks)


def _not_carried_over(report: RunReport) -> list[Block]:
    """What the imported plan limits and this run did not: first of all, because the result is of another plan."""
    if not report.not_carried_over:
        return []
    lead = Text("The result is that of a plan without these limits:", "Not carried over from the imported plan.")
    return [lead, Points([Text(f"{x.value}: {x.why}.", f"{x.key}:") for x in report.not_carried_over])]


def gate_table(gates: Sequence[GateResult], name: str = "gates") -> Table:
    """Every gate with what was wanted and found, the interval, the margin and whether it is met."""
    return Table(name, GATE_COLUMNS, [_gate_row(gate) for gate in gates])


def checks(report: RunReport) -> list[Check]:
    """The gates as test cases; an interrupted run fails as a whole, since it decides nothing."""
    suite = report.facts.label
    listed = [
        Check(gate.gate, suite, gate.met, f"found {show(kind_of(gate.metric), gate.judged)}, wanted {_wanted(gate)}")
        for gate in report.gates
    ]
    if report.verdict == "partial":
        listed.append(Check("the run is complete", suite, False, "it was interrupted: its figures decide nothing"))
    if report.live is not None:
        listed += agreement_check(report.live.books, suite)
    return listed


def opening(report: RunReport) -> list[Block]:
    """The figures a reader wants first, and what their intervals mean."""
    return [tiles(report), Text(interval_note(report), hint=True)]


def interval_note(report: RunReport) -> str:
    """What the intervals of this run can and cannot say."""
    if report.interval_over == "campaigns":
        return (
            f"Intervals are at 95 % over {report.facts.replications} replications: they tell how well the mean campaign "
            "is known under these assumptions. Counts are those of all replications together."
        )
    return (
        "Intervals are at 95 % over the modules of one run (Wilson's for shares, order statistics for durations). They "
        "are descriptive: they tell how well this fleet's figure is known, not how much the next campaign may differ. "
        "That takes replications."
    )


def tiles(report: RunReport) -> Tiles:
    """Key figures: name, value, what it says."""
    metrics, outcomes, costs = report.metrics, report.outcomes, report.costs
    total = sum(outcomes.values())
    success, bricked = metrics["success_rate"], metrics["bricked"]
    unreached = outcomes["pending"] + outcomes["never_online"]
    received = costs.useful_bytes + costs.wasted_bytes
    energy = costs.energy_per_success_p50_j
    listed = [
        Tile("Success", show("share", success.value),
             f"95 % interval {interval('share', success.low, success.high)}; of those that finished "
             f"{show('share', metrics['success_of_finished'].value)}"),
        Tile("Bricked", f"{report.risk.bricked:,}", f"of {total:,}; at most {show('share', bricked.high)} at 95 %"),
        Tile("Failed", f"{outcomes['failed'] + outcomes['timed_out']:,}", _failed_note(report)),
        Tile("Not reached", f"{unreached:,}", f"{outcomes['never_online']:,} of them never seen: dark, away or without a network"),
        Tile("Half done after", show("duration", metrics["duration_p50"].value),
             f"95 % of the successes after {show('duration', metrics['duration_p95'].value)}"),
        Tile("Data wasted", show("size", costs.wasted_bytes),
             f"{show('share', costs.wasted_bytes / received if received else 0.0)} of {show('size', received)}"),
        Tile("Energy", show("energy", energy), "median per upgraded battery module"),
        Tile("Silent losses", f"{report.risk.silent_losses:,}", "ended, and the cloud does not know"),
    ]  # fmt: skip
    return Tiles(listed)


def _failed_note(report: RunReport) -> str:
    spared = sum(count for cause, count in report.causes.items() if cause in CONSEQUENCES)
    return f"{spared:,} of them cut off by a stop or the end" if spared else "bricks and given-up attempts"


def risk_sentence(report: RunReport) -> str:
    """What this release would do to the fleet, in one breath."""
    total = max(sum(report.outcomes.values()), 1)
    risk, high = report.risk, report.metrics["bricked"].high
    most = f"at most {share(high)} at 95 %" if high is not None else ""
    if risk.bricked:
        found = f"({', '.join(filter(None, (share(risk.bricked / total), most)))})"
        bricks = f"{risk.bricked:,} of {plural(total, 'module')} {'bricks' if risk.bricked == 1 else 'brick'} {found}"
    else:
        bricks = f"none of {plural(total, 'module')} bricks{f' ({most})' if most else ''}"
    other = risk.harmed - risk.bricked
    harm = f"; {other:,} more fail on the image or its flashing" if other > 0 else ""
    silent = ""
    if risk.silent_losses:
        one = risk.silent_losses == 1
        silent = (
            f" {plural(risk.silent_losses, 'loss')} {'stays' if one else 'stay'} silent: the cloud never learns of "
            f"{'it' if one else 'them'}."
        )
    if risk.stops:
        stop = risk.stops[0]
        silent += (
            f" The strategy stopped the rollout ({words(stop.decision)}) {show_duration(stop.time_s)} after activation; "
            f"{plural(stop.took_image_before + stop.took_image_after, 'module')} had taken the image."
        )
    left = report.outcomes["pending"] + report.outcomes["never_online"]
    rest = (
        f" After {show_duration(report.facts.horizon_s)}, {plural(left, 'module')} ({share(left / total)}) still "
        f"{'waits' if left == 1 else 'wait'} for it or {was(left)} never seen."
    )
    if not risk.stops and not risk.guarded:
        silent += " Nothing in the strategy would stop a bad image: it sets no abort criteria."
    if report.facts.replications > 1:
        bricks = f"In {report.facts.replications} campaigns together {bricks}"
    text = f"{bricks}{harm}.{silent}{rest if left else ''}"
    return text[0].upper() + text[1:]


def _changes(report: RunReport) -> list[Block]:
    """What to change: the three statements that matter most."""
    if not report.advice:
        return [Text("Nothing that this run shows: every module got there.", "What to change?")]
    listed = []
    for advice in report.advice[:3]:
        key = f" Now {advice.key} is {advice.current}." if advice.key and advice.current else ""
        listed.append(Text(f"{advice.finding}{key}", advice.action))
    if report.verdict == "go":
        lead = "Nothing has to. These would gain most, the costliest loss first:"
    elif any(advice.urgent for advice in report.advice):
        lead = "First what the gates demand, then the costliest losses:"
    else:
        lead = "The costliest losses first:"
    return [Text(lead, "What to change?"), Points(listed)]


def _reason(report: RunReport) -> Text:
    unmet = [gate for gate in report.gates if not gate.met]
    if report.verdict == "partial":
        return Text("Its figures end where it stopped and decide nothing.", "The run was interrupted.")
    if report.live is not None and report.live.books.agrees is False:
        return agreement_text(report.live.books)
    if report.verdict == "none":
        return Text("The scenario sets none, so this page decides nothing. Set limits under gates:.", "No gates.")
    if unmet:
        what = "; ".join(
            f"{metric_words(g.metric)} is {show(kind_of(g.metric), g.judged) if g.judged is not None else 'unknown'}, "
            f"wanted {_wanted(g)}"
            for g in unmet
        )
        return Text(f"{what}.", f"Do not ship: {len(unmet)} of {plural(len(report.gates), 'gate')} not met.")
    tightest = min(report.gates, key=lambda g: (g.margin or 0.0) / (abs(g.limit) or 1.0))
    text = f"The tightest is {metric_words(tightest.metric)}: {show(kind_of(tightest.metric), tightest.judged)}, wanted {_wanted(tightest)}."
    unsure = [metric_words(g.metric) for g in report.gates if not _sure(g)]
    if unsure:
        text += f" Not beyond doubt: the interval of {', '.join(unsure)} reaches past the limit."
    return Text(text, "Ship it: every gate is met.")


def _gate_row(gate: GateResult) -> tuple[object, ...]:
    kind = kind_of(gate.metric)
    name = metric_words(gate.metric) + {"value": "", "lower": ", lower bound", "upper": ", upper bound"}[gate.bound]
    margin = Value("points" if kind == "share" else kind, gate.margin, signed=True)
    return name, gate.met, _wanted(gate), Value(kind, gate.value), Value(kind, gate.low), Value(kind, gate.high), margin


def _wanted(gate: GateResult) -> str:
    return f"{_SIGNS[gate.sign]} {show(kind_of(gate.metric), gate.limit)}"


def _sure(gate: GateResult) -> bool:
    """Whether the whole interval lies on the right side; without an interval nothing is said against it."""
    edge = gate.low if gate.sign.startswith(">") else gate.high
    return edge is None or (edge >= gate.limit if gate.sign.startswith(">") else edge <= gate.limit)


def _facts_line(report: RunReport) -> str:
    facts = report.facts
    parts = [f"{plural(facts.modules, 'module')} in the plan"]
    if facts.left_out:
        parts[0] += f", {facts.left_out:,} left out by its lists"
    if facts.replications > 1:
        parts.append(f"{facts.replications} replications")
    if report.live is not None:
        scale = report.live.time_scale
        faster = "" if scale == 1.0 else f", waits shortened {scale:g} times"
        parts.append(f"live against {report.live.target} for {show_duration(report.live.wall_s)}{faster}")
    parts += [f"judged {show_duration(facts.horizon_s)} after activation", f"seed {facts.seed}"]
    return " · ".join(parts)
