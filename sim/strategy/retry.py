"""Another attempt after a failed one: how often, and how long after (definition 11).

`number_of_retries` further attempts follow the first, counted over all failures or by type; a rejection is never tried
again. The interval grows by `back_off` with each failure, up to `max_interval`.
"""

from __future__ import annotations

import math
from typing import Protocol

from sim.strategy.settings import TIMEOUT, Settings


class Failures(Protocol):
    """What has gone wrong with one execution so far."""

    failures: int
    timeouts: int


def may_retry(r: Settings, e: Failures, kind: int) -> bool:
    """Whether another attempt follows, the failure just had being counted already in `e`."""
    if r.retries > 0:
        return e.failures + e.timeouts <= r.retries
    return e.timeouts <= r.retries_timed_out if kind == TIMEOUT else e.failures <= r.retries_failed


def interval_s(r: Settings, e: Failures, kind: int) -> float:
    """Time from the failure to the next attempt, seconds."""
    base = r.retry_interval_timed_out_s if kind == TIMEOUT and r.retries <= 0 else r.retry_interval_s
    had = e.failures + e.timeouts if r.retries > 0 else e.timeouts if kind == TIMEOUT else e.failures
    return min(base * math.pow(r.retry_back_off, had - 1), r.retry_interval_max_s)
