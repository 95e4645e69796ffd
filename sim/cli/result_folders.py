"""What a folder of results is and the page it makes: the one place where kinds of folders meet their pages.

A folder names its kind in manifest.json (`sim.records.KINDS`). A new kind is a function here from folder to `Page`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sim.records import KINDS, read_manifest

if TYPE_CHECKING:
    from sim.engines.verification import Figures
    from sim.report.page import Page


def kind_of(folder: Path) -> str:
    """The kind of a folder, one of KINDS. RecordsError when it is none of fotasim's."""
    kind: str = read_manifest(folder)["kind"]
    return kind


def page_of(folder: Path) -> Page:
    """The page of a folder of any kind but a run, whose page takes options of its own (`sim.report.from_runs`)."""
    return PAGES[kind_of(folder)](folder)


def _comparison(folder: Path) -> Page:
    from sim.report.pages.comparison_page import comparison_page
    from sim.study.study_folders import load_comparison

    return comparison_page(load_comparison(folder), read_manifest(folder))


def _sweep(folder: Path) -> Page:
    from sim.report.pages.sweep_page import sweep_page
    from sim.study.study_folders import load_sweep

    return sweep_page(load_sweep(folder), read_manifest(folder))


def _tune(folder: Path) -> Page:
    from sim.report.pages.tuning_page import tuning_page
    from sim.study.strategy_file import strategy_yaml
    from sim.study.study_folders import load_tuning

    result = load_tuning(folder)
    return tuning_page(result, "" if result.recommended is None else strategy_yaml(result), read_manifest(folder))


def _sensitivity(folder: Path) -> Page:
    from sim.report.pages.sensitivity_page import sensitivity_page
    from sim.study.study_folders import load_sensitivity

    return sensitivity_page(load_sensitivity(folder), read_manifest(folder))


def _load(folder: Path) -> Page:
    from sim.load.load_folder import page_of_load

    return page_of_load(folder)


def _capacity(folder: Path) -> Page:
    from sim.report.pages.capacity_page import page

    return page(folder)


PAGES: dict[str, Callable[[Path], Page]] = {
    "comparison": _comparison, "sweep": _sweep, "tune": _tune, "sensitivity": _sensitivity, "load": _load,
    "capacity": _capacity,
}  # fmt: skip


def figures_by_kind() -> dict[str, Figures]:
    """What works the figures of a folder out again, by kind of folder."""
    from sim.engines.verification import figures_of_run
    from sim.load import verification as of_loads
    from sim.study import verification as of_studies

    return {"run": figures_of_run, **of_studies.FIGURES, **of_loads.FIGURES}


__all__ = ["KINDS", "PAGES", "figures_by_kind", "kind_of", "page_of"]
