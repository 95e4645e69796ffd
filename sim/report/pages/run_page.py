"""The page of one run, in the order a release review asks: the answer, its risk, what to change; then the evidence."""

from __future__ import annotations

from collections.abc import Sequence

from sim.exit_status import ExitStatus
from sim.gates import Judged, State, slice_words
from sim.records import Run
from sim.report.model.advice import CONSEQUENCES
from sim.report.model.run_report import Facts, RunReport
from sim.report.model.verdict_words import WORDS, gate_sentence, wanted
from sim.report.page import Block, Check, Column, Page, Points, Section, Table, Text, Tile, Tiles, Value, Verdict
from sim.report.pages import run_evidence
from sim.report.pages.live_sections import agreement_check, agreement_text, generator_check, slo_blocks, slo_checks
from sim.report.pages.plugin_section import plugins_text
from sim.report.pages.run_provenance import provenance_rows
from sim.report.show import interval, kind_of, metric_words, plural, share, show, was, words
from sim.units import show_duration

GATE_COLUMNS = (
    Column("gate", "Gate"), Column("state", "Result", "state"), Column("wanted", "Limit"),
    Column("value", "Found", "number"), Column("low", "95 % low", "number"), Column("high", "95 % high", "number"),
    Column("margin", "Margin", "number"),
)  # fmt: skip


def run_page(report: RunReport, run: Run, *, remarks: Sequence[Text] = (), extra: Sequence[Section] = ()) -> Page:
    """A run's page; `remarks` stand in the verdict, `extra` sections, such as a comparison, follow the opening."""
    facts = report.facts
    return Page(
        title=facts.scenario, kicker=f"Rollout report · {facts.kind} · fotasim {facts.version}", lead=facts.description,
        facts=_facts_line(report), verdict=verdict(report, remarks), opening=opening(report),
        sections=[*extra, *run_evidence.sections(report, run)], checks=checks(report), properties=provenance_rows(report),
    )  # fmt: skip


def verdict(report: RunReport, remarks: Sequence[Text] = ()) -> Verdict:
    """The answer with its reasons, the risk and what to change."""
    blocks: list[Block] = [*_not_carried_over(report), _reason(report)]
    if report.plugins:
        blocks.append(plugins_text(report.plugins))
    if report.gates:
        blocks.append(gate_table(report.gates))
    if report.live is not None:
        blocks += slo_blocks(report.live.slo)
    if report.live is not None and report.live.compared.agrees is not False:
        blocks.append(agreement_text(report.live.compared))
    blocks += [*remarks, Text(risk_sentence(report), "Risk to the fleet:")]
    blocks += _changes(report)
    return Verdict(report.verdict, WORDS[report.verdict], blocks)


def _not_carried_over(report: RunReport) -> list[Block]:
    """What the imported plan limits and this run did not: first of all, because the result is of another plan."""
    if not report.not_carried_over:
        return []
    lead = Text("The result is that of a plan without these limits:", "Not carried over from the imported plan.")
    return [lead, Points([Text(f"{x.value}: {x.why}.", f"{x.key}:") for x in report.not_carried_over])]


def gate_table(gates: Sequence[Judged], name: str = "gates") -> Table:
    """Every gate with what was wanted and found, the interval, the margin and whether it is met."""
    return Table(name, GATE_COLUMNS, [_gate_row(gate) for gate in gates])


def checks(report: RunReport) -> list[Check]:
    """The gates as test cases; an interrupted run fails as a whole, since it decides nothing."""
    suite = report.facts.label
    listed = [
        Check(
            f"{gate.gate}{f' {gate.of}' if gate.of else ''}",
            suite,
            gate.met or gate.state == State.NOTHING,
            f"{gate.state}: {gate_sentence(gate)}",
            ExitStatus.NO_GO if gate.state == State.NOT_MET else ExitStatus.UNDECIDED,
            gate.state,
            gate.state == State.UNDECIDED,
        )
        for gate in report.gates
    ]
    told_by_gates = report.verdict == "no-go" or any(not check.passed for check in listed)
    told_by_gates |= report.live is not None and (report.live.compared.agrees is False or bool(report.live.generator))
    told_by_gates |= report.live is not None and any(slo.state != "kept" for slo in report.live.slo if slo.tried)
    certain = report.verdict == "marginal" and report.exit_statuses["go"] != ExitStatus.GO
    if report.verdict == "stopped" or certain or (report.verdict not in ("go", "none") and not told_by_gates):
        listed.append(
            Check(
                "the verdict is Go",
                suite,
                False,
                f"{report.told.word}: {report.told.headline}",
                report.exit_statuses["as it is"],
                report.told.word,
                report.exit_statuses["go"] == ExitStatus.GO,
            )
        )
    if report.live is not None:
        listed += slo_checks(report.live.slo, suite)
        listed.append(generator_check(report.live.generator, suite))
        listed += agreement_check(report.live.compared, suite)
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
    """Key figures: name, value, what it says. How many modules were exposed comes first; the cloud's view is a tile of its own."""
    return Tiles([*_exposure_tiles(report), *_outcome_tiles(report), *_cost_tiles(report)])


def _exposure_tiles(report: RunReport) -> list[Tile]:
    """Who was touched, and what the truth and the cloud say of the success."""
    metrics = report.metrics
    success, cloud = metrics["success_rate"], metrics["cloud_success_rate"]
    return [
        Tile("Touched", show("share", metrics["touched"].value), f"of the modules that need it confirmed the offer; in the plan: {_all_campaigns(report)}"),
        Tile("Installed", f"{report.risk.took_image:,}", f"took the image: {show('share', metrics['took_image'].value)} of the modules that need it"),
        Tile("Success (truth)", show("share", success.value), f"of the modules that need it; 95 % interval {interval('share', success.low, success.high)}"),
        Tile("Success (cloud's view)", show("share", cloud.value),
             f"of the same modules; {show('share', metrics['success_of_finished'].value)} of those it calls finished. Wrong or "
             f"unknown to it: {show('share', metrics['cloud_mistaken'].value)}"),
    ]  # fmt: skip


def _outcome_tiles(report: RunReport) -> list[Tile]:
    """First attempts, harm, and who was not reached."""
    metrics, outcomes = report.metrics, report.outcomes
    bricked, took = metrics["bricked"], report.risk.took_image
    unreached = outcomes["pending"] + outcomes["never_online"]
    return [
        Tile("First attempt", show("share", metrics["first_attempt_success"].value),
             f"succeeded at once; {show('share', metrics['first_installation_failed'].value)} of first installations failed"),
        Tile("Rolled back", show("share", metrics["rolled_back"].value), _rolled_back_note(report)),
        Tile("Bricked", f"{report.risk.bricked:,}", f"of {took:,} that took the image; at most {show('share', bricked.high)} at 95 %"),
        Tile("Failed", f"{outcomes['failed'] + outcomes['timed_out']:,}", f"of {_all_campaigns(report)}: {_failed_note(report)}"),
        Tile("Not reached", f"{unreached:,}", f"of {_all_campaigns(report)}; {outcomes['never_online']:,} never seen"),
    ]  # fmt: skip


def _cost_tiles(report: RunReport) -> list[Tile]:
    """Time, data and energy."""
    metrics, costs = report.metrics, report.costs
    received = costs.useful_bytes + costs.wasted_bytes
    return [
        Tile("Median time to upgrade", show("duration", metrics["time_to_50"].value), _time_note(report)),
        Tile("Data wasted", show("size", costs.wasted_bytes),
             f"{show('share', costs.wasted_bytes / received if received else 0.0)} of {show('size', received)}"),
        Tile("Energy", show("energy", costs.energy_per_success_p50_j), "median per upgraded battery module"),
    ]  # fmt: skip


def _time_note(report: RunReport) -> str:
    """Of whom half were upgraded by then, and how long the successes took."""
    half, late = (report.metrics[name].value for name in ("duration_p50", "duration_p95"))
    reached = (
        "of all targets" if report.metrics["time_to_50"].value is not None else "half of all targets was not reached"
    )
    if half is None:
        return reached
    return f"{reached}; half of the successes within {show('duration', half)}, 95 % within {show('duration', late)}"


def _all_campaigns(report: RunReport) -> str:
    """The modules that counts are out of: with replications those of all campaigns together."""
    total, campaigns = sum(report.outcomes.values()), report.facts.replications
    return f"{total:,}" if campaigns == 1 else f"{total:,} in {campaigns} campaigns"


def _rolled_back_note(report: RunReport) -> str:
    """Who went back to the old image by itself, and whom the plan sent back."""
    by_plan = report.metrics.get("rolled_back_by_plan")  # a run of an earlier version has none
    sent = f"; the plan sent {show('share', by_plan.value)} back" if by_plan is not None and by_plan.value else ""
    return f"of {report.risk.took_image:,} that took the image: back on the old one by themselves{sent}"


def _failed_note(report: RunReport) -> str:
    spared = sum(count for cause, count in report.causes.items() if cause in CONSEQUENCES)
    return f"{spared:,} of them cut off by a stop or the end" if spared else "bricked, or all attempts failed"


def when_judged(facts: Facts) -> str:
    """How long after activation the figures hold: at the horizon, where a live run ended, or where one was interrupted."""
    if facts.complete and facts.engine == "live" and facts.watched_s < facts.horizon_s:
        return f"{show_duration(facts.watched_s)} after activation, where the live run ended (horizon {show_duration(facts.horizon_s)})"
    if facts.complete:
        return f"{show_duration(facts.horizon_s)} after activation"
    return f"{show_duration(facts.watched_s)} after activation, where it was interrupted (horizon {show_duration(facts.horizon_s)})"


def risk_sentence(report: RunReport) -> str:
    """What this release would do to the fleet, in one paragraph."""
    total = max(sum(report.outcomes.values()), 1)
    took = max(report.risk.took_image, 1)
    risk, high = report.risk, report.metrics["bricked"].high
    most = f"at most {share(high)} of such modules, upper end of the 95 % interval" if high is not None else ""
    if risk.bricked:
        found = f"({', '.join(filter(None, (share(risk.bricked / took), most)))})"
        bricks = f"{risk.bricked:,} of {plural(took, 'module')} that took the image bricked {found}"
    else:
        bricks = f"none of {plural(took, 'module')} that took the image bricked{f' ({most})' if most else ''}"
    if not risk.took_image:
        bricks = "no module took the image, so nothing is known of what it does"
    other = risk.harmed - risk.bricked
    harm = f"; {other:,} more failed on the image or its flashing" if other > 0 else ""
    silent = ""
    if risk.silent_losses:
        one = risk.silent_losses == 1
        silent = f" {plural(risk.silent_losses, 'module')} {'was' if one else 'were'} lost without the cloud knowing."
    if risk.stops:
        stop = risk.stops[0]
        silent += (
            f" The strategy stopped the rollout ({words(stop.decision)}) {show_duration(stop.time_s)} after activation; "
            f"{plural(stop.took_image_before + stop.took_image_after, 'module')} had taken the image."
        )
    left = report.outcomes["pending"] + report.outcomes["never_online"]
    rest = (
        f" At the end, {when_judged(report.facts)}, {plural(left, 'module')} ({share(left / total)}) still waited for it or "
        f"{was(left)} never seen."
    )
    if not risk.stops and not risk.guarded:
        silent += " Nothing in the strategy would stop a bad image: it sets no abort criteria."
    if report.facts.replications > 1:
        bricks = f"In {report.facts.replications} campaigns together {bricks}"
    text = f"{bricks}{harm}.{silent}{rest if left else ''}"
    return text[0].upper() + text[1:]


def _changes(report: RunReport) -> list[Block]:
    """What to change: the three statements that matter most."""
    if not report.facts.complete:
        return [
            Text("Run it to its end: where an interrupted run stands says nothing about losses.", "What to change?")
        ]
    if not report.advice:
        return [Text("Nothing: every module was upgraded.", "What to change?")]
    listed = []
    for advice in report.advice[:3]:
        key = f" Now {advice.key} is {advice.current}." if advice.key and advice.current else ""
        listed.append(Text(f"{advice.finding}{key}", advice.action))
    if report.verdict == "go":
        lead = "No gate requires a change. Largest gains:"
    elif any(advice.urgent for advice in report.advice):
        lead = "Causes of unmet gates first, then the largest losses:"
    else:
        lead = "Largest losses first:"
    return [Text(lead, "What to change?"), Points(listed)]


def _reason(report: RunReport) -> Text:
    if report.live is not None and report.live.compared.agrees is False:
        return agreement_text(report.live.compared)
    return Text(" ".join(report.told.reasons), report.told.headline)


def _gate_row(gate: Judged) -> tuple[object, ...]:
    kind = kind_of(gate.metric)
    name = metric_words(gate.metric) + {"value": "", "lower": ", lower bound", "upper": ", upper bound"}[gate.bound]
    name += f", {slice_words(gate.by)} {gate.of}" if gate.of else ""
    margin = Value("points" if kind == "share" else kind, gate.margin, signed=True)
    return (
        name,
        gate.state,
        wanted(gate),
        Value(kind, gate.value),
        Value(kind, gate.low),
        Value(kind, gate.high),
        margin,
    )


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
    parts += [f"evaluated {when_judged(facts)}", f"seed {facts.seed}"]
    return " · ".join(parts)
