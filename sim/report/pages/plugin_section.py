"""What plug-ins had a part in, said on the first page, and the section with what they gave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sim.plugins import DRIVING
from sim.report.model.plugins_used import PluginUsed
from sim.report.page import Block, Column, Section, Table, Text
from sim.stats.intervals import share_interval
from sim.stats.plugin_shares import figure_of

_SOURCE = "What a plug-in gives is its author's; fotasim checked its form, not its meaning."


def plugins_text(used: Sequence[PluginUsed]) -> Text:
    """Which plug-ins took part, for the top of the page."""
    driving = [x.name for x in used if x.kind in DRIVING]
    part = (
        f" {', '.join(driving)} decided during the run: its result is not that of the strategy alone."
        if driving
        else ""
    )
    named = ", ".join(f"{x.name} ({x.kind}, {x.python}{f' of {x.package}' if x.package else ''})" for x in used)
    return Text(f"{named}.{part}", "Plug-ins took part:")


def plugin_sections(used: Sequence[PluginUsed]) -> Iterator[Section]:
    """Where they come from, and what each gave."""
    if not used:
        return
    columns = tuple(Column(key, label) for key, label in (
        ("name", "Plug-in"), ("kind", "Kind"), ("python", "Function"), ("package", "Package"), ("options", "Options"), ("sha256", "SHA-256 of its file"),
    ))  # fmt: skip
    rows = [
        (x.name, x.kind, x.python, x.package or "none", ", ".join(f"{k}: {v}" for k, v in x.options.items()) or "none", x.sha256)
        for x in used
    ]  # fmt: skip
    blocks: list[Block] = [Text(_SOURCE, hint=True), Table("plugins", columns, rows)]
    shares = [x for x in used if x.campaigns]
    if shares:
        blocks.append(_shares(shares))
    for x in used:
        blocks += _classes(x) if x.classes else []
        blocks += _blocks(x) if x.blocks else []
    yield Section("Plug-ins", blocks)


def _shares(used: Sequence[PluginUsed]) -> Table:
    columns = (
        Column("name", "Share"), Column("number", "Modules", "count"), Column("of", "Of modules", "count"),
        Column("share", "Share of them", "share"), Column("low", "95 % low", "share"), Column("high", "95 % high", "share"),
    )  # fmt: skip
    rows = []
    for x in used:
        found = figure_of(x.campaigns)
        number, of = (sum(pair[i] for pair in x.campaigns) for i in (0, 1))
        rows.append((x.name, number, of, found.value, found.low, found.high))
    return Table("plugin_shares", columns, rows, caption="Shares that plug-ins counted")


def _classes(used: PluginUsed) -> list[Block]:
    total = sum(used.classes.values())
    columns = (
        Column("class", "Class"), Column("modules", "Modules", "count"), Column("share", f"Of {total:,}", "share"),
        Column("low", "95 % low", "share"), Column("high", "95 % high", "share"),
    )  # fmt: skip
    rows = [(name, n, n / total, *share_interval(n, total)) for name, n in used.classes.items()]
    return [Table(f"plugin_{used.name}", columns, rows, caption=f"Modules by {used.name}")]


def _blocks(used: PluginUsed) -> list[Block]:
    listed: list[Block] = [Text("", f"From {used.name}:")]
    for number, block in enumerate(used.blocks, 1):
        if isinstance(block, str):
            listed.append(Text(block))
            continue
        columns = tuple(Column(f"column_{i}", name) for i, name in enumerate(block["columns"], 1))
        rows = [["–" if cell is None else str(cell) for cell in row] for row in block["rows"]]
        listed.append(Table(f"plugin_{used.name}_{number}", columns, rows))
    return listed
