"""Working the figures of a study's folder out again from its campaigns, so that an archived one can be checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from sim.archive import Finding
from sim.engines.verification import compared, compared_tables
from sim.errors import RecordsError
from sim.study import flow
from sim.study.compare import differences, in_sentences
from sim.study.sensitivity import worked_out_again
from sim.study.sources import pairs
from sim.study.strategy_file import strategy_yaml
from sim.study.study_folders import load_comparison, load_sensitivity, load_sweep, load_tuning
from sim.study.tune import front_of

Found = tuple[int, list[Finding]]
JOURNAL = "journal.jsonl"


def figures_of_comparison(folder: Path) -> Found:
    """Differences, intervals and p-values from the campaigns of both sides; sentences from those; flows from the modules."""
    result = load_comparison(folder)
    base, others = result.sides[0], result.sides[1:]
    metrics = list(dict.fromkeys(result.table["metric"]))
    found = [compared_tables("differences.parquet", result.table, differences(base, others, metrics))]
    told = [in_sentences(base, o, result.table) for o in others if o.name not in result.agreement]
    simulated = [text for text, o in zip(result.verdicts, others, strict=True) if o.name not in result.agreement]
    found.append(compared("manifest.json", {"verdicts": simulated}, {"verdicts": told}, "differences.parquet gives"))
    for name, table in result.flows.items():
        side = next(o for o in others if o.name == name)
        changed = result.changed[result.changed["alternative"] == name] if len(result.changed) else result.changed
        found.append(compared_tables("flows.parquet", table, flow.flow(changed, len(pairs(base, side)))))
    return _together(found)


def figures_of_sweep(folder: Path) -> Found:
    """Every campaign of the table as the journal has it."""
    result = load_sweep(folder)
    table = result.frame
    keys = [axis.key for axis in result.axes]
    known = {
        _place(line["at"], line["replication"]): {**line["metrics"], **line["counts"]} for line in _journal(folder)
    }
    found: list[Found] = []
    for row in table.to_dict("records"):
        settings = result.points[int(row["point"])]
        of = known.get(_place(settings, int(row["replication"])))
        if of is None:
            found.append((1, [Finding("sweep.parquet", f"a campaign at {settings!r:.80} is not in {JOURNAL}")]))
            continue
        wanted = {k: float("nan") if v is None else v for k, v in of.items()}
        written = {k: row[k] for k in wanted if k in row}
        found.append(compared("sweep.parquet", written, {k: wanted[k] for k in written}, f"{JOURNAL} gives"))
        shown = {key: row[key] for key in keys if isinstance(settings[key], int | float | str)}
        found.append(compared("sweep.parquet", shown, {key: settings[key] for key in shown}, "manifest.json gives"))
    return _together(found)


def figures_of_tuning(folder: Path) -> Found:
    """The finalists from their campaigns, the front from the trials, the strategy file from the recommendation."""
    result = load_tuning(folder)
    front = compared("trials.parquet", list(map(bool, result.trials["front"])), front_of(result), "the trials give")
    if result.recommended is None:
        return front
    written = pd.read_parquet(folder / "finalists.parquet")
    finalists = compared_tables("finalists.parquet", written, result.table)
    strategy = (folder / "strategy.yaml").read_text(encoding="utf-8")
    same = compared("strategy.yaml", {"text": strategy}, {"text": strategy_yaml(result)}, "the campaigns give")
    return _together([front, finalists, same])


def figures_of_sensitivity(folder: Path) -> Found:
    """The ranking and its indices from the sampled worlds, the worlds from the design."""
    result = load_sensitivity(folder)
    table, samples = worked_out_again(result)
    return _together(
        [
            compared_tables("inputs.parquet", result.table, table),
            compared_tables("samples.parquet", result.samples, samples),
        ]
    )


def _together(found: Iterable[Found]) -> Found:
    count, findings = 0, []
    for number, some in found:
        count += number
        findings += some
    return count, findings


def _place(settings: Any, replication: int) -> str:
    return json.dumps([settings, replication], sort_keys=True)


def _journal(folder: Path) -> list[dict[str, Any]]:
    try:
        lines = (folder / JOURNAL).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines[1:]]
    except (OSError, ValueError) as error:
        raise RecordsError(f"{JOURNAL} cannot be read: {error}") from None


FIGURES: dict[str, Callable[[Path], Found]] = {
    "comparison": figures_of_comparison, "sweep": figures_of_sweep, "tune": figures_of_tuning,
    "sensitivity": figures_of_sensitivity,
}  # fmt: skip
"""What works the figures of a study's folder out again, by kind of folder."""

__all__ = ["FIGURES"]
