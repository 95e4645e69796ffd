"""The report of a run as one self-contained page, read top-down by a release manager."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sim import gates
from sim.records import Run
from sim.report import figures
from sim.report.page import Column, Page, Section, Table
from sim.report.show import words
from sim.report.svg import to_svg
from sim.stats.survival import cumulative_share
from sim.units import show_bit_rate, show_duration, show_size

_WIDE_FROM = 7.0
_VERDICTS = {
    "go": ("Go", "Every gate is met."),
    "no-go": ("No go", "At least one gate is not met."),
    "none": ("No gates", "The scenario sets no gates, so this page decides nothing."),
    "partial": ("Partial", "The run was interrupted: its figures end where it stopped and decide nothing."),
}


def write_html(run: Run) -> str:
    """The page of a run folder as text; everything it shows is escaped, everything it needs is in it."""
    summary = run.summary
    page: str = _template().render(
        run=run, summary=summary, manifest=run.manifest, scenario=run.scenario, verdict=_verdict(summary),
        gates=[_gate(g) for g in summary["gates"]], tiles=_tiles(summary), funnel=_funnel(summary),
        causes=_causes(summary), curve=_curve(run), cloud_view=_cloud_view(run.modules), loads=_loads(run),
        groups=summary["groups"], energy=_energy(summary), parameters=_parameters(run.manifest),
        held_back=_held_back(run), repeat=_repeat(run),
    )  # fmt: skip
    return page


def render(page: Page) -> str:
    """Any page of blocks as one self-contained HTML text; everything shown is escaped."""
    text: str = environment().get_template("base.html").render(page=page)
    return text


@cache
def environment() -> Environment:
    """The templates with their filters; pages that extend base.html load them here."""
    made = Environment(
        loader=PackageLoader("sim.report", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters.update(
        words=words, kind=lambda block: type(block).__name__, svg=lambda chart: Markup(to_svg(chart.figure, chart.alt)),
        wide=lambda chart: chart.figure.get_figwidth() > _WIDE_FROM, cells=_cells, grouped=_grouped,
    )  # fmt: skip
    return made


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell ready for the template: its tag and classes, the number it sorts by, its text."""

    tag: str
    classes: str
    raw: float | None
    text: str


def _cells(table: Table) -> Iterator[list[_Cell]]:
    for row, shown in zip(table.rows, table.shown(), strict=True):
        yield [
            _cell(column, value, text, head=table.row_heads and i == 0)
            for i, (column, value, text) in enumerate(zip(table.columns, row, shown, strict=True))
        ]


def _cell(column: Column, value: object, text: str, *, head: bool) -> _Cell:
    tag = "th" if head else "td"
    if column.kind == "met":
        return _Cell(tag, "met" if value else "unmet", None, text)
    if not column.numeric:
        return _Cell(tag, "", None, text)
    raw = float(value) if isinstance(value, int | float) and math.isfinite(value) else None
    return _Cell(tag, "n zero" if raw == 0 and column.kind == "count" else "n", raw, text)


def _grouped(sections: Sequence[Section]) -> Iterator[list[Section]]:
    """Half sections in pairs, all others alone."""
    waiting: list[Section] = []
    for section in sections:
        if waiting and (not section.half or section.variant != waiting[0].variant or len(waiting) == 2):
            yield waiting
            waiting = []
        if section.half:
            waiting.append(section)
        else:
            yield [section]
    if waiting:
        yield waiting


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("sim.report", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        share=_share, duration=_duration, size=show_size, words=lambda t: str(t).replace("_", " "),
        figure=Markup, pretty=lambda value: json.dumps(value, ensure_ascii=False),
    )  # fmt: skip
    return environment.get_template("run.html")


def _verdict(summary: dict[str, Any]) -> dict[str, str]:
    if not summary["complete"]:
        key = "partial"
    elif not summary["gates"]:
        key = "none"
    else:
        key = "go" if all(g["met"] for g in summary["gates"]) else "no-go"
    word, text = _VERDICTS[key]
    return {"key": key, "word": word, "text": text}


def _share(value: float | None) -> str:
    """A share in percent, with the digits small ones need."""
    if value is None:
        return "–"
    percent = 100.0 * value
    return f"{percent:.3g} %" if 0 < percent < 1 else f"{percent:.2f} %"


def _duration(value: float | None) -> str:
    return "–" if value is None else show_duration(value)


def _metric(name: str, value: float | None) -> str:
    """A metric's value in the unit its name implies."""
    if value is None:
        return "no data"
    if name.startswith("duration"):
        return show_duration(value)
    if name.endswith("bit_s"):
        return show_bit_rate(value)
    if name.startswith("peak"):
        return f"{value:,.0f}"
    return _share(value)


def _gate(gate: dict[str, Any]) -> dict[str, Any]:
    sign, limit = gates.parse(gate["metric"], gate["gate"].split(" ", 1)[1])
    return {**gate, "shown": _metric(gate["metric"], gate["value"]),
            "wanted": f"{sign.replace('<=', '≤').replace('>=', '≥')} {_metric(gate['metric'], limit)}"}  # fmt: skip


def _tiles(summary: dict[str, Any]) -> list[dict[str, str]]:
    """The figures a reader wants first: name, value, what it says."""
    outcomes, duration, intervals = summary["outcomes"], summary["duration_s"], summary["intervals"]
    bricked = summary["causes"].get("bricked", 0)
    total = sum(outcomes.values())
    low, high = intervals["success_rate"]
    brick_high = intervals["bricked"][1]
    unreached = outcomes["pending"] + outcomes["never_online"]
    per_success = summary["energy_j"]["per_success_p50"]
    received = summary["bytes"]["useful"] + summary["bytes"]["wasted"]
    return [
        _tile("Success", _share(summary["metrics"]["success_rate"]), f"95 % interval {_share(low)} to {_share(high)}"),
        _tile("Bricked", f"{bricked:,}", f"of {total:,}; at most {_share(brick_high)} at 95 %"),
        _tile("Failed", f"{outcomes['failed'] + outcomes['timed_out']:,}", "bricks and given-up attempts"),
        _tile("Not reached", f"{unreached:,}", f"{outcomes['never_online']:,} of them never online"),
        _tile("Half done after", _duration(duration["p50"]), f"95 % of the successes after {_duration(duration['p95'])}"),
        _tile("Data wasted", show_size(summary["bytes"]["wasted"]),
              f"{_share(summary['metrics']['wasted_share'])} of {show_size(received)}"),
        _tile("Energy", "–" if per_success is None else f"{per_success:.0f} J", "median per upgraded battery module"),
        _tile("Silent losses", f"{summary['silent_losses']:,}", "ended, and the cloud does not know"),
    ]  # fmt: skip


def _tile(name: str, value: str, note: str) -> dict[str, str]:
    return {"name": name, "value": value, "note": note}


def _bars(counts: dict[str, int], total: int, *, alt: str, colour: str = figures.BLUE) -> str:
    labels = [f"{v:,}  ({100 * v / total:.2f} %)" if total else f"{v:,}" for v in counts.values()]
    return to_svg(figures.bars(counts, labels=labels, colour=colour), alt)


def _funnel(summary: dict[str, Any]) -> str:
    total = sum(summary["outcomes"].values())
    counts = {"in the plan": total, **summary["stages"]}
    return _bars(counts, total, alt="Funnel: " + figures.describe(list(counts), list(counts.values())))


def _causes(summary: dict[str, Any]) -> str:
    counts = dict(list(summary["causes"].items())[:12])
    if not counts:
        return ""
    total = sum(summary["outcomes"].values())
    alt = "Causes: " + figures.describe(list(counts), list(counts.values()))
    return _bars(counts, total, alt=alt, colour=figures.RED)


def _curve(run: Run) -> str:
    series = {"all modules": run.modules["upgraded_s"].to_numpy()}
    parts = run.modules.groupby("group", observed=True)["upgraded_s"]
    if 1 < parts.ngroups < figures.MAX_SERIES:
        series |= {str(name): part.to_numpy() for name, part in parts}
    ends = ", ".join(f"{name} {_share(float(np.isfinite(times).mean()))}" for name, times in series.items())
    drawn = figures.upgrade_curve(
        {name: cumulative_share(times, len(times)) for name, times in series.items()},
        horizon_s=run.manifest["watched_s"],
    )
    return to_svg(drawn, f"Share on the target version over time; at the end: {ends}")


def _cloud_view(modules: pd.DataFrame) -> dict[str, Any]:
    """What the cloud believes against what is true: rows states of the cloud, columns outcomes, counts."""
    table = pd.crosstab(modules["cloud_state"].astype(str), modules["outcome"].astype(str))
    return {"columns": list(table.columns), "rows": [(name, list(map(int, row))) for name, row in
            zip(table.index, table.to_numpy(), strict=True)]}  # fmt: skip


def _loads(run: Run) -> list[dict[str, str]]:
    """The cloud's load over time beside its capacity, one figure each."""
    t, capacity, peaks = run.timeline, run.scenario["cloud"]["capacity"], run.summary["cloud"]
    width = t["width_s"].to_numpy()
    workers = capacity["request_workers"] / capacity["request_time"]
    wanted = [
        ("Modules online", t["online"], "modules", None, peaks["peak_connections"]),
        ("New connections", t["connects"] / width, "per second", capacity["connections_per_s"], None),
        ("Messages and requests", t["requests"] / width, "per second", workers, peaks["peak_requests_per_s"]),
        ("Downloads at once", t["downloads"], "downloads", capacity["downloads"], peaks["peak_downloads"]),
        ("Egress", t["egress_bit_s"] / 1e6, "Mbit/s", capacity["egress"] / 1e6, peaks["peak_egress_bit_s"] / 1e6),
    ]  # fmt: skip
    listed = []
    for title, values, unit, limit, peak in wanted:
        largest = f" Momentary peak {peak:,.4g} {unit}." if peak is not None else ""
        alt = f"{title} over time, largest bin {float(values.max()):,.4g} {unit}.{largest}"
        drawn = figures.load_over_time(t["time_s"], values, y_label=unit, capacity=limit)
        listed.append({"title": title, "figure": to_svg(drawn, alt), "note": f"Mean per time bin.{largest}"})
    return listed


def _energy(summary: dict[str, Any]) -> dict[str, str]:
    energy = summary["energy_j"]
    return {"total": f"{energy['total'] / 1000:,.1f} kJ", "lost": f"{energy['lost'] / 1000:,.1f} kJ",
            "useful": show_size(summary["bytes"]["useful"]), "wasted": show_size(summary["bytes"]["wasted"])}  # fmt: skip


def _parameters(manifest: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Parameters in force: those the scenario changed first, then the estimated ones, then the rest."""
    listed = manifest.get("parameters", [])
    changed = [p for p in listed if p["by_group"] or p["value"] != p["default"]]
    rest = [p for p in listed if p not in changed]
    return {
        "changed": changed,
        "estimated": [p for p in rest if p["provenance"] == "estimated"],
        "sourced": [p for p in rest if p["provenance"] != "estimated"],
    }


def _held_back(run: Run) -> str:
    """One sentence on what holds the rest back: the largest cause among those that did not make it."""
    causes = run.summary["causes"]
    if not causes:
        return "Every module reached the target version."
    name, count = next(iter(causes.items()))
    share = count / sum(causes.values())
    return f"{name.replace('_', ' ').capitalize()} holds back {count:,} modules, {_share(share)} of those not upgraded."


def _repeat(run: Run) -> str:
    replications = run.manifest["replications"]
    more = f" --replications {replications}" if replications > 1 else ""
    return f"fotasim run scenario.yaml --seed {run.manifest['seed']} --engine {run.manifest['engine']}{more}"
