"""The page of a capacity search: how much the cloud sustains, the evidence, what gives way first, how to repeat it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any, Literal

from sim.errors import RecordsError
from sim.exit_status import ExitStatus
from sim.records import CAPACITY_FILE, read_manifest
from sim.report.model.origin import origin_of
from sim.report.page import (
    Block,
    Check,
    Page,
    Points,
    Section,
    Text,
    Tile,
    Tiles,
    Verdict,
)
from sim.report.pages.capacity_evidence import (
    NAMES,
    Found,
    afterwards,
    agreement,
    apart,
    at_capacity,
    difference_of,
    evidence,
    generator,
    levers,
    steps,
)
from sim.report.pages.origin_section import origin_section
from sim.report.show import Kind, plural, show

_FORMAT = 1
_OUTCOMES = (
    "A load that was held several times is judged by all of its repetitions together: the outcome may differ from what the "
    "figures of one row say."
)
_LOADS = {
    "releases": "Modules wake up evenly, and each takes the whole upgrade: it connects, logs in, asks, is offered the "
    "upgrade, confirms, downloads, installs and reports.",
    "wakeups": "Modules wake up each at a moment of its own, uniformly over the time: each connects, logs in, asks for "
    "its plan and gets the notice. {taking} go back to sleep when their time awake is over.",
    "modules": "All modules wake up within two seconds, take the whole upgrade and stay connected.",
}


_REPEAT = (
    "Type it in this folder: scenario.yaml is the scenario as it was used, overrides included. Secrets come from the environment. "
    "fotasim verify . checks every file against SHA256SUMS and works the result out again from the steps."
)


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
    s = Found(found, manifest)
    target = found["cloud"] or "the simulated cloud alone"
    origin = origin_of(
        {
            "engine": "simulated cloud"
            if s.clouds == ["simulated"]
            else ", ".join(f"{NAMES[c]} cloud" for c in s.clouds),
            **manifest,
            "repeat": command(found),
        }
    )
    return Page(
        title=f"{found['scenario']}: {s.unit} its cloud sustains", kind="capacity",
        kicker="Capacity", lead=f"Searched for: the largest load that keeps {s.slo}.",
        facts=f"Cloud: {target} · fotasim {manifest['fotasim']} · seed {manifest['seed']}",
        verdict=_verdict(s), opening=[_tiles(s)],
        sections=[
            *evidence(s), *agreement(s), *afterwards(s), *levers(s), *at_capacity(s), Section("Every step", [*steps(s), Text(_OUTCOMES, hint=True)]),
            *generator(s), Section("What was assumed", _assumed(s)), origin_section(origin, "Repeat this search", _REPEAT),
        ],
        checks=_checks(s), properties=origin.rows(),
    )  # fmt: skip


# --- verdict ---------------------------------------------------------------------------------------------------------


def _verdict(s: Found) -> Verdict:
    main, found = s.main, s.found
    capacity, live = main["capacity"], s.clouds[0] == "live"
    blocks: list[Block] = []
    if capacity is None:
        blocks.append(Text(f"{main['reason'][0].upper()}{main['reason'][1:]}.", "No load was found."))
    else:
        who = f"The cloud at {found['cloud']} sustains" if live else "The simulated cloud sustains"
        said = f"{who} {capacity:,.0f} {s.unit} within {s.slo}: {main['reason']}."
        blocks.append(Text(said, "Measured:" if live else "Predicted:"))
    if found["need"] is not None:
        blocks.append(Text(_need(s), "Needed:"))
    if found["recommended"] is not None:
        blocks.append(Text(_recommendation(s), "Recommended:"))
    gave = main["first_to_give_way"]
    if gave:
        parts = "; ".join(dict.fromkeys(p["resource"] for p in gave))
        blocks.append(Text(f"{parts}, at {gave[0]['load']:,.0f} {s.unit}.", "First to give way:"))
    if not live:
        text = "No cloud was measured. The result is as accurate as the scenario's figures in cloud.capacity."
        blocks.append(Text(text, "Prediction only.", hint=True))
    return Verdict(_key(s), _word(s), blocks)


def _key(s: Found) -> Literal["go", "no-go", "marginal", "none", "partial"]:
    if not s.main["complete"]:
        return "partial"
    if _undecided(s):
        return "marginal"
    if s.found["met"] is False or s.main["capacity"] is None:
        return "no-go"
    return "go" if s.found["met"] or s.clouds[0] == "live" else "none"


def _word(s: Found) -> str:
    if not s.main["complete"]:
        return "Partial"
    if _undecided(s):
        return "Undecided"
    if s.found["met"] is not None:
        return "Sustained" if s.found["met"] else "Not sustained"
    return "None" if s.main["capacity"] is None else f"{s.main['capacity']:,.0f}"


def _undecided(s: Found) -> bool:
    """Whether the evidence does not say; folders of version 0.1 have no such answer."""
    return s.found.get("answer") == "undecided"


def _need(s: Found) -> str:
    """Whether the load that is needed was held, and what it leaves free."""
    need, capacity, headroom = s.found["need"], s.main["capacity"], s.found["headroom"]
    if _undecided(s):
        return f"{need:,.0f} {s.unit}: the evidence does not say whether the cloud sustains them."
    if not s.found["met"]:
        return f"{need:,.0f} {s.unit} exceed the cloud's capacity."
    free = 1.0 - need / capacity
    short = ", less than the head-room asked for" if free < headroom else ""
    return f"{need:,.0f} {s.unit} are sustained, which leaves {100 * free:.0f} % free{short}."


def _recommendation(s: Found) -> str:
    found = s.found
    text = f"{found['recommended']:,} {found['recommended_unit']}, which leaves {100 * found['headroom']:.0f} % free for other traffic, retries and a node that is down."
    if found["spread_s"] is not None:
        text += f" The scenario's {found['modules']:,} modules should spread their wake-ups over {show('duration', found['spread_s'])} or more."
    return text


def _tiles(s: Found) -> Tiles:
    tiles, difference = [], difference_of(s)
    for name in s.clouds:
        verdict = s.found[name]
        value = (
            f"{verdict['capacity']:,.0f}"
            if verdict["capacity"] is not None
            else "undecided"
            if _undecided(s)
            else "none"
        )
        note = f"{s.unit}, {'confirmed' if verdict['confirmed'] else 'not confirmed'}"
        if name != s.clouds[0] and difference is not None:
            note = f"{apart(difference)} the measurement"
        tiles.append(Tile(f"Capacity, {NAMES[name]}", value, note))
    if s.found["recommended"] is not None:
        tiles.append(Tile("Recommended", f"{s.found['recommended']:,}", s.found["recommended_unit"]))
    if s.held is not None and len(s.clouds) == 1:
        tiles.append(Tile("Held for", show("duration", s.held["hold_s"]), "within the objectives"))
    for part in s.main["first_to_give_way"][:1]:
        tiles.append(Tile("Broke at", f"{part['load']:,.0f}", part["resource"]))
    return Tiles(tiles)


# --- assumptions, repetition, checks ---------------------------------------------------------------------------------


def _assumed(s: Found) -> list[Block]:
    found = s.found
    share = found["taking"]
    taking = f"{show('share', share)} take the upgrade, the others" if share else "None takes the upgrade: they"
    points = [
        Text(_LOADS[found["what"]].format(taking=taking), "The load."),
        Text("The moments are set beforehand and do not wait for the cloud; latencies count from them. A cloud that stalls is charged for everything that was due meanwhile.", "Open loop."),
        Text("They fail for no reason of their own, and the plan's rate, groups and preconditions do not hold them back. What is left of the scenario: technologies, package, time awake.", "The modules."),
    ]  # fmt: skip
    if "live" in found:
        radio = "paced and delayed as the modelled radio would" if found["radio"] else "as fast as the network is"
        points.append(Text(f"Traffic {radio}; the modules' own waits are divided by {found['time_scale']:g}; {plural(found['workers'], 'process')} made the load.", "The measurement."))  # fmt: skip
    if "simulated" in found:
        a = found["assumed"]
        calibrated = found.get("calibration")
        if calibrated is not None:
            points.append(Text(
                f"A wave of {calibrated['modules']:,} modules waited {show('duration', calibrated['measured_wake_s'])} on the mean; with a "
                f"request_time of {show('duration', calibrated['request_time_s'])} the simulated one waits {show('duration', calibrated['simulated_wake_s'])}.",
                "Calibrated."))  # fmt: skip
        points.append(Text(
            f"{a['connections_per_s']:g} connections accepted per second; {plural(a['request_workers'], 'request')} at once, "
            f"{show('duration', a['request_time'])} each; {a['downloads']:,} downloads at once; "
            f"{show('bit_rate', a['egress'])} for all of them. These are the scenario's cloud.capacity.", "The simulated cloud."))  # fmt: skip
    return [Points(points)]


def command(found: dict[str, Any]) -> str:
    """The command that searches again, in the folder of the search."""
    bounds, live = found["bounds"], found["cloud"] is not None
    given: list[tuple[str, Any]] = [
        ("--slo", ", ".join(o["text"] for o in found["slo"])), ("--of", found["what"]), ("--start", bounds["start"]),
        ("--max", bounds["high"]), ("--precision", bounds["precision"]), ("--hold", f"{bounds['hold_s']:g}s"),
        ("--confirm", f"{bounds['confirm_s']:g}s"),
        ("--budget", f"{bounds['budget_s']:g}s" if "budget_s" in bounds else None), ("--headroom", found["headroom"]), ("--need", found["need"]),
        ("--taking", found["taking"] or None), ("--cloud", found["cloud"]),
    ]  # fmt: skip
    if live:
        cap = found["rate_cap_per_s"]
        given += [
            ("--time-scale", found["time_scale"]), ("--workers", found["workers"]), ("--plan", found["plan"]),
            *(("--allow", host) for host in found["allow"]), ("--rate-cap", None if cap is None else f"{cap:g}/s"),
        ]  # fmt: skip
    written = [
        shlex.join([name, f"{value:.10g}" if isinstance(value, float) else str(value)])
        for name, value in given if value is not None
    ]  # fmt: skip
    written += ["--radio"] if found["radio"] else []
    written += ["--no-predict"] if live and "simulated" not in found else []
    return " \\\n    ".join(["fotasim capacity scenario.yaml", *written])


def _checks(s: Found) -> list[Check]:
    main, suite, status = s.main, f"capacity, {NAMES[s.clouds[0]]}", _status(s)
    shown = "no load" if main["capacity"] is None else f"{main['capacity']:,.0f} {s.unit}"
    found = [("a largest load was found and held", main["confirmed"], f"{shown}: {main['reason']}")]
    for o in s.objectives:
        kind: Kind = "share" if o["percent"] is None else "duration"
        value = s.held["values"][o["text"]] if s.held is not None else None
        found.append((o["text"], s.held is not None, f"{show(kind, value)} at {shown}"))
    if s.found["need"] is not None:
        text = f"{shown}, {'confirmed' if main['confirmed'] else 'not confirmed'}"
        found.append((f"{s.found['need']:,.0f} {s.unit} are sustained", bool(s.found["met"]), text))
    void = [p for p in main["curve"] if p["void"]]
    text = f"{len(void)} of {len(main['curve'])} steps were void and repeated" if void else "no step was void"
    found.append(("the load generator was not the bottleneck", main["complete"], text))
    return [Check(name, suite, passed, said, status) for name, passed, said in found]


def _status(s: Found) -> ExitStatus:
    """What a check that did not hold ends a command with: what `fotasim capacity` ended with."""
    if not s.main["complete"]:
        return ExitStatus.INTERRUPTED if "interrupted" in s.main["reason"] else ExitStatus.RUN_FAILED
    return ExitStatus.UNDECIDED if _undecided(s) else ExitStatus.NO_GO


__all__ = ["capacity_page", "command", "page"]
