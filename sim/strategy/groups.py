"""Rollout groups: who is in which, when the next one opens, when one has failed (definition 6).

A group has failed when 100 x failed / targets > error_threshold_percent: strictly greater, over the whole group and
not its finished part (hawkBit). It has passed when 100 x succeeded / targets >= success_threshold_percent, or when all
of it is finished; an empty group has passed. The error is tested before the success. The next group opens when soak
time has gone by since then and its own start time is reached.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sim.strategy.progress import Group
from sim.strategy.share import ROUNDING, above, reaches


def failed(group: Group) -> bool:
    """Whether the failed share exceeds the group's error threshold."""
    return group.targets > 0 and above(group.failed, group.error_threshold_percent, group.targets)


def passed(group: Group) -> bool:
    """Whether enough have succeeded, or nobody is left who could."""
    return (
        group.targets <= 0
        or group.terminal >= group.members
        or reaches(group.succeeded, group.success_threshold_percent, group.targets)
    )


def opens_s(last: Group, following: Group, start_s: float) -> float:
    """When the group after `last` may open; inf while `last` has neither passed nor been waved through.

    `start_s` is the start of the plan, from which the start times of groups are counted.
    """
    if last.resumed:
        return start_s + following.start_s
    if math.isnan(last.passed_s):
        return math.inf
    return max(last.passed_s + last.soak_s, start_s + following.start_s)


TOTAL, REMAINING, HAWKBIT, CUMULATIVE = range(4)
PERCENT_OF = ("total", "remaining", "hawkbit", "cumulative")
"""What a percentage is of: all, what is left, all as hawkBit 0.5 and later cuts it, or all with the earlier groups counted in."""


def cut(whole: int, left: int, percent: float, percent_of: int, served: float, down: bool) -> int:
    """Size of a group of so many per cent, of `whole` modules of which `left` are in no earlier group.

    `served` is the sum of the earlier groups' percentages. Rounded half up, or `down`; never more than is left.
    """
    if percent_of == HAWKBIT:
        return min(left, math.floor(_of_the_rest(percent, served) * left / 100.0 + 0.5))
    wanted = (left if percent_of == REMAINING else whole) * percent / 100.0
    size = math.floor(wanted + ROUNDING + (0.0 if down else 0.5))
    if percent_of == CUMULATIVE:
        size = max(0, size - (whole - left))
    return min(left, size)


def _of_the_rest(percent: float, served: float) -> float:
    """A percentage of all as one of the modules left, in the single precision in which hawkBit keeps percentages."""
    to_serve = 100.0 - served
    if to_serve <= 1.0:
        return 100.0
    return min(100.0, float(np.float32(percent) * np.float32(100.0)) / to_serve)


def sizes(
    targets: int, percents: Sequence[float | None], counts: Sequence[int | None], percent_of: int = TOTAL,
    down: bool = False,
) -> list[int]:  # fmt: skip
    """Sizes of the groups, each by its count or its percentage (`cut`); the last group takes the rest.

    Percentages and counts that ask for more than is left get what is left.
    """
    group_sizes: list[int] = []
    left, served = targets, 0.0
    for percent, count in zip(percents[:-1], counts[:-1], strict=True):
        size = min(left, count) if count is not None else cut(targets, left, percent or 0.0, percent_of, served, down)
        group_sizes.append(size)
        left -= size
        served += float(np.float32(percent or 0.0))
    return [*group_sizes, left]
