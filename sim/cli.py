"""The command `fotasim`: parses, calls one function, prints.

Exit status: 0 done and gates met, 1 gates not met, 2 wrong use or scenario, 3 the run failed, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sim.errors import FotasimError, ScenarioError

app = typer.Typer(
    name="fotasim", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Simulate and load-test firmware-over-the-air rollouts to fleets of cellular modules.",
)  # fmt: skip

GATES_NOT_MET, WRONG_USE, RUN_FAILED, INTERRUPTED = 1, 2, 3, 130

ScenarioPath = Annotated[Path, typer.Argument(help="Scenario file (YAML).")]
Overrides = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the scenario.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print machine-readable output.")]


@app.command()
def run(
    scenario: ScenarioPath,
    set_: Overrides = [],  # noqa: B006 - typer copies it
    seed: Annotated[int | None, typer.Option(help="Seed, instead of the scenario's.")] = None,
    modules: Annotated[int | None, typer.Option(help="Fleet size, instead of the scenario's.")] = None,
    replications: Annotated[int, typer.Option(min=1, max=10_000, help="Independent repetitions.")] = 1,
    engine: Annotated[str, typer.Option(help="auto or simpy.")] = "auto",
    events: Annotated[bool, typer.Option("--events", help="Record every event.")] = False,
    out: Annotated[Path | None, typer.Option(help="Run folder; default reports/NAME-SEED.")] = None,
    as_json: AsJson = False,
) -> None:
    """Simulate a rollout in virtual time; leave a run folder and its report."""
    from sim.engines.run import save, simulate
    from sim.report.html import write_html

    if engine not in ("auto", "simpy"):
        _fail(f"--engine {engine}: choose auto or simpy")
    loaded = _load(scenario, _with(set_, seed, modules))
    target = out or Path("reports") / f"{loaded.name}-{loaded.seed}"
    with _progress(as_json) as bar:
        task = bar.add_task(loaded.name, total=1.0)
        outcome = simulate(
            loaded,
            events=events,
            replications=replications,
            progress=lambda share: bar.update(task, completed=share),
        )
    saved = save(outcome, target)
    report = saved.path / "report.html"
    report.write_text(write_html(saved), encoding="utf-8")
    _tell(outcome.summary, report, as_json)
    if not outcome.summary["complete"]:
        raise typer.Exit(INTERRUPTED)
    if not all(gate["met"] for gate in outcome.summary["gates"]):
        raise typer.Exit(GATES_NOT_MET)


@app.command()
def validate(scenario: ScenarioPath, set_: Overrides = [], as_json: AsJson = False) -> None:  # noqa: B006
    """Check a scenario file and say what is wrong, where, and what would be right."""
    loaded = _load(scenario, set_)
    if as_json:
        print(json.dumps({"scenario": loaded.name, "valid": True}))
    else:
        print(f"{scenario}: valid ({loaded.name}, {loaded.fleet.size:,} modules)")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the scenario file."""
    from sim.scenario import json_schema

    print(json.dumps(json_schema(), indent=2))


@app.command()
def trace(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder made with --events.")],
    module: Annotated[str, typer.Option("--module", help="The module's id.")],
    as_json: AsJson = False,
) -> None:
    """One module's life: time, status, and the callback string exactly as the device's application gets it."""
    from sim.engines.trace import lines
    from sim.records import Run

    listed = lines(Run.load(run_folder), module)
    if as_json:
        print(json.dumps(listed))
        return
    for line in listed:
        print(f"{line['time']:>16}  {line['source']:<6}  {line['state']:<18}  {line['text']}")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Run folders.")],
    format_: Annotated[str, typer.Option("--format", help="html")] = "html",
) -> None:
    """Write the report of a run anew."""
    from sim.records import Run
    from sim.report.html import write_html

    if format_ != "html":
        _fail(f"--format {format_}: only html can be written")
    for folder in runs:
        loaded = Run.load(folder)
        page = loaded.path / "report.html"
        page.write_text(write_html(loaded), encoding="utf-8")
        print(page)


def main() -> None:
    """Entry point of the command: errors become one clear message and an exit status."""
    try:
        app()
    except ScenarioError as error:
        print(error, file=sys.stderr)
        sys.exit(WRONG_USE)
    except FotasimError as error:
        print(f"fotasim: {error}", file=sys.stderr)
        sys.exit(RUN_FAILED)
    except KeyboardInterrupt:
        print("fotasim: interrupted before anything was there to keep", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _load(path: Path, overrides: list[str]) -> Any:
    from sim.scenario import Scenario

    return Scenario.load(path, overrides)


def _with(overrides: list[str], seed: int | None, modules: int | None) -> list[str]:
    extra = [] if seed is None else [f"seed={seed}"]
    return [*overrides, *extra, *([] if modules is None else [f"fleet.size={modules}"])]


def _fail(text: str) -> None:
    print(f"fotasim: {text}", file=sys.stderr)
    raise typer.Exit(WRONG_USE)


def _progress(quiet: bool) -> Progress:
    """A bar on a terminal, nothing in a pipe."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(), TimeRemainingColumn(),
        console=console, disable=quiet or not console.is_terminal, transient=True,
    )  # fmt: skip


def _tell(summary: dict[str, Any], report: Path, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary))
        return
    total = summary["modules"]
    print(f"{summary['scenario']}: {total:,} modules, seed {summary['seed']}, {summary['wall_s']:.1f} s")
    if not summary["complete"]:
        print("  INTERRUPTED: this run is partial")
    for name, count in summary["outcomes"].items():
        if count:
            print(f"  {name:<13}{count:>9,}  {100 * count / total:6.2f} %")
    for gate in summary["gates"]:
        print(f"  gate {gate['gate']:<28} {'met' if gate['met'] else 'NOT MET'}")
    print(f"report: {report}")


if __name__ == "__main__":
    main()
