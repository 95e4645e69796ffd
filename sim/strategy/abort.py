"""Abort criteria: when too many have failed (definition 7).

At each evaluation, in list order, a criterion fires iff executed >= min_number_of_executed and
100 x failed(type) / denominator >= threshold_percentage and failed(type) >= min_number_of_failed; the first hit wins, and
each fires once. AWS documents
disagree: its guide counts completed executions (the default), its API reference notified ones; hawkBit-like criteria
take all targets.
"""

from __future__ import annotations

from sim.strategy.progress import Criterion, Progress, completed
from sim.strategy.settings import Denominator, FailureType
from sim.strategy.share import reaches


def failures(progress: Progress, failure_type: int) -> int:
    """Modules that finally failed in the given way."""
    if failure_type == FailureType.FAILED:
        return progress.failed
    if failure_type == FailureType.TIMED_OUT:
        return progress.timed_out
    if failure_type == FailureType.REJECTED:
        return progress.rejected
    return progress.failed + progress.timed_out + progress.rejected


def executed(progress: Progress, denominator: int) -> int:
    """What a criterion's minimum is compared with."""
    return progress.notified if denominator == Denominator.NOTIFIED else completed(progress)


def whole(progress: Progress, denominator: int) -> int:
    """What a criterion's share is taken of."""
    if denominator == Denominator.COMPLETED:
        return completed(progress)
    return progress.notified if denominator == Denominator.NOTIFIED else progress.targets


def fires(criterion: Criterion, progress: Progress) -> bool:
    """Whether this criterion stops the plan now."""
    of = whole(progress, criterion.denominator)
    if criterion.fired or of <= 0 or executed(progress, criterion.denominator) < criterion.min_number_of_executed:
        return False
    failed = failures(progress, criterion.failure_type)
    return failed >= criterion.min_number_of_failed and reaches(failed, criterion.threshold_percentage, of)
