"""What a folder of results is and the page it makes: the one place where kinds of folders meet their pages.

A folder names its kind in manifest.json (`sim.records.KINDS`). A new kind is a function here from folder to `Page`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sim.records import KINDS, read_manifest

if TYPE_CHECKING:
    from sim.report.page import Page


def kind_of(folder: Path) -> str:
    """The kind of a folder, one of KINDS. RecordsError when it is none of fotasim's."""
    kind: str = read_manifest(folder)["kind"]
    return kind


def page_of(folder: Path) -> Page:
    """The page of a folder of any kind but a run, whose page takes options of its own (`sim.report.write`)."""
    return PAGES[kind_of(folder)](folder)


def _comparison(folder: Path) -> Page:
    from sim.study.folders import load_comparison
    from sim.study.pages import comparison_page

    return comparison_page(load_comparison(folder))


def _sweep(folder: Path) -> Page:
    from sim.study.folders import load_sweep
    from sim.study.pages import sweep_page

    return sweep_page(load_sweep(folder))


def _tune(folder: Path) -> Page:
    from sim.study.folders import load_tuning
    from sim.study.pages_search import tuning_page

    return tuning_page(load_tuning(folder))


def _sensitivity(folder: Path) -> Page:
    from sim.study.folders import load_sensitivity
    from sim.study.pages_search import sensitivity_page

    return sensitivity_page(load_sensitivity(folder))


def _load(folder: Path) -> Page:
    from sim.load.load_folder import page_of_load

    return page_of_load(folder)


def _capacity(folder: Path) -> Page:
    from sim.report.capacity_page import page

    return page(folder)


PAGES: dict[str, Callable[[Path], Page]] = {
    "comparison": _comparison, "sweep": _sweep, "tune": _tune, "sensitivity": _sensitivity, "load": _load,
    "capacity": _capacity,
}  # fmt: skip

__all__ = ["KINDS", "PAGES", "kind_of", "page_of"]
