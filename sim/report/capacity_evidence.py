"""The evidence of a capacity search as sections of its page: curves, prediction beside measurement, every step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sim.report.load_figures import evidence_curve
from sim.report.page import Chart, Column, Section, Table, Text, Value
from sim.report.show import Kind, show

CLOUDS = ("live", "simulated")
NAMES = {"live": "measured", "simulated": "predicted"}
_QUANTILES = (("p50_s", "p50"), ("p95_s", "p95"), ("p99_s", "p99"))
_FIGURES: dict[str, tuple[str, Kind]] = {
    "requests_per_s": ("Requests per second, second half", "number"),
    "peak_requests_per_s": ("Peak of requests per second", "number"),
    "peak_connections": ("Most connections at once", "count"), "peak_downloads": ("Most downloads at once", "count"),
    "peak_egress_bit_s": ("Peak of the downloads' bandwidth", "bit_rate"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """What was found, and where it comes from."""

    found: dict[str, Any]
    manifest: dict[str, Any]

    @property
    def clouds(self) -> list[str]:
        """The clouds that were searched, the one that counts first."""
        return [name for name in CLOUDS if name in self.found]

    @property
    def main(self) -> dict[str, Any]:
        """The verdict that counts."""
        verdict: dict[str, Any] = self.found[self.clouds[0]]
        return verdict

    @property
    def unit(self) -> str:
        """The load's unit."""
        return str(self.found["unit"])

    @property
    def objectives(self) -> list[dict[str, Any]]:
        """The terms of the SLO: text, leg, percent, limit."""
        return list(self.found["slo"])

    @property
    def slo(self) -> str:
        """The SLO as it was written."""
        return ", ".join(o["text"] for o in self.objectives)


def difference_of(s: Found) -> float | None:
    """How far the prediction lies above the measurement, as a share of it."""
    if len(s.clouds) < len(CLOUDS):
        return None
    measured, predicted = (s.found[name]["capacity"] for name in CLOUDS)
    return predicted / measured - 1.0 if measured and predicted else None


def evidence(s: Found) -> list[Section]:
    """A figure for each objective: what was measured over the load offered."""
    half = len(s.objectives) > 1
    return [Section(f"{o['text']} over the load", [_curve(s, o, wide=not half)], half=half) for o in s.objectives]


def _curve(s: Found, objective: dict[str, Any], *, wide: bool) -> Chart:
    text, leg, share = objective["text"], objective["leg"], objective["percent"] is None
    factor = 100.0 if share else 1.0
    first, *others = s.clouds
    lines: dict[str, tuple[list[float], list[float]]] = {}
    if share:
        lines[f"failures, {NAMES[first]}"] = _line(_points(s, first), lambda p: _scaled(p["values"][text], factor))
    else:
        for key, name in _QUANTILES:
            line = _line(_points(s, first), lambda p, key=key: p["legs"].get(leg, {}).get(key))
            lines[f"{name} {NAMES[first]}" if others else name] = line
    for other in others:
        name = "failures" if share else text.split("(", maxsplit=1)[0]
        lines[f"{name} {NAMES[other]}"] = _line(_points(s, other), lambda p: _scaled(p["values"][text], factor))
    values = [(p["load"], _scaled(p["values"][text], factor), p) for p in _points(s, first)]
    held = next(((x, y) for x, y, p in values if x == s.main["capacity"] and p["kept"] and y is not None), None)
    broken = [(x, y) for x, y, p in values if text in p["broken"] and y is not None]
    lines = {name: line for name, line in lines.items() if line[0]}
    figure = evidence_curve(
        lines, x_label=s.unit, y_label="failed, %" if share else f"{leg}, s", limit=(text, factor * objective["limit"]),
        held=held, broken=broken, log=not share, width=10.8 if wide else 5.2,
    )  # fmt: skip
    kind: Kind = "share" if share else "duration"
    told = ", ".join(f"{x:,.0f}: {show(kind, _scaled(y, 1 / factor))}" for x, y, _ in values)
    return Chart(figure, f"{text} by load, {NAMES[first]}: {told or 'nothing measured'}", note=_NOTE)


_NOTE = "Ring: the load that was confirmed. Crosses: loads that broke this objective. Dashes: the objective."


def _points(s: Found, cloud: str) -> list[dict[str, Any]]:
    """One measurement for each load, ascending: the longest one that is not void."""
    kept: dict[float, dict[str, Any]] = {}
    for point in s.found[cloud]["curve"]:
        before = kept.get(point["load"])
        if not point["void"] and (before is None or point["hold_s"] >= before["hold_s"]):
            kept[point["load"]] = point
    return [kept[load] for load in sorted(kept)]


def _line(points: Sequence[dict[str, Any]], value: Any) -> tuple[list[float], list[float]]:
    known = [(p["load"], y) for p in points if (y := value(p)) is not None]
    return [x for x, _ in known], [y for _, y in known]


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def agreement(s: Found) -> list[Section]:
    """Prediction beside measurement, the difference in words."""
    if len(s.clouds) < len(CLOUDS):
        return []
    rows = []
    for name in s.clouds:
        verdict = s.found[name]
        gave = "; ".join(dict.fromkeys(p["resource"] for p in verdict["first_to_give_way"])) or "nothing"
        rows.append((NAMES[name], verdict["capacity"], verdict["confirmed"], gave, verdict["reason"]))
    columns = (
        Column("cloud", "Capacity"), Column("capacity", s.unit.capitalize(), "count"),
        Column("confirmed", "Confirmed", "met"), Column("first_to_give_way", "First to give way"),
        Column("reason", "How it ended"),
    )  # fmt: skip
    difference = difference_of(s)
    if difference is None:
        text = "One of the two found no load, so they cannot be compared."
    else:
        side = "above" if difference >= 0 else "below"
        text = f"The prediction lies {100 * abs(difference):.0f} % {side} the measurement."
        if rows[0][3] != rows[1][3]:
            text += " They name different parts as the first to give way: the scenario's cloud.capacity is not this cloud's."
    return [Section("Predicted and measured", [Text(text), Table("predicted_and_measured", columns, rows)])]


def levers(s: Found) -> list[Section]:
    """What gave way first, and what helps."""
    rows = [
        (NAMES[name], part["resource"], part["objective"], _value(s, part["objective"], part["measured"]), part["load"], part["lever"])
        for name in s.clouds for part in s.found[name]["first_to_give_way"]
    ]  # fmt: skip
    if not rows:
        return []
    columns = (
        Column("cloud", "Cloud"), Column("resource", "Gave way"), Column("objective", "Objective"),
        Column("measured", "Found", "number"), Column("load", "At a load of", "count"), Column("lever", "What helps"),
    )  # fmt: skip
    text = "As seen from outside: the leg whose objective broke first says what the cloud was short of."
    return [
        Section(
            "First to give way", [Table("first_to_give_way", columns, rows, row_heads=False), Text(text, hint=True)]
        )
    ]


def _value(s: Found, objective: str, value: float | None) -> Value:
    share = next(o["percent"] is None for o in s.objectives if o["text"] == objective)
    return Value("share" if share else "duration", value)


def at_capacity(s: Found) -> list[Section]:
    """Every leg at the load that was held."""
    held = [p for p in s.main["curve"] if p["kept"] and p["load"] == s.main["capacity"]]
    if not held:
        return []
    point = max(held, key=lambda p: p["hold_s"])
    columns = (
        Column("leg", "Leg", "name"), Column("count", "Measured", "count"), Column("failures", "Failed", "count"),
        *(Column(key, name, "duration") for key, name in (*_QUANTILES, ("max_s", "max"))),
    )  # fmt: skip
    rows = [(leg, *(row.get(c.key) for c in columns[1:])) for leg, row in point["legs"].items()]
    facts = (Column("figure", "Load on the cloud"), Column("value", "", "number"))
    loads = [
        (label, Value(kind, point["figures"][name]))
        for name, (label, kind) in _FIGURES.items()
        if name in point["figures"]
    ]
    title = f"At {point['load']:,.0f} {s.unit}, held for {show('duration', point['hold_s'])}"
    return [Section(title, [Table("legs", columns, rows), Table("load_on_the_cloud", facts, loads)])]


def steps(s: Found) -> Table:
    """Every load that was tried, with its counts and how the generator stood."""
    columns = [
        Column("cloud", "Cloud"), Column("phase", "Phase"), Column("load", s.unit.capitalize(), "count"),
        Column("hold_s", "Held for", "duration"), Column("modules", "Modules", "count"), Column("outcome", "Outcome"),
        *(Column(_column(o), o["text"], "share" if o["percent"] is None else "duration") for o in s.objectives),
        Column("requests", "Answers and failures", "text"), Column("lag_p99_s", "Generator late, p99", "duration"),
        Column("cpu", "Its busiest core", "share"), Column("remarks", "Remarks"),
    ]  # fmt: skip
    rows = [_step(s, name, point) for name in s.clouds for point in s.found[name]["curve"]]
    return Table("steps", columns, rows, caption="In order of the load", row_heads=False)


def _step(s: Found, name: str, point: dict[str, Any]) -> list[Any]:
    health = point["health"].values()
    outcome = "VOID" if point["void"] else "kept" if point["kept"] else "broken"
    measured, failed = (round(sum(leg[key] for leg in point["legs"].values())) for key in ("count", "failures"))
    return [
        NAMES[name], point["phase"], point["load"], point["hold_s"], point["figures"].get("modules"), outcome,
        *(point["values"][o["text"]] for o in s.objectives), f"{measured:,} and {failed:,}",
        max((h["lag_p99_s"] for h in health), default=None), max((h["cpu"] for h in health), default=None),
        "; ".join([*point["void"], *point["hints"]]),
    ]  # fmt: skip


def _column(objective: dict[str, Any]) -> str:
    """The objective as a column's name in files."""
    end = "share" if objective["percent"] is None else "s"
    return f"{re.sub(r'[^0-9A-Za-z]+', '_', objective['text'].split('<')[0]).strip('_')}_{end}"


def generator(s: Found) -> list[Section]:
    """How each worker of the generator stood, step by step."""
    rows = [
        (p["load"], p["phase"], worker, h["lag_p99_s"], h["lag_max_s"], h["cpu"], h["files"], h["file_limit"], h["connections"], h["port_limit"])
        for p in s.found.get("live", {}).get("curve", ()) for worker, h in p["health"].items()
    ]  # fmt: skip
    if not rows:
        return []
    columns = (
        Column("load", s.unit.capitalize(), "count"), Column("phase", "Phase"), Column("worker", "Worker"),
        Column("lag_p99_s", "Late, p99", "duration"), Column("lag_max_s", "Latest", "duration"),
        Column("cpu", "Core", "share"), Column("files", "Open files", "count"), Column("file_limit", "of", "count"),
        Column("connections", "Connections", "count"), Column("port_limit", "Local ports", "count"),
    )  # fmt: skip
    text = (
        "A step during which the generator itself was late, out of CPU, files or ports proves nothing about the cloud: it "
        "is void and repeated. So is one in which a worker went missing."
    )
    table = Table("generator", columns, rows, caption="Self-check by step and worker", row_heads=False, folded=True)
    return [Section("The load generator", [Text(text), table])]
