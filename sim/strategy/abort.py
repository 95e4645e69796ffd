"""Abort criteria: when too many have failed (definition 7).

At each evaluation, in list order, a criterion fires iff executed >= min_number_of_executed and
100 x failed(type) / denominator >= threshold_percentage and failed(type) >= min_number_of_failed; the first hit wins, and
each fires once. AWS documents
disagree: its guide counts completed executions (the default), its API reference notified ones; hawkBit-like criteria
take all targets.
"""

from __future__ import annotations

from sim.strategy.progress import Criterion, Progress, completed
from sim.strategy.settings import FAILURE, OF_COMPLETED, OF_NOTIFIED, REJECTION, TIMEOUT
from sim.strategy.share import reaches


def failures(c: Progress, failure_type: int) -> int:
    """Modules that finally failed in the given way."""
    if failure_type == FAILURE:
        return c.failed
    if failure_type == TIMEOUT:
        return c.timed_out
    if failure_type == REJECTION:
        return c.rejected
    return c.failed + c.timed_out + c.rejected


def executed(c: Progress, denominator: int) -> int:
    """What a criterion's minimum is compared with."""
    return c.notified if denominator == OF_NOTIFIED else completed(c)


def whole(c: Progress, denominator: int) -> int:
    """What a criterion's share is taken of."""
    if denominator == OF_COMPLETED:
        return completed(c)
    return c.notified if denominator == OF_NOTIFIED else c.targets


def fires(k: Criterion, c: Progress) -> bool:
    """Whether this criterion stops the plan now."""
    of = whole(c, k.denominator)
    if k.fired or of <= 0 or executed(c, k.denominator) < k.min_number_of_executed:
        return False
    failed = failures(c, k.failure_type)
    return failed >= k.min_number_of_failed and reaches(failed, k.threshold_percentage, of)
