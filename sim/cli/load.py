"""The command load: a fleet under Locust, with its web UI or without, on one machine or many."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from sim.cli.common import (
    AsJson,
    MarginalAs,
    MarginalOption,
    Overrides,
    Overwrite,
    ScenarioPath,
    app,
    check_output,
    command_line,
    fail,
    load_scenario,
    needs_extra,
    say,
    with_options,
)
from sim.cli.live import (
    AbortOnFailure,
    Allowed,
    Certificates,
    CloudUrl,
    Modules,
    Radio,
    RateCap,
    SloOption,
    Sources,
    TimeScale,
    UserName,
    check_user_name,
    rate_of,
    seconds,
    slo_of,
)
from sim.cli.metrics import Otlp, Progress, Prometheus, watching
from sim.cli.signals import held
from sim.errors import RecordsError
from sim.exit_status import ExitStatus

if TYPE_CHECKING:
    from sim.engines.live.live_engine import Settings

Workers = Annotated[int, typer.Option(min=0, max=256, help="Workers on this machine; 0 waits for others.")]
Headless = Annotated[bool, typer.Option("--headless", help="Begin at once, without the web UI.")]
Users = Annotated[int | None, typer.Option(min=1, help="Modules that run; default: all of the scenario.")]
Shape = Annotated[
    str,
    typer.Option(
        help="When modules begin: ramp, check-in (each at its own), waves (as the plan reaches them), step, spike, soak, replay."
    ),
]
Steps = Annotated[int, typer.Option(min=1, help="Steps of the shape step.")]
Arrivals = Annotated[
    Path | None,
    typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Arrival times of the shape replay, one a line."),
]
Ramp = Annotated[str, typer.Option(help="Modules that begin per second; with a shape: at most.")]
Duration = Annotated[str | None, typer.Option(help="End after this time.")]
WebPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of Locust's web UI.")]
Bind = Annotated[str, typer.Option(help="Address the master listens on for workers.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port the master listens on for workers.")]
Master = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Join this master as a worker.")]
Of = Annotated[int | None, typer.Option(min=1, help="Workers there are in all; default: what the master expects.")]
MaxConnections = Annotated[int, typer.Option(min=1, help="Most modules at the same time, all workers together.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be sent, and send nothing.")]
Compare = Annotated[Path | None, typer.Option(help="Folder of an earlier load run to compare with.")]
OutFolder = Annotated[Path | None, typer.Option(help="Folder of the reports; default reports/NAME-load.")]


@app.command("load")
def load_(
    scenario: ScenarioPath, cloud: CloudUrl = None, workers: Workers = 1, headless: Headless = False, users: Users = None,
    shape: Shape = "ramp", steps: Steps = 5, arrivals: Arrivals = None, ramp: Ramp = "100/s", duration: Duration = None,
    web_port: WebPort = 8089, bind: Bind = "127.0.0.1", port: Port = 5557, master: Master = None, of: Of = None,
    modules: Modules = None, time_scale: TimeScale = 1.0, radio: Radio = False,
    source: Sources = [],  # noqa: B006 - typer copies it
    allow: Allowed = [],  # noqa: B006
    rate_cap: RateCap = None, max_connections: MaxConnections = 50_000, username: UserName = None, ca: Certificates = None,
    slo: SloOption = None, abort_on_failure: AbortOnFailure = False, dry_run: DryRun = False, prometheus: Prometheus = None,
    otlp: Otlp = None, progress: Progress = None, compare: Compare = None,
    set_: Overrides = [],  # noqa: B006
    out: OutFolder = None, overwrite: Overwrite = False, marginal_as: MarginalOption = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Put a scenario's modules under Locust: its web UI, its distribution, its reports, the live engine's speed.

    Starts a Locust master and native workers. `--master` joins one elsewhere instead; any Locust 2 master will do that
    runs the locustfile of this package. Ctrl-C stops all load, then the modules disconnect one by one; a second one kills.
    """
    launch, loaded = _launch(), load_scenario(scenario, with_options(set_, None, modules))
    cloud, watched = _given(cloud or loaded.cloud.url), (prometheus, otlp, progress)
    settings = replace(_settings(time_scale, source, radio, allow, rate_cap, ca, username), slo=slo_of(slo, loaded))
    if master is not None:
        _join(launch, loaded, cloud, settings, (master, of, max_connections), shape, watched)
        return
    lasts_s = None if duration is None else seconds("--duration", duration)
    start = launch.Start(
        _users(loaded, users, max_connections), rate_of("--ramp", ramp), lasts_s, workers, headless, web_port, bind, port,
        _curve(loaded, shape, time_scale, (lasts_s, steps, arrivals)), slo, abort_on_failure,
    )  # fmt: skip
    if dry_run:
        _dry(loaded, cloud, settings, start, shape)
        return
    earlier = _earlier(compare)
    folder = _room(out or Path("reports") / f"{loaded.name}-load", overwrite, loaded, cloud, settings)
    with watching(*watched, quiet=as_json) as watch:
        found = launch.launch(start, _worker_command(scenario, start), folder, watch)
    _end(folder, loaded, found, start, (as_json, marginal_as, earlier), cloud=cloud, shape=shape, time_scale=time_scale)


def _end(
    folder: Path, loaded: Any, found: dict[str, Any], start: Any, how: tuple[bool, MarginalAs | None, Any], **given: Any
) -> NoReturn:
    """Writes the page, says what was found and what changed since an earlier run, ends with the status of the verdict."""
    as_json, marginal_as, earlier = how
    changed: list[str] = []
    with held(f"{folder}"):
        try:
            page = _page(folder, loaded, found, start, **given)
            changed = _changed(folder, earlier)
        except (OSError, RecordsError):  # a full disk, say: what was found is at least told
            _tell(found, None, [], as_json)
            raise
        _tell(found, page, changed, as_json)
    raise typer.Exit(_exit_status(found, marginal_as))


def _earlier(folder: Path | None) -> Any:
    """The run to compare with, read before anything is sent."""
    from sim.load.previous_load import read

    return None if folder is None else read(folder)


def _changed(folder: Path, earlier: Any) -> list[str]:
    """What changed since an earlier run; nothing where none was named."""
    from sim.load.previous_load import changes, read

    return [] if earlier is None else changes(read(folder), earlier)


def _room(folder: Path, overwrite: bool, loaded: Any, cloud: str, settings: Settings) -> Path:
    """The folder, emptied once the cloud is found: Locust writes into it from the beginning."""
    from sim.records import clear

    check_output(folder, "load", overwrite=overwrite)
    _check(loaded, cloud, settings)
    clear(folder, "load", overwrite=overwrite)
    return folder


def _page(folder: Path, loaded: Any, found: dict[str, Any], start: Any, **how: Any) -> Path:
    """Makes the folder whole: manifest, scenario, page. Gives the page."""
    from sim.load.load_folder import save_load

    return save_load(
        folder, loaded, found, command=command_line(), users=start.users, workers=start.workers, ramp_per_s=start.ramp_per_s,
        duration_s=start.duration_s, slo=start.slo, **how,
    )  # fmt: skip


def _given(cloud: str | None) -> str:
    return cloud or fail("--cloud: a cloud's URL is needed, http(s)://… or mqtt(s)://…")


def _exit_status(found: dict[str, Any], marginal_as: str | None) -> int:
    """That of the verdict; of the signal where one ended the run, see entry."""
    from sim.report.model.load_verdict import decision_of

    return decision_of(found).exit_status(marginal_as or "")


def _users(loaded: Any, users: int | None, max_connections: int) -> int:
    from sim.scenario.fleet_files import fleet_size

    size = fleet_size(loaded)
    if users is not None and users > size:
        fail(f"--users {users:,}: the scenario has {size:,} modules; --modules {users} makes it larger")
    return min(users or size, max_connections)


def _curve(
    loaded: Any, shape: str, time_scale: float, course: tuple[float | None, int, Path | None]
) -> Any:  # fmt: skip
    """When the modules of the whole fleet begin; Locust's own ramp needs none."""
    from sim.load.load_shape import SHAPES, Course, curve

    if shape not in SHAPES:
        fail(f"--shape {shape}: choose from {', '.join(SHAPES)}")
    if course[2] is not None and shape != "replay":
        fail(f"--arrivals: of the shape replay, not of {shape}")
    return None if shape == "ramp" else curve(loaded, shape, time_scale, Course(*course))


def _check(loaded: Any, cloud: str, settings: Settings) -> None:
    """FotasimError for a cloud that may not or cannot be reached."""
    import asyncio

    from sim.engines.live.live_cloud import find_target

    asyncio.run(find_target(cloud, settings, None, loaded))


def _launch() -> Any:
    with needs_extra("load"):
        from sim.load.locust_workers import launch
    return launch


def _settings(
    time_scale: float, source: list[str], radio: bool, allow: list[str], rate_cap: str | None, ca: Path | None,
    username: str | None,
) -> Settings:  # fmt: skip
    from sim.engines.live.live_engine import Settings
    from sim.engines.live.live_target import Limits

    limits = Limits(tuple(allow), None if rate_cap is None else rate_of("--rate-cap", rate_cap))
    check_user_name(username)
    return Settings(
        time_scale=time_scale, sources=tuple(source), radio=radio, limits=limits,
        ca_file=None if ca is None else str(ca), username=username,
    )  # fmt: skip


def _join(
    launch: Any, scenario: Any, cloud: str, settings: Settings, where: tuple[str, int | None, int], shape: str,
    watched: tuple[int | None, str | None, Path | None],
) -> None:  # fmt: skip
    """Becomes a worker; its part of the caps is known when it is known how many there are."""
    master, of, most = where
    host, _, port = master.rpartition(":")
    if not host or not port.isdigit():
        fail(f"--master {master}: HOST:PORT is needed")
    if settings.limits.rate_cap_per_s is not None and of is None:
        fail("--rate-cap of a worker needs --of: how many workers share it")
    settings, most = launch.share(settings, most, of or 1)
    with watching(*watched, quiet=True) as watch:
        try:
            launch.join(
                scenario, cloud, settings, (host.strip("[]"), int(port)), of=of, most=most, watch=watch, shape=shape
            )
        except KeyboardInterrupt:
            say("this worker has left; its report is with the master")
            raise typer.Exit(ExitStatus.INTERRUPTED) from None


def _worker_command(scenario: Path, start: Any) -> list[str]:
    """The command of a worker: this one again, with what concerns workers."""
    master = f"{start.bind}:{start.port}"
    given = sys.argv[sys.argv.index("load") + 1 :] if "load" in sys.argv else [str(scenario)]
    kept, skip = [], False
    for argument in given:
        name, _, value = argument.partition("=")
        if skip or name in _MASTERS_FLAGS:
            skip = False
        elif name in _MASTERS:
            skip = not value
        else:
            kept.append(argument)
    return [sys.executable, "-m", "sim.cli", "load", *kept, "--master", master, "--of", str(start.workers)]


_MASTERS_FLAGS = ("--headless", "--json", "--abort-on-failure")
_MASTERS = (
    "--workers", "--users", "--ramp", "--duration", "--web-port", "--bind", "--port", "--out", "--prometheus", "--otlp",
    "--progress", "--marginal-as", "--steps", "--arrivals", "--compare",
)  # fmt: skip
"""Options that concern the master alone."""


def _dry(scenario: Any, cloud: str, settings: Settings, start: Any, shape: str) -> None:
    """What a run would send."""
    from sim.engines.world.plan_settings import build_plan

    size = sum(component.size_bytes for component in build_plan(scenario).components)
    cap = settings.limits.rate_cap_per_s
    print(f"cloud: {cloud}")
    print(f"{start.users:,} modules, {_begin_words(start, shape)}; each connects, logs in and asks")
    print(f"each that is offered the upgrade confirms, downloads {size:,} bytes and reports about 7 statuses")
    print(f"in all at most {start.users * size / 1e6:,.1f} MB of downloads")
    print(_estimate_words(scenario, settings, start))
    print(f"cap: {'none' if cap is None else f'{cap:g} connections and {cap:g} messages a second'}. Nothing was sent.")


def _estimate_words(scenario: Any, settings: Settings, start: Any) -> str:
    """How long a run takes and what it asks of the cloud, by a simulation of the scenario."""
    from sim.load.estimate import estimate
    from sim.units import show_duration

    found = estimate(scenario, start.users, _last_begins_s(start), settings.time_scale)
    end = "" if start.duration_s is None else f", ended after {show_duration(start.duration_s)} by --duration"
    return (
        f"estimated by simulation: {show_duration(found.total_s)} until 95 % of those that upgrade have{end}; about "
        f"{found.connects:,} connections and {found.requests:,} messages and requests"
    )


def _last_begins_s(start: Any) -> float:
    """When the last module begins, seconds after the start."""
    if start.curve is None:
        return float((start.users - 1) / start.ramp_per_s)
    return float(start.curve.of(start.users, start.ramp_per_s).begins_s[-1])


def _begin_words(start: Any, shape: str) -> str:
    """When the modules begin, as text."""
    if start.curve is None:
        return f"{start.ramp_per_s:g}/s begin"
    begins_s = start.curve.of(start.users, start.ramp_per_s).begins_s
    half, last = begins_s[(len(begins_s) - 1) // 2], begins_s[-1]
    return (
        f"shape {shape}, at most {start.ramp_per_s:g}/s: the first begins after {begins_s[0]:,.1f} s, half have begun "
        f"after {half:,.1f} s, all after {last:,.1f} s"
    )


def _verdict_lines(found: dict[str, Any]) -> Iterator[str]:
    """The verdict with its reasons."""
    from sim.report.model.load_verdict import decision_of
    from sim.report.model.verdict_words import tell
    from sim.stats.verdict import Why

    decision = decision_of(found)
    if decision.reasons[0].why is Why.NO_GATES:
        yield "Measured: no step failed more often than tolerated; nothing else was judged, without --slo"
        return
    told = tell(decision)
    yield f"{told.word}: {told.headline}"
    for text in told.reasons:
        yield f"  {text}"


def _tell(found: dict[str, Any], page: Path | None, changed: list[str], as_json: bool) -> None:
    from sim.engines.live.reconciliation import from_dict

    if as_json:
        legs = {leg: {k: v for k, v in row.items() if k != "hdr"} for leg, row in found["legs"].items()}
        workers = {name: {k: v for k, v in w.items() if k != "legs"} for name, w in found["workers"].items()}
        print(json.dumps({**found, "legs": legs, "workers": workers, **({"changes": changed} if changed else {})}))
        return
    for leg, row in found["legs"].items():
        if row["count"] or row["failures"]:
            shown = "  ".join(f"{p} {1000 * row[f'{p}_s']:9,.1f} ms" for p in ("p50", "p95", "p99") if row["count"])
            print(f"  {leg:<10}{row['count']:>9,}  {shown}")
            for reason, count in row["failures"].items():
                print(f"  {'':<10}{count:>9,}  of {row['tries']:,} failed: {reason}")
    for name, worker in found["workers"].items():
        print(f"  worker {name}: {worker['users']:,} modules, {'ended' if worker['final'] else 'WENT MISSING'}")
    if not found["workers"]:
        print("  no load was run")
    for line in from_dict(found["reconciliation"]).lines():
        print(line)
    if found["interrupted"]:
        print("  INTERRUPTED: this run is partial")
    if found["aborted"]:
        print(f"  ENDED EARLY, broken: {', '.join(found['aborted'])}")
    for line in (*_verdict_lines(found), *changed):
        print(line)
    if page is not None:
        print(f"report: {page}")
    for fault in found["faults"]:
        print(f"fotasim: {fault}", file=sys.stderr)
