"""Rollout groups: who is in which, when the next one opens, when one has failed (definition 6).

A group has failed when 100 x failed / targets > error_threshold_percent: strictly greater, over the whole group and
not its finished part (hawkBit). It has passed when 100 x succeeded / targets >= success_threshold_percent, or when all
of it is finished; an empty group has passed. The error is tested before the success. The next group opens when soak
time has gone by since then and its own start time is reached.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sim.strategy.progress import Group
from sim.strategy.share import ROUNDING, above, reaches


def failed(g: Group) -> bool:
    """Whether the failed share exceeds the group's error threshold."""
    return g.targets > 0 and above(g.failed, g.error_threshold_percent, g.targets)


def passed(g: Group) -> bool:
    """Whether enough have succeeded, or nobody is left who could."""
    return g.targets <= 0 or g.terminal >= g.members or reaches(g.succeeded, g.success_threshold_percent, g.targets)


def opens_s(last: Group, following: Group, start_s: float) -> float:
    """When the group after `last` may open; inf while `last` has neither passed nor been waved through.

    `start_s` is the start of the plan, from which the start times of groups are counted.
    """
    if last.resumed:
        return start_s + following.start_s
    if math.isnan(last.passed_s):
        return math.inf
    return max(last.passed_s + last.soak_s, start_s + following.start_s)


def sizes(targets: int, percents: Sequence[float | None], counts: Sequence[int | None], remaining: bool) -> list[int]:
    """Sizes of the groups: a count, or a percentage rounded half up, of all targets or of those that remain.

    The last group takes the rest. Percentages that ask for more than is left get what is left.
    """
    found: list[int] = []
    left = targets
    for percent, count in zip(percents[:-1], counts[:-1], strict=True):
        whole = left if remaining else targets
        wanted = count if count is not None else math.floor(whole * (percent or 0.0) / 100.0 + 0.5 + ROUNDING)
        size = min(left, wanted)
        found.append(size)
        left -= size
    return [*found, left]
