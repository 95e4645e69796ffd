"""The commands of many runs: compare, sweep, tune, sensitivity."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from sim.cli.common import (
    KEPT,
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
    with_options,
)
from sim.cli.progress import Reporter
from sim.exit_status import ExitStatus

Vary = Annotated[
    list[str],
    typer.Option(
        "--vary", metavar="KEY=…", help="A key and its values: 10,20,30 or 10:60:6 (low:high:count) or 10:60."
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes; default all cores. The result does not depend on it.")
]
Cluster = Annotated[str | None, typer.Option(help="Dask scheduler that runs the campaigns, such as tcp://host:8786.")]
Replications = Annotated[
    int, typer.Option(min=1, max=100_000, help="Campaigns for each setting, on common random numbers.")
]
Seed = Annotated[int | None, typer.Option(help="Seed, instead of the scenario's.")]
Modules = Annotated[int | None, typer.Option(min=1, help="Fleet size, instead of the scenario's.")]


def _known_engine(engine: str) -> str:
    from sim.engines.run import ENGINES

    return engine if engine in ENGINES else fail(f"--engine {engine}: choose from {', '.join(ENGINES)}")


Engine = Annotated[str, typer.Option(help="Engine of the campaigns.", callback=_known_engine)]


@app.command()
def compare(
    sources: Annotated[list[Path], typer.Argument(metavar="A B…", help="Scenarios or run folders; the first is the base.")],
    variant: Annotated[list[str], typer.Option("--variant", metavar="KEY=VALUE[;KEY=VALUE]", help="A variation of the first scenario as one more side.")] = [],  # noqa: B006 - typer copies it
    metric: Annotated[list[str], typer.Option("--metric", help="Look at these metrics only.")] = [],  # noqa: B006
    set_: Overrides = [],  # noqa: B006
    seed: Seed = None, modules: Modules = None, replications: Replications = 20, engine: Engine = "auto",
    workers: Workers = None, cluster: Cluster = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default reports/compare-A-B.")] = None,
    overwrite: Overwrite = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Lay scenarios or run folders side by side: paired differences with intervals, and which modules end differently."""
    from sim.study.compare import METRICS
    from sim.study.compare import compare as run_comparison

    sides = _sides(sources, variant, with_options(set_, seed, modules))
    folder = check_output(out or Path("reports") / _slug("compare", *sides), "comparison", overwrite=overwrite)
    with Reporter("compare", quiet=as_json, workers=workers) as reporter:
        result = run_comparison(
            sides, replications=replications, metrics=metric or METRICS, engine=engine, workers=workers,
            cluster=cluster, progress=reporter,
        )  # fmt: skip
    page = result.save(folder, overwrite=overwrite, command=command_line())
    KEPT.append(folder)
    if as_json:
        print(
            json.dumps(
                {"verdicts": result.verdicts, "differences": _records(result.table), "complete": result.complete}
            )
        )
    else:
        print("\n".join([*result.verdicts, *result.notes, f"page: {page}"]))
    _end(result.complete)


@app.command()
def sweep(
    scenario: ScenarioPath, vary: Vary,
    design: Annotated[str, typer.Option(help="grid (all levels crossed), lhs (Latin hypercube) or sobol.")] = "grid",
    points: Annotated[int | None, typer.Option(min=2, help="Points of an lhs or sobol design; default 64.")] = None,
    set_: Overrides = [], seed: Seed = None, modules: Modules = None, replications: Replications = 10,  # noqa: B006
    engine: Engine = "auto", workers: Workers = None, cluster: Cluster = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of resuming what the folder holds.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder; default reports/NAME-SEED-sweep.")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Run a scenario at many settings; an interrupted sweep resumes when started again."""
    from sim.report.pages.sweep_page import answer_lines
    from sim.study.sweep import sweep as run_sweep

    loaded = load_scenario(scenario, with_options(set_, seed, modules))
    folder = out or Path("reports") / f"{loaded.name}-{loaded.seed}-sweep"
    with Reporter("sweep", quiet=as_json, workers=workers) as reporter:
        result = run_sweep(
            loaded, vary, design=design, points=points, replications=replications, out=folder, fresh=fresh,
            command=command_line(),
            engine=engine, workers=workers, cluster=cluster, progress=reporter,
        )  # fmt: skip
    KEPT.append(folder)
    summary = result.summary()
    if as_json:
        print(json.dumps({"points": _records(summary), "complete": result.complete, "folder": str(folder)}))
    else:
        print("\n".join([_settings(summary.drop(columns="point"), "success_rate"), *answer_lines(result)]))
        print(f"page: {folder / 'report.html'}")
    _end(result.complete)


def _sides(sources: list[Path], variant: list[str], overrides: list[str]) -> dict[str, Any]:
    """Sides by name; overrides are for scenarios."""
    from sim.records import Run
    from sim.study.sources import load, name_apart, variants

    sides: dict[str, Any] = {}
    for source in sources:
        loaded = load(source, tuple(overrides))
        name = source.name if isinstance(loaded, Run) else loaded.name
        sides[name_apart(name, sides)] = loaded
    if variant:
        first = next(iter(sides.values()))
        if isinstance(first, Run):
            fail("--variant needs a scenario as the first side, not a run folder")
        sides.update(variants(first, variant))
    return sides


def _slug(*names: str) -> str:
    text = "-".join("".join(c if c.isalnum() or c in "._" else "-" for c in name) for name in names)
    return text[:100].rstrip("-.")


def _records(frame: Any) -> list[dict[str, Any]]:
    """Rows as plain values, None where there is nothing."""
    listed: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return listed


def _settings(summary: Any, metric: str) -> str:
    """The settings of a sweep with a metric's mean and interval, as a reader knows them."""
    from sim.report.show import kind_of, metric_words, show

    names = {"value": metric_words(metric), "low": "95 % low", "high": "95 % high"}
    shown = {name: [show(kind_of(metric), value) for value in summary[name]] for name in names}
    return _shown(summary.assign(**shown).rename(columns=names))


def _shown(frame: Any) -> str:
    renamed = frame.rename(columns=lambda name: name.rsplit(".", 1)[-1])
    return str(renamed.to_string(index=False, float_format=lambda v: f"{v:.5g}", max_rows=40))


def _end(complete: bool) -> None:
    if not complete:
        print("INTERRUPTED: what is there is kept and partial")
        raise typer.Exit(ExitStatus.INTERRUPTED)


@app.command()
def tune(
    scenario: Annotated[list[Path], typer.Argument(metavar="SCENARIO…", help="Scenario files; of several, such as a good and a bad release, metrics are METRIC@NAME.")],
    vary: Vary,
    minimise: Annotated[list[str], typer.Option("--minimise", "--minimize", metavar="METRIC", help="Make small: a metric, or a sum such as rejected+20*bricked; of several scenarios stopped@NAME.")] = [],  # noqa: B006 - typer copies it
    maximise: Annotated[list[str], typer.Option("--maximise", "--maximize", metavar="METRIC", help="Make large.")] = [],  # noqa: B006
    subject_to: Annotated[list[str], typer.Option("--subject-to", metavar="METRIC<=X", help="Keep, such as bricked<=1e-4.")] = [],  # noqa: B006
    trials: Annotated[int, typer.Option(min=2, max=100_000, help="Settings to try.")] = 60,
    set_: Overrides = [], seed: Seed = None, modules: Modules = None, replications: Replications = 5,  # noqa: B006
    final_replications: Annotated[int, typer.Option(min=2, max=9_999, help="Fresh campaigns that judge the finalists.")] = 20,
    engine: Engine = "auto", workers: Workers = None, cluster: Cluster = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default reports/NAME-SEED-tune.")] = None,
    overwrite: Overwrite = False, marginal_as: MarginalOption = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Search the best settings of a strategy; write it as a file, with what it is worth on campaigns it never saw."""
    from sim.study.tune import tune as run_search

    loaded = [load_scenario(path, with_options(set_, seed, modules)) for path in scenario]
    default = f"{_slug(*dict.fromkeys(one.name for one in loaded))}-{loaded[0].seed}-tune"
    folder = check_output(out or Path("reports") / default, "tune", overwrite=overwrite)
    with Reporter("tune", quiet=as_json, workers=workers) as reporter:
        result = run_search(
            loaded, vary, minimise=minimise, maximise=maximise, subject_to=subject_to, trials=trials,
            replications=replications, final_replications=final_replications, engine=engine, workers=workers,
            cluster=cluster, progress=reporter,
        )  # fmt: skip
    page = result.save(folder, overwrite=overwrite, command=command_line())
    KEPT.append(folder)
    if as_json:
        print(json.dumps(_tuning_plain(result)))
    else:
        print("\n".join(_tuning_lines(result, folder)))
    print(f"page: {page}", file=sys.stderr if as_json else sys.stdout)
    _end(result.complete)
    _end_search(result.answer, marginal_as)


def _tuning_plain(result: Any) -> dict[str, Any]:
    """A search as JSON."""
    found, lead = result.recommended, result.best_so_far
    told = None if found is None else {
        "settings": found.settings, "feasible": found.feasible,
        "objectives": {n: e.plain() for n, e in found.objectives.items()},
        "constraints": {n: e.plain() for n, e in found.constraints.items()},
        "scenarios": {name: {m: e.plain() for m, e in metrics.items()} for name, metrics in result.across(found).items()},
    }  # fmt: skip
    return {
        "answer": str(result.answer), "recommended": told, "trials": len(result.trials), "complete": result.complete,
        "best_so_far": None if lead is None else json.loads(lead.to_json(double_precision=15)),
    }  # fmt: skip


def _tuning_lines(result: Any, folder: Path) -> Iterator[str]:
    """What a search prints: its answer, how sure it is, and what the recommended setting does on each scenario."""
    from sim.report.pages.tuning_words import WORDS, headline, reach, reasons, scenario_lines, shown

    lead, settings = headline(result)
    yield f"{WORDS[result.answer]}: {lead[0].lower()}{lead[1:]} {settings}"
    yield from (f"  {text}" for text in reasons(result))
    found = result.recommended
    if found is None:
        return
    measured = [(name, name, e) for name, e in found.objectives.items()]
    measured += [(c.text, c.metric, found.constraints[c.text]) for c in result.constraints]
    for name, metric, e in measured:
        yield f"  {name}: {shown(metric, e.value)} [{reach(metric, e)}]"
    if len(result.scenarios) > 1:
        for title, candidate in (("this setting on", found), ("as it is on", result.present)):
            yield from (f"  {title} {line}" for line in scenario_lines(result, candidate))
    yield f"strategy: {folder / 'strategy.yaml'}"


def _end_search(answer: str, marginal_as: MarginalAs | None) -> None:
    """Ends with 0 for a setting that was found, 1 where none fits, 4 where that is in doubt."""
    in_doubt = {None: ExitStatus.UNDECIDED, MarginalAs.GO: ExitStatus.GO, MarginalAs.NO_GO: ExitStatus.NO_GO}
    status = {"none fits": ExitStatus.NO_GO, "undecided": in_doubt[marginal_as]}.get(answer, ExitStatus.GO)
    if status:
        raise typer.Exit(status)


@app.command()
def sensitivity(
    scenario: ScenarioPath,
    metric: Annotated[str, typer.Option(help="What the inputs are judged by.")] = "success_rate",
    method: Annotated[str, typer.Option(help="morris (ranks many inputs) or sobol (splits the variance among few).")] = "morris",
    input_: Annotated[list[str], typer.Option("--input", metavar="NAME[=LOW:HIGH]", help="Inputs; default every estimated failure.")] = [],  # noqa: B006
    samples: Annotated[int | None, typer.Option(min=2, help="Trajectories (morris, 20) or base samples (sobol, 64).")] = None,
    set_: Overrides = [], seed: Seed = None, modules: Modules = None, replications: Replications = 1,  # noqa: B006
    engine: Engine = "auto", workers: Workers = None, cluster: Cluster = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default reports/NAME-SEED-sensitivity.")] = None,
    overwrite: Overwrite = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """What a result depends on: the uncertain inputs of the model, ranked."""
    from sim.report.pages.sensitivity_page import dependence
    from sim.study.sensitivity import sensitivity as run_study

    loaded = load_scenario(scenario, with_options(set_, seed, modules))
    folder = check_output(
        out or Path("reports") / f"{loaded.name}-{loaded.seed}-sensitivity", "sensitivity", overwrite=overwrite
    )
    with Reporter("sensitivity", quiet=as_json, workers=workers) as reporter:
        result = run_study(
            loaded, metric, method=method, inputs=input_, samples=samples, replications=replications, engine=engine,
            workers=workers, cluster=cluster, progress=reporter,
        )  # fmt: skip
    page = result.save(folder, overwrite=overwrite, command=command_line())
    KEPT.append(folder)
    if as_json:
        print(json.dumps({"metric": metric, "nominal": result.nominal, "share_met": result.share_met,
                          "flips": result.flips, "inputs": _records(result.table)}))  # fmt: skip
    else:
        print(_shown(result.table.head(12)))
        print(f"{dependence(result)}\npage: {page}")
