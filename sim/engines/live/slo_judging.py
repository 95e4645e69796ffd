"""Judges a live or load run by its SLO, and by the tolerance for failures that holds where nobody asked for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sim.engines.live.latency import LEGS, SESSION, Latencies
from sim.engines.live.slo import MOST_FAILURES, Objective, Slo
from sim.stats.evidence import CONFIDENCE, Answer, Evidence
from sim.stats.slo_result import SloResult

ABORT_CONFIDENCE = 0.999
"""A run that is looked at again and again is ended early only on evidence this strong."""
EVERYBODY = ""
"""The name under which the measurements of all modules lie, beside those of groups."""


def judged(slo: Slo | None, measured: Mapping[str, Latencies]) -> list[SloResult]:
    """What became of each objective, then of each step that no objective on failures covers.

    An objective that was asked for is kept, broken or undecided by the bounds of `sim.stats.evidence`. The tolerance takes no
    proof: up to MOST_FAILURES of a step may fail, more breaks it where that is beyond chance and leaves it undecided else.
    """
    asked = () if slo is None else slo.objectives
    covered = {o.leg for o in asked if o.percent is None and not o.group}
    results = [_result(o, measured[o.group], asked=True) for o in asked]
    if None in covered:
        return results
    return results + [_result(o, measured[EVERYBODY], asked=False) for o in tolerated() if o.leg not in covered]


def tolerated() -> Sequence[Objective]:
    """At most MOST_FAILURES of each step's tries may fail."""
    return [
        Objective(f"error_rate({leg})<{100.0 * MOST_FAILURES:g}%", leg, None, MOST_FAILURES) for leg in (*LEGS, SESSION)
    ]


def broken_so_far(slo: Slo | None, measured: Mapping[str, Latencies]) -> list[str]:
    """Objectives that are broken already, whatever is still to come: their texts."""
    objectives = tolerated() if slo is None else slo.objectives
    return [
        o.text for o in objectives if o.evidence(measured[o.group]).answer(ABORT_CONFIDENCE) is Answer.BROKEN
    ]  # fmt: skip


def _result(objective: Objective, found: Latencies, *, asked: bool) -> SloResult:
    evidence = objective.evidence(found)
    leg = objective.leg or ""
    reasons = found.failed(leg) if leg else dict(found.failures_by_reason())
    return SloResult(
        objective.text, leg, objective.group, "share" if objective.percent is None else "s", objective.value(found),
        objective.limit, evidence.tried, evidence.over, _state(evidence, asked=asked), evidence.needed(), asked, reasons,
    )  # fmt: skip


def _state(evidence: Evidence, *, asked: bool) -> str:
    if not asked and evidence.over <= evidence.allowed * evidence.tried:
        return Answer.KEPT.value
    return evidence.answer(CONFIDENCE).value


__all__ = ["ABORT_CONFIDENCE", "EVERYBODY", "broken_so_far", "judged", "tolerated"]
