"""What of a plan a hawkBit server cannot do by itself and fotasim's operator does instead, worked out before anything is sent.

A group whose next one has to wait (soak, a start by the clock) is published with the success action PAUSE and resumed; suspend,
resume, next-group and terminate of `plan.operator` are requests of the management API.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sim.scenario.plan import OperatorAction, PlanSection
from sim.scenario.strategy import RolloutGroup, StrategySection

REQUESTS = {"suspend": "pause", "resume": "resume", "next-group": "triggerNextGroup", "terminate": "stop"}
"""The operator's actions as requests below a rollout; the others have none."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Group `after` (from 0) has passed: the next one opens `soak_s` later, not before `start_s` of the run."""

    after: int
    name: str
    soak_s: float
    start_s: float
    error_threshold_percent: float | None
    """A paused server looks at no threshold, so the operator does before it resumes."""


@dataclass(frozen=True, slots=True)
class Duties:
    """All waits in the order of the groups, and the operator's calendar in order of time."""

    waits: Sequence[Wait] = ()
    calendar: Sequence[tuple[float, str]] = ()
    """(second of the run, word of `plan.operator`)."""

    def __bool__(self) -> bool:
        return bool(self.waits or self.calendar)


def duties_of(plan: PlanSection) -> Duties:
    """What the operator does for this plan on hawkBit."""
    calendar = sorted((a.at, a.do) for a in plan.operator if is_done_for(plan, a))
    return Duties(_waits(plan.strategy), calendar)


def _waits(strategy: StrategySection) -> list[Wait]:
    groups, found = strategy.rollout.groups, list[Wait]()
    for number, (group, following) in enumerate(pairwise(groups)):
        start_s = _start_s(strategy, following)
        if (group.soak or start_s > 0.0) and group.success_action == "next-group":
            name = group.name or f"group-{number + 1}"
            found.append(Wait(number, name, group.soak, start_s, group.error_threshold_percent))
    return found


def is_done_for(plan: PlanSection, action: OperatorAction) -> bool:
    """Whether this action of the operator is carried out: with waits, a pause of the operator's own cannot be told from theirs."""
    mixed = bool(_waits(plan.strategy)) and action.do in ("suspend", "resume")
    return action.do in REQUESTS and not mixed


def holds(strategy: StrategySection, number: int) -> bool:
    """Whether soak and start of a group are kept: by waits, or since nobody comes after it."""
    groups, waits = strategy.rollout.groups, {wait.after for wait in _waits(strategy)}
    soaks = not groups[number].soak or number in waits or number == len(groups) - 1
    starts = _start_s(strategy, groups[number]) <= 0.0 or number - 1 in waits
    return soaks and starts


def _start_s(strategy: StrategySection, group: RolloutGroup) -> float:
    return group.start_time if group.start_at is None else strategy.schedule.after_start_s(group.start_at)
