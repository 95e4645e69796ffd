"""How a live or load run stands while it runs: for progress displays, metrics and whoever watches."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sim.engines.live.latency import ExponentialHistogram, added


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
    reasons: dict[str, int] = field(default_factory=dict)
    """Failures so far by reason, the most frequent ones."""
    broken: tuple[str, ...] = ()
    """Objectives that are broken already, where the run is to end on failure."""
    notes: tuple[str, ...] = ()
    """What is to be known of the run before it begins."""
    left_s: float | None = None
    """Real seconds until the run ends at the latest; None where that is not known."""
    histograms: dict[str, ExponentialHistogram] = field(default_factory=dict)
    """Measurements of every leg so far."""


Watch = Callable[[Snapshot], None]
SHOWN_LEGS = ("connect", "notice", "url", "download", "report")

SHOWN_REASONS = 8

_ADDED_UP = ("modules", "done", "connections", "downloads", "sent", "received", "delivered_bits", "workers")


def from_json(line: str) -> Snapshot:
    """The snapshot that was written as a JSON object of its fields."""
    row = json.loads(line)
    histograms = {leg: ExponentialHistogram(*found) for leg, found in row.pop("histograms", {}).items()}
    return Snapshot(**row, histograms=histograms)


def together(parts: Sequence[Snapshot]) -> Snapshot:
    """How several processes stand as one. Quantiles cannot be added: each is that of the process with the worst one."""
    sums = {name: sum(getattr(part, name) for part in parts) for name in _ADDED_UP}
    states, counts, failures, reasons = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for part in parts:
        states.update(part.states)
        counts.update(part.counts)
        failures.update(part.failures)
        reasons.update(part.reasons)
    return Snapshot(
        max((part.real_s for part in parts), default=0.0), max((part.run_s for part in parts), default=0.0),
        states=dict(states), latencies_s=_worst(parts), counts=dict(counts), failures=dict(failures),
        faults=tuple(fault for part in parts for fault in part.faults), reasons=dict(reasons.most_common(SHOWN_REASONS)),
        histograms={leg: added(p.histograms[leg] for p in parts if leg in p.histograms) for leg in counts},
        **sums,
    )  # fmt: skip


def _worst(parts: Sequence[Snapshot]) -> dict[str, tuple[float | None, float | None]]:
    found: dict[str, tuple[float | None, float | None]] = {}
    for leg, (p50, p99) in ((leg, quantiles) for part in parts for leg, quantiles in part.latencies_s.items()):
        before = found.get(leg, (None, None))
        found[leg] = (_larger(before[0], p50), _larger(before[1], p99))
    return found


def _larger(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else max(a, b)


__all__ = ["SHOWN_LEGS", "SHOWN_REASONS", "Snapshot", "Watch", "from_json", "together"]
