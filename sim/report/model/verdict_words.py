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
            if not gates:
                return "Sustained: every objective is kept beyond doubt."
            further = _reservations(decision)
            return (
                f"Every gate is met, not beyond doubt: {further}."
                if further
                else "Ship it: every gate is met beyond doubt."
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


_SEEN = {
    "bricked": ("installations", "bricked"), "first_installations_failed": ("first installations", "failed"),
    "touched_failed": ("touched modules", "failed in the end"), "untouched": ("targets", "never confirmed the offer"),
    "under_way": ("touched modules", "were still under way at the end"),
    "fail_later": ("upgraded modules", "will fail after the horizon"),
}  # fmt: skip
"""What no gate judges: of what it is a part, and what became of it."""


def _reservations(decision: Decision) -> str:
    """What a Go does not say, in a line; empty for one beyond doubt."""
    of = {why: [r for r in decision.reasons if r.why is why] for why in (Why.BETTER_END, Why.LATER, Why.UNJUDGED)}
    found = []
    if of[Why.BETTER_END]:
        total = len({gate.gate for gate in decision.evidence.gates})
        lenient = len({r.gate.gate for r in of[Why.BETTER_END] if r.gate})
        found.append(f"{lenient} of {plural(total, 'gate')} only by the better end of the interval")
    found += [_seen(r, decision) for r in of[Why.LATER]]
    if of[Why.UNJUDGED]:
        others = ", among others" if len(of[Why.UNJUDGED]) > 1 else ""
        found.append(f"no gate judges that {_seen(of[Why.UNJUDGED][0], decision)}{others}")
    return "; ".join(found)


def _seen(reason: Reason, decision: Decision) -> str:
    """How many of what: `291 of 1,861 first installations failed (15.64 %)`."""
    part, campaigns = reason.part, decision.evidence.replications
    assert part is not None
    of_what, became = _SEEN[part.name]
    pooled = f" in {campaigns} campaigns" if campaigns > 1 else ""
    return f"{part.count:,} of {part.total:,} {of_what}{pooled} {became} ({share(part.count / max(part.total, 1))})"


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
    if Why.WAITS in reasons:
        return "the plan paused between groups, as its strategy says, and nobody resumed it."
    if Why.FEW_REACHED in reasons:
        return f"{_touched(decision)}, and no gate asks how many."
    if Why.FEW_ENDED in reasons:
        return f"{_under_way(decision)}, and no gate asks how many came to their end."
    if Why.STOPS_AT_TIMES in reasons:
        return "the plan stops itself in some campaigns."
    if Why.SLO_UNDECIDED in reasons and Why.UNDECIDED not in reasons:
        return "too few samples to tell whether an objective is kept."
    later = next((reason for reason in decision.reasons if reason.why is Why.LATER), None)
    if later is not None and Why.UNDECIDED not in reasons:
        return f"{_seen(later, decision)}, where no gate sees them."
    if Why.UNDECIDED not in reasons:
        return "the answer depends on inputs that are not known well enough."
    count = decision.replications
    if any(r.why is Why.UNDECIDED and r.gate and _open_end(r.gate) for r in decision.reasons):
        return (
            "the interval of a time has no end while the run was watched: watch longer (horizon), or add replications."
        )
    if count is None:
        return "a figure lies so close to its limit that no number of replications is sure to tell."
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
    if reason.stop is not None:
        alike = sum(stop.planned == reason.stop.planned for stop in known.stops)
        return _stop_sentence(reason.stop, alike, known.replications)
    if reason.why in (Why.FEW_REACHED, Why.FEW_ENDED):
        return _reach_sentence(decision)
    if reason.why is Why.LATER:
        return _later_sentence(reason, decision)
    if reason.why is Why.UNJUDGED:
        return f"No gate judges that {_seen(reason, decision)}."
    if reason.why is Why.INPUTS and reason.sampled is not None:
        sampled = reason.sampled
        return (
            f"The gate on {metric_words(sampled.metric)} is met in {share(sampled.share_met)} of the {sampled.worlds:,} worlds "
            "that the sensitivity study sampled: the unknown inputs decide, not the number of modules."
        )
    if reason.why is Why.BETTER_END and reason.gate is not None:
        gate = reason.gate
        return f"The gate asks for the {gate.bound} end of the interval alone; the other end is beyond the limit: {gate_sentence(gate)}"
    return gate_sentence(reason.gate) if reason.gate is not None else ""


def _touched(decision: Decision) -> str:
    return _only(decision, decision.evidence.touched, "confirmed the offer")


def _under_way(decision: Decision) -> str:
    known = decision.evidence
    return _only(decision, known.touched - known.under_way, "confirmed the offer and are done")


def _only(decision: Decision, count: int, did: str) -> str:
    targets = decision.evidence.targets
    return f"only {count:,} of {targets:,} targets {did} ({share(count / max(targets, 1))})"


def _reach_sentence(decision: Decision) -> str:
    """What ended the plan, and what to ask for."""
    known, text = decision.evidence, ""
    if known.cuts:
        first = known.cuts[0]
        often = "" if known.replications == 1 else f" (so in {len(known.cuts)} of {known.replications} campaigns)"
        told = _CUT.get(first.decision, "The plan was canceled {at} after activation")
        text = f"{told.format(at=show_duration(first.time_s))}{often}. "
    return (
        f"{text}The gates speak for these modules alone: let one ask for success_rate or not_reached, or watch longer."
    )


_CUT = {
    "paused": "The operator paused the plan {at} after activation and did not resume it",
    "terminated": "The operator ended the plan {at} after activation", "ended": "The plan reached its end {at} after activation",
    "max_devices_reached": "The plan had upgraded its max_devices {at} after activation",
}  # fmt: skip


def _later_sentence(reason: Reason, decision: Decision) -> str:
    """Modules that fail when nobody looks any more, and what to do."""
    if reason.gate is not None:
        return f"With these among its cases this gate would not be met: {gate_sentence(reason.gate)}"
    return f"{_seen(reason, decision)}: no figure of this run has them; watch longer (horizon) to see them."


def _open_end(gate: Judged) -> bool:
    """Whether the end of the interval that would decide a gate is not known."""
    return gate.worse_end is None


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
    out_of = _cases(gate.metric)
    if gate.value is None:
        return f"{name}: {_nothing(gate, out_of)}; limit: {wanted(gate)}."
    kind = kind_of(gate.metric)
    bounds = f" ({interval(kind, gate.low, gate.high)})" if None not in (gate.low, gate.high) else ""
    among = "over" if kind == "duration" else "of"
    of = f" {among} {gate.total:,} {out_of}" if gate.total is not None and out_of else ""
    text = f"{name} is {show(kind, gate.value)}{bounds}{of}; limit: {wanted(gate)}."
    if gate.needs is not None:
        text += f" To show that takes {gate.needs:,} at least"
        text += f": about {gate.replications:,} replications." if gate.replications else "."
    return text


def _cases(metric: str) -> str:
    """What the figures of a metric are counted over."""
    return COUNTS.get(METRICS[metric].denominator, "") if metric in METRICS else ""


def _nothing(gate: Judged, out_of: str) -> str:
    if gate.state == "not met":
        return "not reached while the run was watched"
    if gate.state == "nothing to judge":
        return "nothing to judge, no module needed the upgrade"
    return f"nothing to judge it on, there were no {out_of}" if out_of and gate.total == 0 else "not known"
