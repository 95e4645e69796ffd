"""The command capacity: the largest load a cloud bears within an SLO."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli.common import (
    GATES_NOT_MET,
    INTERRUPTED,
    RUN_FAILED,
    AsJson,
    Overrides,
    ScenarioPath,
    app,
    fail,
    load_scenario,
)
from sim.cli.live import Allowed, Certificates, PlanId, Radio, RateCap, Sources, UserName
from sim.cli.live import rate_of as _rate
from sim.cli.live import seconds as _seconds

if TYPE_CHECKING:
    from sim.load.capacity import Findings, Search
    from sim.load.search import Point

DEFAULT_SCALE = 60.0

Cloud = Annotated[
    str | None,
    typer.Option(envvar="FOTASIM_CLOUD", help="http(s)://… or mqtt(s)://… of the cloud; without it, prediction only."),
]
SloText = Annotated[str, typer.Option(help="What must be kept, like 'p99(notify)<2s, error_rate<0.1%'.")]
Of = Annotated[
    str, typer.Option(help="Load to search: releases (per minute), wakeups (per 10 min), modules (at once).")
]
Scale = Annotated[
    float | None, typer.Option(min=1.0, help="Shorten the modules' own waits; default 60, with --radio 1.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be sent, and send nothing.")]
MaxLoad = Annotated[float, typer.Option(min=1.0, help="Largest load to try.")]
MaxConnections = Annotated[int, typer.Option(min=1, help="Most modules at the same time.")]


@app.command()
def capacity(
    scenario: ScenarioPath,
    slo: SloText,
    cloud: Cloud = None,
    of: Of = "releases",
    start: Annotated[float, typer.Option(min=1.0, help="First load to try.")] = 60.0,
    most: Annotated[float, typer.Option("--max", min=1.0, help="Largest load to try.")] = 100_000.0,
    precision: Annotated[float, typer.Option(min=0.005, max=0.5, help="Share at which the search stops.")] = 0.05,
    hold: Annotated[str, typer.Option(help="How long each load is held.")] = "20s",
    confirm: Annotated[str, typer.Option(help="How long the result has to hold.")] = "60s",
    headroom: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share of the capacity left free.")] = 0.3,
    predict: Annotated[bool, typer.Option(help="Search the simulated cloud first.")] = True,
    time_scale: Scale = None,
    radio: Radio = False,
    source: Sources = [],  # noqa: B006 - typer copies it
    plan: PlanId = None,
    allow: Allowed = [],  # noqa: B006
    rate_cap: RateCap = None,
    max_connections: MaxConnections = 50_000,
    username: UserName = None,
    ca: Certificates = None,
    dry_run: DryRun = False,
    set_: Overrides = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Write the evidence here (JSON).")] = None,
    as_json: AsJson = False,
) -> None:
    """Find the largest load a cloud bears within an SLO; predict it on the simulated cloud first.

    Modules are made for the search and fail for no reason of their own; they wake up on a schedule that does not wait
    for the cloud, and latencies count from there. Ctrl-C ends the search and keeps what is known.
    """
    from sim.engines.live.engine import Settings
    from sim.engines.live.target import Limits
    from sim.load.capacity import KINDS, Search, find
    from sim.load.search import Bounds
    from sim.load.slo import parse

    loaded = load_scenario(scenario, set_)
    if of not in KINDS:
        fail(f"--of {of}: choose from {', '.join(KINDS)}")
    limits = Limits(tuple(allow), None if rate_cap is None else _rate("--rate-cap", rate_cap))
    scale = time_scale or (1.0 if radio else DEFAULT_SCALE)
    settings = Settings(
        time_scale=scale, sources=tuple(source), radio=radio, limits=limits, ca_file=None if ca is None else str(ca),
        username=username,
    )  # fmt: skip
    hold_s, confirm_s = _seconds("--hold", hold), _seconds("--confirm", confirm)
    kind = KINDS[of]
    top = _top(most, kind.per_s, max(hold_s, confirm_s), limits.rate_cap_per_s if cloud else None, max_connections)
    bounds = Bounds(min(start, top), 1.0, top, precision, hold_s, confirm_s)
    wanted = Search(kind, parse(slo), bounds, headroom, settings, plan)
    if dry_run:
        _dry(wanted, cloud, loaded)
        return
    found = find(loaded, wanted, cloud=cloud, predict=predict, tell=_teller(as_json))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(found.as_dict(), indent=1), encoding="utf-8")
    print(json.dumps(found.as_dict()) if as_json else "\n".join(found.lines()))
    raise typer.Exit(_status(found))


def _top(most: float, per_s: float | None, longest_s: float, cap_per_s: float | None, connections: int) -> float:
    """The largest load within the caps: each wake-up opens a connection, and all of a probe's may be open at once."""
    if per_s is None:
        return min(most, float(connections))
    top = min(most, connections / longest_s / per_s)
    return top if cap_per_s is None else min(top, cap_per_s / per_s)


def _status(found: Findings) -> int:
    """0 confirmed, 1 nothing keeps the SLO, 3 void by the generator, 130 interrupted."""
    verdict = found.verdict
    if not verdict.complete or any(not v.complete for v in found.verdicts.values()):
        return INTERRUPTED if "interrupted" in verdict.reason else RUN_FAILED
    return 0 if verdict.confirmed else GATES_NOT_MET


def _dry(wanted: Search, cloud: str | None, scenario: Any) -> None:
    """What a search would send, at most."""
    from sim.engines.plan import build_plan
    from sim.load.wave import wake_times

    bounds, kind = wanted.bounds, wanted.kind
    size = sum(c.size_bytes for c in build_plan(scenario).components)
    print(f"cloud: {cloud or 'the simulated one only'}")
    print(f"loads: from {bounds.start:,.0f} to at most {bounds.high:,.0f} {kind.unit}, each for {bounds.hold_s:g} s")
    for what, load in (("first", bounds.start), ("largest", bounds.high)):
        modules = len(wake_times(kind, load, bounds.hold_s))
        print(
            f"  {what} load: {modules:,} modules connect, log in and ask; each confirms, downloads "
            f"{size:,} bytes and reports about 7 statuses"
        )
    print(f"confirmation: {bounds.confirm_s:g} s at the result. Nothing was sent.")


def _teller(as_json: bool) -> Callable[[str, Point], None]:
    """One line for each load, or one JSON object with --json, on stderr."""

    def tell(where: str, point: Point) -> None:
        if as_json:
            row = {"cloud": where, "load": point.load, "phase": point.phase, "hold_s": point.hold_s, "kept": point.kept}
            row |= {"values": point.measured.values, "void": list(point.measured.void)}
            print(json.dumps(row), file=sys.stderr, flush=True)
            return
        word = "VOID" if point.measured.void else "kept" if point.kept else "broken"
        values = ", ".join(
            f"{t} is {'not measured' if v is None else f'{v:.4g}'}" for t, v in point.measured.values.items()
        )
        print(f"{where:<10}{point.phase:<8}{point.load:>10,.0f}  {word:<7} {values}", file=sys.stderr, flush=True)
        for text in (*point.measured.void, *point.measured.hints):
            print(f"{'':<20}{text}", file=sys.stderr, flush=True)

    return tell
