"""The search of the largest load within an SLO: steps, bisects, confirms. Pure: a load goes in, a measurement comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

from sim.engines.live.latency import LEGS, Latencies
from sim.load.capacity.slo import Slo

STEP = 2.0
STEP_BACK = 0.04
"""A load that does not hold for long is lowered by this share, then by twice as much, and so on."""
VOID_TRIES = 3
QUANTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
"""Quantiles kept of each leg, in percent."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one load did: each objective's figure, what it amounted to, and why it is void, if it is."""

    values: dict[str, float | None]
    figures: dict[str, float] = field(default_factory=dict)
    """Requests per second, peak of downloads and connections, …: the load as the cloud saw it."""
    legs: dict[str, dict[str, float]] = field(default_factory=dict)
    """For each leg that was measured: count, failures, quantiles in seconds."""
    void: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    health: dict[str, dict[str, Any]] = field(default_factory=dict)
    """How each worker of the generator stood; nothing for a simulated cloud."""


def legs_of(found: Latencies) -> dict[str, dict[str, float]]:
    """Counts, failures and quantiles of the legs that were measured, and of sessions that broke."""
    legs = {}
    for leg in (*LEGS, "session"):
        failures, count = sum(found.failed(leg).values()), found.count(leg) if leg in LEGS else 0
        if count or failures:
            legs[leg] = {"count": float(count), "failures": float(failures)}
        if count:
            legs[leg] |= {f"{name}_s": found.quantile_s(leg, percent) or 0.0 for name, percent in QUANTILES.items()}
    return legs


Probe = Callable[[float, float], Measurement]
"""Load and hold time in seconds."""


@dataclass(frozen=True, slots=True)
class Point:
    """One load of the evidence curve."""

    load: float
    hold_s: float
    phase: str
    measured: Measurement
    broken: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether the SLO was kept, and the measurement stands."""
        return not self.broken and not self.measured.void


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where the search moves: first load, smallest and largest one, precision as a share, hold times in seconds."""

    start: float
    low: float = 1.0
    high: float = 1e6
    precision: float = 0.05
    hold_s: float = 20.0
    confirm_s: float = 60.0


@dataclass(slots=True)
class Verdict:
    """The result: `capacity` is None when not even the smallest load kept the SLO."""

    capacity: float | None
    reason: str
    points: list[Point]
    complete: bool = True

    @property
    def confirmed(self) -> bool:
        """Whether the capacity was held for the confirmation time."""
        return any(p.phase == "confirm" and p.kept and p.load == self.capacity for p in self.points)

    @property
    def held(self) -> Point | None:
        """The measurement at the capacity, the longest one: the confirmation where there is one."""
        held = [p for p in self.points if p.kept and p.load == self.capacity]
        return max(held, key=lambda p: p.hold_s, default=None)

    @property
    def first_broken(self) -> Point | None:
        """The smallest load that did not keep the SLO."""
        broken = [p for p in self.points if p.broken and not p.measured.void]
        return min(broken, key=lambda p: p.load, default=None)

    def curve(self) -> list[dict[str, Any]]:
        """Every step with all that is known of it, in order of the load."""
        return [
            {
                "load": p.load, "hold_s": p.hold_s, "phase": p.phase, "kept": p.kept, "broken": list(p.broken),
                "values": p.measured.values, "figures": p.measured.figures, "legs": p.measured.legs,
                "health": p.measured.health, "void": list(p.measured.void), "hints": list(p.measured.hints),
            }
            for p in sorted(self.points, key=lambda p: p.load)
        ]  # fmt: skip


class Generator(Exception):
    """The generator, not the cloud, was the limit."""

    def __init__(self, load: float, faults: tuple[str, ...]) -> None:
        super().__init__(f"the load generator was the bottleneck at {load:,.4g}: {'; '.join(faults)}")


def search(probe: Probe, slo: Slo, bounds: Bounds, tell: Callable[[Point], None] = lambda _: None) -> Verdict:
    """The largest load that keeps the SLO.

    Loads double from `start` until one breaks the SLO, or halve until one keeps it; the geometric middle of the two
    is tried until they are within `precision` of each other; the lower one then has to hold for `confirm_s`. A void
    measurement is repeated; void again, the search ends with what it knows. Ctrl-C does the same.
    """
    points: list[Point] = []

    def try_(load: float, hold_s: float, phase: str) -> bool:
        for _ in range(VOID_TRIES):
            measured = probe(load, hold_s)
            point = Point(load, hold_s, phase, measured, slo.broken(measured.values))
            points.append(point)
            tell(point)
            if not measured.void:
                return point.kept
        raise Generator(load, measured.void)

    try:
        low, high = _bracket(try_, bounds)
        if low is None:
            return Verdict(None, f"even a load of {high:,.4g} does not keep the SLO", points)
        low = _narrow(try_, low, high, bounds)
        held = _confirm(try_, low, bounds)
    except Generator as error:
        return Verdict(_best(points), f"{error}; the cloud bears at least what is shown, perhaps more", points, False)
    except KeyboardInterrupt:
        return Verdict(_best(points), "interrupted: this is what is known so far", points, False)
    if held is None:
        return Verdict(None, "no load was held for the confirmation time", points)
    top = " and the search's upper bound: the cloud may bear more" if high is None else ""
    return Verdict(held, f"held for {bounds.confirm_s:g} s{top}", points)


def _bracket(try_: Callable[[float, float, str], bool], bounds: Bounds) -> tuple[float | None, float | None]:
    """The largest load found to keep the SLO, and the smallest one above it found to break it."""
    load = bounds.start
    if try_(load, bounds.hold_s, "step"):
        while load < bounds.high:
            more = min(load * STEP, bounds.high)
            if not try_(more, bounds.hold_s, "step"):
                return load, more
            load = more
        return load, None
    while load > bounds.low:
        less = max(load / STEP, bounds.low)
        if try_(less, bounds.hold_s, "step"):
            return less, load
        load = less
    return None, load


def _narrow(try_: Callable[[float, float, str], bool], low: float, high: float | None, bounds: Bounds) -> float:
    while high is not None and high > low * (1.0 + bounds.precision):
        middle = sqrt(low * high)
        if try_(middle, bounds.hold_s, "bisect"):
            low = middle
        else:
            high = middle
    return low


def _confirm(try_: Callable[[float, float, str], bool], load: float, bounds: Bounds) -> float | None:
    """The largest load that holds for the confirmation time: a slow queue may only show by then."""
    broke, step = None, STEP_BACK
    while not try_(load, bounds.confirm_s, "confirm"):
        broke, load, step = load, load * (1.0 - step), min(2.0 * step, 0.5)
        if load < bounds.low:
            return None
    while broke is not None and broke > load * (1.0 + bounds.precision):
        middle = sqrt(load * broke)
        if try_(middle, bounds.confirm_s, "confirm"):
            load = middle
        else:
            broke = middle
    return load


def _best(points: list[Point]) -> float | None:
    return max((p.load for p in points if p.kept), default=None)


__all__ = ["Bounds", "Measurement", "Point", "Probe", "Verdict", "legs_of", "search"]
