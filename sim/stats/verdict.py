"""The verdict on a release: one pure function from what is known to Go, No go, Marginal, Stopped or Invalid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sim.exit_status import ExitStatus
from sim.gates import Judged, State, by_the_better_end, upset_by
from sim.metrics import METRICS, figure
from sim.stats.slo_result import SloResult

SURE = 0.95
"""Share of the worlds of a sensitivity study in which a gate must be met for a Go without doubt."""


class Verdict(StrEnum):
    """The answer."""

    GO = "go"
    NO_GO = "no-go"
    MARGINAL = "marginal"
    STOPPED = "stopped"
    INVALID = "invalid"
    NONE = "none"
    """Done, and nothing was to be judged: the scenario sets no gates."""


class Why(StrEnum):
    """What a verdict rests on."""

    ALL_MET = "all met"
    NO_GATES = "no gates"
    INTERRUPTED = "interrupted"
    COUNTS_DIFFER = "counts differ"
    GENERATOR = "generator failed"
    NOBODY_NEEDED_IT = "nobody needed it"
    NOBODY_TOUCHED = "nobody touched"
    STOPPED = "stopped itself"
    STOPS_AT_TIMES = "stops itself at times"
    NOT_MET = "not met"
    SLO_BROKEN = "objective broken"
    SLO_UNDECIDED = "objective undecided"
    TOO_LITTLE = "too little"
    UNDECIDED = "undecided"
    INPUTS = "inputs decide"
    WAITS = "waits for the operator"
    FEW_REACHED = "few reached"
    FEW_ENDED = "few ended"
    LATER = "fails later"
    BETTER_END = "better end"
    UNJUDGED = "no gate judges it"


MOST_REACHED = 0.5
"""Gates that ask nothing of the reach speak for a fleet of which this share at least was touched."""
_ENDED = ("succeeded", "on_target", "not_reached", "cloud_succeeded")
"""Numerators of gates that ask how many came to their end."""
_REACHED = (*_ENDED, "touched", "installed")
_UPSET = ("succeeded", "on_target", "touched_succeeded", "first_attempts_succeeded")
"""Numerators that modules which fail later are in."""


@dataclass(frozen=True, slots=True)
class SelfStop:
    """A plan that stopped itself in one campaign: what it did and why, after how long, how many had taken the image.

    `planned`: a pause between groups that its strategy asks for, after which nobody resumed it.
    """

    decision: str
    why: str
    time_s: float
    took_image: int
    planned: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """What the operator or the calendar ended or left paused in one campaign, and when."""

    decision: str
    time_s: float


@dataclass(frozen=True, slots=True)
class Part:
    """So many of `total`: `name` is a count of the table of metrics, or `untouched` for targets that never confirmed."""

    name: str
    count: int
    total: int


@dataclass(frozen=True, slots=True)
class Sampled:
    """What a sensitivity study says of one gate: the share of the sampled worlds in which it is met."""

    metric: str
    share_met: float
    worlds: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a verdict may rest on. `targets` and `touched` are counts of modules over all campaigns."""

    gates: Sequence[Judged]
    targets: int
    touched: int
    replications: int = 1
    complete: bool = True
    stops: Sequence[SelfStop] = ()
    sampled: Sequence[Sampled] = ()
    counts_agree: bool | None = None
    slo: Sequence[SloResult] = ()
    """Objectives of a live or load run, its tolerance for failures among them."""
    generator: Sequence[str] = ()
    """Why the generator of a live or load run, and not the cloud, made its figures."""
    aborted: bool = False
    """It ended early because an objective was broken: incomplete, and decided."""
    cuts: Sequence[Cut] = ()
    fail_later: Part | None = None
    """Upgraded modules whose image fails after the horizon: no figure of the run has them."""
    unjudged: Sequence[Part] = ()
    """Harm that was seen and that no gate is about, the gravest first."""
    under_way: int = 0
    """Touched modules that have come to no end: what the release does to them was not seen."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One ground of a verdict, with the gate, stop or study it is about."""

    why: Why
    gate: Judged | None = None
    stop: SelfStop | None = None
    sampled: Sampled | None = None
    slo: SloResult | None = None
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict with its reasons, the deciding ones first; `evidence` is what it was made from."""

    verdict: Verdict
    reasons: list[Reason]
    evidence: Evidence = field(repr=False)

    @property
    def replications(self) -> int | None:
        """About how many replications would settle what is not settled; None where no number is known to."""
        open_ = [r.gate.replications for r in self.reasons if r.why in (Why.TOO_LITTLE, Why.UNDECIDED) and r.gate]
        known = [n for n in open_ if n is not None]
        return max(known) if known and len(known) == len(open_) else None

    def exit_status(self, marginal_as: str = "") -> ExitStatus:
        """The status a command ends with; `marginal_as` (go, no-go) decides what is Marginal, and nothing else. No run is a
        yes whose plan stopped itself in some campaign, waits for its operator or reached few."""
        if self.reasons and self.reasons[0].why in (Why.COUNTS_DIFFER, Why.GENERATOR):
            return ExitStatus.RUN_FAILED
        if self.reasons and self.reasons[0].why is Why.INTERRUPTED:
            return ExitStatus.INTERRUPTED
        if self.verdict is not Verdict.MARGINAL or not marginal_as:
            return _STATUS[self.verdict]
        if marginal_as == "no-go":
            return ExitStatus.NO_GO
        return ExitStatus.GO if all(reason.why in _BY_CHANCE for reason in self.reasons) else ExitStatus.UNDECIDED


_BY_CHANCE = (Why.UNDECIDED, Why.SLO_UNDECIDED, Why.INPUTS)
"""Doubts that more replications or better inputs would settle; the others are known to be so."""
_STATUS = {
    Verdict.GO: ExitStatus.GO, Verdict.NONE: ExitStatus.GO, Verdict.NO_GO: ExitStatus.NO_GO,
    Verdict.STOPPED: ExitStatus.NO_GO, Verdict.MARGINAL: ExitStatus.UNDECIDED, Verdict.INVALID: ExitStatus.UNDECIDED,
}  # fmt: skip


def decide(known: Evidence) -> Decision:
    """The verdict. First match: interrupted, void or contradicted, stopped itself, not met, too little, doubt, Go.

    A plan that stopped itself in any campaign is never a Go: in half of them or more it is Stopped, else Marginal. One that
    waits for its operator, as its strategy says, is Marginal: what it has not reached yet is no fault of the release.
    """
    reasons = [Reason(why) for why in _void(known)]
    if reasons:
        return Decision(Verdict.INVALID, reasons, known)
    not_met = [Reason(Why.NOT_MET, gate=g) for g in known.gates if g.state == State.NOT_MET]
    stops = [stop for stop in known.stops if not stop.planned]
    if stops and 2 * len(stops) >= known.replications:
        return Decision(Verdict.STOPPED, [Reason(Why.STOPPED, stop=stops[0]), *not_met], known)
    broken = [Reason(Why.SLO_BROKEN, slo=s) for s in known.slo if s.state == "broken"]
    doubts = _doubts(known)
    if doubts and doubts[0].why is Why.WAITS and all(r.gate and about_reach(r.gate.metric) for r in not_met):
        doubts, not_met = [doubts[0], *not_met, *doubts[1:]], []
    if not_met or broken:
        return Decision(Verdict.NO_GO, [*not_met, *broken], known)
    if known.targets == 0 and known.gates:
        return Decision(Verdict.INVALID, [Reason(Why.NOBODY_NEEDED_IT)], known)
    too_little = [Reason(Why.TOO_LITTLE, gate=g) for g in known.gates if g.state == State.TOO_LITTLE]
    if known.touched == 0 and known.gates:
        return Decision(Verdict.INVALID, [Reason(Why.NOBODY_TOUCHED), *too_little, *doubts], known)
    if too_little:
        return Decision(Verdict.INVALID, [*too_little, *doubts], known)
    if doubts:
        return Decision(Verdict.MARGINAL, doubts, known)
    if not known.gates and not any(s.asked for s in known.slo):
        return Decision(Verdict.NONE, [Reason(Why.NO_GATES)], known)
    return Decision(Verdict.GO, [Reason(Why.ALL_MET), *_reservations(known)], known)


def about_reach(metric: str) -> bool:
    """Whether a metric says how much of the fleet a plan came to."""
    return _asks(metric, _REACHED)


def _asks(metric: str, numerators: tuple[str, ...]) -> bool:
    """Whether a metric is one of these shares of the fleet, or the time until a share of it."""
    m = METRICS.get(metric)  # None of a plug-in's
    share = m is not None and m.numerator in numerators and m.denominator in ("targets", "modules")
    return metric.startswith("time_to_") or share


def _void(known: Evidence) -> list[Why]:
    """What makes all figures worthless."""
    found = [] if known.complete or known.aborted else [Why.INTERRUPTED]
    found += [Why.GENERATOR] if known.generator else []
    return [*found, Why.COUNTS_DIFFER] if known.counts_agree is False else found


def _doubts(known: Evidence) -> list[Reason]:
    """What keeps a run from a Go though no gate is missed."""
    waits = [stop for stop in known.stops if stop.planned]
    stops = [stop for stop in known.stops if not stop.planned]
    found = [Reason(Why.WAITS, stop=waits[0])] if waits else []
    found += [Reason(Why.STOPS_AT_TIMES, stop=stops[0])] if stops else []
    found += [] if waits else [Reason(why) for why in _too_few(known)]
    found += [Reason(Why.UNDECIDED, gate=g) for g in known.gates if g.state == State.UNDECIDED]
    found += [Reason(Why.SLO_UNDECIDED, slo=s) for s in known.slo if s.state == "undecided"]
    gated = {figure(gate.metric) for gate in known.gates}
    found += [Reason(Why.INPUTS, sampled=s) for s in known.sampled if figure(s.metric) in gated and s.share_met < SURE]
    later = known.fail_later
    upset = [] if later is None else [g for g in known.gates if g.state == State.MET and _upset(g, later)]
    return [*found, *(Reason(Why.LATER, gate=g, part=later) for g in upset)]


def _too_few(known: Evidence) -> list[Why]:
    """Whether most of the fleet was not touched, or came to no end, and no gate asks how many were or did.

    Where a gate is content with fewer touched modules than most, most of those have to be done.
    """
    asked, least = [gate.metric for gate in known.gates], MOST_REACHED * known.targets
    if not asked:
        return []
    if known.touched < least and not any(map(about_reach, asked)):
        return [Why.FEW_REACHED]
    if any(_asks(metric, _ENDED) or metric == "success_of_touched" for metric in asked):
        return []
    needed = least if known.touched >= least else MOST_REACHED * known.touched
    return [Why.FEW_ENDED] if known.touched - known.under_way < needed else []


def _upset(gate: Judged, later: Part) -> bool:
    """Whether a gate that is met would not be, had the run seen the modules fail that fail later."""
    m = METRICS.get(gate.metric)
    if m is None or not gate.total or not (m.harm or m.numerator in _UPSET):
        return False
    return upset_by(gate, min(1.0, later.count / gate.total))


def _reservations(known: Evidence) -> list[Reason]:
    """What a Go does not say: it is beyond doubt without any of these."""
    found = [Reason(Why.BETTER_END, gate=g) for g in known.gates if by_the_better_end(g)]
    found += [Reason(Why.LATER, part=known.fail_later)] if known.fail_later else []
    return [*found, *(Reason(Why.UNJUDGED, part=part) for part in known.unjudged)]
