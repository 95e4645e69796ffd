"""From run folders to a page and its numbers: one run, one against an older, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sim.gates import Gate
from sim.records import Run
from sim.report.model.run_report import build
from sim.report.page import Page
from sim.report.pages.run_page import run_page
from sim.report.pages.side_by_side_page import against as compare_with_old
from sim.report.pages.side_by_side_page import compare_page

Made = tuple[Page, list[dict[str, Any]]]


def single(
    folder: Path, *, gates: Sequence[Gate] = (), price_per_mb: float | None = None, against: Path | None = None,
    fail_on_regression: bool = False, studies: Sequence[Path] = (), label: str = "",
) -> Made:  # fmt: skip
    """The page of a run and its plain report; with `against` it is compared with that older run.

    `label` is what JUnit and JSON call the run; without one that is the folder's name.

    With `fail_on_regression` a figure that got worse beyond noise is a check that is not met.
    """
    run = Run.load(folder)
    report = build(run, gates=gates, price_per_mb=price_per_mb, studies=studies, label=label)
    if against is None:
        return run_page(report, run), [report.plain()]
    old_run = Run.load(against)
    old = build(old_run)
    remark, sections, check = compare_with_old(report, run, old, old_run)
    page = run_page(report, run, remarks=[remark], extra=sections)
    if fail_on_regression:
        page = replace(page, checks=[*page.checks, check])
    return page, [report.plain(), old.plain()]


def comparison(folders: Sequence[Path], *, gates: Sequence[Gate] = (), price_per_mb: float | None = None) -> Made:
    """The page of several runs side by side and their plain reports; runs of one name are told apart by a number."""
    loaded = [Run.load(folder) for folder in folders]
    labels = _labels([run.path.name for run in loaded])
    reports = [
        build(run, gates=gates, price_per_mb=price_per_mb, label=label)
        for run, label in zip(loaded, labels, strict=True)
    ]
    return compare_page(reports, dict(zip(labels, loaded, strict=True))), [report.plain() for report in reports]


def _labels(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    listed = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        listed.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return listed
