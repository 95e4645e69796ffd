"""Verifying a run folder: its figures worked out anew from its tables, and the run made again from its scenario."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sim import archive, records
from sim.archive import Finding
from sim.engines.run import Outcome, host_provenance, provenance, simulate, summary_of
from sim.errors import InputError, RecordsError
from sim.records import Records, Run, WholeTable
from sim.scenario import Scenario

_SAME = 1e-9
_FIGURES = (
    "metrics",
    "outcomes",
    "causes",
    "stages",
    "intervals",
    "replicated",
    "gates",
    "silent_losses",
    "bytes",
    "stopped",
)


def figures_of(run: Run) -> tuple[int, list[Finding]]:
    """Every figure of summary.json that its tables give: how many there are, and those that differ."""
    found = Records(
        WholeTable(run.modules), run.timeline, None, dict(run.summary["cloud"]), bool(run.manifest["complete"]),
        float(run.manifest["wall_s"]), float(run.manifest["watched_s"]), engine=str(run.manifest["engine"]),
        decisions=run.decisions,
    )  # fmt: skip
    scenario = _scenario(run)
    anew = summary_of(scenario, found, list(run.manifest.get("cloud_peaks") or [found.cloud_peaks]))
    count, findings = 0, []
    for path, was, now in _pairs(_shown(run.summary), _shown(anew)):
        count += 1
        if not _equal(was, now):
            findings.append(Finding("summary.json", f"{path} is {was!r:.60}, the tables give {now!r:.60}"))
    return count, findings


def made_again(run: Run, tell: Callable[[str], None]) -> list[str]:
    """Makes the run again and says what is not the same; first why, as far as it is known. Empty: the same records."""
    manifest, scenario = run.manifest, _scenario(run)
    here = host_provenance()
    changed = [
        f"{name}: {manifest.get(name) or 'not known'}, here {here[name] or 'not known'}"
        for name in ("fotasim", "commit") if manifest.get(name) != here[name]
    ]  # fmt: skip
    now = {found["key"]: found["sha256"] for found in provenance(scenario)["inputs"]}
    for found in manifest.get("inputs", []):
        if now.get(found["key"]) != found["sha256"]:
            changed.append(
                f"{found['key']} ({found['name']}): {'another file' if found['key'] in now else 'not there'}"
            )
    again = simulate(
        scenario, engine=str(manifest["engine"]), replications=int(manifest["replications"]), tell=tell
    )  # fmt: skip
    differing = _differing(run, again)
    return [*differing, *(changed if differing else [])]


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


def _shown(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {name: summary[name] for name in _FIGURES if name in summary}


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
    return math.isclose(was, now, rel_tol=_SAME, abs_tol=_SAME) if numbers else was == now


def check_folder(folder: Path, public_key: Path | None = None) -> dict[str, Any]:
    """What verifying a folder of any kind finds: files and their hashes, the signature, and of a run its figures."""
    kind = records.read_manifest(folder)["kind"]
    files, findings = archive.check(folder)
    signer, wrong = archive.check_signature(folder, public_key)
    if wrong:
        findings.append(Finding(archive.SIGNATURE, wrong))
    figures = 0
    if kind == "run":
        try:
            figures, differing = figures_of(Run.load(folder))
        except (RecordsError, InputError) as error:
            differing = [Finding("the run", str(error))]
        findings += differing
    return {"kind": kind, "files": files, "figures": figures, "signed_by": signer, "findings": findings}
