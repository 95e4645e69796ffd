"""Folders of studies: tables, a manifest and a page go in, the result comes back out, so that a page can be made anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import ValidationError

from sim import archive
from sim.engines import run_inputs
from sim.engines.run import host_provenance, provenance
from sim.errors import RecordsError, StudyError
from sim.records import KINDS, MANIFEST, clear, read_manifest, write_manifest
from sim.report.formats.write import write_formats
from sim.report.model.like_with_like import Terms
from sim.scenario import Scenario
from sim.scenario.fields import COMPUTED
from sim.scenario.load import tree_of
from sim.stats.campaigns import STUDY_METRICS
from sim.study.axes import Axis
from sim.study.campaign import Campaign
from sim.study.made import Made

if TYPE_CHECKING:
    from sim.report.page import Page
    from sim.study.compare import Comparison
    from sim.study.sensitivity import Sensitivity
    from sim.study.sweep import Sweep
    from sim.study.tune import Candidate, Tuning

_RECOMMENDED, _PRESENT = "recommended", "present"


# --- sweep -------------------------------------------------------------------------------------------------------------


def save_sweep(result: Sweep, folder: Path, *, command: str = "") -> Path:
    """sweep.parquet, the scenario, the page; the journal is there already."""
    from sim.report.pages.sweep_page import sweep_page

    facts = {
        "axes": [asdict(axis) for axis in result.axes], "points": result.points, "replications": result.replications,
        "complete": result.complete,
    }  # fmt: skip
    made = _with_earlier(result.made, folder)
    _stale(folder)
    origin = _Origin(folder, made, command, {"scenario.yaml": result.scenario})
    manifest = _write(folder, "sweep", {"sweep": result.frame}, origin, scenario=origin.tree(result.scenario), **facts)
    return _page(sweep_page(result, manifest), folder)


def _with_earlier(made: Made, folder: Path) -> Made:
    """A sweep that went on had engines and time before."""
    if not (folder / MANIFEST).exists():
        return made
    before = read_manifest(folder)
    return made.after(before.get("engines", ()), float(before.get("wall_s") or 0.0))


def load_sweep(folder: Path) -> Sweep:
    """The result a sweep's folder holds."""
    from sim.study.sweep import Sweep

    with _Reading(folder, "sweep") as found:
        axes = tuple(_axis(axis) for axis in found.facts["axes"])
        return Sweep(
            found.scenario(), axes, found.facts["points"], int(found.facts["replications"]), found.table("sweep"),
            bool(found.facts["complete"]), folder,
        )  # fmt: skip


# --- comparison --------------------------------------------------------------------------------------------------------


def save_comparison(result: Comparison, folder: Path, *, overwrite: bool = False, command: str = "") -> Path:
    """The differences, all campaigns, the modules that end differently, the page."""
    from sim.report.pages.comparison_page import comparison_page

    scenarios = {
        f"scenarios/{n}.yaml": Scenario.model_validate(s.terms.scenario, context=COMPUTED)
        for n, s in enumerate(result.sides, 1)
        if not s.run
    }
    tables = {
        "differences": result.table, "campaigns": result.frame, "changed": result.changed,
        "flows": _stacked(result.flows), "agreement": _stacked(result.agreement),
    }  # fmt: skip
    _claim(folder, "comparison", overwrite=overwrite)
    origin = _Origin(folder, result.made, command, scenarios, result.sides[0].terms.seed)
    sides = [
        {"name": s.name, "seed": s.terms.seed, "simulated": s.terms.simulated, "scenario": origin.copied(s.terms.scenario),
         "files": s.terms.files, "run": s.run}
        for s in result.sides
    ]  # fmt: skip
    manifest = _write(
        folder, "comparison", {name: t for name, t in tables.items() if len(t.columns) or name == "changed"}, origin,
        sides=sides, verdicts=result.verdicts, notes=result.notes, complete=result.complete,
        flows=list(result.flows), agreement=list(result.agreement),
        sources=[s.name if s.run else f"scenarios/{n}.yaml" for n, s in enumerate(result.sides, 1)],
    )  # fmt: skip
    return _page(comparison_page(result, manifest), folder)


def load_comparison(folder: Path) -> Comparison:
    """The result a comparison's folder holds; the tables of single modules of run folders stay where they are."""
    from sim.study.compare import Comparison
    from sim.study.sources import Side

    with _Reading(folder, "comparison") as found:
        frame, facts = found.table("campaigns"), found.facts
        sides = [
            Side(
                side["name"], Terms(side["scenario"], int(side["seed"]), bool(side["simulated"]), side.get("files") or {}),
                _campaigns(frame, side["name"]), run=side.get("run") or {},
            )
            for side in facts["sides"]
        ]  # fmt: skip
        return Comparison(
            sides, found.table("differences"), list(facts["verdicts"]), bool(facts["complete"]),
            found.parts("flows"), found.table("changed"), found.parts("agreement"), list(facts["notes"]),
        )  # fmt: skip


def _stacked(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([t.assign(alternative=name) for name, t in parts.items()]) if parts else pd.DataFrame()


def _campaigns(frame: pd.DataFrame, side: str) -> list[Campaign]:
    counted = [name for name in frame.columns if name not in (*STUDY_METRICS, "replication", "side")]
    rows = frame[frame["side"] == side].to_dict("records")
    return [
        Campaign(
            int(row["replication"]), {m: float(row[m]) for m in STUDY_METRICS if m in row},
            {str(name): int(row[name]) for name in counted if row[name] == row[name]},
        )
        for row in rows
    ]  # fmt: skip


# --- search ------------------------------------------------------------------------------------------------------------


def save_tuning(result: Tuning, folder: Path, *, overwrite: bool = False, command: str = "") -> Path:
    """The trials, the finalists with all their campaigns, the strategy file, the page."""
    from sim.report.pages.tuning_page import tuning_page
    from sim.study.strategy_file import strategy_yaml

    judged = _judged(result)
    tables = {"trials": result.trials}
    if result.recommended is not None:
        campaigns = [candidate.frame.assign(candidate=name) for name, candidate in judged.items()]
        tables |= {"finalists": result.table, "campaigns": pd.concat(campaigns, ignore_index=True)}
    _claim(folder, "tune", overwrite=overwrite)
    several = len(result.scenarios) > 1
    scenarios = {
        f"scenarios/{n}.yaml" if several else "scenario.yaml": s for n, s in enumerate(result.scenarios.values(), 1)
    }
    origin = _Origin(folder, result.made, command, scenarios)
    manifest = _write(
        folder, "tune", tables, origin, scenarios=[origin.tree(s) for s in result.scenarios.values()],
        sources=list(scenarios), axes=[asdict(axis) for axis in result.axes],
        objectives=[[o.text, o.sign] for o in result.objectives], constraints=[c.text for c in result.constraints],
        candidates={name: candidate.settings for name, candidate in judged.items()}, complete=result.complete,
    )  # fmt: skip
    strategy = "" if result.recommended is None else strategy_yaml(result)
    if strategy:
        (folder / "strategy.yaml").write_text(strategy, encoding="utf-8")
    return _page(tuning_page(result, strategy, manifest), folder)


def load_tuning(folder: Path) -> Tuning:
    """The result a search's folder holds."""
    from sim.study.objectives import parse_constraint, parse_objective
    from sim.study.several import named, of_one
    from sim.study.tune import Tuning, judgement

    with _Reading(folder, "tune") as found:
        facts = found.facts
        scenarios = named([found.scenario(tree) for tree in facts.get("scenarios") or [facts["scenario"]]])
        result = Tuning(
            scenarios, tuple(_axis(axis) for axis in facts["axes"]),
            tuple(of_one(parse_objective(text, float(sign)), scenarios) for text, sign in facts["objectives"]),
            tuple(of_one(parse_constraint(text), scenarios) for text in facts["constraints"]), found.table("trials"),
            complete=bool(facts["complete"]),
        )  # fmt: skip
        if facts["candidates"]:
            frame = found.table("campaigns")
            frames = {name: frame[frame["candidate"] == name] for name in facts["candidates"]}
            judged = judgement(result, [(settings, frames[name]) for name, settings in facts["candidates"].items()])
            *result.finalists, result.recommended, result.present = judged
            result.conclude()
        return result


def _judged(result: Tuning) -> dict[str, Candidate]:
    """Everything that was judged on fresh campaigns, by name."""
    found = {f"finalist {i}": candidate for i, candidate in enumerate(result.finalists, 1)}
    if result.recommended is None or result.present is None:
        return {}
    return found | {_RECOMMENDED: result.recommended, _PRESENT: result.present}


# --- study of the inputs -----------------------------------------------------------------------------------------------


def save_sensitivity(result: Sensitivity, folder: Path, *, overwrite: bool = False, command: str = "") -> Path:
    """The inputs ranked, every sampled world, the page."""
    from sim.report.pages.sensitivity_page import sensitivity_page

    _claim(folder, "sensitivity", overwrite=overwrite)
    origin = _Origin(folder, result.made, command, {"scenario.yaml": result.scenario})
    manifest = _write(
        folder, "sensitivity", {"inputs": result.table, "samples": result.samples}, origin,
        scenario=origin.tree(result.scenario), metric=result.metric, method=result.method,
        varied=[i.text for i in result.inputs], nominal=result.nominal, replications=result.replications,
    )  # fmt: skip
    return _page(sensitivity_page(result, manifest), folder)


def load_sensitivity(folder: Path) -> Sensitivity:
    """The result the folder of a study of the inputs holds."""
    from sim.study.inputs import uncertain
    from sim.study.sensitivity import Sensitivity, gate_on

    with _Reading(folder, "sensitivity") as found:
        scenario, facts = found.scenario(), found.facts
        return Sensitivity(
            scenario, facts["metric"], facts["method"], uncertain(scenario, facts.get("varied", facts["inputs"])), found.table("inputs"),
            found.table("samples"), float(facts["nominal"]), gate_on(scenario, facts["metric"]),
            int(facts["replications"]),
        )  # fmt: skip


# --- shared ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a study's folder keeps as evidence: the scenarios by file name, the files they name, how it was made."""

    folder: Path
    made: Made
    command: str
    scenarios: Mapping[str, Scenario]
    seed: int | None = None
    inputs: dict[Path, run_inputs.InputFile] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", run_inputs.inputs_of(*self.scenarios.values()))

    def tree(self, scenario: Scenario) -> dict[str, Any]:
        """The scenario as its file gives it, so that what was left to defaults stays so; fleet files are the copies."""
        return self.copied(tree_of(scenario))

    def copied(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """A scenario as a tree whose fleet files are the copies in the folder."""
        return run_inputs.with_copies(dict(tree), self.inputs)

    def facts(self) -> dict[str, Any]:
        """The part of the manifest that says where the study comes from."""
        first = next(iter(self.scenarios.values()), None)
        told = host_provenance() if first is None else provenance(first, self.inputs)
        told.pop("kind", None)
        more = {} if self.seed is None else {"seed": self.seed}
        return told | more | {
            "command": self.command, "engines": list(self.made.engines), "wall_s": self.made.wall_s,
            "options": list(self.made.options),
        }  # fmt: skip

    def write(self) -> None:
        """The scenarios as they were used, and copies of their fleet files."""
        run_inputs.copy_into(self.folder, self.inputs)
        for name, scenario in self.scenarios.items():
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_text(run_inputs.scenario_text(scenario, self.inputs), encoding="utf-8")


def _write(
    folder: Path, kind: str, tables: Mapping[str, pd.DataFrame], origin: _Origin, **facts: Any
) -> dict[str, Any]:
    """The folder without its page; gives the manifest as it reads."""
    try:
        (folder / archive.SUMS).unlink(missing_ok=True)  # what it lists is about to change
        write_manifest(folder, kind, **origin.facts(), **facts)
        origin.write()
        for name, table in tables.items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
        return read_manifest(folder)
    except OSError as error:
        raise RecordsError(f"{folder}: cannot be written: {error.strerror or error}") from None


def _claim(folder: Path, kind: str, *, overwrite: bool) -> None:
    """Makes room for a result: of its own kind only what may be replaced is; other files of the folder stay."""
    if (folder / MANIFEST).exists():
        clear(folder, kind, overwrite=overwrite)


def _stale(folder: Path) -> None:
    """Removes pages and tables of a sweep that went on since: they show an earlier state."""
    for path in [*folder.glob("report.*"), *folder.glob("tables/*")]:
        path.unlink()


def _page(page: Page, folder: Path) -> Path:
    written = write_formats(page, folder, ["html"])[0]
    archive.seal(folder)
    return written


def _axis(plain: Mapping[str, Any]) -> Axis:
    axis = Axis(**plain)
    return replace(axis, levels=tuple(axis.levels))


class _Reading:
    """A folder being read: anything missing or damaged in it becomes one RecordsError that names it."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder, self._kind = folder, kind
        self.facts: dict[str, Any] = {}

    def __enter__(self) -> _Reading:
        self.facts = read_manifest(self._folder)
        if self.facts["kind"] != self._kind:
            raise RecordsError(f"{self._folder}: holds a {KINDS[self.facts['kind']]}, not a {KINDS[self._kind]}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        damaged = (OSError, ValueError, LookupError, TypeError, AttributeError, StudyError, ValidationError)
        if isinstance(error, damaged):
            raise RecordsError(f"{self._folder}: not a whole {KINDS[self._kind]}: {_shortly(error)}") from None

    def scenario(self, tree: dict[str, Any] | None = None) -> Scenario:
        """A scenario of the study, checked as any other; the only one where no tree is given."""
        tree = run_inputs.resolved(self.facts["scenario"] if tree is None else tree, self._folder)
        scenario = Scenario.model_validate(tree)
        scenario.remember(tree)
        return scenario

    def table(self, name: str) -> pd.DataFrame:
        """A table of the folder."""
        return pd.read_parquet(self._folder / f"{name}.parquet")

    def parts(self, name: str) -> dict[str, pd.DataFrame]:
        """Tables by alternative, out of the one they are stacked in."""
        wanted = self.facts[name]
        if not wanted:
            return {}
        table = self.table(name)
        return {
            side: table[table["alternative"] == side].drop(columns="alternative").reset_index(drop=True)
            for side in wanted
        }


def _shortly(error: BaseException) -> str:
    if isinstance(error, json.JSONDecodeError | ValidationError | KeyError):
        return f"{type(error).__name__} {str(error).splitlines()[0]}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


__all__ = [
    "load_comparison", "load_sensitivity", "load_sweep", "load_tuning", "save_comparison", "save_sensitivity",
    "save_sweep", "save_tuning",
]  # fmt: skip
