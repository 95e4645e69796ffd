"""When the modules of a load begin, as numbers: how many have begun by when. NumPy alone, so that any process can have it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """How many modules have begun by when. `begins_s` are the times at which they begin, in order, shape (n,)."""

    begins_s: Times

    def modules(self, at_s: float) -> int:
        """Modules that have begun by a time, in seconds after the start."""
        return int(np.searchsorted(self.begins_s, at_s, side="right"))

    def of(self, users: int, most_per_s: float = inf) -> Curve:
        """The same form for so many modules, never more of them a second than `most_per_s`.

        Whom the limit holds back begins as soon as it allows: b_k = max(a_k, b_(k-1) + 1 / most_per_s).
        """
        there = len(self.begins_s)
        if there == 0 or users < 1:
            return Curve(np.empty(0))
        chosen = self.begins_s[((np.arange(users) + 0.5) * there / users).astype(np.int64)]
        held = np.arange(users) / most_per_s
        return Curve(held + np.maximum.accumulate(chosen - held))

    def save(self, path: Path) -> None:
        """Writes it for a process that does not know the scenario."""
        np.save(path, self.begins_s, allow_pickle=False)

    @classmethod
    def load(cls, path: Path) -> Curve:
        """Reads what `save` wrote."""
        return cls(np.asarray(np.load(path, allow_pickle=False), dtype=np.float64))


__all__ = ["Curve", "Times"]
