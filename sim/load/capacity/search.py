"""The search of the largest load within an SLO: steps, bisects, confirms. Pure: a load goes in, a measurement comes out.

How it works. A load is *probed*: held for some time, measured, judged. Steps and bisections only find the way, so a probe that
looks kept is taken at face value there; one that looks broken has to be shown to be, or a few unlucky samples would send the
search far below the capacity. What is then shown as the capacity has to be *proved*: the load is held for the confirmation
time, and again, until the evidence of these probes together says kept or broken with confidence (evidence.py), or the budget
of time is spent. A load that stays undecided is not the capacity; the search tries a little less. Two things break a load
whatever the objectives say: the server fell behind all through the hold, or it counts fewer updates than it acknowledged.

What is broken at any load is no question of capacity. The search goes down in steps of EIGHTH. If a load is broken of which an
overloaded server could not explain it (_whatever_the_load), the search ends with that finding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import Any

from sim.engines.live.latency import LEGS, Latencies
from sim.engines.live.slo import Slo
from sim.records import SPANS
from sim.stats.evidence import LOST_UPDATES, Answer, Evidence, bounds, confidence_of, judge, pooled
from sim.units import show_share

STEP = 2.0
EIGHTH = 8.0
EXPLAINED = 0.85
"""A server that serves an eighth of a load leaves 7/8 of it over the limit, less what is served before the queue is long."""
STEP_BACK = 0.04
"""A load that does not hold for long is lowered by this share, then by twice as much, and so on."""
VOID_TRIES = 3
QUANTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
"""Quantiles kept of each leg, in percent."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one load did: each objective's figure, what it amounted to, and why it is void, if it is."""

    values: dict[str, float | None]
    evidence: dict[str, Evidence]
    """For each objective: samples, and samples that did not keep it."""
    figures: dict[str, float] = field(default_factory=dict)
    """Requests per second, peak of downloads and connections, …: the load as the cloud saw it."""
    legs: dict[str, dict[str, float]] = field(default_factory=dict)
    """For each leg and span that was measured: count, failures, quantiles in seconds."""
    faults: tuple[str, ...] = ()
    """What breaks the load whatever the objectives say: the server fell behind, or lost what it had acknowledged."""
    void: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    health: dict[str, dict[str, Any]] = field(default_factory=dict)
    """How each worker of the generator stood; nothing for a simulated cloud."""


def legs_of(found: Latencies) -> dict[str, dict[str, float]]:
    """Counts, failures and quantiles of the legs and spans that were measured, and of sessions that broke."""
    legs, measured = {}, (*SPANS, *LEGS)
    for leg in (*measured, "session"):
        failures, count = sum(found.failed(leg).values()), found.count(leg) if leg in measured else 0
        if count or failures:
            legs[leg] = {"count": float(count), "failures": float(failures)}
        if count:
            legs[leg] |= {f"{name}_s": found.quantile_s(leg, percent) or 0.0 for name, percent in QUANTILES.items()}
            legs[leg]["mean_s"] = sum(step_us * n for step_us, n in found.counts(leg).items()) / count / 1e6
    return legs


Probe = Callable[[float, float], Measurement]
"""Load and hold time in seconds."""


@dataclass(frozen=True, slots=True)
class Point:
    """One load of the evidence curve, and the answer: of this probe, in a confirmation of all of that load together."""

    load: float
    hold_s: float
    phase: str
    measured: Measurement
    evidence: dict[str, Evidence]
    """Of all probes of this load in a row."""
    confidence: float
    """Of each look at the evidence, so that all looks together have the usual one."""
    answer: Answer
    broken: tuple[str, ...]
    """Objectives and faults that broke the load, at face value."""
    open: tuple[str, ...] = ()
    """Objectives that the evidence leaves undecided."""

    @property
    def kept(self) -> bool:
        """Whether the measured figures keep the SLO, and the measurement stands."""
        return not self.broken and not self.measured.void


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where the search moves: first load, smallest and largest one, precision as a share, hold times in seconds.

    `budget_s` is the most time a load is held in all to decide it.
    """

    start: float
    low: float = 1.0
    high: float = 1e6
    precision: float = 0.05
    hold_s: float = 20.0
    confirm_s: float = 60.0
    budget_s: float = 600.0


@dataclass(slots=True)
class SearchResult:
    """The result: `capacity` is None when no load was shown to keep the SLO."""

    capacity: float | None
    reason: str
    points: list[Point]
    complete: bool = True
    undecided: bool = False
    """The evidence is too little to say what the capacity is."""

    @property
    def confirmed(self) -> bool:
        """Whether the capacity was proved."""
        return any(self._proves(point) for point in self.points)

    def _proves(self, point: Point) -> bool:
        return point.phase == "confirm" and point.answer is Answer.KEPT and point.load == self.capacity

    @property
    def held(self) -> Point | None:
        """The measurement at the capacity, the longest one: the confirmation where there is one."""
        held = [p for p in self.points if p.kept and p.load == self.capacity]
        return max(held, key=lambda p: (p.phase == "confirm", p.hold_s), default=None)

    @property
    def first_broken(self) -> Point | None:
        """The smallest load that did not keep the SLO."""
        broken = [p for p in self.points if p.broken and not p.measured.void]
        return min(broken, key=lambda p: p.load, default=None)

    def answer_to(self, need: float) -> Answer:
        """Whether a load that is needed was shown to be sustained: by the capacity, or by a smaller load that broke."""
        if self.confirmed and self.capacity is not None and self.capacity >= need:
            return Answer.KEPT
        proved = [p for p in self.points if p.answer is Answer.BROKEN and not p.measured.void and p.load <= need]
        return Answer.BROKEN if proved else Answer.UNDECIDED

    def curve(self) -> list[dict[str, Any]]:
        """Every step with all that is known of it, in order of the load."""
        return [
            {
                "load": p.load, "hold_s": p.hold_s, "phase": p.phase, "kept": p.kept, "answer": str(p.answer),
                "broken": list(p.broken), "open": list(p.open), "values": p.measured.values,
                "samples": {text: [e.tried, e.over] for text, e in p.evidence.items()},
                "figures": p.measured.figures, "legs": p.measured.legs, "health": p.measured.health,
                "void": list(p.measured.void), "hints": list(p.measured.hints),
            }
            for p in sorted(self.points, key=lambda p: p.load)
        ]  # fmt: skip


class Generator(Exception):
    """The generator, not the cloud, was the limit."""

    def __init__(self, load: float, faults: tuple[str, ...]) -> None:
        super().__init__(f"the load generator was the bottleneck at {load:,.4g}: {'; '.join(faults)}")


def search(probe: Probe, slo: Slo, bounds: Bounds, tell: Callable[[Point], None] = lambda _: None) -> SearchResult:
    """The largest load that is proved to keep the SLO.

    Loads double from `start` until one breaks the SLO, or go down until one keeps it; the geometric middle of the two
    is tried until they are within `precision` of each other; the lower one then has to be proved. A void measurement is
    repeated; void again, the search ends with what it knows. Ctrl-C does the same.
    """
    probes = _Probes(probe, slo, bounds, tell)
    points = probes.points
    try:
        low, high = _bracket(probes)
        if low is None:
            return _nothing_kept(probes, high)
        low = _narrow(probes, low, high)
        held = _confirm(probes, low)
    except Generator as error:
        return SearchResult(
            _best(points), f"{error}; the cloud sustains at least what is shown, perhaps more", points, False
        )
    except KeyboardInterrupt:
        return SearchResult(_best(points), "interrupted: this is what is known so far", points, False)
    if held is None:
        return _nothing_proved(probes)
    broke = [p.load for p in points if p.broken and not p.measured.void and p.load > held]
    top = "" if broke else "; it is also the largest load tried: the cloud may sustain more"
    return SearchResult(held, f"held for {probes.held_s(held):g} s{top}", points)


class _Probes:
    """Probes and judges loads, and keeps every point."""

    def __init__(self, probe: Probe, slo: Slo, bounds: Bounds, tell: Callable[[Point], None]) -> None:
        self._probe, self._slo, self.bounds, self._tell = probe, slo, bounds, tell
        self.points: list[Point] = []

    def step(self, load: float, phase: str, *, doubtful: bool = False) -> Point:
        """A short probe: kept at face value unless `doubtful`, or shown to be broken, or of what the budget of time allows."""
        return self._held(load, self.bounds.hold_s, phase, lambda point: point.kept and not doubtful)

    def prove(self, load: float) -> Answer:
        """Holds the load again and again until all probes of it together decide, or the budget of time is spent."""
        return self._held(load, self.bounds.confirm_s, "confirm", lambda _: False).answer

    def held_s(self, load: float) -> float:
        """How long a load was held to confirm it, all probes together."""
        return sum(p.hold_s for p in self.points if p.load == load and p.phase == "confirm" and not p.measured.void)

    def _held(self, load: float, hold_s: float, phase: str, enough: Callable[[Point], bool]) -> Point:
        evidence: dict[str, Evidence] = {}
        left_s = max(hold_s, self.bounds.budget_s)
        confidence = confidence_of(ceil(left_s / hold_s))
        while True:
            point = self._measured(load, min(hold_s, left_s), phase, evidence, confidence)
            left_s -= point.hold_s
            if point.answer is not Answer.UNDECIDED or enough(point) or left_s <= 0.0:
                return point
            evidence = point.evidence

    def _measured(
        self, load: float, hold_s: float, phase: str, before: Mapping[str, Evidence], confidence: float
    ) -> Point:
        for _ in range(VOID_TRIES):
            measured = self._probe(load, hold_s)
            point = _judged(load, hold_s, phase, measured, pooled(before, measured.evidence), confidence)
            self.points.append(point)
            self._tell(point)
            if not measured.void:
                return point
        raise Generator(load, measured.void)


def _judged(
    load: float, hold_s: float, phase: str, measured: Measurement, evidence: dict[str, Evidence], confidence: float
) -> Point:
    """The point of a probe; `evidence` is that of all probes of this load in a row."""
    answer, texts = judge(evidence, confidence)
    if measured.faults:
        answer, texts = Answer.BROKEN, measured.faults
    missed = tuple(text for text, e in evidence.items() if e.tried == 0 or e.over > e.allowed * e.tried)
    broken = tuple(dict.fromkeys((*measured.faults, *(texts if answer is Answer.BROKEN else ()), *missed)))
    left_open = texts if answer is Answer.UNDECIDED else ()
    return Point(load, hold_s, phase, measured, evidence, confidence, answer, broken, left_open)


def _bracket(probes: _Probes) -> tuple[float | None, float | None]:
    """The largest load found to keep the SLO, and the smallest one above it found to break it."""
    limits = probes.bounds
    load = limits.start
    point = probes.step(load, "step")
    if point.kept:
        while load < limits.high:
            more = min(load * STEP, limits.high)
            if not probes.step(more, "step").kept:
                return load, more
            load = more
        return load, None
    while load > limits.low and not _whatever_the_load(probes):
        less = max(load / EIGHTH, limits.low)
        point = probes.step(less, "step", doubtful=any(_unexplained(point).values()))
        if point.kept:
            return less, load
        load = less
    return None, load


def _whatever_the_load(probes: _Probes) -> str:
    """What breaks the last load and one eight times larger, and cannot be overload of the smaller; "" if nothing.

    A server that serves less than an eighth of a load fails, or keeps waiting, more than EXPLAINED of it. If fewer are over the
    limit there, the smaller load does not overload it, and what is broken there is broken at any load.
    """
    held = [p for p in probes.points if p.phase != "bisect" and not p.measured.void]
    small = held[-1]
    large = next((p for p in reversed(held) if p.load >= EIGHTH * small.load * 0.99), None)
    if large is None or small.answer is not Answer.BROKEN:
        return ""
    if all(any(text.startswith(LOST_UPDATES) for text in p.measured.faults) for p in (large, small)):
        return f"updates are lost at any load: at {small.load:,.4g}, {small.measured.faults[0]}"
    for text, unexplained in _unexplained(large).items():
        few = small.evidence[text]
        if unexplained and few.answer(small.confidence) is Answer.BROKEN:
            return (
                f"{text} does not depend on the load: {few.over:,} of {few.tried:,} ({show_share(few.over / few.tried)}) do not keep it already at "
                f"{small.load:,.4g}; find out why first"
            )
    return ""


def _unexplained(point: Point) -> dict[str, bool]:
    """For each objective, whether it is broken without an overload that an eighth of the load would still be."""
    return {
        text: e.answer(point.confidence) is Answer.BROKEN and bounds(e.over, e.tried, point.confidence)[1] <= EXPLAINED
        for text, e in point.evidence.items()
    }


def _narrow(probes: _Probes, low: float, high: float | None) -> float:
    while high is not None and high > low * (1.0 + probes.bounds.precision):
        middle = sqrt(low * high)
        if probes.step(middle, "bisect").kept:
            low = middle
        else:
            high = middle
    return low


def _confirm(probes: _Probes, load: float) -> float | None:
    """The largest load that is proved: a slow queue may only show in a long hold."""
    broke, step = None, STEP_BACK
    while (answer := probes.prove(load)) is not Answer.KEPT:
        if (answer is Answer.UNDECIDED and _lacks_samples(probes)) or _whatever_the_load(probes):
            return None  # less load gives less evidence, or breaks as well
        broke, load, step = load, load * (1.0 - step), min(2.0 * step, 0.5)
        if load < probes.bounds.low:
            return None
    while broke is not None and broke > load * (1.0 + probes.bounds.precision):
        middle = sqrt(load * broke)
        if probes.prove(middle) is Answer.KEPT:
            load = middle
        else:
            broke = middle
    return load


def _lacks_samples(probes: _Probes) -> bool:
    """Whether an objective of the last load is open because there are fewer samples than it takes at least."""
    last = probes.points[-1]
    return any(last.evidence[text].tried < last.evidence[text].needed(last.confidence) for text in last.open)


def _nothing_kept(probes: _Probes, load: float | None) -> SearchResult:
    """Every load broke the SLO: whatever the load, for certain, or with too few samples to say."""
    points = probes.points
    always = _whatever_the_load(probes)
    if always:
        return SearchResult(None, always, points)
    if points[-1].answer is Answer.BROKEN:
        return SearchResult(None, f"even a load of {load:,.4g} does not keep the SLO", points)
    reason = f"at a load of {load:,.4g} the SLO looks broken, but the evidence does not show it: {_open(probes)}"
    return SearchResult(None, reason, points, undecided=True)


def _nothing_proved(probes: _Probes) -> SearchResult:
    """Loads looked kept in short probes, and none was proved."""
    points, last = probes.points, probes.points[-1]
    always = _whatever_the_load(probes)
    if always:
        return SearchResult(None, always, points)
    if last.answer is Answer.UNDECIDED:
        reason = (
            f"a load of {last.load:,.4g} was held for {probes.held_s(last.load):g} s, and is neither proved to keep nor to break "
            f"the SLO: {_open(probes)}{_longer(probes)}"
        )
        return SearchResult(None, reason, points, undecided=True)
    return SearchResult(None, "no load was held for the confirmation time", points)


def _longer(probes: _Probes) -> str:
    """How long the last load has to be held for the samples it lacks; empty where it lacks none."""
    last = probes.points[-1]
    known = [(last.evidence[text].tried, last.evidence[text].needed(last.confidence)) for text in last.open]
    short = max((needed / tried for tried, needed in known if 0 < tried < needed), default=None)
    return "" if short is None else f"; --budget {ceil(probes.held_s(last.load) * short)}s holds it long enough"


def _open(probes: _Probes) -> str:
    """What the evidence of the last load lacks, objective by objective."""
    last = probes.points[-1]
    return ", ".join(f"{text}: {_lack(last.evidence[text], last.confidence)}" for text in last.open)


def _lack(found: Evidence, confidence: float) -> str:
    needed = found.needed(confidence)
    if found.tried < needed:
        return f"{found.tried:,} samples, at least {needed:,} are needed"
    low, high = bounds(found.over, found.tried, confidence)
    return (
        f"{found.over:,} of {found.tried:,} samples over the limit, so {show_share(low)} to {show_share(high)} where "
        f"{show_share(found.allowed)} may be"
    )


def _best(points: list[Point]) -> float | None:
    return max((p.load for p in points if p.kept), default=None)


__all__ = ["Bounds", "Measurement", "Point", "Probe", "SearchResult", "legs_of", "search"]
