"""How a live or load run stands while it runs: for progress displays, metrics and whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How the run stands."""

    real_s: float
    run_s: float
    modules: int
    done: int
    states: dict[str, int]
    connections: int
    downloads: int
    sent: int
    received: int
    delivered_bits: float
    latencies_s: dict[str, tuple[float | None, float | None]]
    """p50 and p99 of the legs that matter most."""
    counts: dict[str, int] = field(default_factory=dict)
    """Measurements of every leg so far."""
    failures: dict[str, int] = field(default_factory=dict)
    """Failures of every leg so far."""
    workers: int = 1
    """Processes that carry the modules."""
    faults: tuple[str, ...] = ()
    """Why the figures cannot be trusted, as far as it is known."""


Watch = Callable[[Snapshot], None]
SHOWN_LEGS = ("connect", "notice", "url", "download", "report")

__all__ = ["SHOWN_LEGS", "Snapshot", "Watch"]
