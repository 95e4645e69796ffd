"""Another attempt after a failed one: how often, and how long after (definition 11).

`number_of_retries` further attempts follow the first, counted over all failures or by type; a rejection is never tried
again. The interval grows by `back_off` with each failure, up to `max_interval`, and is then moved by the jitter.
"""

from __future__ import annotations

import math
from typing import Protocol

from sim.draws import Purpose, uniform
from sim.strategy.settings import FailureType, Settings


class Failures(Protocol):
    """What has gone wrong with one execution so far."""

    identity: int
    failures: int
    timeouts: int


def may_retry(settings: Settings, execution: Failures, kind: int) -> bool:
    """Whether another attempt follows, the failure just had counted already in `execution`."""
    if settings.retries > 0:
        return execution.failures + execution.timeouts <= settings.retries
    return (
        execution.timeouts <= settings.retries_timed_out
        if kind == FailureType.TIMED_OUT
        else execution.failures <= settings.retries_failed
    )


def interval_s(settings: Settings, execution: Failures, kind: int) -> float:
    """Time from the failure to the next attempt, seconds."""
    base = (
        settings.retry_interval_timed_out_s
        if kind == FailureType.TIMED_OUT and settings.retries <= 0
        else settings.retry_interval_s
    )
    had = (
        execution.failures + execution.timeouts
        if settings.retries > 0
        else execution.timeouts
        if kind == FailureType.TIMED_OUT
        else execution.failures
    )
    interval = min(base * math.pow(settings.retry_back_off, had - 1), settings.retry_interval_max_s)
    if settings.retry_jitter <= 0.0:
        return interval
    had_all = execution.failures + execution.timeouts
    unit = uniform(settings.key_0, settings.key_1, execution.identity, Purpose.RETRY_JITTER, had_all)
    return interval * (1.0 + settings.retry_jitter * (2.0 * unit - 1.0))
