"""The verdict on a release: one pure function from what is known to Go, No go, Marginal, Stopped or Invalid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sim.exit_status import ExitStatus
from sim.gates import Judged, State
from sim.metrics import figure
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


@dataclass(frozen=True, slots=True)
class SelfStop:
    """A plan that stopped itself in one campaign: what it did and why, after how long, how many had taken the image."""

    decision: str
    why: str
    time_s: float
    took_image: int


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


@dataclass(frozen=True, slots=True)
class Reason:
    """One ground of a verdict, with the gate, stop or study it is about."""

    why: Why
    gate: Judged | None = None
    stop: SelfStop | None = None
    sampled: Sampled | None = None
    slo: SloResult | None = None


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
        """The status a command ends with; `marginal_as` (go, no-go) decides a gate in doubt, but no run is a yes that judged
        nothing, or whose plan stopped itself in some campaign."""
        status = _STATUS[self.verdict]
        if self.reasons and self.reasons[0].why in (Why.COUNTS_DIFFER, Why.GENERATOR):
            return ExitStatus.RUN_FAILED
        if self.reasons and self.reasons[0].why is Why.INTERRUPTED:
            return ExitStatus.INTERRUPTED
        if status != ExitStatus.UNDECIDED or not marginal_as:
            return status
        if marginal_as == "no-go":
            return ExitStatus.NO_GO
        judged_nothing = self.verdict is Verdict.INVALID and self.evidence.touched == 0
        return ExitStatus.UNDECIDED if judged_nothing or self.evidence.stops else ExitStatus.GO


_STATUS = {
    Verdict.GO: ExitStatus.GO, Verdict.NONE: ExitStatus.GO, Verdict.NO_GO: ExitStatus.NO_GO,
    Verdict.STOPPED: ExitStatus.NO_GO, Verdict.MARGINAL: ExitStatus.UNDECIDED, Verdict.INVALID: ExitStatus.UNDECIDED,
}  # fmt: skip


def decide(known: Evidence) -> Decision:
    """The verdict. First match: interrupted, void or contradicted, stopped itself, not met, too little, doubt, Go.

    A plan that stopped itself in any campaign is never a Go: in half of them or more it is Stopped, else Marginal.
    """
    reasons = [Reason(why) for why in _void(known)]
    if reasons:
        return Decision(Verdict.INVALID, reasons, known)
    not_met = [Reason(Why.NOT_MET, gate=g) for g in known.gates if g.state == State.NOT_MET]
    if known.stops and 2 * len(known.stops) >= known.replications:
        return Decision(Verdict.STOPPED, [Reason(Why.STOPPED, stop=known.stops[0]), *not_met], known)
    broken = [Reason(Why.SLO_BROKEN, slo=s) for s in known.slo if s.state == "broken"]
    if not_met or broken:
        return Decision(Verdict.NO_GO, [*not_met, *broken], known)
    if known.targets == 0 and known.gates:
        return Decision(Verdict.INVALID, [Reason(Why.NOBODY_NEEDED_IT)], known)
    too_little = [Reason(Why.TOO_LITTLE, gate=g) for g in known.gates if g.state == State.TOO_LITTLE]
    doubts = _doubts(known)
    if known.touched == 0 and known.gates:
        return Decision(Verdict.INVALID, [Reason(Why.NOBODY_TOUCHED), *too_little, *doubts], known)
    if too_little:
        return Decision(Verdict.INVALID, [*too_little, *doubts], known)
    if doubts:
        return Decision(Verdict.MARGINAL, doubts, known)
    if not known.gates and not any(s.asked for s in known.slo):
        return Decision(Verdict.NONE, [Reason(Why.NO_GATES)], known)
    return Decision(Verdict.GO, [Reason(Why.ALL_MET)], known)


def _void(known: Evidence) -> list[Why]:
    """What makes all figures worthless."""
    found = [] if known.complete or known.aborted else [Why.INTERRUPTED]
    found += [Why.GENERATOR] if known.generator else []
    return [*found, Why.COUNTS_DIFFER] if known.counts_agree is False else found


def _doubts(known: Evidence) -> list[Reason]:
    undecided = [Reason(Why.UNDECIDED, gate=g) for g in known.gates if g.state == State.UNDECIDED]
    undecided += [Reason(Why.SLO_UNDECIDED, slo=s) for s in known.slo if s.state == "undecided"]
    at_times = [Reason(Why.STOPS_AT_TIMES, stop=known.stops[0])] if known.stops else []
    gated = {figure(gate.metric) for gate in known.gates}
    inputs = [Reason(Why.INPUTS, sampled=s) for s in known.sampled if figure(s.metric) in gated and s.share_met < SURE]
    return [*at_times, *undecided, *inputs]
