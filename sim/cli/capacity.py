"""The command capacity: the largest load a cloud sustains within an SLO."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli.common import (
    AsJson,
    Overrides,
    Overwrite,
    ScenarioPath,
    app,
    check_output,
    command_line,
    fail,
    load_scenario,
    needs_extra,
)
from sim.cli.live import Allowed, Certificates, PlanId, Radio, RateCap, Sources, UserName
from sim.cli.live import rate_of as _rate
from sim.cli.live import seconds as _seconds
from sim.cli.metrics import Otlp, Progress, Prometheus, watching
from sim.cli.report import Formats, formats_of
from sim.exit_status import ExitStatus
from sim.units import show_duration

if TYPE_CHECKING:
    from sim.engines.live.live_engine import Settings
    from sim.engines.live.slo import Slo
    from sim.load.capacity.findings import Findings, Search
    from sim.load.capacity.search import Bounds, Point
    from sim.load.capacity.wake_ups import Kind

DEFAULT_SCALE = 60.0
STATUS = {"kept": ExitStatus.GO, "broken": ExitStatus.NO_GO, "undecided": ExitStatus.UNDECIDED}
"""The exit status of an answer."""
BUDGET = 10.0
"""Confirmation times that a load may be held in all until it is decided."""

Cloud = Annotated[
    str | None,
    typer.Option(envvar="FOTASIM_CLOUD", help="http(s)://… or mqtt(s)://… of the cloud; without it, prediction only."),
]
SloText = Annotated[
    str | None,
    typer.Option(help="What must be kept, like 'p99(wake)<2s, error_rate<0.1%'; default: see `docs/capacity.md`."),
]
Of = Annotated[
    str, typer.Option(help="Load to search: releases (per minute), wakeups (per 10 min), modules (at once).")
]
Scale = Annotated[
    float | None,
    typer.Option(min=1.0, help="Shorten the modules' own waits; default 60; 1 for wakeups and with --radio."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be sent, and send nothing.")]
MaxLoad = Annotated[
    float | None, typer.Option("--max", min=1.0, help="Largest load to try; default 100,000, of wakeups a million.")
]
MaxConnections = Annotated[int, typer.Option(min=1, help="Most modules at the same time.")]
Need = Annotated[float | None, typer.Option(min=1.0, help="Load the cloud must sustain; the exit status answers.")]
Taking = Annotated[float, typer.Option(min=0.0, max=1.0, help="Of wakeups: share that takes the upgrade.")]
First = Annotated[float | None, typer.Option(min=1.0, help="First load to try; default --need, or a small one.")]
Headroom = Annotated[float, typer.Option(min=0.0, max=0.9, help="Share of the capacity left free.")]
Precision = Annotated[float, typer.Option(min=0.005, max=0.5, help="Share at which the search stops.")]
Beyond = Annotated[
    str | None, typer.Option(help="Then offer this much of the capacity, such as 150%, and time the recovery.")
]
Outage = Annotated[
    str | None, typer.Option(help="Then take all connections away for this long, such as 15min, and watch them return.")
]
OutageModules = Annotated[int | None, typer.Option(min=1, help="Modules of the outage; default the scenario's fleet.")]
Calibrate = Annotated[
    bool, typer.Option("--calibrate", help="Fit cloud.capacity.request_time to a small measured wave, then predict.")
]
Compare = Annotated[Path | None, typer.Option(help="Folder of an earlier search to compare with.")]
Workers = Annotated[int, typer.Option(min=1, max=256, help="Worker processes that make the load of a real cloud.")]


@app.command()
@needs_extra("load")
def capacity(
    scenario: ScenarioPath, slo: SloText = None, cloud: Cloud = None, of: Of = "releases", need: Need = None,
    start: First = None, most: MaxLoad = None, precision: Precision = 0.05,
    hold: Annotated[str, typer.Option(help="How long each load is held.")] = "20s",
    confirm: Annotated[str, typer.Option(help="How long the result has to hold.")] = "60s",
    budget: Annotated[
        str | None, typer.Option(help="Most time to hold a load until it is decided; default ten times --confirm.")
    ] = None,
    headroom: Headroom = 0.3, taking: Taking = 0.0,
    predict: Annotated[bool, typer.Option(help="Search the simulated cloud first.")] = True,
    workers: Workers = 1, time_scale: Scale = None, radio: Radio = False,
    source: Sources = [],  # noqa: B006 - typer copies it
    plan: PlanId = None,
    allow: Allowed = [],  # noqa: B006
    rate_cap: RateCap = None, max_connections: MaxConnections = 50_000, username: UserName = None,
    ca: Certificates = None, dry_run: DryRun = False, prometheus: Prometheus = None, otlp: Otlp = None,
    progress: Progress = None,
    beyond: Beyond = None, outage: Outage = None, outage_modules: OutageModules = None, calibrate: Calibrate = False,
    compare: Compare = None,
    set_: Overrides = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Run folder; default reports/NAME-capacity-OF.")] = None,
    overwrite: Overwrite = False,
    format_: Formats = "html", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Find the largest load a cloud sustains within an SLO; predict it on the simulated cloud first.

    Modules are made for the search and fail for no reason of their own; they wake up on a schedule that does not wait
    for the cloud, and latencies count from there. Leaves a run folder with its report. Ctrl-C ends the search and keeps
    what is known.
    """
    from sim.engines.live.live_engine import Settings
    from sim.engines.live.live_target import Limits
    from sim.load.capacity.findings import KINDS, Search, find
    from sim.load.capacity.previous import read

    loaded = load_scenario(scenario, set_)
    if of not in KINDS:
        fail(f"--of {of}: choose from {', '.join(KINDS)}")
    kind, formats = KINDS[of], formats_of(format_)
    limits = Limits(tuple(allow), None if rate_cap is None else _rate("--rate-cap", rate_cap))
    settings = Settings(
        time_scale=time_scale or (1.0 if radio or not kind.decided else DEFAULT_SCALE), sources=tuple(source),
        radio=radio, limits=limits, ca_file=None if ca is None else str(ca), username=username,
    )  # fmt: skip
    bounds = _bounds(kind, settings, cloud, (hold, confirm, budget), (start, need, most), precision, max_connections)
    wanted = Search(
        kind, _objectives(slo, kind, settings, cloud), bounds, headroom, settings, plan, taking, need, workers,
        _factor(beyond, kind), None if outage is None else _seconds("--outage", outage),
        min(outage_modules or loaded.fleet.size, max_connections), calibrate,
    )  # fmt: skip
    _check_afterwards(wanted, loaded, cloud, predict=predict)
    earlier = None if compare is None else read(compare)
    if dry_run:
        _dry(wanted, cloud, loaded)
        return
    folder = check_output(out or Path("reports") / f"{loaded.name}-capacity-{of}", "capacity", overwrite=overwrite)
    with watching(prometheus, otlp, progress, quiet=True) as watch:
        found = find(loaded, wanted, cloud=cloud, predict=predict, tell=_teller(as_json, bounds), watch=watch)
    _end(found, folder, formats, as_json, earlier, overwrite=overwrite)


def _bounds(
    kind: Kind, settings: Settings, cloud: str | None, times: tuple[str, str, str | None],
    loads: tuple[float | None, float | None, float | None], precision: float, max_connections: int,
) -> Bounds:  # fmt: skip
    """Where the search moves: hold, confirmation and budget as written; the first, the needed and the largest load."""
    from sim.load.capacity.search import Bounds

    (hold, confirm, budget), (start, need, most) = times, loads
    hold_s, confirm_s = _seconds("--hold", hold), _seconds("--confirm", confirm)
    top = most or kind.most
    if cloud is not None:
        top = _top(top, kind.per_s, max(hold_s, confirm_s), settings.limits.rate_cap_per_s, max_connections)
    if need is not None and need > top:
        fail(f"--need {need:g}: the search goes up to {top:,.0f} (--max, --rate-cap, --max-connections)")
    budget_s = BUDGET * confirm_s if budget is None else _seconds("--budget", budget)
    return Bounds(min(start or need or kind.start, top), 1.0, top, precision, hold_s, confirm_s, budget_s)


def _factor(text: str | None, kind: Kind) -> float | None:
    """How many times the capacity --beyond offers."""
    if text is None:
        return None
    if kind.per_s is None:
        fail("--beyond: of modules at once there is no rate to go beyond; use it with releases or wakeups")
    try:
        factor = float(text.removesuffix("%")) / 100.0 if text.endswith("%") else nan
    except ValueError:
        factor = nan
    if not 1.0 < factor <= 10.0:
        fail(f"--beyond {text}: more than 100% and at most 1000% of the capacity, such as 150%")
    return factor


def _check_afterwards(wanted: Search, scenario: Any, cloud: str | None, *, predict: bool) -> None:
    """Ends the command where what comes beside the search cannot be done."""
    if wanted.outage_s is not None and scenario.cloud.behaviour.polls is not None:
        fail("--outage: modules that poll keep no connection that could be lost; they come back with their next poll")
    if wanted.calibrate and (cloud is None or not predict):
        fail("--calibrate fits the prediction to a real cloud: it needs --cloud, and no --no-predict")
    if wanted.calibrate and not wanted.slo.needs_answers:
        fail("--calibrate measures how long modules wait for their notice; a broker alone gives none")


def _objectives(text: str | None, kind: Kind, settings: Settings, cloud: str | None) -> Slo:
    """The SLO that is searched for; what is added to the user's is said."""
    from sim.engines.live.slo import completed, parse
    from sim.load.capacity.wake_ups import default_slo

    broker = cloud is not None and cloud.startswith("mqtt")
    default = parse(default_slo(kind, settings.time_scale > 1.0, broker=broker))
    wanted = default if text is None else parse(text)
    if wanted.groups:
        fail(f"--slo: group {wanted.groups[0]!r}: capacity judges the fleet as a whole; fotasim live takes groups")
    slo, added = completed(wanted, default, kind.span)
    if text is None:
        print(f"SLO: {', '.join(o.text for o in slo.objectives)}", file=sys.stderr)
    elif added:
        print(f"added to the SLO: {', '.join(added)}", file=sys.stderr)
    return slo


def _end(
    found: Findings, out: Path, formats: list[str], as_json: bool, earlier: dict[str, Any] | None, *, overwrite: bool
) -> None:  # fmt: skip
    """Writes the folder with its report, says what was found, ends with its status."""
    from sim.load.capacity.findings import save
    from sim.load.capacity.previous import changes
    from sim.report.formats.write import write_formats
    from sim.report.pages.capacity_page import page

    compared = [] if earlier is None else changes(found.as_dict(), earlier)
    written = write_formats(page(save(found, out, overwrite=overwrite, command=command_line())), out, formats)
    if as_json:
        print(json.dumps({**found.as_dict(), **({"changes": compared} if compared else {})}))
    else:
        print("\n".join([*found.lines(), *compared, *(f"page: {path}" for path in written)]))
    status = _status(found)
    if status:
        raise typer.Exit(status)


def _top(most: float, per_s: float | None, longest_s: float, cap_per_s: float | None, connections: int) -> float:
    """The largest load within the caps: each wake-up opens a connection, and all of a probe's may be open at once."""
    if per_s is None:
        return min(most, float(connections))
    top = min(most, round(connections / (longest_s * per_s), 6))
    return top if cap_per_s is None else min(top, cap_per_s / per_s)


def _status(found: Findings) -> int:
    """0 sustained, 1 not, 3 void by the generator, 4 undecided, 130 interrupted."""
    verdict = found.verdict
    if not verdict.complete or any(not v.complete for v in found.verdicts.values()):
        return ExitStatus.INTERRUPTED if "interrupted" in verdict.reason else ExitStatus.RUN_FAILED
    return STATUS[found.answer]


def _dry(wanted: Search, cloud: str | None, scenario: Any) -> None:
    """What a search would send, at most."""
    from sim.engines.world.plan_settings import build_plan
    from sim.load.capacity.time_needed import needed_s
    from sim.load.capacity.wake_ups import takes_upgrade, wake_times

    bounds, kind = wanted.bounds, wanted.kind
    size = sum(c.size_bytes for c in build_plan(scenario).components)
    print(f"cloud: {cloud or 'the simulated one only'}")
    print(f"loads: from {bounds.start:,.0f} to at most {bounds.high:,.0f} {kind.unit}, each for {bounds.hold_s:g} s")
    for what, load in (("first", bounds.start), ("largest", bounds.high)):
        modules = len(wake_times(kind, load, bounds.hold_s))
        takers = int(takes_upgrade(kind, modules, wanted.taking).sum())
        print(
            f"  {what} load: {modules:,} modules connect, log in and ask; {takers:,} of them confirm, download "
            f"{size:,} bytes and report about 7 statuses"
        )
    if cloud is not None:
        print(f"generator: {wanted.workers} process(es)")
        least_s, most_s = (sum(times) for times in zip(needed_s(bounds), *_afterwards_s(wanted, scenario), strict=True))
        print(f"time: {show_duration(least_s)} at least, {show_duration(most_s)} at most")
    print(f"confirmation: {bounds.confirm_s:g} s at the result. Nothing was sent.")


def _afterwards_s(wanted: Search, scenario: Any) -> Iterator[tuple[float, float]]:
    """How long each part that comes after the search takes, seconds, at least and at most."""
    from sim.load.capacity.beyond import Overload
    from sim.load.capacity.findings import ramp_before_outage
    from sim.load.capacity.outage import planned

    if wanted.beyond is not None:
        overload_s = Overload(1.0, wanted.beyond, wanted.bounds.hold_s).whole_s
        yield overload_s, overload_s
    if wanted.outage_s is not None:
        ramp_per_s = ramp_before_outage(wanted.kind, wanted.bounds.start)
        outage = planned(scenario, wanted.outage_modules, wanted.outage_s, ramp_per_s)
        yield outage.whole_s - outage.watch_s, outage.whole_s


def _teller(as_json: bool, bounds: Bounds) -> Callable[[str, Point], None]:
    """One line for each load, or one JSON object with --json, on stderr; of a real cloud with the time that is left."""
    from sim.load.capacity.time_needed import needed_s

    points: list[Point] = []

    def tell(where: str, point: Point) -> None:
        if where == "live":
            points.append(point)
        least_s, most_s = needed_s(bounds, points)
        if as_json:
            row = {"cloud": where, "load": point.load, "phase": point.phase, "hold_s": point.hold_s, "kept": point.kept}
            row |= {
                "answer": str(point.answer), "broken": list(point.broken), "open": list(point.open),
                "values": point.measured.values, "void": list(point.measured.void),
            }  # fmt: skip
            row |= {"left_s": [round(least_s), round(most_s)]} if where == "live" else {}
            print(json.dumps(row), file=sys.stderr, flush=True)
            return
        word = "VOID" if point.measured.void else "broken" if point.broken else "kept"
        if point.phase == "confirm" and not point.measured.void:
            word = str(point.answer)
        values = ", ".join(
            f"{t} is {'not measured' if v is None else f'{v:.4g}'}" for t, v in point.measured.values.items()
        )
        print(f"{where:<10}{point.phase:<8}{point.load:>10,.0f}  {word:<9} {values}", file=sys.stderr, flush=True)
        for text in (*point.measured.void, *point.measured.faults, *point.measured.hints):
            print(f"{'':<20}{text}", file=sys.stderr, flush=True)
        if where == "live" and most_s > 0.0:
            print(f"{'':<20}left: {show_duration(least_s)} to {show_duration(most_s)}", file=sys.stderr, flush=True)

    return tell
