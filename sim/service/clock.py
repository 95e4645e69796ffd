"""The service's clock: seconds of the epoch that never jump, so that a plan's intervals survive whoever sets the date.

It starts at the wall clock, or at the latest moment the store knows when that is later, and goes on by the system's
monotonic time (that which counts sleep, where there is one). The wall clock is asked for dates of people alone.
"""

from __future__ import annotations

import time

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)


def steady_s() -> float:
    """Seconds since some moment, never set back."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


class SteadyClock:
    """Gives the time when it is called. `latest` is the latest moment that is known to have passed."""

    def __init__(self, latest: float = 0.0) -> None:
        wall = time.time()
        self.ahead_s = max(0.0, latest - wall)
        """By how much it runs ahead of the wall clock, which was set back between two starts."""
        self._zero = max(wall, latest) - steady_s()

    def __call__(self) -> float:
        """Seconds of the epoch."""
        return self._zero + steady_s()
