"""A verdict in words: its name, one headline, and a sentence for each reason; the same for terminal, page and summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.gates import Judged, slice_words
from sim.metrics import COUNTS, METRICS
from sim.report.show import interval, kind_of, metric_words, plural, share, show, words
from sim.stats.slo_result import SloResult
from sim.stats.verdict import Decision, Reason, SelfStop, Verdict, Why
from sim.units import show_duration

WORDS: dict[str, str] = {
    Verdict.GO: "Go", Verdict.NO_GO: "No go", Verdict.MARGINAL: "Marginal", Verdict.STOPPED: "Stopped",
    Verdict.INVALID: "Invalid", Verdict.NONE: "Not judged",
}  # fmt: skip
_SIGNS = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}
_REASONS = 4
_MANY = 10_000
"""From so many replications on a number is no advice any more."""


@dataclass(frozen=True, slots=True)
class Told:
    """A verdict in words: `word` names it, `headline` says what to do, `reasons` why, one sentence each."""

    word: str
    headline: str
    reasons: list[str]


def tell(decision: Decision) -> Told:
    """The verdict as every format shows it."""
    first = decision.reasons[0]
    sentences = [_sentence(reason, decision) for reason in decision.reasons]
    return Told(WORDS[decision.verdict], _headline(decision, first), [text for text in sentences if text])


def _headline(decision: Decision, first: Reason) -> str:
    gates = decision.evidence.gates
    match first.why:
        case Why.ALL_MET:
            return (
                "Ship it: every gate is met beyond doubt."
                if gates
                else "Sustained: every objective is kept beyond doubt."
            )
        case Why.NO_GATES:
            return "Done, and nothing was judged: the scenario sets no gates."
        case Why.INTERRUPTED:
            return "The run was interrupted: its figures end where it stopped and decide nothing."
        case Why.COUNTS_DIFFER:
            return "Void: client and cloud counted different numbers."
        case Why.GENERATOR:
            return "Void: the generator, not the cloud, made these figures."
        case Why.NOBODY_TOUCHED:
            return "Nothing to judge: no module confirmed the offer."
        case Why.NOBODY_NEEDED_IT:
            return "Nothing to judge: every module runs the target version already."
        case Why.STOPPED:
            return f"Do not ship: the plan stopped itself ({words(first.stop.decision) if first.stop else ''})."
        case Why.NOT_MET | Why.SLO_BROKEN:
            return _not_met(decision)
        case Why.TOO_LITTLE:
            return "No verdict: too few modules to judge a gate."
    return f"Not decided: {_settling(decision)}"


def _not_met(decision: Decision) -> str:
    """How many gates are not met and how many objectives broken."""
    unmet = {r.gate.gate for r in decision.reasons if r.gate is not None}
    broken = [r.slo for r in decision.reasons if r.slo is not None]
    steps = [slo for slo in broken if not slo.asked]
    parts = []
    if unmet:
        total = len({gate.gate for gate in decision.evidence.gates})
        parts.append(f"{len(unmet)} of {plural(total, 'gate')} {'is' if len(unmet) == 1 else 'are'} not met")
    if len(broken) > len(steps):
        asked = sum(slo.asked for slo in decision.evidence.slo)
        count = len(broken) - len(steps)
        parts.append(f"{count} of {plural(asked, 'objective')} {'is' if count == 1 else 'are'} broken")
    if steps:
        parts.append(f"{_steps(steps)} failed more often than tolerated")
    lead = "Do not ship" if unmet else "Not sustained" if not decision.evidence.gates else "Do not ship"
    return f"{lead}: {', and '.join(parts)}."


def _steps(results: list[SloResult]) -> str:
    names = [slo.step for slo in results]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def slo_sentence(slo: SloResult) -> str:
    """An objective with what was found, of how many, and what was wanted."""
    name = slo.step or "all steps"
    where = f" of group {slo.group}" if slo.group else ""
    reasons = ", ".join(
        f"{reason} ({n:,})" for reason, n in sorted(slo.reasons.items(), key=lambda x: -x[1])[:_REASONS]
    )
    if not slo.tried:
        return f"{slo.text}: nothing was measured."
    if slo.unit == "share":
        text = f"{name}{where}: {slo.over:,} of {slo.tried:,} failed ({share(slo.over / slo.tried)}); tolerated {share(slo.limit)}."
        text += f" Reasons: {reasons}." if slo.over and reasons else ""
    else:
        found = "not reached" if slo.value is None else show_duration(slo.value)
        text = f"{slo.text}: found {found}; {slo.over:,} of {slo.tried:,} did not keep {show_duration(slo.limit)}."
    if slo.state == "undecided":
        few = slo.tried < slo.needed
        text += f" {slo.needed:,} samples at least would show it." if few else " That is not beyond chance."
    return text


def _settling(decision: Decision) -> str:
    """What would decide it."""
    reasons = {reason.why for reason in decision.reasons}
    if Why.STOPS_AT_TIMES in reasons:
        return "the plan stops itself in some campaigns."
    if Why.SLO_UNDECIDED in reasons and Why.UNDECIDED not in reasons:
        return "too few samples to tell whether an objective is kept."
    if Why.UNDECIDED not in reasons:
        return "the answer depends on inputs that are not known well enough."
    count = decision.replications
    if count is None or count > _MANY:
        return "a figure lies too close to its limit for any number of replications."
    return f"an interval reaches past its limit; about {count:,} replications (--replications {count}) would settle it."


def _sentence(reason: Reason, decision: Decision) -> str:
    known = decision.evidence
    if reason.slo is not None:
        return slo_sentence(reason.slo)
    if reason.why is Why.GENERATOR:
        return "; ".join(known.generator)
    if reason.why is Why.ALL_MET:
        met = [gate for gate in known.gates if gate.met and gate.margin is not None]
        return f"The tightest: {gate_sentence(min(met, key=_closeness))}" if met else ""
    if reason.why in (Why.STOPPED, Why.STOPS_AT_TIMES) and reason.stop is not None:
        return _stop_sentence(reason.stop, len(known.stops), known.replications)
    if reason.why is Why.INPUTS and reason.sampled is not None:
        sampled = reason.sampled
        return (
            f"The gate on {metric_words(sampled.metric)} is met in {share(sampled.share_met)} of the {sampled.worlds:,} worlds "
            "that the sensitivity study sampled: the unknown inputs decide, not the number of modules."
        )
    return gate_sentence(reason.gate) if reason.gate is not None else ""


def _closeness(gate: Judged) -> float:
    return (gate.margin or 0.0) / (abs(gate.limit) or 1.0)


def _stop_sentence(stop: SelfStop, stops: int, replications: int) -> str:
    ground = f" ({stop.why})" if stop.why else ""
    often = "" if replications == 1 else f"In {stops} of {replications} campaigns it stopped itself; the first: "
    return (
        f"{often}{words(stop.decision).capitalize()} {show_duration(stop.time_s)} "
        f"after activation{ground}; {plural(stop.took_image, 'module')} had begun to install the image."
    )


def wanted(gate: Any) -> str:
    """The limit in words: `at most 0.1 %`."""
    return f"{_SIGNS[gate.sign]} {show(kind_of(gate.metric), gate.limit)}"


def limit_words(sign: str) -> str:
    """The sign of a limit in words: `at most`."""
    return _SIGNS[sign]


def gate_sentence(gate: Any) -> str:
    """A gate with what was found, its interval, what it is a share of, and what was wanted."""
    where = f" of {slice_words(gate.by)} {gate.of}" if gate.of else ""
    name = f"{metric_words(gate.metric)[:1].upper()}{metric_words(gate.metric)[1:]}{where}"
    out_of = COUNTS.get(METRICS[gate.metric].denominator, "") if gate.metric in METRICS else ""
    if gate.value is None:
        return f"{name}: {_nothing(gate, out_of)}; limit: {wanted(gate)}."
    kind = kind_of(gate.metric)
    bounds = f" ({interval(kind, gate.low, gate.high)})" if None not in (gate.low, gate.high) else ""
    of = f" of {gate.total:,} {out_of}" if gate.total is not None and out_of else ""
    text = f"{name} is {show(kind, gate.value)}{bounds}{of}; limit: {wanted(gate)}."
    if gate.needs is not None:
        text += f" To show that takes {gate.needs:,} at least"
        text += f": about {gate.replications:,} replications." if gate.replications else "."
    return text


def _nothing(gate: Judged, out_of: str) -> str:
    if gate.state == "not met":
        return "not reached while the run was watched"
    if gate.state == "nothing to judge":
        return "nothing to judge, no module needed the upgrade"
    return f"nothing to judge it on, there were no {out_of}" if out_of and gate.total == 0 else "not known"
