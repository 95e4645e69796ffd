"""What costs time in a cloud: a paced gate for connections, request workers, download slots.

Pure: the time is an argument, calls come in order of time. Each part is a tuple of its settings and of the arrays it
changes, lists for the Python engines and NumPy arrays for the compiled one; the functions are the same for both.
What downloads share on their way is in egress.py.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from sim.draws import Purpose, lognormal, uniform
from sim.named_enum import NamedEnum

MAX_BACKGROUND = 0.95
"""Share of the workers that status reports can take at most; such a cloud is beyond saving."""


class RequestTimeLaw(NamedEnum):
    """Laws of the time a request takes one worker; `service_s` is the mean of each."""

    CONSTANT = 0
    EXPONENTIAL = 1
    LOGNORMAL = 2


class Connections(NamedTuple):
    """Accepts connections evenly spaced, in order of arrival."""

    spacing_s: float
    free_at: Any
    """[0]: when the gate opens next, seconds."""


class Workers(NamedTuple):
    """Request workers behind one queue, first come, first served."""

    service_s: float
    free_at: Any
    """When each worker is free, seconds, as a binary heap."""
    law: int = 0
    """How the time of a request is distributed, a RequestTimeLaw."""
    sigma: float = 0.0
    """Log-spread of a lognormal one."""


class Downloads(NamedTuple):
    """A number of download slots; a request that finds none is turned away."""

    limit: int
    active: Any
    """[0]: slots taken."""


def admit(gate: Connections, now: float) -> float:
    """When the connection that arrives `now` is accepted, seconds."""
    accepted: float = max(now, gate.free_at[0])
    gate.free_at[0] = accepted + gate.spacing_s
    return accepted


def answered_at(workers: Workers, now: float, background_per_s: float, service_s: float) -> float:
    """When the request that arrives `now` and takes `service_s` of one worker has been answered, seconds.

    Status reports that need no answer take worker time as a fluid: at `background_per_s` reports a second a share
    b = background_per_s x workers.service_s / count of the capacity is gone, and answered requests take 1/(1-b)
    times longer.
    """
    free_at = workers.free_at
    busy = min(background_per_s * workers.service_s / len(free_at), MAX_BACKGROUND)
    done: float = max(now, free_at[0]) + service_s / (1.0 - busy)
    _replace_smallest(free_at, done)
    return done


def request_time_s(workers: Workers, key_0: int, key_1: int, module: int, number: int) -> float:
    """Time one worker takes for a request: number `number` of a module, by its identity."""
    if workers.law == RequestTimeLaw.CONSTANT:
        return workers.service_s
    unit = uniform(key_0, key_1, module, Purpose.REQUEST_TIME, number)
    if workers.law == RequestTimeLaw.EXPONENTIAL:
        return -workers.service_s * math.log(unit)
    return lognormal(unit, workers.service_s * math.exp(-0.5 * workers.sigma * workers.sigma), workers.sigma)


def _replace_smallest(heap: Any, value: float) -> None:
    """Takes the smallest number out of a binary heap and puts another in."""
    size, hole = len(heap), 0
    while True:
        child = 2 * hole + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[hole] = heap[child]
        hole = child
    heap[hole] = value


def open_slot(downloads: Downloads) -> bool:
    """Takes a slot; False when there is none."""
    if downloads.active[0] >= downloads.limit:
        return False
    downloads.active[0] += 1
    return True


def close_slot(downloads: Downloads) -> None:
    """Gives a slot back."""
    downloads.active[0] -= 1
