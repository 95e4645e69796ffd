"""A fleet file to the modules of a group: every value as it is meant, or every fault at once."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sim.cloud.catalog import MAX_VERSION_CHARS
from sim.module.sampling import Coded, KnownModules
from sim.scenario.fleet_files import content, delimited, documents, parquet, sheet
from sim.scenario.fleet_files.columns import Column, nearest
from sim.scenario.fleet_files.faults import Faults
from sim.scenario.fleet_files.raw import Cell, Raw
from sim.scenario.fleet_files.values import (
    DAMAGED,
    MONTH,
    NO_IDS,
    NO_VERSIONS,
    NOT_PRINTABLE,
    NOTHING,
    QUANTITIES,
    Texts,
    check_texts,
    dates_among,
    days_of,
    numbers_of,
    rounded,
    split,
    texts_of,
    zones_of,
)

if TYPE_CHECKING:
    from sim.scenario.fleet_section import Group

NONE_IS_NONE = ("cell", "last_seen", "label")
"""Roles of which an empty field means that there is none."""
NO_MODULES = "holds no modules: a row for each is needed below the header"
MOST_VERSIONS = 30_000
_TOOK_FOR_A_DATE = "Excel took a version for a date: format the column as text and type it again"
_VERSION = (
    (MONTH, _TOOK_FOR_A_DATE),
    *NO_VERSIONS,
    *(entry for entry in DAMAGED if "took it for a number" not in entry[1] and "rounded" not in entry[1]),
)
_VALUE = re.compile(r"\d{10,}|-\d+|[+-]?\d+[.,]\d+")
"""What is a value and no name of a column."""
_TYPED = {
    Cell.REAL: "a number in the file: 1.10 and 1.1 are the same there; ",
    Cell.DATE: "a date in the file: ",
    Cell.ERROR: "an error of the spreadsheet: correct its formula",
    Cell.BARE_FORMULA: "a formula whose result was never saved: open the file in Excel and save it",
}
_ID_AS_A_NUMBER = "a number with a decimal mark: such numbers lose the digits of an id; "
MOST_DIGITS = 15
"""Excel keeps so many of a number."""


@dataclass(slots=True)
class FleetTable:
    """The modules of a group as its file has them, and what happened on the way."""

    path: Path
    form: str
    known: KnownModules
    rows: int
    """Rows in the file."""
    taken: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp), repr=False)
    """Rows that `where` takes, counted from 0."""
    left_out: int = 0
    """Rows that `where` does not take."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Rows dropped, by why."""
    filled: dict[str, int] = field(default_factory=dict)
    """Values that were missing, by column and what was done: `RSRP: sample`."""
    notes: list[str] = field(default_factory=list)
    """What was decided while reading that a user must know."""


def read_raw(path: Path, sheet_name: str | None = None, wanted: frozenset[str] | None = None) -> Raw:
    """The file as text, whatever it is by its content. Raises FleetFileError."""
    with _opened(path) as file:
        head = file.read(8)
    if head[:4] == content.PARQUET:
        return parquet.read_parquet(path, wanted)
    if head[:4] == content.OLE2:
        raise content.refuse(path, "an old Excel file (.xls)", "save it as .xlsx or CSV")
    data = content.read_bytes(path)
    if data[:4] == content.PARQUET:
        raise content.refuse(path, "a packed Parquet file", "unpack it first")
    if data[:4] == content.ZIP:
        return _headed(path, sheet.read_sheet(path, data, sheet_name))
    text, encoding = content.decode(path, data)
    if text.lstrip()[:1] in ("{", "["):
        return documents.read_documents(path, text, encoding)
    return _headed(path, delimited.read_delimited(path, text, encoding))


def _headed(path: Path, raw: Raw) -> Raw:
    """The table, unless its header is a row: then that module would be missing, and nothing had a name."""
    names = [name for name in raw.names if name]
    if any(_VALUE.fullmatch(name) for name in names) or not any(c.isalpha() for name in names for c in name):
        raise content.refuse(
            path, f"a header of {', '.join(names)[:80] or 'nothing'}",
            "put a line with the names of the columns above the rows", "header",
        )  # fmt: skip
    return raw


def _opened(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise content.refuse(path, error.strerror or "an unreadable file", "give the path of a fleet file") from None


def read(group: Group) -> FleetTable:
    """The modules of a group's file. Raises FleetFileError with every fault. Read once while it does not change."""
    path = group.file
    assert path is not None
    try:
        stat = path.stat()
    except OSError as error:
        raise content.refuse(path, error.strerror or "an unreadable file", "give the path of a fleet file") from None
    mapping = group.model_dump_json(include={"columns", "versions", "labels", "where", "sheet", "duplicates"})
    return _read(path, stat.st_mtime_ns, stat.st_size, mapping, next(iter(group.components)))


@lru_cache(maxsize=16)
def _read(path: Path, _changed: int, _size: int, mapping: str, first_component: str) -> FleetTable:
    return _Reading(path, json.loads(mapping), first_component).table()


def check_rows(path: Path, raw: Raw) -> None:
    """Raises FleetFileError where no column can be judged: no rows, or most of them not of the header's width."""
    faults = Faults(path, raw.place, raw.lines_of)
    if len(raw.ragged) >= raw.rows:
        _add_ragged(faults, raw)
    if not raw.rows and not raw.ragged:
        faults.add("file", NO_MODULES)
    faults.stop()


def _add_ragged(faults: Faults, raw: Raw) -> None:
    for i, (_, text, wrong) in enumerate(raw.ragged):
        faults.add("line", delimited.ragged_cure(raw, wrong), [-1 - i], [text])


class _Reading:
    """One file being read under one mapping."""

    def __init__(self, path: Path, given: dict[str, Any], first_component: str) -> None:
        self.columns = {key: Column.model_validate(c) for key, c in given["columns"].items()}
        versions = {name: Column.model_validate(c) for name, c in given["versions"].items()}
        if "version" in self.columns:
            versions[first_component] = self.columns.pop("version")
        self.versions = versions
        self.labels = {n: Column.model_validate(c) for n, c in given["labels"].items() if isinstance(c, dict)}
        self.where: dict[str, list[str]] = given["where"]
        self.duplicates: str = given["duplicates"]
        named = [c.column for c in (*self.columns.values(), *versions.values(), *self.labels.values())]
        self.raw = read_raw(path, given["sheet"], frozenset([*named, *self.where]))
        self.path = path
        self.selected = np.arange(self.raw.rows)
        self.faults = Faults(path, self.raw.place, self._lines)
        self.drop = np.zeros(0, dtype=np.bool_)
        self.damaged: list[int] = []
        self.report = FleetTable(path, self.raw.form, KnownModules(0), self.raw.rows, notes=list(self.raw.notes))
        self._check_names([*named, *self.where])

    def _lines(self, rows: Sequence[int]) -> Sequence[int]:
        """Lines of rows of the selection; negative ones are the ragged rows."""
        return self.raw.lines_of([int(self.selected[r]) if r >= 0 else r for r in rows])

    def _check_names(self, named: list[str]) -> None:
        for name in dict.fromkeys(named):
            count = self.raw.names.count(name)
            if count == 0:
                self.faults.add(name, f"there is no such column; {nearest(name, self.raw.names)}")
            elif count > 1:
                self.faults.add(name, f"{count} columns have this name: rename one in the file")
        if not self.raw.rows and not self.raw.ragged:
            self.faults.add("file", NO_MODULES)
        self.faults.stop()

    def table(self) -> FleetTable:
        """Everything that is mapped."""
        _add_ragged(self.faults, self.raw)
        self._select()
        self.drop = np.zeros(len(self.selected), dtype=np.bool_)
        numbers, sampled = self._numbers()
        names = self._names()
        coded = {
            key: self._coded(key, self.columns[key])
            for key in ("hardware", "cell", "time_zone", "last_seen")
            if key in self.columns
        }
        versions = {name: self._coded("version", column) for name, column in self.versions.items()}
        labels = {name: self._coded("label", column) for name, column in self.labels.items()}
        self._duplicates(names)
        self.faults.stop()
        keep = ~self.drop
        if not keep.any():
            self.faults.add("file", "holds no modules: every row was dropped or left out by where")
            self.faults.stop()
        self._finish(keep, names, numbers, sampled, coded, versions, labels)
        return self.report

    def _select(self) -> None:
        """Only rows that `where` takes are looked at further: the others are other groups'."""
        taken = np.ones(self.raw.rows, dtype=np.bool_)
        for name, values in self.where.items():
            texts, _ = texts_of(self._column(name), frozenset())
            unknown = [v for v in values if v.strip() not in texts.distinct]
            if unknown:
                listed = ", ".join(map(repr, texts.distinct[:10])) + (", …" if len(texts.distinct) > 10 else "")
                self.faults.add(name, f"no row has this value that where asks for; there are {listed}", values=unknown)
            codes = [texts.distinct.index(v.strip()) for v in values if v.strip() in texts.distinct]
            taken &= np.isin(texts.codes, codes)
        self.selected = np.flatnonzero(taken)
        self.report.taken = self.selected
        self.report.left_out = self.raw.rows - len(self.selected)

    def _column(self, name: str) -> Any:
        return self.raw.columns[self.raw.names.index(name)]

    def _texts(self, role: str, given: Column) -> Texts:
        """The selected rows of a column; cells of a wrong type and missing values are dealt with."""
        column = self._column(given.column)
        if len(self.selected) < self.raw.rows:
            column = column.take(pa.array(self.selected))
        absent = {"" if role == "module" else text for text in ("", *NOTHING)} | {
            a.strip().casefold() for a in given.absent
        }
        texts, unwrapped = texts_of(column, frozenset(absent))
        if unwrapped:
            self.report.notes.append(
                f'{given.column}: {unwrapped:,} values written like ="012" or with a leading apostrophe were taken for what is between or behind the marks'
            )
        wrong = self._typed(role, given, texts)
        self._missing(role, given, texts)
        texts.codes[wrong] = -1  # said once: what such a cell holds is not judged further
        return texts

    def _typed(self, role: str, given: Column, texts: Texts) -> NDArray[np.bool_]:
        """Cells of a typed file whose type has changed what stood there: rows that are refused for it."""
        wrong = np.zeros(len(self.selected), dtype=np.bool_)
        if not self.raw.cells:
            return wrong
        cells = self.raw.cells[self.raw.names.index(given.column)]
        kinds = (
            cells[self.selected] if isinstance(cells, np.ndarray) else np.full(len(self.selected), cells, dtype=np.int8)
        )
        strict = role in ("module", "version", "hardware", "cell")
        for kind, why in _TYPED.items():
            if not strict and kind in (Cell.REAL, Cell.DATE, Cell.ERROR):
                continue
            rows = np.flatnonzero((kinds == kind) & (texts.codes >= 0))
            if len(rows):
                values = [texts.distinct[c] for c in texts.codes[rows[:25]]]
                told = _ID_AS_A_NUMBER if kind == Cell.REAL and role == "module" else why
                self.faults.add(given.column, f"{told}{self._as_text(kind)}", rows[:25].tolist(), values, len(rows))
                wrong[rows] = True
        if strict and self.raw.form.startswith("Excel"):
            long = [
                i for i, text in enumerate(texts.distinct) if len(text.lstrip("-")) > MOST_DIGITS and text.isdigit()
            ]
            hit = np.flatnonzero(np.isin(texts.codes, long) & (kinds == Cell.INTEGER))
            if len(hit):
                why = (
                    f"a number of more than {MOST_DIGITS} digits: Excel has rounded it; export the column as text again"
                )
                self.faults.add(
                    given.column, why, hit[:25].tolist(), [texts.distinct[c] for c in texts.codes[hit[:25]]], len(hit)
                )
                wrong[hit] = True
        return wrong

    def _as_text(self, kind: Cell) -> str:
        """How such a cell becomes the text it was: by retyping it in a spreadsheet, elsewhere where the file is written."""
        if kind not in (Cell.REAL, Cell.DATE):
            return ""
        retype = "format the column as text and type it again"
        return retype if self.raw.form.startswith("Excel") else "write the column as text where the file is made"

    def _missing(self, role: str, given: Column, texts: Texts) -> None:
        rows = np.flatnonzero(texts.codes < 0)
        policy = given.missing or ("none" if role in NONE_IS_NONE else "stop")
        if not len(rows):
            return
        if policy == "stop":
            others = "drop" if role == "module" else "drop, sample or distribution, or give a default:"
            why = f"fill it in, or say what to do: missing: {others}"
            self.faults.add(given.column, why, rows[:25].tolist(), [""] * min(25, len(rows)), len(rows))
        elif policy == "drop":
            self.drop[rows] = True
            key = f"{given.column} missing"
            self.report.dropped[key] = len(rows)
        else:
            if policy == "default":
                if str(given.default) not in texts.distinct:
                    texts.distinct.append(str(given.default))
                texts.codes[rows] = texts.distinct.index(str(given.default))
            if policy != "none":
                self.report.filled[f"{given.column}: {policy}"] = len(rows)

    def _numbers(self) -> tuple[dict[str, NDArray[np.float64]], frozenset[str]]:
        numbers, sampled = {}, set()
        for key in QUANTITIES:
            if key in self.columns:
                given = self.columns[key]
                texts = self._texts(key, given)
                before = len(self.faults.found)
                of_csv = self.raw.place == "line"
                numbers[key] = numbers_of(texts, key, given, self.faults, dots_are_decimal=not of_csv)
                if given.missing == "sample":
                    sampled.add(key)
                    if len(self.faults.found) == before and not np.isfinite(numbers[key]).any():
                        self.faults.add(given.column, "no value is known that could be sampled from")
                if (
                    key == "free_space"
                    and given.unit is None
                    and any(p and not p[2] for p in map(split, texts.distinct[:1000]))
                ):
                    self.report.notes.append(f"{given.column}: bare numbers were taken for bytes")
        return numbers, frozenset(sampled)

    def _names(self) -> Texts | None:
        if "module" not in self.columns:
            return None
        given = self.columns["module"]
        texts = self._texts("module", given)
        self.damaged = check_texts(texts, given.column, self.faults, (*NO_IDS, *DAMAGED))
        self._refuse(texts, given, "the header again: delete this line", [
            i for i, text in enumerate(texts.distinct) if text == given.column
        ])  # fmt: skip
        self._refuse(
            texts,
            given,
            "most ids end in noughts: a program has rounded them; export the column as text again",
            rounded(texts),
        )
        digits = [len(t) for t in texts.distinct if t.isdigit()]
        if digits and len(digits) == len(texts.distinct):
            usual = max(set(digits), key=digits.count)
            short = sum(length == usual - 1 for length in digits)
            if 0 < short < len(digits) / 2:
                self.report.notes.append(
                    f"{given.column}: {short:,} ids have {usual - 1} digits where the others have {usual}: is a leading zero lost?"
                )
        return texts

    def _refuse(self, texts: Texts, given: Column, why: str, codes: list[int]) -> None:
        """Adds the rows that have these texts to the faults."""
        rows, values, count = texts.rows_of(codes, 25)
        if count:
            self.faults.add(given.column, why, rows, values, count)

    def _coded(self, role: str, given: Column) -> Texts:
        texts = self._texts(role, given)
        if role == "last_seen":
            return days_of(texts, given, self.faults)
        if role == "time_zone":
            return zones_of(texts, given, self.faults)
        if role in ("version", "hardware"):
            check_texts(texts, given.column, self.faults, _VERSION)
            self._refuse(texts, given, _TOOK_FOR_A_DATE, dates_among(texts))
            long = [i for i, text in enumerate(texts.distinct) if len(text) > MAX_VERSION_CHARS]
            self._refuse(texts, given, f"at most {MAX_VERSION_CHARS} characters", long)
            if len(texts.distinct) > MOST_VERSIONS:
                self.faults.add(given.column, f"{len(texts.distinct):,} different values: is this the right column?")
        elif role in ("cell", "label"):
            check_texts(texts, given.column, self.faults, NOT_PRINTABLE)
        return texts

    def _duplicates(self, names: Texts | None) -> None:
        """The same module twice: refused, or the first or last row of each stays."""
        if names is None:
            return
        rows = np.flatnonzero((names.codes >= 0) & ~np.isin(names.codes, self.damaged) & ~self.drop)
        order = rows if self.duplicates != "keep-last" else rows[::-1]
        _, first = np.unique(names.codes[order], return_index=True)
        again = np.setdiff1d(rows, order[first])
        if not len(again):
            return
        if self.duplicates == "stop":
            why = "this module occurs twice; remove one, or say which row counts: duplicates: keep-first or keep-last"
            values = [names.distinct[c] for c in names.codes[again[:25]]]
            self.faults.add(self.columns["module"].column, why, again[:25].tolist(), values, len(again))
        else:
            self.drop[again] = True
            self.report.dropped[f"duplicates, {self.duplicates}"] = len(again)

    def _finish(
        self, keep: NDArray[np.bool_], names: Texts | None, numbers: dict[str, NDArray[np.float64]], sampled: frozenset[str],
        coded: dict[str, Texts], versions: dict[str, Texts], labels: dict[str, Texts],
    ) -> None:  # fmt: skip
        count = int(keep.sum())

        def kept(texts: Texts) -> Coded:
            return Coded(texts.codes[keep].astype(np.int32), tuple(texts.distinct))

        all_labels: dict[str, Coded] = {key: kept(coded[key]) for key in ("time_zone", "last_seen") if key in coded}
        all_labels |= {name: kept(texts) for name, texts in labels.items()}
        drawn = {key: self.columns[key].missing == "sample" for key in ("hardware",) if key in coded}
        drawn |= {f"version {name}": column.missing == "sample" for name, column in self.versions.items()}
        self.report.known = KnownModules(
            count,
            names=None if names is None else [names.distinct[c] for c in names.codes[keep].tolist()],
            numbers={key: values[keep] for key, values in numbers.items()},
            hardware=kept(coded["hardware"]) if "hardware" in coded else None,
            cells=kept(coded["cell"]) if "cell" in coded else None,
            versions={name: kept(texts) for name, texts in versions.items()},
            labels=all_labels,
            sampled=sampled | {key for key, yes in drawn.items() if yes},
        )
