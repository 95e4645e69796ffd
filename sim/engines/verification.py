"""Verifying a run folder: its figures worked out anew from its tables, and the run made again from its scenario."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sim import archive, records
from sim.archive import Finding
from sim.engines.run import Outcome, parameters_of, provenance, simulate, summary_of
from sim.errors import EngineUnavailable, InputError, RecordsError
from sim.records import Records, Run, WholeTable
from sim.scenario import Scenario

_SAME = 1e-9
LATENCIES_FILE = "latencies.json"
_RECORDED = "the cloud's momentary peaks, how long was watched, host, command and time of making: recorded, in no table"
_FURTHER = "timeline.parquet and events.parquet: nothing but their hashes"


def figures_of(run: Run) -> tuple[int, list[Finding]]:
    """Every figure of summary.json, from the tables and what the manifest recorded: how many there are, and those that differ.

    The verdict of a live run rests on more than its tables and is left out.
    """
    peaks = list(run.manifest.get("cloud_peaks") or [run.summary["cloud"]])
    found = Records(
        WholeTable(run.modules), run.timeline, None, {name: max(part[name] for part in peaks) for name in peaks[0]},
        bool(run.manifest["complete"]), float(run.manifest["wall_s"]), float(run.manifest["watched_s"]),
        engine=str(run.manifest["engine"]), decisions=run.decisions,
    )  # fmt: skip
    anew = summary_of(_scenario(run), found, peaks, plugins=run.summary.get("plugins", ()))
    left_out = {"verdict"} if "live" in run.manifest else set()
    was, now = ({k: v for k, v in told.items() if k not in left_out} for told in (run.summary, anew))
    return compared("summary.json", was, now)


def manifest_of(run: Run) -> tuple[int, list[Finding]]:
    """What the manifest says of the scenario, as scenario.yaml has it; replications and copies of inputs as they are there."""
    scenario, manifest = _scenario(run), run.manifest
    dumped = scenario.model_dump(mode="json")
    told = {
        "seed": scenario.seed, "scenario": _without_files(dumped), "scenario_sha256": archive.sha256(run.path / "scenario.yaml"),
        "parameters": parameters_of(scenario), "losses": [loss.model_dump() for loss in scenario.plan.strategy.losses],
        "replications": int(run.modules["replication"].nunique()),
        "inputs": [archive.sha256(run.path / i["copy"]) for i in manifest.get("inputs", []) if i["copy"]],
    }  # fmt: skip
    was = {name: manifest.get(name) for name in told} | {
        "scenario": _without_files(manifest["scenario"]),
        "inputs": [i["sha256"] for i in manifest.get("inputs", []) if i["copy"]],
    }
    return compared(records.MANIFEST, was, told, "the folder gives")


def _without_files(tree: Mapping[str, Any]) -> Any:
    """A scenario as JSON holds it, without the places of files: they are copies, or on another machine."""

    def kept(node: Any) -> Any:
        if isinstance(node, Mapping):
            return {key: kept(value) for key, value in node.items() if key != "file"}
        return [kept(entry) for entry in node] if isinstance(node, list | tuple) else node

    return json.loads(json.dumps(kept(tree), default=str))


def compared(file: str, was: Any, now: Any, source: str = "the tables give") -> tuple[int, list[Finding]]:
    """How many figures two trees of plain values have together, and those that a file has otherwise than worked out again."""
    count, findings = 0, []
    for path, old, new in _pairs(was, now):
        count += 1
        if not _equal(old, new):
            findings.append(Finding(file, f"{path} is {old!r:.60}, {source} {new!r:.60}"))
    return count, findings


def compared_tables(file: str, was: pd.DataFrame, now: pd.DataFrame) -> tuple[int, list[Finding]]:
    """The same of two tables, cell by cell."""
    rows = [frame.to_dict("records") for frame in (was, now)]
    if len(rows[0]) != len(rows[1]):
        return len(rows[1]), [Finding(file, f"has {len(rows[0]):,} rows, worked out again {len(rows[1]):,}")]
    return compared(file, rows[0], rows[1], "worked out again")


@dataclass(frozen=True, slots=True)
class Again:
    """A result made again: what is not the same in its tables, and what it was made with otherwise than then."""

    differs: list[str]
    changed: list[str]


def made_again(run: Run, tell: Callable[[str], None]) -> Again:
    """Makes the run again, with the engine of then; where that is not to be had here with SimPy, and says so."""
    manifest, scenario = run.manifest, _scenario(run)
    engine, replications = str(manifest["engine"]), int(manifest["replications"])
    changed = changes_since(manifest, scenario)
    try:
        again = simulate(scenario, engine=engine, replications=replications, tell=tell)
    except EngineUnavailable as error:
        changed.append(f"engine: {engine}, here simpy ({error})")
        again = simulate(scenario, engine="simpy", replications=replications, tell=tell)
    was, now = ({entry["name"]: entry for entry in of.get("plugins", ())} for of in (manifest, again.manifest))
    changed += [f"plug-in {name}: other code or options than then" for name in was if now.get(name) != was[name]]
    return Again(_differing(run, again), changed)


def changes_since(manifest: Mapping[str, Any], scenario: Scenario) -> list[str]:
    """Version, commit, scenario and input files that are not those a folder was made with, each with both values."""
    here = provenance(scenario)
    changed = [
        f"{name}: {manifest.get(name) or 'not known'}, here {here[name] or 'not known'}"
        for name in ("fotasim", "commit") if manifest.get(name) != here[name]
    ]  # fmt: skip
    now = {found["key"]: found["sha256"] for found in here["inputs"]}
    for found in manifest.get("inputs", []):
        if now.get(found["key"]) != found["sha256"]:
            what = f"another file, SHA-256 {now[found['key']]}" if found["key"] in now else "not there"
            changed.append(f"{found['key']} ({found['name']}, SHA-256 {found['sha256']}): {what}")
    return changed


def _scenario(run: Run) -> Scenario:
    return Scenario.load(run.path / "scenario.yaml")


def _differing(run: Run, again: Outcome) -> list[str]:
    """What differs between the tables of two runs."""
    found = []
    for name, was, now in (
        ("modules.parquet", run.modules, again.records.modules), ("decisions.parquet", run.decisions, again.records.decisions),
    ):  # fmt: skip
        if len(was) != len(now):
            found.append(f"{name}: {len(was):,} rows, now {len(now):,}")
            continue
        columns = [c for c in was.columns if c not in now.columns or not _same_column(was[c], now[c])]
        if columns:
            found.append(f"{name}: other values in {', '.join(columns)}")
    return found


def _same_column(was: pd.Series[Any], now: pd.Series[Any]) -> bool:
    if not pd.api.types.is_numeric_dtype(was.dtype):
        return bool((was.astype(str).to_numpy() == now.astype(str).to_numpy()).all())
    return bool(was.astype(float).reset_index(drop=True).equals(now.astype(float).reset_index(drop=True)))


def _pairs(was: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every leaf of either tree with both values."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys([*was, *now]):
            yield from _pairs(was.get(name), now.get(name), f"{path}.{name}".lstrip("."))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for number, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from _pairs(one, other, f"{path}[{number}]")
    else:
        yield path, was, now


def _equal(was: Any, now: Any) -> bool:
    numbers = isinstance(was, int | float) and isinstance(now, int | float) and not isinstance(was, bool)
    if numbers and (math.isnan(was) or math.isnan(now)):
        return math.isnan(was) and math.isnan(now)
    return math.isclose(was, now, rel_tol=_SAME, abs_tol=_SAME) if numbers else bool(was == now)


Figures = Callable[[Path], tuple[int, list[Finding]]]
"""Works the figures of a folder out again: how many there are, and those that differ. RecordsError for one that cannot be read."""


def figures_of_run(folder: Path) -> tuple[int, list[Finding]]:
    """Figures of a run folder, see `figures_of`; of a live one the latencies and both sides' counts as well."""
    run = Run.load(folder)
    found = [figures_of(run), manifest_of(run), live_figures(run)]
    return sum(count for count, _ in found), [finding for _, some in found for finding in some]


def live_figures(run: Run) -> tuple[int, list[Finding]]:
    """The latencies of a live run from its histograms, and whether both sides' counts agree; nothing of a simulated one."""
    told = run.manifest.get("live")
    if not isinstance(told, Mapping):
        return 0, []
    from sim.engines.live.live_figures import agreement, latencies_from, without_histograms

    try:
        written = json.loads((run.path / LATENCIES_FILE).read_text(encoding="utf-8"))
        count, findings = compared(
            LATENCIES_FILE,
            without_histograms(written),
            without_histograms(latencies_from([written])),
            "its histogram gives",
        )
        more, further = agreement(records.MANIFEST, told.get("reconciliation") or {})
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecordsError(f"{LATENCIES_FILE} or the reconciliation cannot be read: {error!r:.200}") from None
    return count + more, [*findings, *further]


Pages = Callable[[Path], tuple[list[Finding], list[str]]]
"""Makes the report of a folder again: where its text is another, and what is not checked of it."""


def check_folder(
    folder: Path,
    public_key: Path | None = None,
    figures: Mapping[str, Figures] | None = None,
    pages: Pages | None = None,
) -> dict[str, Any]:
    """What verifying a folder of any kind finds: files and their hashes, the signature, its figures, its report.

    `figures` are what works them out, by kind of folder; without it runs alone are. `pages` makes the report again; it is not
    asked for data that are not as they were.
    """
    kind = records.read_manifest(folder)["kind"]
    files, findings = archive.check(folder)
    signer, wrong = archive.check_signature(folder, public_key)
    if wrong:
        findings.append(Finding(archive.SIGNATURE, wrong))
    count, work_out = 0, ({"run": figures_of_run} if figures is None else figures).get(kind)
    if work_out is not None:
        try:
            count, differing = work_out(folder)
        except (RecordsError, InputError) as error:
            differing = [Finding(f"the {records.KINDS[kind]}", str(error))]
        findings += differing
    unchecked = [_RECORDED, _FURTHER] if kind == "run" else []
    if pages is not None and not findings:
        differing, more = pages(folder)
        findings, unchecked = findings + differing, unchecked + more
    return {
        "kind": kind, "files": files, "figures": count, "signed_by": signer, "findings": findings, "not_checked": unchecked,
    }  # fmt: skip
