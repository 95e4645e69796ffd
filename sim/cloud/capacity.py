"""What costs time in a cloud: a paced gate for connections, request workers, download slots.

Pure: the time is an argument, calls come in order of time. Each part is a tuple of its settings and of the arrays it
changes, lists for the Python engines and NumPy arrays for the compiled one; the functions are the same for both.
What downloads share on their way is in egress.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

MAX_BACKGROUND = 0.95
"""Share of the workers that status reports can take at most; such a cloud is beyond saving."""


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
