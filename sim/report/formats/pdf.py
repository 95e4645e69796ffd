"""Any page of blocks as PDF: contents, page numbers, vector figures, tagged for screen readers; set by Typst."""

from __future__ import annotations

import json
import re
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib as mpl

from sim.report.formats.svg import to_print
from sim.report.page import Block, Chart, Code, Page, Points, Section, Table, Text, Tiles
from sim.report.show import printable, unbroken

_BREAKS = re.compile(r"(?<=[A-Za-z][._/=])(?=[A-Za-z])|(?<=\w{24})(?=\w)")
_SHORT, _LONG, _MANY = 16, 60, 9
_ZERO_WIDTH = "\u200b"
_BOLD, _INSETS = 1.15, 2.0
"""How much wider a word of a heading is than as many characters of a cell, and what a column's insets take in characters."""


def to_pdf(page: Page) -> bytes:
    """The page as PDF 1.7 with the tags of PDF/UA-1; the same bytes for the same page."""
    import typst

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        template = resources.files("sim.report.formats").joinpath("templates/page.typ").read_bytes()
        (folder / "page.typ").write_bytes(template)
        (folder / "page.json").write_text(json.dumps(_Setter(folder).page(page)), encoding="utf-8")
        # The letters of the figures' own font, so that every machine sets the same page.
        fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
        made = typst.compile(
            folder / "page.typ", root=folder, font_paths=[fonts], format="pdf", pdf_standards="ua-1", timestamp=0
        )
    return bytes(made)


class _Setter:
    """Turns blocks into what the template reads; figures become files of the folder, folded tables go to the annex."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.figures = 0
        self.annex: list[dict[str, Any]] = []

    def page(self, page: Page) -> dict[str, Any]:
        verdict = page.verdict
        return {
            "title": _clean(page.title), "kicker": _clean(page.kicker), "lead": _clean(page.lead),
            "facts": _clean(page.facts),
            "running": _clean(f"{page.title[:60]} · {verdict.word}" if verdict else page.title[:60]),
            "verdict": None if verdict is None else {
                "key": verdict.key, "word": _clean(verdict.word), "blocks": self.blocks(verdict.blocks),
            },
            "opening": self.blocks(page.opening), "rows": [[self.section(s) for s in row] for row in page.rows()],
            "annex": self.annex,
        }  # fmt: skip

    def section(self, section: Section) -> dict[str, Any]:
        name = f"{section.variant}: {section.title}" if section.variant else section.title
        return {"title": _clean(name), "minor": section.minor, "blocks": self.blocks(section.blocks)}

    def blocks(self, blocks: Any) -> list[dict[str, Any]]:
        return [self.block(block) for block in blocks]

    def block(self, block: Block) -> dict[str, Any]:
        match block:
            case Text():
                return {"kind": "text", "hint": block.hint, **_text(block)}
            case Points():
                return {"kind": "points", "items": [_text(item) for item in block.items]}
            case Code():
                return {"kind": "code", "text": _clean(block.text)}
            case Tiles():
                return {"kind": "tiles", "tiles": [
                    {"name": _clean(t.name), "value": _clean(t.value), "note": _clean(t.note)} for t in block.tiles
                ]}  # fmt: skip
            case Chart():
                return self.chart(block)
            case Table():
                return self.table(block)

    def chart(self, chart: Chart) -> dict[str, Any]:
        self.figures += 1
        file = f"figure-{self.figures}.svg"
        (self.folder / file).write_bytes(to_print(chart.figure))
        return {
            "kind": "chart", "file": file, "alt": _clean(chart.alt), "title": _clean(chart.title),
            "note": _clean(chart.note), "wide": chart.wide,
        }  # fmt: skip

    def table(self, table: Table) -> dict[str, Any]:
        shown = [[_clean(text) for text in row] for row in table.shown()]
        made = {
            "kind": "table", "widths": _widths(table, shown), "caption": _clean(table.caption or (table.name.replace("_", " ") if table.folded else "")),
            "columns": [{"label": _clean(c.label).replace("<", f"{_ZERO_WIDTH}<"), "kind": c.kind, "numeric": c.numeric} for c in table.columns],
            "rows": shown,
        }  # fmt: skip
        if not table.folded:
            return made
        self.annex.append(made)
        return {"kind": "annexed", "caption": made["caption"]}


def _widths(table: Table, shown: list[list[str]]) -> list[float]:
    """Shares of the width for long text columns; 0 for columns that take what their content needs."""
    longest = [max((len(row[i]) for row in shown), default=0) for i in range(len(table.columns))]
    if len(longest) > _MANY and max(longest) <= _LONG:  # headings wrap, every column keeps room for its cells
        words = [max(map(len, re.split(r"\s|(?=<)", column.label)), default=0) for column in table.columns]
        return [max(most, _BOLD * word) + _INSETS for most, word in zip(longest, words, strict=True)]
    widths = [
        0.0 if column.numeric or column.kind == "met" or most <= _SHORT else float(min(most, _LONG)) ** 0.7
        for column, most in zip(table.columns, longest, strict=True)
    ]
    return widths if any(widths) else [1.0, *widths[1:]]


def _text(text: Text) -> dict[str, str]:
    return {"strong": _clean(text.strong), "text": _clean(text.text)}


def _clean(text: str) -> str:
    """Printable text that may break inside long words; characters no font prints become a question mark."""
    return _BREAKS.sub(_ZERO_WIDTH, unbroken(printable(text)))
