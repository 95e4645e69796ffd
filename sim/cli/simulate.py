"""The commands around one simulated rollout: run, validate, schema, trace."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from sim.cli.common import (
    KEPT,
    AllowPlugins,
    AsJson,
    MarginalOption,
    Overrides,
    Overwrite,
    ScenarioPath,
    SignKey,
    app,
    check_output,
    command_line,
    end_as,
    fail,
    load_scenario,
    outcome_lines,
    progress,
    say,
    sign_folder,
    verdict_lines,
    with_options,
)
from sim.units import show_duration


@app.command()
def run(
    scenario: ScenarioPath,
    set_: Overrides = [],  # noqa: B006 - typer copies it
    seed: Annotated[int | None, typer.Option(help="Seed, instead of the scenario's.")] = None,
    modules: Annotated[int | None, typer.Option(min=1, help="Fleet size, instead of the scenario's.")] = None,
    replications: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Independent campaigns; default 1.")
    ] = None,
    until: Annotated[
        list[str],
        typer.Option(
            "--until",
            metavar="METRIC[=HALF-WIDTH]",
            help="Repeat until the metric's interval is narrow: success_rate=0.005, duration_p50=2%, duration_p95=2h.",
        ),
    ] = [],  # noqa: B006
    most: Annotated[int, typer.Option("--max-replications", min=20, max=10_000, help="Cap for --until.")] = 200,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes for replications; default all cores.")] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Dask scheduler that runs the replications, such as tcp://host:8786.")
    ] = None,
    engine: Annotated[str, typer.Option(help="auto, compiled or simpy (the reference).")] = "auto",
    events: Annotated[bool, typer.Option("--events", help="Record every event.")] = False,
    events_of: Annotated[
        str | None,
        typer.Option(metavar="SAMPLE", help="Record the events of a sample of modules only: 1000, or 1%."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default reports/NAME-SEED.")] = None,
    overwrite: Overwrite = False,
    sign: SignKey = None,
    allow_plugins: AllowPlugins = False,  # noqa: ARG001 - its callback has done it
    marginal_as: MarginalOption = None,
    as_json: AsJson = False,
) -> None:
    """Simulate a rollout in virtual time; leave a run folder and its report."""
    from sim.engines.run import ENGINES, write
    from sim.plugins import load

    if engine not in ENGINES:
        fail(f"--engine {engine}: choose one of {', '.join(ENGINES)}")
    _check_sample(events_of)
    loaded = load_scenario(scenario, with_options(set_, seed, modules), plugins=True)
    load(loaded.plugins)  # what is wrong with one is told before anything runs
    target = out or Path("reports") / f"{loaded.name}-{loaded.seed}"
    check_output(target, "run", overwrite=overwrite, sign=sign)
    repeated = until or (replications or 1) > 1
    if repeated and (events or events_of):
        fail("--events belongs to a single campaign, without --replications and --until")
    began = time.perf_counter()
    if repeated:
        outcome = _replicated(loaded, replications, until, most, engine, workers, cluster, as_json)
    else:
        outcome = _simulated(loaded, engine, events_of or events, as_json)
    folder, summary = write(outcome, target, overwrite=overwrite, command=command_line()), outcome.summary
    took_s = time.perf_counter() - began
    KEPT.append(folder)
    del outcome  # the report needs the memory
    page, report = _report(folder, sign)
    _tell(summary, report, page, took_s, as_json)
    end_as(report, marginal_as)


def _simulated(scenario: Any, engine: str, events: bool | str, as_json: bool) -> Any:
    """The outcome of a single campaign, with a bar while it runs."""
    from sim.engines.run import simulate

    with progress(as_json) as bar:
        task = bar.add_task(scenario.name, total=1.0)
        return simulate(
            scenario, engine=engine, events=events, tell=say, progress=lambda share: bar.update(task, completed=share)
        )


def _check_sample(asked: str | None) -> None:
    """A sample that is none is wrong use, told before anything runs."""
    from sim.engines.recording.event_sample import size_of
    from sim.errors import FotasimError

    if asked is None:
        return
    try:
        size_of(asked, 1)
    except FotasimError as error:
        fail(f"--events-of: {error}")


def _report(folder: Path, sign: Path | None) -> tuple[Path, Any]:
    """Writes the page of a run into its folder, and signs it where a key was given; the page and the report it shows."""
    from sim import archive
    from sim.records import Run
    from sim.report.formats.html_page import render
    from sim.report.model.run_report import build
    from sim.report.pages.run_page import run_page

    loaded = Run.load(folder)
    report, page = build(loaded), folder / "report.html"
    page.write_text(render(run_page(report, loaded)), encoding="utf-8")
    archive.add(folder, [page])
    sign_folder(folder, sign)
    return page, report


def _replicated(
    scenario: Any, replications: int | None, until: list[str], most: int, engine: str, workers: int | None,
    cluster: str | None, as_json: bool,
) -> Any:  # fmt: skip
    """The outcome of many campaigns; says when the wanted precision was not reached."""
    from sim.cli.progress import Reporter
    from sim.engines.run import driver_for
    from sim.study.replicate import replicate

    if not any(plugin.drives for plugin in scenario.plugins):
        driver_for(engine, say)  # compiled once, before the workers need it
    try:
        with Reporter(scenario.name, quiet=as_json, workers=workers) as reporter:
            found = replicate(
                scenario, replications, until=until, most=most, keep="records", engine=engine, workers=workers,
                cluster=cluster, progress=reporter,
            )  # fmt: skip
    except ValueError as error:
        fail(str(error))
    if not len(found.frame):
        raise KeyboardInterrupt
    if found.reached is False:
        print(
            f"fotasim: {len(found.frame)} campaigns and an interval is still wider than --until asks", file=sys.stderr
        )
    return found.outcome()


@app.command()
def validate(scenario: ScenarioPath, set_: Overrides = [], as_json: AsJson = False) -> None:  # noqa: B006
    """Check a scenario and the files it names; say what is wrong, where, and what would be right.

    Of each fleet file a small table shows what was read: rows, versions, signal and battery, what was dropped or filled.
    """
    from sim.scenario.doubts import doubts
    from sim.scenario.fleet_files import fleet_size

    loaded = load_scenario(scenario, set_, plugins=True)
    size, files = fleet_size(loaded), []
    if any(group.file is not None for group in loaded.fleet.groups):
        from sim.scenario.fleet_files.overview import lines, overview

        files = overview(loaded)
    if as_json:
        print(
            json.dumps(
                {"scenario": loaded.name, "valid": True, "modules": size, "files": files, "warnings": doubts(loaded)}
            )
        )
        return
    print(f"{scenario}: valid ({loaded.name}, {size:,} modules)")
    for found in files:
        print("\n".join(lines(found)))
    for plugin in loaded.plugins:
        what = (
            f"{plugin.python}, runs with --allow-plugins only" if plugin.python else f"entry point {plugin.entry_point}"
        )
        print(f"plug-in {plugin.name} ({plugin.kind}): {what}; not loaded by this check")


@app.command()
def schema(
    of: Annotated[str, typer.Option(help="scenario, or report for what `report --format json` writes.")] = "scenario",
) -> None:
    """Print a JSON Schema: of the scenario file, or of report.json."""
    if of == "report":
        from sim.report.model.report_schema import report_schema

        print(json.dumps(report_schema(), indent=2))
        return
    if of != "scenario":
        fail(f"--of {of}: choose scenario or report")
    from sim.scenario import json_schema

    print(json.dumps(json_schema(), indent=2))


@app.command()
def trace(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder made with --events.")],
    module: Annotated[str, typer.Option("--module", help="The module's id.")],
    as_json: AsJson = False,
) -> None:
    """One module's life: time, status, and the callback string exactly as the device's application gets it."""
    from sim.engines.recording.module_trace import lines
    from sim.records import Run

    listed = lines(Run.load(run_folder), module)
    if as_json:
        print(json.dumps(listed))
        return
    for line in listed:
        print(f"{line['time']:>16}  {line['source']:<6}  {line['state']:<18}  {line['text']}")


def _tell(summary: dict[str, Any], report: Any, page: Path, took_s: float, as_json: bool) -> None:
    """The answer; `took_s` is what passed by the clock, of which `wall_s` of the summary is the simulation alone."""
    if as_json:
        print(json.dumps({**summary, "verdict": report.verdict, "headline": report.told.headline}))
        return
    campaigns = "" if summary["replications"] == 1 else f" in each of {summary['replications']} campaigns"
    size = f"{summary['modules']:,} modules{campaigns}"
    print(f"{summary['scenario']}: {size}, seed {summary['seed']}, took {show_duration(took_s)}")
    if not summary["complete"]:
        print("  INTERRUPTED: this run is partial")
    for line in [*outcome_lines(summary), *verdict_lines(report)]:
        print(line)
    print(f"report: {page}")
