"""A cap on a rate: hands out the moments at which things may happen."""

from __future__ import annotations


class Pace:
    """Slots `1 / rate` apart, in order of asking; without a rate everything may happen at once."""

    def __init__(self, rate_per_s: float | None) -> None:
        self._gap_s = 0.0 if rate_per_s is None else 1.0 / rate_per_s
        self._next = 0.0

    def slot(self, now: float) -> float:
        """The moment from which the next one may happen, `now` or later."""
        at = max(now, self._next)
        self._next = at + self._gap_s
        return at
