"""The page of a capacity search: how much the cloud bears, the evidence, what gives way first, how to repeat it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sim.errors import RecordsError
from sim.records import CAPACITY_FILE, read_manifest
from sim.report.load_figures import evidence_curve
from sim.report.page import (
    Block,
    Chart,
    Check,
    Code,
    Column,
    Page,
    Points,
    Section,
    Table,
    Text,
    Tile,
    Tiles,
    Value,
    Verdict,
)
from sim.report.show import Kind, show

_FORMAT = 1
_CLOUDS = ("live", "simulated")
_NAMES = {"live": "measured", "simulated": "predicted"}
_QUANTILES = (("p50_s", "p50"), ("p95_s", "p95"), ("p99_s", "p99"))
_LOADS = {
    "releases": "Modules wake up evenly, and each takes the whole upgrade: it connects, logs in, asks, is offered the "
    "upgrade, confirms, downloads, installs and reports.",
    "wakeups": "Modules wake up each at a moment of its own, uniformly over the time: each connects, logs in, asks for "
    "its plan and gets the notice. {taking} the others go back to sleep without the upgrade when their time awake is over.",
    "modules": "All modules wake up within two seconds, take the whole upgrade and stay connected.",
}
_FIGURES: dict[str, tuple[str, Kind]] = {
    "requests_per_s": ("Requests per second, second half", "number"),
    "peak_requests_per_s": ("Peak of requests per second", "number"),
    "peak_connections": ("Most connections at once", "count"), "peak_downloads": ("Most downloads at once", "count"),
    "peak_egress_bit_s": ("Peak of the downloads' bandwidth", "bit_rate"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Search:
    """What was found, and where it comes from."""

    found: dict[str, Any]
    manifest: dict[str, Any]

    @property
    def clouds(self) -> list[str]:
        """The clouds that were searched, the one that counts first."""
        return [name for name in _CLOUDS if name in self.found]

    @property
    def main(self) -> dict[str, Any]:
        """The verdict that counts."""
        verdict: dict[str, Any] = self.found[self.clouds[0]]
        return verdict

    @property
    def unit(self) -> str:
        return str(self.found["unit"])

    @property
    def objectives(self) -> list[dict[str, Any]]:
        return list(self.found["slo"])

    @property
    def slo(self) -> str:
        return ", ".join(o["text"] for o in self.objectives)


def page(folder: Path) -> Page:
    """The page of a search's run folder; RecordsError says what is missing or damaged."""
    try:
        found = json.loads((folder / CAPACITY_FILE).read_text(encoding="utf-8"))
        manifest = read_manifest(folder)
        if found["format"] != _FORMAT:
            raise ValueError(f"format {found['format']}, and this version reads {_FORMAT}")
        return capacity_page(found, manifest)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise RecordsError(f"{folder}: not a whole folder of a capacity search: {error!r}") from None


def capacity_page(found: dict[str, Any], manifest: dict[str, Any]) -> Page:
    """The page of what was found (`capacity.json`), with its manifest."""
    s = _Search(found, manifest)
    target = found["cloud"] or "the simulated cloud alone"
    return Page(
        title=f"{found['scenario']}: {s.unit}", kind="capacity",
        kicker="Capacity", lead=f"Wanted: the largest load that keeps {s.slo}.",
        facts=f"Cloud: {target} · fotasim {manifest['fotasim']} · seed {manifest['seed']}",
        verdict=_verdict(s), opening=[_tiles(s)],
        sections=[
            *_evidence(s), *_agreement(s), *_levers(s), *_at_capacity(s), Section("Every step", [_steps(s)]),
            *_generator(s), Section("What was assumed", _assumed(s)), Section("How to repeat it", _repeat(s)),
        ],
        checks=_checks(s),
    )  # fmt: skip


# --- verdict ---------------------------------------------------------------------------------------------------------


def _verdict(s: _Search) -> Verdict:
    main, found = s.main, s.found
    capacity, live = main["capacity"], s.clouds[0] == "live"
    blocks: list[Block] = []
    if capacity is None:
        blocks.append(Text(f"{main['reason'][0].upper()}{main['reason'][1:]}.", "No load was found."))
    else:
        who = f"The cloud at {found['cloud']} bears" if live else "The simulated cloud bears"
        said = f"{who} {capacity:,.0f} {s.unit} within {s.slo}: {main['reason']}."
        blocks.append(Text(said, "Measured:" if live else "Predicted:"))
    if found["need"] is not None:
        blocks.append(
            Text(f"{found['need']:,.0f} {s.unit} {'are borne' if found['met'] else 'are NOT borne'}.", "Needed:")
        )
    if found["recommended"] is not None:
        blocks.append(Text(_recommendation(s), "Recommended:"))
    gave = main["first_to_give_way"]
    if gave:
        parts = "; ".join(dict.fromkeys(p["resource"] for p in gave))
        blocks.append(Text(f"{parts}, at {gave[0]['load']:,.0f} {s.unit}.", "First to give way:"))
    if not live:
        text = "No cloud was measured. This is what the scenario's figures of a cloud come to, as good as they are."
        blocks.append(Text(text, "Prediction only.", hint=True))
    return Verdict(_key(s), _word(s), blocks)


def _key(s: _Search) -> Literal["go", "no-go", "none", "partial"]:
    if not s.main["complete"]:
        return "partial"
    if s.found["met"] is False or s.main["capacity"] is None:
        return "no-go"
    return "go" if s.found["met"] or s.clouds[0] == "live" else "none"


def _word(s: _Search) -> str:
    if not s.main["complete"]:
        return "Partial"
    if s.found["met"] is not None:
        return "Borne" if s.found["met"] else "Not borne"
    return "None" if s.main["capacity"] is None else f"{s.main['capacity']:,.0f}"


def _recommendation(s: _Search) -> str:
    found = s.found
    text = f"{found['recommended']:,} {found['recommended_unit']}, which leaves {100 * found['headroom']:.0f} % free for other traffic, retries and a node that is down."
    if found["spread_s"] is not None:
        text += f" The scenario's {found['modules']:,} modules should spread their wake-ups over {show('duration', found['spread_s'])} or more."
    return text


def _tiles(s: _Search) -> Tiles:
    tiles = []
    for name in s.clouds:
        verdict = s.found[name]
        value = "none" if verdict["capacity"] is None else f"{verdict['capacity']:,.0f}"
        note = f"{s.unit}, {'confirmed' if verdict['confirmed'] else 'NOT confirmed'}"
        tiles.append(Tile(f"Capacity, {_NAMES[name]}", value, note))
    if s.found["recommended"] is not None:
        tiles.append(Tile("Recommended", f"{s.found['recommended']:,}", s.found["recommended_unit"]))
    difference = _difference(s)
    if difference is not None:
        tiles.append(Tile("Prediction against measurement", f"{100 * difference:+.0f} %", "of what was measured"))
    return Tiles(tiles)


def _difference(s: _Search) -> float | None:
    """How far the prediction lies above the measurement, as a share of it."""
    if len(s.clouds) < len(_CLOUDS):
        return None
    measured, predicted = (s.found[name]["capacity"] for name in _CLOUDS)
    return predicted / measured - 1.0 if measured and predicted else None


# --- evidence --------------------------------------------------------------------------------------------------------


def _evidence(s: _Search) -> list[Section]:
    """A figure for each objective: what was measured over the load offered."""
    half = len(s.objectives) > 1
    return [Section(f"{o['text']} over the load", [_curve(s, o, wide=not half)], half=half) for o in s.objectives]


def _curve(s: _Search, objective: dict[str, Any], *, wide: bool) -> Chart:
    text, leg, share = objective["text"], objective["leg"], objective["percent"] is None
    factor = 100.0 if share else 1.0
    first, *others = s.clouds
    lines: dict[str, tuple[list[float], list[float]]] = {}
    if share:
        lines[f"failures, {_NAMES[first]}"] = _line(_points(s, first), lambda p: _scaled(p["values"][text], factor))
    else:
        for key, name in _QUANTILES:
            line = _line(_points(s, first), lambda p, key=key: p["legs"].get(leg, {}).get(key))
            lines[f"{name} {_NAMES[first]}" if others else name] = line
    for other in others:
        name = "failures" if share else text.split("(", maxsplit=1)[0]
        lines[f"{name} {_NAMES[other]}"] = _line(_points(s, other), lambda p: _scaled(p["values"][text], factor))
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
    return Chart(figure, f"{text} by load, {_NAMES[first]}: {told or 'nothing measured'}", note=_NOTE)


_NOTE = "Ring: the load that was confirmed. Crosses: loads that broke this objective. Dashes: the objective."


def _points(s: _Search, cloud: str) -> list[dict[str, Any]]:
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


def _agreement(s: _Search) -> list[Section]:
    """Prediction beside measurement, the difference in words."""
    if len(s.clouds) < len(_CLOUDS):
        return []
    rows = []
    for name in s.clouds:
        verdict = s.found[name]
        gave = "; ".join(dict.fromkeys(p["resource"] for p in verdict["first_to_give_way"])) or "nothing"
        rows.append((_NAMES[name], verdict["capacity"], verdict["confirmed"], gave, verdict["reason"]))
    columns = (
        Column("cloud", "Capacity"), Column("capacity", s.unit.capitalize(), "count"),
        Column("confirmed", "Confirmed", "met"), Column("first_to_give_way", "First to give way"),
        Column("reason", "How it ended"),
    )  # fmt: skip
    difference = _difference(s)
    if difference is None:
        text = "One of the two found no load, so they cannot be compared."
    else:
        side = "above" if difference >= 0 else "below"
        text = f"The prediction lies {100 * abs(difference):.0f} % {side} the measurement."
        if rows[0][3] != rows[1][3]:
            text += " They name different parts as the first to give way: the scenario's cloud.capacity is not this cloud's."
    return [Section("Predicted and measured", [Text(text), Table("predicted_and_measured", columns, rows)])]


def _levers(s: _Search) -> list[Section]:
    """What gave way first, and what helps."""
    rows = [
        (_NAMES[name], part["resource"], part["objective"], _value(s, part["objective"], part["measured"]), part["load"], part["lever"])
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


def _value(s: _Search, objective: str, value: float | None) -> Value:
    share = next(o["percent"] is None for o in s.objectives if o["text"] == objective)
    return Value("share" if share else "duration", value)


def _at_capacity(s: _Search) -> list[Section]:
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


# --- steps -----------------------------------------------------------------------------------------------------------


def _steps(s: _Search) -> Table:
    columns = [
        Column("cloud", "Cloud"), Column("phase", "Phase"), Column("load", s.unit.capitalize(), "count"),
        Column("hold_s", "Held for", "duration"), Column("modules", "Modules", "count"), Column("outcome", "Outcome"),
        *(Column(_column(o), o["text"], "share" if o["percent"] is None else "duration") for o in s.objectives),
        Column("requests", "Answers and failures", "text"), Column("lag_p99_s", "Generator late, p99", "duration"),
        Column("cpu", "Its busiest core", "share"), Column("remarks", "Remarks"),
    ]  # fmt: skip
    rows = [_step(s, name, point) for name in s.clouds for point in s.found[name]["curve"]]
    return Table("steps", columns, rows, caption="In order of the load", row_heads=False)


def _step(s: _Search, name: str, point: dict[str, Any]) -> list[Any]:
    health = point["health"].values()
    outcome = "VOID" if point["void"] else "kept" if point["kept"] else "broken"
    measured, failed = (round(sum(leg[key] for leg in point["legs"].values())) for key in ("count", "failures"))
    return [
        _NAMES[name], point["phase"], point["load"], point["hold_s"], point["figures"].get("modules"), outcome,
        *(point["values"][o["text"]] for o in s.objectives), f"{measured:,} and {failed:,}",
        max((h["lag_p99_s"] for h in health), default=None), max((h["cpu"] for h in health), default=None),
        "; ".join([*point["void"], *point["hints"]]),
    ]  # fmt: skip


def _column(objective: dict[str, Any]) -> str:
    """The objective as a column's name in files."""
    end = "share" if objective["percent"] is None else "s"
    return f"{re.sub(r'[^0-9A-Za-z]+', '_', objective['text'].split('<')[0]).strip('_')}_{end}"


def _generator(s: _Search) -> list[Section]:
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


# --- assumptions, repetition, checks ---------------------------------------------------------------------------------


def _assumed(s: _Search) -> list[Block]:
    found = s.found
    taking = f"{show('share', found['taking'])} take the upgrade," if found["taking"] else "None takes the upgrade;"
    points = [
        Text(_LOADS[found["what"]].format(taking=taking), "The load."),
        Text("The moments are set beforehand and do not wait for the cloud; latencies count from them. A cloud that stalls is charged for everything that was due meanwhile.", "Open loop."),
        Text("They fail for no reason of their own, and the plan's rate, groups and preconditions do not hold them back. What is left of the scenario: technologies, package, time awake.", "The modules."),
    ]  # fmt: skip
    if "live" in found:
        radio = "paced and delayed as the modelled radio would" if found["radio"] else "as fast as the network is"
        points.append(Text(f"Traffic {radio}; the modules' own waits are divided by {found['time_scale']:g}; {found['workers']} generator process(es).", "The measurement."))  # fmt: skip
    if "simulated" in found:
        a = found["assumed"]
        points.append(Text(
            f"{a['connections_per_s']:g} connections accepted per second; {a['request_workers']:,} requests at once of "
            f"{show('duration', a['request_time'])} each; {a['downloads']:,} downloads at once; "
            f"{show('bit_rate', a['egress'])} for all of them. These are the scenario's cloud.capacity.", "The simulated cloud."))  # fmt: skip
    return [Points(points)]


def _repeat(s: _Search) -> list[Block]:
    manifest, commit = s.manifest, s.manifest["commit"]
    text = "scenario.yaml is the scenario as it was used, overrides included. Secrets come from the environment."
    made = f"fotasim {manifest['fotasim']}{f' at {commit[:12]}' if commit else ''}, Python {manifest['host']['python']}, {manifest['host']['system']} {manifest['host']['machine']}, scenario {manifest['scenario_sha256'][:12]}."
    return [Code(command(s.found)), Text(text), Text(made, "Made with", hint=True)]


def command(found: dict[str, Any]) -> str:
    """The command that searches again, in the folder of the search."""
    bounds, live = found["bounds"], found["cloud"] is not None
    given: list[tuple[str, Any]] = [
        ("--slo", ", ".join(o["text"] for o in found["slo"])), ("--of", found["what"]), ("--start", bounds["start"]),
        ("--max", bounds["high"]), ("--precision", bounds["precision"]), ("--hold", f"{bounds['hold_s']:g}s"),
        ("--confirm", f"{bounds['confirm_s']:g}s"), ("--headroom", found["headroom"]), ("--need", found["need"]),
        ("--taking", found["taking"] or None), ("--cloud", found["cloud"]),
    ]  # fmt: skip
    if live:
        cap = found["rate_cap_per_s"]
        given += [
            ("--time-scale", found["time_scale"]), ("--workers", found["workers"]), ("--plan", found["plan"]),
            *(("--allow", host) for host in found["allow"]), ("--rate-cap", None if cap is None else f"{cap:g}/s"),
        ]  # fmt: skip
    words_ = ["fotasim", "capacity", "scenario.yaml"]
    for name, value in given:
        if value is not None:
            words_ += [name, f"{value:g}" if isinstance(value, float) else str(value)]
    words_ += ["--radio"] if found["radio"] else []
    words_ += ["--no-predict"] if live and "simulated" not in found else []
    return shlex.join(words_)


def _checks(s: _Search) -> list[Check]:
    main, suite = s.main, f"capacity, {_NAMES[s.clouds[0]]}"
    held = [p for p in main["curve"] if p["kept"] and p["load"] == main["capacity"]]
    shown = "no load" if main["capacity"] is None else f"{main['capacity']:,.0f} {s.unit}"
    checks = [Check("a largest load was found and held", suite, main["confirmed"], f"{shown}: {main['reason']}")]
    for o in s.objectives:
        kind: Kind = "share" if o["percent"] is None else "duration"
        value = max(held, key=lambda p: p["hold_s"])["values"][o["text"]] if held else None
        checks.append(Check(o["text"], suite, bool(held), f"{show(kind, value)} at {shown}"))
    if s.found["need"] is not None:
        need = f"{s.found['need']:,.0f} {s.unit} are borne"
        checks.append(Check(need, suite, bool(s.found["met"]), f"{shown}, {'confirmed' if main['confirmed'] else 'not confirmed'}"))  # fmt: skip
    void = [p for p in main["curve"] if p["void"]]
    text = f"{len(void)} of {len(main['curve'])} steps were void and repeated" if void else "no step was void"
    checks.append(Check("the load generator was not the bottleneck", suite, main["complete"], text))
    return checks


__all__ = ["capacity_page", "command", "page"]
