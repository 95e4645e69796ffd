"""Any page of blocks as Markdown that fits a comment on a pull or merge request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sim.report.page import Block, Chart, Code, Page, Points, Section, Table, Text, Tiles
from sim.report.show import printable

MOST_CHARACTERS = 60_000
"""GitHub takes 65,536 characters in a comment."""
MOST_ROWS = 25
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])|^(\s*)([#+\-=]+|\d+[.)])(?=\s|$)")
_LINKS = re.compile(r"(@(?=\w)|[#!](?=\d)|://|\bwww\.|\bGH-|\bmailto:)", re.IGNORECASE)
_MARKS = {
    "go": "✅", "no-go": "❌", "stopped": "❌", "marginal": "⚠️", "invalid": "⚠️", "none": "➖", "partial": "⚠️",
}  # fmt: skip


def to_markdown(page: Page) -> str:
    """The page; sections after the verdict fold away. Sections that would not fit are left out, and it says so."""
    lines = [f"## {_heading(page)}", ""]
    lines += [f"{escape(text)}\n" for text in (page.lead, page.facts) if text]
    lines += [
        line for block in (*(page.verdict.blocks if page.verdict else ()), *page.opening) for line in _block(block)
    ]
    text, left_out = "\n".join(lines), 0
    for section in page.sections:
        more = "\n".join(_section(section))
        if len(text) + len(more) > MOST_CHARACTERS:
            left_out += 1
            continue
        text += more
    if left_out:
        text += f"\n\n{left_out} sections are left out here; report.html has them.\n"
    return re.sub(r"\n{3,}", "\n\n", text)


def escape(text: str) -> str:
    """Text as text: no markup, no HTML, no link, no mention of a user or issue."""
    plain = printable(text).replace("\n", " ")
    broken = _unlinked(plain)
    html = broken.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(_backslash, html)


def _unlinked(text: str) -> str:
    """Text in which no forge finds an address, a user or an issue: an invisible blank stands inside each."""
    return _LINKS.sub(lambda m: f"{m[1][0]}\u200b{m[1][1:]}", text)


def _backslash(match: re.Match[str]) -> str:
    """A backslash before what would be markup; a number that would open a list gets it before its dot."""
    if match[1]:
        return f"\\{match[1]}"
    opening = match[3]
    return f"{match[2]}{opening[:-1]}\\{opening[-1]}"


def _heading(page: Page) -> str:
    if page.verdict is None:
        return escape(page.title)
    return f"{_MARKS[page.verdict.key]} {escape(page.verdict.word)}: {escape(page.title)}"


def _section(section: Section) -> Iterator[str]:
    blocks = [line for block in section.blocks for line in _block(block)]
    if not blocks:
        return
    name = f"{section.variant}: {section.title}" if section.variant else section.title
    yield from ("", f"<details><summary>{_in_html(name)}</summary>", "", *blocks, "</details>", "")


def _block(block: Block) -> Iterable[str]:
    match block:
        case Text():
            return [_line(block), ""]
        case Points():
            return [*(f"- {_line(item)}" for item in block.items), ""]
        case Code():
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", block.text)), default=0))
            return [fence, printable(block.text), fence, ""]
        case Tiles():
            rows = [[escape(t.name), f"**{escape(t.value)}**", escape(t.note)] for t in block.tiles]
            return [*_table(["Figure", "Value", ""], ["---", "--:", "---"], rows), ""]
        case Chart():
            return [f"{f'**{escape(block.title)}.** ' if block.title else ''}{escape(block.alt)}.", ""]
        case Table():
            return _shown(block)


def _shown(table: Table) -> list[str]:
    if table.folded:
        return [f"{escape(table.caption or table.name)}: tables/{escape(table.name)}.csv", ""]
    rows = [[escape(text) or " " for text in row] for row in table.shown()]
    rules = ["--:" if c.numeric else "---" for c in table.columns]
    lines = [f"**{escape(table.caption)}**", ""] if table.caption else []
    lines += _table([escape(c.label) or " " for c in table.columns], rules, rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        lines.append(f"\n{len(rows) - MOST_ROWS} more rows: tables/{escape(table.name)}.csv")
    return [*lines, ""]


def _table(head: list[str], rules: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, rules, *rows)]


def _line(text: Text) -> str:
    strong = f"**{escape(text.strong.strip())}** " if text.strong.strip() else ""
    return strong + escape(text.text)


def _in_html(text: str) -> str:
    plain = printable(text).replace("\n", " ")
    return _unlinked(plain).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
