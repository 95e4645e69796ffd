"""Any page of blocks as one self-contained HTML file: escaped, printable, usable without scripts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from sim.report.formats.svg import to_svg
from sim.report.page import Column, Page, Table
from sim.report.show import printable, unbroken, words

_LONG_TEXT = 40
_LONG_WORD = re.compile(r"[\w./=-]{20,}")
_FIGURE = re.compile(r"[-+]?[\d.,]+ \S{1,6}( to [-+]?[\d.,]+ \S{1,6})?")
"""A number with its unit, or an interval of two, which stay on one line."""
_ARGUMENT = re.compile(r"\S+")
_UNPARTED = re.compile(r"(?<![\w-])--[a-z][a-z-]+|\b\w+\(\w+\)&lt;[\w.%]+")
"""Options of a command, and objectives such as p99(notify)<2s."""
_WHOLE = r'<span class="argument">\g<0></span>'
"""What breaks over lines as a whole only."""
_JOINTS = re.compile(r"(?<=[A-Za-z0-9][._/=])(?=[A-Za-z0-9])")


def render(page: Page) -> str:
    """Any page of blocks as one self-contained HTML text; everything shown is escaped."""
    text: str = environment().get_template("base.html").render(page=page)
    return text


@cache
def environment() -> Environment:
    """The templates with their filters; pages that extend base.html load them here."""
    made = Environment(
        loader=PackageLoader("sim.report.formats", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_printable,
    )  # fmt: skip
    made.filters.update(
        words=words, kind=lambda block: type(block).__name__, svg=lambda chart: Markup(to_svg(chart.figure, chart.alt)),
        cells=_cells, breakable=_breakable, command=_command,
    )  # fmt: skip
    return made


def _printable(value: object) -> object:
    return unbroken(printable(value)) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(text: str) -> Markup:
    """Text, escaped; long identifiers may break after a dot, a slash or an underscore only, options of a command and objectives nowhere."""
    parted = _LONG_WORD.sub(lambda m: _JOINTS.sub("<wbr>", m[0]), str(escape(unbroken(printable(text)))))
    return Markup(_UNPARTED.sub(_WHOLE, parted))


def _command(text: str) -> Markup:
    """Lines to copy, escaped; those of a command break between its arguments, not after the dashes of an option."""
    if not text.startswith("fotasim "):
        return escape(printable(text))
    return Markup(_ARGUMENT.sub(_WHOLE, str(escape(printable(text)))))


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell ready for the template: its tag and classes, the number it sorts by, its text."""

    tag: str
    classes: str
    raw: float | None
    text: str


def _cells(table: Table) -> Iterator[list[_Cell]]:
    for row, shown in zip(table.raw(), table.shown(), strict=True):
        yield [
            _cell(column, value, text, head=table.row_heads and i == 0)
            for i, (column, value, text) in enumerate(zip(table.columns, row, shown, strict=True))
        ]


def _cell(column: Column, value: object, text: str, *, head: bool) -> _Cell:
    tag = "th" if head else "td"
    if column.kind == "met":
        return _Cell(tag, "met" if value else "unmet", None, text)
    if column.kind == "state":
        return _Cell(tag, {"met": "met", "not met": "unmet"}.get(str(value), "open"), None, text)
    if not column.numeric:
        return _Cell(tag, "long" if len(text) > _LONG_TEXT else "short" if _FIGURE.fullmatch(text) else "", None, text)
    raw = float(value) if isinstance(value, int | float) and math.isfinite(value) else None
    return _Cell(tag, "n zero" if raw == 0 and column.kind == "count" else "n", raw, text)
