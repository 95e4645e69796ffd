"""What is wrong in a fleet file: every fault with its line, the user's column, the value and the cure, in one list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sim.errors import FleetFileError, Problem

SHOWN = 25
"""Faults listed one by one; the rest is counted by kind."""
SHOWN_OF_A_KIND = 5
LONGEST = 40


def shown(value: str) -> str:
    """A value of a file as a message may show it: quoted, short, without control characters."""
    return repr(value if len(value) <= LONGEST else value[:LONGEST] + "…")


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault of a column, with the rows it is in; `row` counts records from 0, None is the whole column."""

    column: str
    cure: str
    rows: Sequence[int]
    values: Sequence[str]
    count: int


@dataclass(slots=True)
class Faults:
    """Faults found so far."""

    path: Path
    place: str
    """What rows are called in the file: line, row or record."""
    lines_of: Callable[[Sequence[int]], Sequence[int]]
    found: list[Fault] = field(default_factory=list)

    def add(
        self, column: str, cure: str, rows: Sequence[int] = (), values: Sequence[str] = (), count: int | None = None
    ) -> None:
        """Notes a kind of fault: the first rows with their values, and how many there are; no rows: the whole column."""
        total = len(rows) if count is None else count
        self.found.append(Fault(column, cure, list(rows[:SHOWN]), [str(v) for v in values[:SHOWN]], total))

    def stop(self) -> None:
        """Raises FleetFileError with everything found, if anything was."""
        if not self.found:
            return
        problems, more = self._problems()
        raise FleetFileError(problems, more)

    def _problems(self) -> tuple[list[Problem], list[str]]:
        whole = [Problem(str(self.path), None, f.column, _of(f.values), f.cure) for f in self.found if not f.rows]
        each = min(SHOWN_OF_A_KIND if len(self.found) > 1 else SHOWN, SHOWN)
        listed = [(row, f, value) for f in self.found for row, value in zip(f.rows[:each], f.values, strict=False)]
        listed = listed[: SHOWN - len(whole)] if len(whole) < SHOWN else []
        lines = dict(zip([row for row, _, _ in listed], self.lines_of([row for row, _, _ in listed]), strict=True))
        listed.sort(key=lambda entry: (lines[entry[0]], entry[1].column))
        problems = whole + [self._problem(lines[row], f, value) for row, f, value in listed]
        told = Counter(id(f) for _, f, _ in listed)
        more = [
            f"{f.count - told[id(f)]:,} more of {f.column}: {f.cure}"
            for f in self.found
            if f.rows and f.count > told[id(f)]
        ]
        return problems, more

    def _problem(self, line: int, fault: Fault, value: str) -> Problem:
        found = shown(value) if value else "nothing"
        if self.place == "record":
            return Problem(str(self.path), None, f"record {line}, {fault.column}", found, fault.cure)
        return Problem(str(self.path), line, fault.column, found, fault.cure)


def _of(values: Sequence[str]) -> str:
    return ", ".join(shown(v) for v in values[:3]) + (", …" if len(values) > 3 else "") if values else "nothing"
