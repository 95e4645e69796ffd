"""What a service level objective came to in a live or load run: the figure, the samples it rests on, the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

MOST_FAILURES = 0.01
"""What may fail where nobody said anything of failures: a cloud that answers the others fast is not one that sustains the load."""


@dataclass(frozen=True, slots=True)
class SloResult:
    """One objective. `value` and `limit` are seconds of a percentile, or shares of failures (`unit` "s" or "share")."""

    text: str
    step: str
    """The leg or span it is about; "" for all legs."""
    group: str
    """The group of the fleet it is about; "" for all modules."""
    unit: str
    value: float | None
    limit: float
    tried: int
    over: int
    """Of `tried`, those that failed or took longer than the limit."""
    state: str
    """kept, broken or undecided."""
    needed: int
    """Samples it takes at least to show that the objective is kept."""
    asked: bool
    """Whether a user asked for it; else it is the tolerance for failures that every run has."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Failures of the step by reason."""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> SloResult:
        """The result that `plain` wrote."""
        return cls(**{name: told[name] for name in cls.__dataclass_fields__})


__all__ = ["MOST_FAILURES", "SloResult"]
