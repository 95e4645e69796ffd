"""How much rollout a cloud bears: the search on the simulated and on the real cloud, and what follows for a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import floor
from typing import Any

from sim.engines.live.engine import Settings
from sim.load.live import LiveProbe
from sim.load.search import Bounds, Point, Verdict, search
from sim.load.simulated import SimulatedProbe
from sim.load.slo import Slo
from sim.load.wave import KINDS, Kind
from sim.scenario import Scenario

HEADROOM = 0.3
"""Share of the capacity that stays free: other traffic, retries, a node that is down."""
RESOURCES = {
    "connect": "accepting connections", "login": "logging modules in", "request": "taking in messages",
    "notice": "answering requests (matching, notices)", "url": "answering confirmations (URLs)",
    "header": "accepting downloads", "download": "serving downloads (slots or bandwidth)",
    "report": "taking in status reports",
}  # fmt: skip
Tell = Callable[[str, Point], None]


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for and how. `settings` are those of the live engine."""

    kind: Kind
    slo: Slo
    bounds: Bounds
    headroom: float = HEADROOM
    settings: Settings = field(default_factory=Settings)
    plan: int | None = None


@dataclass(slots=True)
class Findings:
    """The verdicts by cloud, `simulated` and `live`."""

    search: Search
    verdicts: dict[str, Verdict]

    @property
    def verdict(self) -> Verdict:
        """The one that counts: the real cloud's where there is one."""
        return self.verdicts.get("live") or self.verdicts["simulated"]

    @property
    def recommended(self) -> int | None:
        """The load to plan with: for releases and wake-ups a `maximum_per_minute`, else modules at once."""
        capacity, kind = self.verdict.capacity, self.search.kind
        if capacity is None:
            return None
        per_minute = capacity if kind.per_s is None else 60.0 * capacity * kind.per_s
        return floor(per_minute * (1.0 - self.search.headroom))

    def as_dict(self) -> dict[str, Any]:
        """For files and --json."""
        found: dict[str, Any] = {
            "what": self.search.kind.name, "unit": self.search.kind.unit,
            "slo": [objective.text for objective in self.search.slo.objectives],
            "headroom": self.search.headroom,
            "recommended_maximum_per_minute" if self.search.kind.per_s else "recommended_modules": self.recommended,
        }  # fmt: skip
        for name, verdict in self.verdicts.items():
            found[name] = {
                "capacity": verdict.capacity, "confirmed": verdict.confirmed, "complete": verdict.complete,
                "reason": verdict.reason, "first_to_give_way": first_to_give_way(verdict, self.search.slo),
                "curve": verdict.curve(),
            }  # fmt: skip
        return found

    def lines(self) -> list[str]:
        """The verdict as printed."""
        unit, lines = self.search.kind.unit, []
        for name, verdict in self.verdicts.items():
            shown = "none" if verdict.capacity is None else f"{verdict.capacity:,.0f} {unit}"
            state = "confirmed" if verdict.confirmed else "NOT CONFIRMED"
            lines.append(f"{name}: {shown}, {state} ({verdict.reason})")
            gave_way = first_to_give_way(verdict, self.search.slo)
            if gave_way:
                lines.append(f"  first to give way: {gave_way}")
        both = [v.capacity for v in self.verdicts.values()]
        if len(both) == 2 and both[0] and both[1]:
            lines.append(f"prediction / measured: {both[0] / both[1]:.2f}")
        if self.recommended is not None:
            what = "maximum_per_minute" if self.search.kind.per_s else "modules at once"
            lines.append(f"recommended: {self.recommended:,} {what} ({100 * self.search.headroom:.0f} % head-room)")
        return lines


def find(
    scenario: Scenario, wanted: Search, *, cloud: str | None, predict: bool = True, tell: Tell = lambda _n, _p: None
) -> Findings:
    """Searches the simulated cloud, then the one at `cloud`; without a cloud the prediction is all."""
    verdicts: dict[str, Verdict] = {}
    if predict or cloud is None:
        simulated = SimulatedProbe(scenario, wanted.kind, wanted.slo, radio=wanted.settings.radio)
        verdicts["simulated"] = search(simulated, wanted.slo, wanted.bounds, lambda p: tell("simulated", p))
    interrupted = any(not v.complete for v in verdicts.values())
    if cloud is not None and not interrupted:
        live = LiveProbe(scenario, cloud, wanted.kind, wanted.slo, wanted.settings, plan=wanted.plan)
        try:
            verdicts["live"] = search(live, wanted.slo, wanted.bounds, lambda p: tell("live", p))
        finally:
            live.close()
    return Findings(wanted, verdicts)


def first_to_give_way(verdict: Verdict, slo: Slo) -> str | None:
    """Which part of the cloud, as seen from outside, broke the SLO at the smallest load that did."""
    point = verdict.first_broken
    if point is None:
        return None
    legs = {o.text: o.leg for o in slo.objectives}
    shown = []
    for text in point.broken:
        leg = legs[text] or _most_failures(point)
        value = point.measured.values[text]
        measured = "nothing measured" if value is None else f"{value:.3g}"
        shown.append(f"{RESOURCES.get(leg or '', 'unknown')} ({text}: {measured})")
    return f"{'; '.join(shown)} at {point.load:,.0f}"


def _most_failures(point: Point) -> str | None:
    failed = {leg: point.measured.figures.get(f"{leg}_failures", 0.0) for leg in RESOURCES}
    leg = max(failed, key=lambda name: failed[name])
    return leg if failed[leg] > 0.0 else None


__all__ = ["HEADROOM", "KINDS", "Findings", "Search", "find", "first_to_give_way"]
