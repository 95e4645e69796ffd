"""The formats of a report: one page of blocks, written in every format asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sim import archive
from sim.errors import RecordsError
from sim.report.formats import table_files
from sim.report.page import Page

FORMATS = ("html", "pdf", "md", "junit", "json", "csv", "parquet")
"""What `--format` takes, besides `all`."""


def write_formats(
    page: Page, folder: Path, formats: Sequence[str], *, runs: Sequence[dict[str, Any]] = (), name: str = "report"
) -> list[Path]:
    """Writes `name`.html, .pdf, .md, .xml (JUnit), .json and tables/ into the folder; returns what was written.

    `runs` are the plain reports the page was made from; the JSON format carries them beside the tables.
    """
    archive.check_unsigned(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [path for wanted in formats for path in _WRITERS[wanted](page, folder, name, runs)]
        archive.add(folder, written)
        return written
    except OSError as error:
        raise RecordsError(f"{folder}: cannot be written: {error.strerror or error}") from None


def to_json(page: Page, runs: Sequence[dict[str, Any]] = ()) -> str:
    """The page's numbers: verdict, checks, every table, and the whole report of each run; schema report.schema.json."""
    verdict = page.verdict
    whole = {
        "format": 1, "kind": page.kind, "title": page.title,
        "verdict": None if verdict is None else {"key": verdict.key, "word": verdict.word},
        "checks": [{"name": c.name, "suite": c.suite, "passed": c.passed, "text": c.text} for c in page.checks],
        "runs": list(runs), "tables": table_files.records(page),
    }  # fmt: skip
    return json.dumps(_finite(whole), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """JSON knows no NaN: what is not a number is nothing."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _html(page: Page, folder: Path, name: str, _: Any) -> list[Path]:
    from sim.report.formats.html_page import render

    return _text(folder / f"{name}.html", render(page))


def _pdf(page: Page, folder: Path, name: str, _: Any) -> list[Path]:
    from sim.report.formats.pdf import to_pdf

    path = folder / f"{name}.pdf"
    path.write_bytes(to_pdf(page))
    return [path]


def _markdown(page: Page, folder: Path, name: str, _: Any) -> list[Path]:
    from sim.report.formats.markdown import to_markdown

    return _text(folder / f"{name}.md", to_markdown(page))


def _junit(page: Page, folder: Path, name: str, _: Any) -> list[Path]:
    from sim.report.formats.junit import to_junit

    return _text(folder / f"{name}.xml", to_junit(page))


def _json(page: Page, folder: Path, name: str, runs: Sequence[dict[str, Any]]) -> list[Path]:
    return _text(folder / f"{name}.json", to_json(page, runs))


def _csv(page: Page, folder: Path, _: str, __: Any) -> list[Path]:
    return table_files.write_csv(page, _tables(folder))


def _parquet(page: Page, folder: Path, _: str, __: Any) -> list[Path]:
    return table_files.write_parquet(page, _tables(folder))


def _tables(folder: Path) -> Path:
    made = folder / "tables"
    made.mkdir(exist_ok=True)
    return made


def _text(path: Path, text: str) -> list[Path]:
    path.write_text(text, encoding="utf-8")
    return [path]


_WRITERS: dict[str, Callable[[Page, Path, str, Any], list[Path]]] = {
    "html": _html, "pdf": _pdf, "md": _markdown, "junit": _junit, "json": _json, "csv": _csv, "parquet": _parquet,
}  # fmt: skip
