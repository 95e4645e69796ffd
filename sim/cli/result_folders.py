"""What a folder of results is and the page it makes: the one place where kinds of folders meet their pages.

A folder names its kind in manifest.json (`sim.records.KINDS`). A new kind is a function here from folder to `Page`.
"""

from __future__ import annotations

import html
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sim import archive
from sim.archive import Finding
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


_TEXTS = {"html": "report.html", "md": "report.md", "junit": "report.xml", "json": "report.json"}
_FIGURE = re.compile(r"<svg.*?</svg>", re.DOTALL)
_NAMED = {
    "report.xml": re.compile(r'<testsuite name="(?P<name>[^"]*)"'),
    "report.json": re.compile(r'"facts": \{\s*"label": "(?P<name>[^"\\]*)"'),
}
OPTIONS = "report.options.json"
"""Names the options that files of a run's report were made with, where there were any."""


def note_options(folder: Path, written: Sequence[Path], given: Sequence[str]) -> None:
    """Keeps with what options files of the report of a folder were made, as its data alone do not give them."""
    path = folder / OPTIONS
    if given or path.exists():
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        known |= {str(file.relative_to(folder)): list(given) for file in written}
        path.write_text(json.dumps(known, indent=1), encoding="utf-8")
        archive.add(folder, [path])


def report_as_made(folder: Path) -> tuple[list[Finding], list[str]]:
    """Where the report of a folder says something else than its data give, and what of it is not checked and why.

    Text and tables of HTML, Markdown, JUnit and JSON are made again and compared; drawings and other formats are not.
    """
    from sim.engines.run import host_provenance
    from sim.report.formats.write import write_formats
    from sim.report.from_runs import single
    from sim.report.model.nearby_studies import SUFFIXES

    there = {format_: name for format_, name in _TEXTS.items() if (folder / name).exists()}
    others = [name for name in ("report.pdf", "tables") if (folder / name).exists()]
    unchecked = [f"{name}: nothing but its hashes" for name in others]
    if not there:
        return [], unchecked
    manifest, here = read_manifest(folder), host_provenance()
    made, now = (f"{told.get('fotasim')}, commit {told.get('commit') or 'not known'}" for told in (manifest, here))
    if made != now:
        return [], [*unchecked, f"{', '.join(there.values())}: the folder is of fotasim {made}, this is {now}"]
    options = json.loads((folder / OPTIONS).read_text(encoding="utf-8")) if (folder / OPTIONS).exists() else {}
    is_run = manifest["kind"] == "run"
    named = _named(folder) if is_run else ""
    if is_run and named != folder.resolve().name:
        unchecked.append(f"the name {named!r}: what the folder was called when its report was made")
    page, plain = single(folder, label=named) if is_run else (page_of(folder), [])
    neighbours = (folder.resolve().with_name(folder.resolve().name + suffix) for suffix in SUFFIXES)
    studies = [place.name for place in neighbours if place.exists()]
    findings = []
    with tempfile.TemporaryDirectory() as aside:
        write_formats(page, Path(aside), list(there), runs=plain)
        for name in there.values():
            if options.get(name):
                unchecked.append(f"{name}: made with {' '.join(options[name])}")
            elif _words(folder / name) != _words(Path(aside) / name):
                if studies:
                    unchecked.append(f"{name}: not as the data give it with {' and '.join(studies)} beside the folder")
                    continue
                findings.append(Finding(name, "is not the report that the data of the folder give"))
    return findings, [*unchecked, "drawings of report.html: nothing but its hash"]


def _named(folder: Path) -> str:
    """What JUnit or JSON call a run: the name its folder had then, since archives are moved. Else the folder's name."""
    for name, told in _NAMED.items():
        found = told.search((folder / name).read_text(encoding="utf-8")) if (folder / name).exists() else None
        if found:
            return html.unescape(found["name"])
    return folder.resolve().name


def _words(path: Path) -> str:
    """The text of a format, without drawings: those depend on the version of the library that makes them."""
    return _FIGURE.sub("", path.read_text(encoding="utf-8"))


def figures_by_kind() -> dict[str, Figures]:
    """What works the figures of a folder out again, by kind of folder."""
    from sim.engines.verification import figures_of_run
    from sim.load import verification as of_loads
    from sim.study import verification as of_studies

    return {"run": figures_of_run, **of_studies.FIGURES, **of_loads.FIGURES}


__all__ = ["KINDS", "PAGES", "figures_by_kind", "kind_of", "note_options", "page_of", "report_as_made"]
