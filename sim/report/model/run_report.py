"""The report as plain data: every figure a release review asks for, read from one run folder, before any format is chosen.

`build(run)` computes it once; pages, PDF, Markdown, JUnit and JSON only print it. JSON is this very structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from sim import gates as gate_rules
from sim.metrics import METRICS, SHARES
from sim.records import CAUSES, OUTCOMES, STAGES, Run, label_columns
from sim.report.model.advice import Advice, advise
from sim.report.model.finish import Finish, finish_of
from sim.report.model.live_findings import Live, live_of
from sim.report.model.nearby_studies import (
    Candidate,
    Sensitivity,
    beside,
    candidates_of,
    sampled_gates,
    sensitivity_of,
)
from sim.report.model.origin import Origin, origin_of
from sim.report.model.plugins_used import PluginUsed, plugins_of
from sim.report.model.release import Release, release_of
from sim.report.model.risk import Risk, risk_of
from sim.report.model.verdict_words import Told, tell
from sim.stats.counts import cases, counts, figures
from sim.stats.counts import metrics as metrics_of
from sim.stats.judging import Beside, Grounds, judged, verdict_of
from sim.stats.slices import Slice, pairs, slices
from sim.stats.verdict import Decision, Sampled

VerdictKey = Literal["go", "no-go", "marginal", "stopped", "invalid", "none"]
BREAKDOWNS = {
    "group": "group", "coverage_level": "coverage class", "hardware": "hardware revision", "technology": "technology",
    "cell": "cell",
}  # fmt: skip
"""Columns of modules.parquet a report cuts by, and what they are called. Columns a run does not have are passed over."""
MOST_SLICES = 20
COVERAGE = {"-1": "not measured", "0": "0 (normal)", "1": "1 (robust)", "2": "2 (extreme)"}


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure with its 95 % interval; None where there is nothing to tell."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """Modules that got no further than `stage`, held back by `cause`."""

    stage: str
    cause: str
    modules: int


@dataclass(frozen=True, slots=True)
class Load:
    """One quantity of the cloud: its momentary peak, the largest time bin, its capacity (None: without bound)."""

    name: str
    unit: str
    peak: float | None
    largest_bin: float
    capacity: float | None

    @property
    def used(self) -> float | None:
        """Share of the capacity used at the peak."""
        at_most = self.largest_bin if self.peak is None else max(self.peak, self.largest_bin)
        return None if not self.capacity else at_most / self.capacity


@dataclass(frozen=True, slots=True)
class Costs:
    """What the rollout spends: bytes through the air, energy of battery modules, money where a price is given."""

    useful_bytes: int
    wasted_bytes: int
    bytes_per_module: float
    energy_total_j: float
    energy_lost_j: float
    energy_per_success_p50_j: float | None
    price_per_mb: float | None = None
    price_total: float | None = None
    price_wasted: float | None = None
    energy_period_j: float | None = None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The modules cut by one property; `left_out` slices, the least troubled, are not listed."""

    by: str
    label: str
    slices: list[Slice]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Assumption:
    """An input the verdict rests on, with its provenance and the range it may lie in."""

    name: str
    value: float
    by_group: dict[str, float] | None
    default: float
    low: float
    high: float
    unit: str
    provenance: str
    source: str
    meaning: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What was run; where it comes from and how to repeat it is in the report's `origin`."""

    label: str
    scenario: str
    description: str
    kind: str
    modules: int
    left_out: int
    replications: int
    seed: int
    engine: str
    horizon_s: float
    watched_s: float
    complete: bool
    version: str


@dataclass(frozen=True, slots=True)
class NotCarriedOver:
    """What the plan file of another product limits and the simulated strategy does not."""

    key: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class RunReport:
    """Everything a report says about one run."""

    facts: Facts
    verdict: VerdictKey
    told: Told
    exit_statuses: dict[str, int]
    """The status a command ends with: `as it is`, and with `--marginal-as go` and `no-go`."""
    interval_over: Literal["campaigns", "modules"]
    gates: list[gate_rules.Judged]
    metrics: dict[str, Measure]
    outcomes: dict[str, int]
    causes: dict[str, int]
    stages: dict[str, int]
    losses: list[Loss]
    advice: list[Advice]
    finish: Finish
    risk: Risk
    loads: list[Load]
    costs: Costs
    breakdowns: list[Breakdown]
    assumptions: list[Assumption]
    release: Release
    origin: Origin
    live: Live | None = None
    sensitivity: Sensitivity | None = None
    candidates: list[Candidate] = field(default_factory=list)
    studies_left_out: list[str] = field(default_factory=list)
    """Studies beside the run that are of another scenario, and in which key."""
    not_carried_over: list[NotCarriedOver] = field(default_factory=list)
    plugins: list[PluginUsed] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """The report as dictionaries and lists, ready for JSON."""
        return asdict(self)


def build(
    run: Run, *, gates: Sequence[gate_rules.Gate] = (), price_per_mb: float | None = None, label: str = "",
    studies: Sequence[Path] = (),
) -> RunReport:  # fmt: skip
    """The report of a run folder. `gates` are judged beside the scenario's own; prices are per megabyte (10^6 bytes).

    `studies` are folders of `fotasim sensitivity` and `tune`, beside those found next to the run.
    """
    found = beside(run.path, studies)
    folders = found.folders
    summary, modules = run.summary, run.modules
    metrics = _metrics(run)
    lost = _losses(modules)
    loads, live, studied = _loads(run), live_of(run.path, run.manifest), sensitivity_of(folders)
    decision = _judged(run, metrics, gates, sampled_gates(studied, run.scenario, gates), live)
    results = list(decision.evidence.gates)
    return RunReport(
        facts=_facts(run, label), verdict=str(decision.verdict), told=tell(decision), exit_statuses=_statuses(decision),  # type: ignore[arg-type]
        interval_over="campaigns" if summary["replications"] > 1 else "modules",
        gates=results, metrics=metrics, outcomes={name: summary["outcomes"].get(name, 0) for name in OUTCOMES},
        causes=dict(summary["causes"]), stages=dict(summary["stages"]), losses=lost,
        advice=advise(modules, run.scenario, [g.metric for g in results if not g.met], stopped=bool(decision.evidence.stops)) if summary["complete"] else [],
        finish=finish_of(modules, float(run.manifest["watched_s"])),
        risk=risk_of(run), loads=loads, costs=_costs(summary, price_per_mb), breakdowns=_breakdowns(modules),
        assumptions=_assumptions(run.manifest), release=release_of(run),
        origin=origin_of({**run.manifest, "repeat": _repeat(run.manifest)}), live=live, sensitivity=studied, candidates=candidates_of(folders),
        studies_left_out=found.left_out,
        not_carried_over=[NotCarriedOver(x["key"], x["value"], x["why"]) for x in run.manifest.get("losses", [])],
        plugins=plugins_of(run),
    )  # fmt: skip


def _judged(
    run: Run,
    metrics: dict[str, Measure],
    further: Sequence[gate_rules.Gate],
    sampled: Sequence[Sampled],
    live: Live | None,
) -> Decision:
    """The gates of the scenario and the further ones, and the verdict, all from the run's own records."""
    summary, watched_s = run.summary, float(run.manifest["watched_s"])
    counted = counts(run.modules)
    told = {}
    for name, m in metrics.items():
        total = cases(name, counted) if name in SHARES or summary["replications"] == 1 else None
        told[name] = gate_rules.Figure(
            m.value, m.low, m.high, total, counted["targets"] > 0, watched_s if name.startswith("time_to") else None
        )
    components = tuple(c["component"] for c in run.scenario.get("plan", {}).get("components", []))
    grounds = Grounds(
        run.modules,
        told,
        run.decisions,
        int(summary["replications"]),
        bool(summary["complete"]),
        components,
        watched_s,
        summary.get("plugins", ()),
    )
    results = judged(run.scenario.get("gates", {}), grounds, further)
    beside = None if live is None else Beside.of(run.manifest["live"])
    return verdict_of(results, grounds, sampled=sampled, live=beside)


def _statuses(decision: Decision) -> dict[str, int]:
    return {"as it is": int(decision.exit_status()), **{way: int(decision.exit_status(way)) for way in ("go", "no-go")}}


def _metrics(run: Run) -> dict[str, Measure]:
    """Every metric with its interval, as the run wrote them; one written before a metric was known gets it from its tables."""
    replicated, summary = run.summary.get("replicated"), run.summary
    if replicated is not None and "counts" in summary:
        return {name: Measure(**replicated[name]) for name in METRICS if name in replicated}
    counted = counts(run.modules)
    stops = any(summary.get("stopped", ()))
    values = metrics_of(run.modules, counted, summary["cloud"], stopped=stops)
    found = figures(run.modules, counted, values, float(run.manifest["watched_s"]))
    return {name: Measure(f.value, f.low, f.high) for name, f in found.items()}


def _losses(modules: pd.DataFrame) -> list[Loss]:
    """Modules that did not succeed, by the furthest stage they reached and the cause, in the order of the stages."""
    held = modules[(modules["cause"].astype(str) != "") & ~modules["outcome"].isin(["succeeded", "not_needed"])]
    counted = pairs(held["stage"].astype(str), held["cause"].astype(str))
    stage_order = {name: i for i, name in enumerate(STAGES)}
    cause_order = {name: i for i, name in enumerate(CAUSES)}
    listed = [Loss(stage, cause, n) for stage, cause, n in counted]
    return sorted(
        listed, key=lambda x: (stage_order.get(x.stage, 99), -x.modules, cause_order.get(x.cause, 99), x.cause)
    )


def _loads(run: Run) -> list[Load]:
    """The cloud's load beside its capacity."""
    timeline, peaks = run.timeline, run.summary["cloud"]
    # The capacity of a scenario is that of the simulated cloud; what a real one sustains is not known.
    capacity = run.scenario.get("cloud", {}).get("capacity", {}) if _simulated(run.manifest) else {}
    workers, per_request = capacity.get("request_workers"), capacity.get("request_time")
    requests = workers / per_request if workers and per_request else None
    wanted = [
        ("modules online", "modules", "online", None, "peak_connections"),
        ("new connections", "1/s", "connects", capacity.get("connections_per_s"), None),
        ("messages and requests", "1/s", "requests", requests, "peak_requests_per_s"),
        ("downloads at once", "downloads", "downloads", capacity.get("downloads"), "peak_downloads"),
        ("egress", "bit/s", "egress_bit_s", capacity.get("egress"), "peak_egress_bit_s"),
    ]  # fmt: skip
    return [
        Load(name, unit, peaks.get(peak) if peak else None,
             float(load_series(timeline, column).max(initial=0.0)), limit)
        for name, unit, column, limit, peak in wanted
    ]  # fmt: skip


def load_series(timeline: pd.DataFrame, column: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A column of the timeline as a rate or level: counts of a bin become a rate per second."""
    values = timeline[column].to_numpy(dtype=float)
    return values / timeline["width_s"].to_numpy(dtype=float) if column in ("connects", "requests") else values


def _costs(summary: dict[str, Any], price_per_mb: float | None) -> Costs:
    useful, wasted, energy = summary["bytes"]["useful"], summary["bytes"]["wasted"], summary["energy_j"]
    modules = sum(summary["outcomes"].values())
    costs = Costs(
        useful, wasted, (useful + wasted) / modules if modules else 0.0,
        energy["total"], energy["lost"], energy["per_success_p50"], energy_period_j=energy.get("period"),
    )  # fmt: skip
    if price_per_mb is None:
        return costs
    plain = asdict(costs) | {
        "price_per_mb": price_per_mb, "price_total": price_per_mb * (useful + wasted) / 1e6,
        "price_wasted": price_per_mb * wasted / 1e6,
    }  # fmt: skip
    return Costs(**plain)


def _breakdowns(modules: pd.DataFrame) -> list[Breakdown]:
    """One table for each property that tells modules apart, labels of the fleet included; groups always, even a single one."""
    listed = []
    for column, label in {**BREAKDOWNS, **label_columns(modules.columns)}.items():
        if column not in modules.columns or (modules[column].nunique() < 2 and column != "group"):
            continue
        rows = slices(modules, column)
        if column == "coverage_level":
            rows = [_renamed(row, COVERAGE.get(row.name, row.name)) for row in rows]
        rows = [row if row.name else _renamed(row, f"(no {label})") for row in rows]
        troubled = sorted(rows, key=lambda s: (s.succeeded - s.needed, -s.modules, s.name))
        kept = rows if len(rows) <= MOST_SLICES else troubled[:MOST_SLICES]
        listed.append(Breakdown(column, label, kept, len(rows) - len(kept)))
    return listed


def _renamed(row: Slice, name: str) -> Slice:
    return Slice(**{**asdict(row), "name": name})


def _assumptions(manifest: dict[str, Any]) -> list[Assumption]:
    """Parameters in force: those the scenario changed first, then the estimated ones, then the rest."""
    names = [f for f in Assumption.__dataclass_fields__ if f != "changed"]
    listed = [
        Assumption(**{name: p.get(name) for name in names}, changed=bool(p["by_group"]) or p["value"] != p["default"])
        for p in manifest.get("parameters", [])
    ]
    return sorted(listed, key=lambda a: (not a.changed, a.provenance != "estimated"))


def _facts(run: Run, label: str) -> Facts:
    manifest, summary = run.manifest, run.summary
    engine = str(manifest["engine"])
    return Facts(
        label=label or run.path.name, scenario=str(summary["scenario"]),
        description=str(run.scenario.get("description", "")),
        kind="simulated" if _simulated(manifest) else engine,
        modules=int(summary["modules"]), left_out=int(manifest.get("modules_left_out", 0)),
        replications=int(summary["replications"]), seed=int(summary["seed"]), engine=engine,
        horizon_s=float(run.scenario.get("horizon", manifest["watched_s"])), watched_s=float(manifest["watched_s"]),
        complete=bool(summary["complete"]), version=str(manifest.get("fotasim", "")),
    )  # fmt: skip


def _repeat(manifest: dict[str, Any]) -> str:
    """The command that repeats the run, typed in its folder, wherever that has gone."""
    engine = manifest["engine"]
    if not _simulated(manifest):
        return f"fotasim {engine} scenario.yaml --seed {manifest['seed']} --cloud URL --out again"
    more = f" --replications {manifest['replications']}" if manifest["replications"] > 1 else ""
    return f"fotasim run scenario.yaml --seed {manifest['seed']} --engine {engine}{more} --out again"


def _simulated(manifest: dict[str, Any]) -> bool:
    """Whether the run happened in virtual time; else it met a real network and will not repeat to the bit."""
    return manifest["engine"] in ("auto", "simpy", "compiled")
