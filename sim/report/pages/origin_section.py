"""The section that makes a page evidence: the command that repeats the result, and the table of where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.report.model.origin import Origin, origin_of
from sim.report.model.release import InputFile
from sim.report.page import Block, Code, Column, Section, Table, Text, Value

_STUDY = (
    "Type it in this folder: it holds the scenario with every default written out, and copies of the fleet files. "
    "fotasim verify . checks every file against SHA256SUMS and works the figures out again from the tables; with --repeat it "
    "also makes the study again and names what differs."
)
_SIDES_OF_RUNS = " Run folders that were compared are not copied; their hashes tell whether they are the same."


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a study's page says of where it comes from; nothing for a result that lies in no folder."""

    origin: Origin | None
    sides_are_runs: bool = False

    def sections(self) -> list[Section]:
        """The last section of the page."""
        if self.origin is None:
            return []
        return [
            origin_section(self.origin, "Repeat this study", _STUDY + (_SIDES_OF_RUNS if self.sides_are_runs else ""))
        ]

    def properties(self) -> list[tuple[str, str]]:
        """What identifies the result, for JUnit."""
        return [] if self.origin is None else self.origin.rows()


def evidence_of(manifest: Mapping[str, Any] | None) -> Evidence:
    """The evidence of a study's folder by its manifest; of None there is none."""
    if manifest is None:
        return Evidence(None)
    return Evidence(origin_of(manifest), any(side.get("run") for side in manifest.get("sides", [])))


def origin_section(origin: Origin, title: str, hint: str, more: Sequence[tuple[str, str]] = ()) -> Section:
    """The command, how to check the folder, and the table of origin with `more` rows first."""
    columns = (Column("what", "What"), Column("value", "Value"))
    rows = [(name, Value("text", value)) for name, value in [*more, *origin.rows()]]
    blocks: list[Block] = [Code(origin.repeat)] if origin.repeat else []
    blocks += [Text(hint, hint=True), Table("provenance", columns, rows, caption="Origin of these figures")]
    if origin.inputs:
        blocks.append(input_table(origin.inputs))
    return Section(title, blocks)


def input_table(inputs: Sequence[InputFile]) -> Table:
    """The files a result was made from, with their hashes."""
    columns = (
        Column("key", "Key"), Column("name", "File"), Column("rows", "Rows", "count"), Column("size_bytes", "Size", "size"),
        Column("sha256", "SHA-256"), Column("copy", "Copy in this folder"),
    )  # fmt: skip
    rows = [(f.key, f.name, f.rows, f.size_bytes, f.sha256, f.copy or "none") for f in inputs]
    return Table("input_files", columns, rows, caption="Input files")


__all__ = ["Evidence", "evidence_of", "input_table", "origin_section"]
