"""A page as plain data: what is said, in which order; every format (HTML, PDF, Markdown, tables) renders these blocks.

A page is a list of sections, a section a list of blocks. Blocks hold text and numbers, never markup: formats escape what
they print. Build one from any result and every format can show it::

    table = Table("points", (Column("limit_percent", "Limit, %", "number"), Column("bricked", "Bricked", "share")), rows)
    page = Page("Sweep of the battery limit", sections=[Section("Points", [table, Chart(figure, alt="…")])])
    html = render(page)                      # sim.report.formats.html_page
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sim.exit_status import ExitStatus
from sim.report.show import Kind, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDE_FROM = 7.0


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; `strong` is its beginning, set in bold. `hint` makes it small print."""

    text: str
    strong: str = ""
    hint: bool = False


@dataclass(frozen=True, slots=True)
class Code:
    """Lines to copy as they stand."""

    text: str


@dataclass(frozen=True, slots=True)
class Points:
    """A list of short statements, each optionally opened by words in bold."""

    items: Sequence[Text]


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure a reader wants first: its name, its value as shown, what it says."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Tiles:
    """Key figures beside each other."""

    tiles: Sequence[Tile]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in files (with the unit), its heading on pages, what its values are."""

    key: str
    label: str
    kind: Kind = "text"

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers, which stand on the right."""
        return self.kind not in ("text", "name", "met", "state", "metric")


@dataclass(frozen=True, slots=True)
class Value:
    """A cell of another kind than its column's, for tables whose rows differ in unit; `signed` shows a plus."""

    kind: Kind
    value: Any
    signed: bool = False

    def shown(self) -> str:
        """As a reader sees it."""
        text = show(self.kind, self.value)
        plus = self.signed and isinstance(self.value, int | float) and self.value > 0 and text[0].isdigit()
        return f"+{text}" if plus else text


@dataclass(frozen=True, slots=True)
class Table:
    """A table: `name` is its file name without extension, rows hold raw values in the order of the columns.

    With `row_heads` the first column names its row. `folded` tables show their caption first, in print too.
    """

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    row_heads: bool = True
    folded: bool = False

    def shown(self) -> list[list[str]]:
        """Every cell as a reader sees it."""
        return [
            [v.shown() if isinstance(v, Value) else show(c.kind, v) for c, v in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    def raw(self) -> list[list[Any]]:
        """Every cell as a plain value: SI units, shares as fractions, None where there is nothing."""
        return [[v.value if isinstance(v, Value) else v for v in row] for row in self.rows]


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with its numbers in words (`alt`), a heading and a line of small print."""

    figure: Figure
    alt: str
    title: str = ""
    note: str = ""

    @property
    def wide(self) -> bool:
        """Whether it is drawn to stand across the page."""
        return float(self.figure.get_figwidth()) > _WIDE_FROM


Block = Text | Code | Points | Tiles | Table | Chart


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading. `half` sections stand in pairs on wide screens; `variant` names the strategy or run a
    section belongs to when the page can switch between several. `minor` ones belong to the section before them."""

    title: str
    blocks: Sequence[Block]
    half: bool = False
    variant: str = ""
    minor: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer on top: `key` chooses the colour, `word` is the answer, `blocks` give its reasons."""

    key: Literal["go", "no-go", "marginal", "stopped", "invalid", "none", "partial"]
    word: str
    blocks: Sequence[Block] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """Something that had to hold, such as a gate: its name, what it belongs to, whether it held, the figures.

    `status` is the exit status of a command when it did not hold; `word` says in the verdict's own words what it came to,
    such as `too little`, and is empty where the status says enough. `by_chance`: more of the same would settle it, so
    `--marginal-as` may decide it.
    """

    name: str
    suite: str
    passed: bool
    text: str
    status: int = ExitStatus.NO_GO
    word: str = ""
    by_chance: bool = True

    @property
    def state(self) -> str:
        """What it came to, in words."""
        return "met" if self.passed else self.word or _STATES.get(self.status, "not met")


_STATES: dict[int, str] = {
    ExitStatus.UNDECIDED: "undecided", ExitStatus.RUN_FAILED: "void", ExitStatus.INTERRUPTED: "partial",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page; `facts` is one line of small print under the title, `opening` follows the verdict at once.

    `checks` become test cases of the JUnit format. `kind` is that of the folder it was made from (`sim.records.KINDS`), or
    `trend`.
    """

    title: str
    kind: str = "run"
    kicker: str = "fotasim"
    lead: str = ""
    facts: str = ""
    verdict: Verdict | None = None
    opening: Sequence[Block] = ()
    sections: Sequence[Section] = field(default_factory=list)
    properties: Sequence[tuple[str, str]] = ()
    """What identifies the result, as names and values: properties of the JUnit format."""
    checks: Sequence[Check] = ()

    @property
    def variants(self) -> list[str]:
        """The strategies or runs the page can switch between, in order of appearance."""
        return list(dict.fromkeys(section.variant for section in self.sections if section.variant))

    def rows(self) -> Iterator[list[Section]]:
        """The sections as they stand beside each other: half ones of the same variant in pairs, all others alone."""
        waiting: list[Section] = []
        for section in self.sections:
            if waiting and (not section.half or section.variant != waiting[0].variant or len(waiting) == 2):
                yield waiting
                waiting = []
            if section.half:
                waiting.append(section)
            else:
                yield [section]
        if waiting:
            yield waiting

    def blocks(self) -> Iterator[Block]:
        """Every block of the page, top down."""
        yield from self.verdict.blocks if self.verdict else ()
        yield from self.opening
        for section in self.sections:
            yield from section.blocks

    def tables(self) -> list[Table]:
        """Every table of the page, top down."""
        return [block for block in self.blocks() if isinstance(block, Table)]
