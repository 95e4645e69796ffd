"""The evidence of a capacity search as sections of its page: curves, prediction beside measurement, every step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sim.records import SPANS
from sim.report.figures.load_figures import evidence_curve
from sim.report.page import Chart, Column, Section, Table, Text, Value
from sim.report.show import Kind, show
from sim.stats.predicted_and_measured import rows as side_by_side

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
    def held(self) -> dict[str, Any] | None:
        """The step at the capacity that was held longest."""
        held = [p for p in self.main["curve"] if p["kept"] and p["load"] == self.main["capacity"]]
        return max(held, key=lambda p: float(p["hold_s"]), default=None)

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


def apart(difference: float) -> str:
    """How far a prediction lies from what was measured, before the words "the measurement"."""
    percent = round(100 * abs(difference))
    if percent == 0:
        return "within 1 % of"
    return f"{percent} % {'above' if difference > 0 else 'below'}"


def difference_of(s: Found) -> float | None:
    """How far the prediction lies above the measurement, as a share of it."""
    if len(s.clouds) < len(CLOUDS):
        return None
    measured, predicted = (s.found[name]["capacity"] for name in CLOUDS)
    return predicted / measured - 1.0 if measured and predicted else None


def evidence(s: Found) -> list[Section]:
    """A figure for each objective: what was measured over the load offered; the last of an odd number stands alone."""
    last_alone = len(s.objectives) - len(s.objectives) % 2
    return [
        Section(
            f"{o['text']} over the load",
            [_curve(s, o, wide=i >= last_alone) if _measured(s, o["text"]) else Text("Not measured at any load.")],
            half=i < last_alone,
        )
        for i, o in enumerate(s.objectives)
    ]


def _measured(s: Found, text: str) -> bool:
    """Whether any step on any cloud has a value of an objective."""
    return any(p["values"][text] is not None for cloud in s.clouds for p in s.found[cloud]["curve"] if not p["void"])


def _curve(s: Found, objective: dict[str, Any], *, wide: bool) -> Chart:
    text, share = objective["text"], objective["percent"] is None
    factor, kind = (100.0, "share") if share else (1.0, "duration")
    first = s.clouds[0]
    curve = s.found[first]["curve"]
    known = [p for p in curve if not p["void"] and p["values"][text] is not None]
    broken = [(p["load"], factor * p["values"][text]) for p in known if text in p["broken"]]
    held = [(p["load"], factor * p["values"][text]) for p in known if p == s.held]
    figure = evidence_curve(
        _lines(s, objective, factor), x_label=s.unit, y_label="failed, %" if share else f"{objective['leg']}, s",
        limit=(text, factor * objective["limit"]), held=held[0] if held else None, broken=broken, log=not share,
        width=10.8 if wide else 5.2,
    )  # fmt: skip
    told = ", ".join(f"{p['load']:,.0f}: {show(kind, p['values'][text])}" for p in known)  # type: ignore[arg-type]
    return Chart(figure, f"{text} by load, {NAMES[first]}: {told or 'nothing measured'}", note=_NOTE)


_NOTE = (
    "Lines: the steps of the search, all held equally long. Ring: the load that was held for the confirmation. Crosses: "
    "loads that broke the objective, in the search or when held. Dashes: the objective."
)


def _lines(s: Found, objective: dict[str, Any], factor: float) -> dict[str, tuple[list[float], list[float]]]:
    """The measured quantiles of the objective's leg, or the share of failures; the other cloud's objective beside it."""
    text, leg, share = objective["text"], objective["leg"], objective["percent"] is None
    first, *others = s.clouds
    lines = {}
    if not share:
        for key, name in _QUANTILES:
            label = f"{name} {NAMES[first]}" if others else name
            lines[label] = _line(_searched(s, first), lambda p, key=key: p["legs"].get(leg, {}).get(key))
    for cloud in others if not share else s.clouds:
        label = "failures" if share else text.split("(", maxsplit=1)[0]
        line = _line(_searched(s, cloud), lambda p: p["values"][text])
        lines[f"{label} {NAMES[cloud]}"] = (line[0], [factor * y for y in line[1]])
    return {name: line for name, line in lines.items() if line[0]}


def _searched(s: Found, cloud: str) -> list[dict[str, Any]]:
    """The steps before the confirmation that are not void, ascending."""
    return [p for p in s.found[cloud]["curve"] if p["phase"] != "confirm" and not p["void"]]


def _line(points: Sequence[dict[str, Any]], value: Any) -> tuple[list[float], list[float]]:
    known = [(p["load"], y) for p in points if (y := value(p)) is not None]
    return [x for x, _ in known], [y for _, y in known]


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
        text = f"The prediction lies {apart(difference)} the measurement."
        if rows[0][3] != rows[1][3]:
            text += " They name different parts as the first to give way: the scenario's cloud.capacity is not this cloud's."
    return [Section("Predicted and measured", [Text(text), Table("predicted_and_measured", columns, rows)])]


def afterwards(s: Found) -> list[Section]:
    """What lies beyond the capacity, and the return after an outage: predicted beside measured, with the ratio."""
    found, made = s.found, []
    groups = (
        ("beyond", "Beyond the capacity", "More than the capacity was offered for a while, then little, to see when the cloud has recovered."),
        ("outage", "After an outage", "All connections were cut at once and none let through; the server ran on. Modules come back by their own back-off."),
    )  # fmt: skip
    columns = (
        Column("what", "Figure"), Column("predicted", "Predicted", "number"), Column("measured", "Measured", "number"),
        Column("ratio", "Predicted / measured", "number"),
    )  # fmt: skip
    for group, title, text in groups:
        shown = [
            (row.what, Value(cast("Kind", row.kind), row.predicted), Value(cast("Kind", row.kind), row.measured), row.ratio)
            for row in side_by_side(found) if row.group == group
        ]  # fmt: skip
        if shown:
            void = [t for part in found[group].values() for t in part["void"]]
            remarks = [Text(f"Void: {'; '.join(dict.fromkeys(void))}.")] if void else []
            made.append(Section(title, [Text(text), *remarks, Table(group, columns, shown)]))
    return made


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
    """The figure of an objective; a fault of the server has none."""
    share = any(o["percent"] is None for o in s.objectives if o["text"] == objective)
    return Value("share" if share else "duration", value)


def at_capacity(s: Found) -> list[Section]:
    """Every leg at the load that was held."""
    point = s.held
    if point is None:
        return []
    columns = (
        Column("leg", "Leg", "name"), Column("count", "Measured", "count"), Column("failures", "Failed", "count"),
        *(Column(key, name, "duration") for key, name in (*_QUANTILES, ("max_s", "max"))),
    )  # fmt: skip
    rows = [(leg, *(row.get(c.key) for c in columns[1:])) for leg, row in point["legs"].items()]
    facts = (Column("figure", "Load on the cloud"), Column("value", "Found", "number"))
    loads = [
        (label, Value(kind, point["figures"][name]))
        for name, (label, kind) in _FIGURES.items()
        if name in point["figures"]
    ]
    title = f"At {point['load']:,.0f} {s.unit}, held for {show('duration', point['hold_s'])}"
    return [Section(title, [Table("legs", columns, rows), Table("load_on_the_cloud", facts, loads)])]


def steps(s: Found) -> list[Table]:
    """Every load that was tried, with its counts and how the generator stood, and what there is to say of some."""
    columns = [
        Column("cloud", "Cloud"), Column("phase", "Phase"), Column("load", "Load", "count"),
        Column("hold_s", "Held", "duration"), Column("modules", "Modules", "count"), Column("outcome", "Outcome"),
        *(Column(_column(o), o["text"], "share" if o["percent"] is None else "duration") for o in s.objectives),
        Column("answers", "Answers", "count"), Column("failures", "Failures", "count"),
    ]  # fmt: skip
    if "live" in s.found:
        columns += [Column("lag_p99_s", "Generator late", "duration"), Column("cpu", "Its core", "share")]
    tried = [_step(s, name, point) for name in s.clouds for point in s.found[name]["curve"]]
    rows = [[step[column.key] for column in columns] for step in tried]
    made = [Table("steps", columns, rows, caption=f"In order of the load, {s.unit}", row_heads=False)]
    said = [
        (NAMES[name], p["load"], p["phase"], text)
        for name in s.clouds for p in s.found[name]["curve"]
        for text in (*p["void"], *(b for b in p["broken"] if b not in p["values"]), *p["hints"])
    ]  # fmt: skip
    if said:
        heads = (
            Column("cloud", "Cloud"),
            Column("load", "Load", "count"),
            Column("phase", "Phase"),
            Column("remark", "Remark"),
        )
        made.append(Table("remarks", heads, said, caption="Remarks", row_heads=False))
    return made


def _outcome(point: dict[str, Any]) -> str:
    """One word for a step: what its figures say; a confirmation may also be undecided."""
    if point["void"]:
        return "VOID"
    if point["phase"] == "confirm" and "answer" in point:
        return str(point["answer"])
    return "kept" if point["kept"] else "broken"


def _step(s: Found, name: str, point: dict[str, Any]) -> dict[str, Any]:
    health = point["health"].values()
    return {
        "cloud": NAMES[name], "phase": point["phase"], "load": point["load"], "hold_s": point["hold_s"],
        "modules": point["figures"].get("modules"),
        "outcome": _outcome(point),
        **{_column(o): point["values"][o["text"]] for o in s.objectives},
        "answers": sum(leg["count"] for name, leg in point["legs"].items() if name not in SPANS),
        "failures": sum(leg["failures"] for name, leg in point["legs"].items() if name not in SPANS),
        "lag_p99_s": max((h["lag_p99_s"] for h in health), default=None),
        "cpu": max((h["cpu"] for h in health), default=None),
    }  # fmt: skip


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
