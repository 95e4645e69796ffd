"""How much rollout a cloud sustains: the search on the simulated and on the real cloud, and what follows for a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from math import floor, inf
from pathlib import Path
from time import perf_counter
from typing import Any

from sim.engines import run_inputs
from sim.engines.live.latency import LEGS
from sim.engines.live.live_engine import Settings
from sim.engines.live.slo import Slo
from sim.engines.live.snapshot import Watch
from sim.engines.run import provenance
from sim.load.capacity.beyond import Beyond, Overload
from sim.load.capacity.calibration import KEY, Calibration, calibrated
from sim.load.capacity.live_probe import LiveProbe
from sim.load.capacity.outage import Recovery, planned, predicted
from sim.load.capacity.search import Bounds, Point, Probe, SearchResult, search
from sim.load.capacity.simulated_probe import SimulatedProbe
from sim.load.capacity.wake_ups import KINDS, Kind, seconds_text
from sim.records import CAPACITY_FILE, MANIFEST, SPANS, replaced_folder, write_texts
from sim.scenario import Scenario
from sim.scenario.load import vary
from sim.stats.evidence import Answer
from sim.stats.predicted_and_measured import rows
from sim.units import show_duration

HEADROOM = 0.3
"""Share of the capacity that stays free: other traffic, retries, a node that is down."""
_CONNECTING = "spread check-ins and reconnects over more time, or let more connections in per second"
_ANSWERING = "release fewer modules per minute, or let more requests be worked on at once"
_SERVING = "let fewer modules download at once, serve more downloads, or serve them from elsewhere (a CDN)"
RESOURCES = {
    "connect": ("accepting connections", _CONNECTING), "login": ("logging modules in", _CONNECTING),
    "request": ("taking in messages", _ANSWERING), "notice": ("answering requests (matching, notices)", _ANSWERING),
    "url": ("answering confirmations (URLs)", _ANSWERING), "header": ("accepting downloads", _SERVING),
    "download": ("serving downloads (slots or bandwidth)", _SERVING), "report": ("taking in status reports", _ANSWERING),
    "poll": ("answering polls", _ANSWERING), "configData": ("taking in attributes", _ANSWERING),
    "deploymentBase": ("handing out deployments", _ANSWERING), "feedback": ("taking in feedback", _ANSWERING),
    "session": ("keeping sessions open", _CONNECTING),
}  # fmt: skip
"""What each leg leans on, and what helps."""
SLOW_S = 0.5
"""A leg whose p99 lies below is not what a span was slow by."""
KIND = "capacity"
RETURN_RAMP_PER_S = 100.0
"""Modules come online at most at this rate before an outage."""
RECOMMENDED = {"releases": "maximum_per_minute"}
Tell = Callable[[str, Point], None]


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for and how. `settings` are those of the live engine.

    `taking` is the share of modules that take the upgrade where they wake up by themselves; `need` a load the cloud must
    sustain.
    """

    kind: Kind
    slo: Slo
    bounds: Bounds
    headroom: float = HEADROOM
    settings: Settings = field(default_factory=Settings)
    plan: int | None = None
    taking: float = 0.0
    need: float | None = None
    workers: int = 1
    beyond: float | None = None
    """How many times the capacity is offered afterwards."""
    outage_s: float | None = None
    """How long all connections are gone afterwards; of `outage_modules`."""
    outage_modules: int = 0
    calibrate: bool = False


@dataclass(slots=True)
class Findings:
    """The verdicts by cloud, `simulated` and `live`."""

    scenario: Scenario
    search: Search
    cloud: str | None
    verdicts: dict[str, SearchResult]
    wall_s: float | None = None
    """How long the search took."""
    devices: str = ""
    """What the ids of all devices begin with that the search leaves at the cloud; empty: it made none."""
    beyond: dict[str, Beyond] = field(default_factory=dict)
    outages: dict[str, Recovery] = field(default_factory=dict)
    calibration: Calibration | None = None

    @property
    def verdict(self) -> SearchResult:
        """The one that counts: the real cloud's where there is one."""
        return self.verdicts.get("live") or self.verdicts["simulated"]

    @property
    def recommended(self) -> int | None:
        """The load to plan with, in the unit that was searched for."""
        capacity = self.verdict.capacity
        return None if capacity is None else floor(capacity * (1.0 - self.search.headroom))

    @property
    def recommended_unit(self) -> str:
        """What the recommendation is: for releases a plan's `maximum_per_minute`."""
        return RECOMMENDED.get(self.search.kind.name, self.search.kind.unit)

    @property
    def spread_s(self) -> float | None:
        """Over how much time the scenario's whole fleet has to spread its wake-ups; None for other loads."""
        if self.search.kind.decided or not self.recommended or self.search.kind.per_s is None:
            return None
        return self.scenario.fleet.size / (self.recommended * self.search.kind.per_s)

    @property
    def answer(self) -> Answer:
        """Whether the cloud sustains the load that is needed; without one, whether it sustains any."""
        verdict = self.verdict
        if self.search.need is not None:
            return verdict.answer_to(self.search.need)
        if verdict.confirmed:
            return Answer.KEPT
        return Answer.UNDECIDED if verdict.undecided else Answer.BROKEN

    @property
    def met(self) -> bool | None:
        """Whether the load that is needed was proved; None when none was named, or the evidence does not say."""
        if self.search.need is None or self.answer is Answer.UNDECIDED:
            return None
        return self.answer is Answer.KEPT

    def as_dict(self) -> dict[str, Any]:
        """For files and --json."""
        wanted, settings = self.search, self.search.settings
        found: dict[str, Any] = {
            "format": 1, "scenario": self.scenario.name, "what": wanted.kind.name, "unit": wanted.kind.unit,
            "slo": [asdict(objective) for objective in wanted.slo.objectives], "need": wanted.need, "met": self.met,
            "answer": str(self.answer),
            "headroom": wanted.headroom, "recommended": self.recommended, "recommended_unit": self.recommended_unit,
            "spread_s": self.spread_s, "modules": self.scenario.fleet.size, "taking": wanted.taking,
            "bounds": asdict(wanted.bounds), "cloud": self.cloud, "workers": wanted.workers,
            "devices_left": self.devices, "time_scale": settings.time_scale, "radio": settings.radio, "plan": wanted.plan,
            "allow": list(settings.limits.allow), "rate_cap_per_s": settings.limits.rate_cap_per_s,
            "assumed": self.scenario.cloud.capacity.model_dump(mode="json"),
        }  # fmt: skip
        if self.beyond:
            found["beyond"] = {name: part.as_dict() for name, part in self.beyond.items()}
        if self.outages:
            found["outage"] = {name: part.as_dict() for name, part in self.outages.items()}
        if self.calibration is not None:
            found["calibration"] = self.calibration.as_dict()
        for name, verdict in self.verdicts.items():
            found[name] = {
                "capacity": verdict.capacity, "confirmed": verdict.confirmed, "complete": verdict.complete,
                "undecided": verdict.undecided, "reason": verdict.reason, "first_to_give_way": first_to_give_way(verdict, wanted.slo),
                "curve": verdict.curve(),
            }  # fmt: skip
        return found

    def lines(self) -> list[str]:
        """The verdict as printed."""
        unit, lines = self.search.kind.unit, []
        for name, verdict in self.verdicts.items():
            shown = "none" if verdict.capacity is None else f"{verdict.capacity:,.0f} {unit}"
            state = "confirmed" if verdict.confirmed else "UNDECIDED" if verdict.undecided else "NOT CONFIRMED"
            lines.append(f"{name}: {shown}, {state} ({verdict.reason})")
            for part in first_to_give_way(verdict, self.search.slo):
                found = "" if part["measured"] is None else f": {part['measured']:.3g}"
                lines.append(
                    f"  first to give way: {part['resource']} ({part['objective']}{found}) at {part['load']:,.0f}"
                )
        lines += self._side_by_side()
        if self.recommended is not None:
            share = 100 * self.search.headroom
            word = "recommended" if self.verdict.confirmed else "recommended only once it is confirmed"
            lines.append(f"{word}: {self.recommended:,} {self.recommended_unit} ({share:.0f} % head-room)")
        if self.spread_s is not None and self.verdict.confirmed:
            lines.append(f"  {self.scenario.fleet.size:,} modules should wake up over {self.spread_s / 60:,.1f} min")
        if self.search.need is not None:
            lines.append(self._needed())
        if self.devices:
            lines.append(
                f"left at the cloud: the devices of all probes, whose ids begin with {self.devices}; delete them there"
            )
        return lines

    def _side_by_side(self) -> list[str]:
        """Prediction and measurement beside each other; what lies beyond the capacity also where only one of them is there."""
        lines = [] if self.calibration is None else [self.calibration.line()]
        shown = [row for row in rows(self.as_dict()) if row.group != "capacity" or row.ratio is not None]
        if shown:
            lines.append(f"{'':<48}{'predicted':>12}{'measured':>12}{'ratio':>8}")
        heads = {"capacity": "", "beyond": self._head_of_overload(), "outage": self._head_of_outage()}
        for row in shown:
            if heads[row.group]:
                lines.append(heads.pop(row.group))
                heads[row.group] = ""
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            lines.append(
                f"  {row.what:<46}{_shown(row.kind, row.predicted):>12}{_shown(row.kind, row.measured):>12}{ratio:>8}"
            )
        for name, part in self.beyond.items():
            if part.collapsed:
                lines.append(
                    f"{name}: COLLAPSES under {100 * part.factor:.0f} %: it serves {100 * part.served:.0f} % of its capacity"
                )
        return [*lines, *(f"void: {text}" for text in self.void)]

    @property
    def void(self) -> list[str]:
        """Why what lies beyond the capacity was not measured: the generator was the bottleneck."""
        texts = [text for part in self.beyond.values() for text in part.void]
        texts += [text for part in self.outages.values() for text in part.void]
        return list(dict.fromkeys(texts))

    def _head_of_overload(self) -> str:
        part = next(iter(self.beyond.values()), None)
        return "" if part is None else f"{100 * part.factor:.0f} % of the capacity for {part.hold_s:g} s"

    def _head_of_outage(self) -> str:
        part = next(iter(self.outages.values()), None)
        return (
            "" if part is None else f"{part.modules:,} modules back after an outage of {show_duration(part.outage_s)}"
        )

    def _needed(self) -> str:
        """The load that is needed, the answer, and what it leaves free."""
        need, unit, capacity = self.search.need, self.search.kind.unit, self.verdict.capacity
        assert need is not None
        if self.answer is Answer.UNDECIDED:
            return f"needed: {need:,.0f} {unit}: UNDECIDED, the evidence does not say"
        if self.answer is Answer.BROKEN or capacity is None:
            return f"needed: {need:,.0f} {unit}: NOT SUSTAINED"
        free, wanted = 1.0 - need / capacity, f"{100 * self.search.headroom:.0f} %"
        tried = any(p.broken and not p.measured.void and p.load > capacity for p in self.verdict.points)
        short = (
            f", less than the {wanted} asked for" if tried else f"; whether {wanted} do was not tried (a larger --max)"
        )
        end = "" if free >= self.search.headroom else short
        return (
            f"needed: {need:,.0f} {unit}: sustained, {'' if tried else 'at least '}{100 * free:.0f} % of the capacity "
            f"stays free{end}"
        )


def find(
    scenario: Scenario, wanted: Search, *, cloud: str | None, predict: bool = True,
    tell: Tell = lambda _n, _p: None, watch: Watch | None = None,
) -> Findings:  # fmt: skip
    """Searches the simulated cloud, then the one at `cloud`; without a cloud the prediction is all.

    `tell` gets every load that was tried, `watch` looks at the modules that are on a real cloud.
    """
    found = Findings(scenario, wanted, cloud, {})
    began = perf_counter()

    def look(name: str, probe: Probe) -> None:
        found.verdicts[name] = search(probe, wanted.slo, wanted.bounds, lambda point: tell(name, point))

    live = None if cloud is None else _live(scenario, cloud, wanted.kind, wanted, watch)
    try:
        if predict or live is None:
            if wanted.calibrate and cloud is not None:
                found.scenario, found.calibration, found.devices = _calibrated(scenario, cloud, wanted, watch)
            look("simulated", _simulated(found.scenario, wanted))
        if live is not None and all(verdict.complete for verdict in found.verdicts.values()):
            found.devices = ", ".join(filter(None, (found.devices, live.prefix)))
            look("live", live)
        if all(verdict.complete for verdict in found.verdicts.values()):
            _go_beyond(found, live)
    finally:
        if live is not None:
            live.close()
    found.wall_s = perf_counter() - began
    return found


def _live(scenario: Scenario, cloud: str, kind: Kind, wanted: Search, watch: Watch | None) -> LiveProbe:
    return LiveProbe(
        scenario, cloud, kind, wanted.slo, wanted.settings, plan=wanted.plan, taking=wanted.taking, workers=wanted.workers,
        watch=watch,
    )  # fmt: skip


def _simulated(scenario: Scenario, wanted: Search) -> SimulatedProbe:
    settings = wanted.settings
    return SimulatedProbe(
        scenario, wanted.kind, wanted.slo, radio=settings.radio, taking=wanted.taking, time_scale=settings.time_scale
    )


def _calibrated(
    scenario: Scenario, cloud: str, wanted: Search, watch: Watch | None
) -> tuple[Scenario, Calibration, str]:
    """The scenario with the request time that fits a small measured wave, and what the wave's device ids begin with."""
    live = _live(scenario, cloud, KINDS["modules"], wanted, watch)
    try:
        made = calibrated(
            scenario, live, wanted.slo, radio=wanted.settings.radio, time_scale=wanted.settings.time_scale
        )
    finally:
        live.close()
    return vary(scenario, {KEY: seconds_text(made.request_time_s)}), made, live.prefix


def _go_beyond(found: Findings, live: LiveProbe | None) -> None:
    """More than the capacity, and an outage, where they are asked for: of the measured capacity, predicted for that one too."""
    wanted, capacity, scenario = found.search, found.verdict.capacity, found.scenario
    if wanted.beyond is not None and capacity is not None:
        overload = Overload(capacity, wanted.beyond, wanted.bounds.hold_s)
        limit_s = wanted.slo.longest_s("wake") if wanted.slo.needs_answers else wanted.slo.longest_s("login")
        limit_s = wanted.slo.patience_s if limit_s == inf else limit_s
        if "simulated" in found.verdicts:
            found.beyond["simulated"] = _simulated(scenario, wanted).beyond(overload, limit_s)
        if live is not None:
            found.beyond["live"] = live.beyond(overload, limit_s)
    if wanted.outage_s is not None:
        outage = planned(scenario, wanted.outage_modules, wanted.outage_s, ramp_before_outage(wanted.kind, capacity))
        if "simulated" in found.verdicts:
            found.outages["simulated"] = predicted(scenario, outage)
        if live is not None:
            found.outages["live"] = live.outage(outage)


def ramp_before_outage(kind: Kind, capacity: float | None) -> float:
    """How many modules may come online in a second: no more than the cloud was found to sustain, where that is a rate."""
    if kind.per_s is None or capacity is None:
        return RETURN_RAMP_PER_S
    return min(RETURN_RAMP_PER_S, capacity * kind.per_s)


def _shown(kind: str, value: float | None) -> str:
    if value is None:
        return "-"
    return {"share": f"{100 * value:.3g} %", "duration": f"{value:.3g} s"}.get(kind, f"{value:,.0f}")


def save(found: Findings, folder: Path, *, overwrite: bool = False, command: str = "") -> Path:
    """Writes the run folder of a search: the scenario, the manifest, and all that was found. Returns the folder."""
    inputs = run_inputs.inputs_of(found.scenario)
    manifest = {
        **provenance(found.scenario, inputs), "kind": KIND, "complete": found.verdict.complete, "command": command,
        "wall_s": found.wall_s,
    }  # fmt: skip
    with replaced_folder(folder, KIND, overwrite=overwrite) as aside:
        write_texts(
            aside,
            run_inputs.scenario_text(found.scenario, inputs),
            {MANIFEST: manifest, CAPACITY_FILE: found.as_dict()},
        )
        run_inputs.copy_into(aside, inputs)
    return folder


def first_to_give_way(verdict: SearchResult, slo: Slo) -> list[dict[str, Any]]:
    """Which parts of the cloud, as seen from outside, broke the SLO at the smallest load that did.

    Each with `resource`, `objective` (or the fault), `measured` (seconds or a share), `load` and `lever`, what helps. A span
    is charged to the leg that failed most, or else was slowest within it.
    """
    point = verdict.first_broken
    if point is None:
        return []
    legs = {o.text: o.leg for o in slo.objectives}
    found = []
    for text in point.broken:
        leg = legs.get(text)
        if leg is None or leg in SPANS:
            leg = _most_failures(point) or _slowest(point)
        resource, lever = RESOURCES.get(leg or "", ("unknown", ""))
        found.append({
            "resource": resource, "objective": text, "measured": point.measured.values.get(text), "load": point.load,
            "lever": lever,
        })  # fmt: skip
    return found


def _most_failures(point: Point) -> str | None:
    failed = {leg: figures["failures"] for leg, figures in point.measured.legs.items() if leg not in SPANS}
    leg = max(failed, key=lambda name: failed[name], default=None)
    return leg if leg is not None and failed[leg] > 0.0 else None


def _slowest(point: Point) -> str | None:
    """The leg with the largest p99; a download takes its time by its size, and only counts where nothing else is slow."""
    slow = {leg: figures["p99_s"] for leg, figures in point.measured.legs.items() if leg in LEGS and "p99_s" in figures}
    others = {leg: seconds for leg, seconds in slow.items() if leg != "download" and seconds >= SLOW_S}
    return max(others or slow, key=lambda name: slow[name], default=None)


__all__ = ["HEADROOM", "KINDS", "Findings", "Search", "find", "first_to_give_way", "ramp_before_outage", "save"]
