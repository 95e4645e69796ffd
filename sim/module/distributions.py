"""Distributions by their inverse: a probability goes in, a value comes out; any of them can be truncated.

SciPy is imported when a value is asked for: whoever only checks a scenario does without.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

KINDS = ("constant", "uniform", "normal", "lognormal", "beta", "gamma", "mixture", "empirical")


@dataclass(frozen=True, slots=True)
class Distribution:
    """One distribution. `a` and `b` are its two parameters, in the order its kind names them:

    constant(value), uniform(low, high), normal(mean, sd), lognormal(median, sigma), beta(a, b) stretched over
    [low, high], gamma(mean, sd), mixture(parts with weights), empirical(points at probabilities).
    """

    kind: str
    a: float = 0.0
    b: float = 0.0
    low: float = -inf
    high: float = inf
    parts: tuple[tuple[float, Distribution], ...] = ()
    probabilities: tuple[float, ...] = ()
    points: tuple[float, ...] = field(default=())

    def quantile(self, u: Array) -> Array:
        """Values at the probabilities `u` in (0, 1), same shape; truncation keeps the shape between the bounds."""
        if self.kind == "mixture":
            return self._mixture(u)
        if self.kind in ("constant", "uniform", "beta", "empirical"):
            return np.clip(self._inverse(u), self.low, self.high)
        bottom, top = self._cumulative(self.low), self._cumulative(self.high)
        return np.clip(self._inverse(bottom + u * (top - bottom)), self.low, self.high)

    @property
    def support(self) -> tuple[float, float]:
        """The least and the largest value it can give."""
        if self.kind == "mixture":
            ends = [part.support for _, part in self.parts]
            low, high = min(e[0] for e in ends), max(e[1] for e in ends)
        elif self.kind == "empirical":
            low, high = self.points[0], self.points[-1]
        elif self.kind in ("constant", "uniform"):
            low, high = self.a, self.a if self.kind == "constant" else self.b
        else:
            low, high = -inf if self.kind == "normal" else 0.0 if self.kind != "beta" else self.low, inf
        return min(max(low, self.low), self.high), min(max(high, self.low), self.high)

    def _inverse(self, u: Array) -> Array:
        if self.kind == "constant":
            return np.full_like(u, self.a)
        if self.kind == "uniform":
            return self.a + (self.b - self.a) * u
        if self.kind == "empirical":
            return np.interp(u, self.probabilities, self.points)
        from scipy import special

        if self.kind == "normal":
            return np.asarray(self.a + self.b * special.ndtri(u))
        if self.kind == "lognormal":
            return np.asarray(self.a * np.exp(self.b * special.ndtri(u)))
        if self.kind == "beta":
            return np.asarray(self.low + (self.high - self.low) * special.betaincinv(self.a, self.b, u))
        shape = (self.a / self.b) ** 2  # gamma
        return np.asarray(special.gammaincinv(shape, u) * self.a / shape)

    def _cumulative(self, x: float) -> float:
        """Probability below `x`, for the kinds that are truncated by it."""
        from scipy import special

        if self.kind == "normal":
            return float(special.ndtr((x - self.a) / self.b)) if self.b > 0 else float(x >= self.a)
        if x <= 0.0:
            return 0.0
        if x == inf:
            return 1.0
        if self.kind == "lognormal":
            return float(special.ndtr(np.log(x / self.a) / self.b)) if self.b > 0 else float(x >= self.a)
        return float(special.gammainc((self.a / self.b) ** 2, x * self.a / self.b**2))

    def _mixture(self, u: Array) -> Array:
        """One draw serves twice: it picks the part, and its place inside that part's share is the part's draw."""
        total = sum(weight for weight, _ in self.parts)
        values = np.empty_like(u)
        start = 0.0
        for number, (weight, part) in enumerate(self.parts):
            end = 1.0 if number == len(self.parts) - 1 else start + weight / total
            inside = (u >= start) & (u < end)
            values[inside] = part.quantile((u[inside] - start) / (end - start))
            start = end
        return np.clip(values, self.low, self.high)
