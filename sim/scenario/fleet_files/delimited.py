"""CSV, TSV and their kin: delimiter and header line found, rows read as text."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv

from sim.scenario.fleet_files.content import refuse
from sim.scenario.fleet_files.raw import Raw

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SAMPLE_LINES = 60
_EXCEL_HINT = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
_MOST_RAGGED = 1000
_BLOCK = 1 << 24


def read_delimited(path: Path, text: str, encoding: str) -> Raw:
    """A table of text. Raises FleetFileError when there is none in it."""
    if "\n" not in text:
        text = text.replace("\r", "\n")  # as old Macs wrote
    hint = _EXCEL_HINT.match(text)
    skipped = 1 if hint else 0
    body = text[hint.end() :] if hint else text
    delimiter = hint[1] if hint else _delimiter(body)
    names, before, header_lines = _header(path, body, delimiter)
    start = _offset(body, header_lines)
    raw = _rows(path, body[start:], names, delimiter)
    first = skipped + header_lines
    raw.lines_of = lambda rows: _lines(body[start:], delimiter, rows, first, [number for number, _, _ in raw.ragged])
    raw.form = f"{DELIMITERS.get(delimiter, repr(delimiter))}, {encoding}"
    if before:
        raw.notes.append(f"{before} line{'s' if before > 1 else ''} above the header skipped")
    if encoding == "windows-1252":
        raw.notes.append("not UTF-8: read as Windows-1252")
    return raw


def _sample(text: str, delimiter: str) -> list[list[str]]:
    """The first records; what csv cannot read is left to the real reading."""
    lines = itertools.islice(io.StringIO(text[: 1 << 18], newline=""), 4 * _SAMPLE_LINES)
    rows: list[list[str]] = []
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) == _SAMPLE_LINES:
                break
    except csv.Error:
        pass
    return rows


def _delimiter(text: str) -> str:
    """The one that cuts most of the first lines into the same number of fields, more than one; of equals the larger number."""

    def score(delimiter: str) -> tuple[float, int]:
        widths = Counter(len(row) for row in _sample(text, delimiter))
        if not widths:
            return (0.0, 0)
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        return (count / widths.total(), width) if width > 1 else (0.0, 1)

    scores = {delimiter: score(delimiter) for delimiter in DELIMITERS}
    best = max(scores, key=lambda delimiter: scores[delimiter])
    return best if scores[best][1] > 1 else ","


def _header(path: Path, text: str, delimiter: str) -> tuple[list[str], int, int]:
    """Names of the columns, records above them, and physical lines to the end of the header."""
    rows = _sample(text, delimiter)
    if not rows:
        raise refuse(
            path, "an empty file", "a first line with the names of the columns is needed, then a module a line"
        )
    widths = Counter(len(row) for row in rows)
    usual = max(widths, key=lambda width: (widths[width], width))
    trailing = len(rows[0]) == usual - 1 > 1 and not any(row[-1] for row in rows if len(row) == usual)
    at = 0 if trailing else next((i for i, row in enumerate(rows) if len(row) == usual and usual > 1), 0)
    if at and widths[usual] < 3:  # too little to tell titles from a header
        at = 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    records = (row for row in reader if row)
    names = next(itertools.islice(records, at, None))
    found = [name.strip().strip("﻿") for name in names]
    if trailing:  # rows that end in a delimiter, below a header that does not
        found.append("")
    return found, at, reader.line_num


def _offset(text: str, lines: int) -> int:
    """Where the text goes on after so many physical lines."""
    at = 0
    for _ in range(lines):
        found = text.find("\n", at)
        if found < 0:
            return len(text)
        at = found + 1
    return at


def _rows(path: Path, text: str, names: list[str], delimiter: str) -> Raw:
    ragged: list[tuple[int, str, str]] = []

    def note(row: arrow_csv.InvalidRow) -> str:
        if len(ragged) == _MOST_RAGGED:
            return "error"
        wrong = f"{row.actual_columns} fields where the header has {row.expected_columns}"
        ragged.append((row.number - 1, row.text or "", wrong))
        return "skip"

    keys = [f"c{i}" for i in range(len(names))]
    if not text.strip():
        return Raw(names, [pa.array([], pa.string()) for _ in names], 0)
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(text.encode()),
            read_options=arrow_csv.ReadOptions(use_threads=False, column_names=keys, block_size=_BLOCK),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note, ignore_empty_lines=True,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={key: pa.string() for key in keys}, strings_can_be_null=False, quoted_strings_can_be_null=False,
            ),
        )  # fmt: skip
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        if ragged:
            raise refuse(
                path, f"more than {_MOST_RAGGED} lines with another number of fields", _ragged_cure(delimiter)
            ) from None
        raise refuse(
            path, f"a table that cannot be read ({str(error)[:120]})", "look for a quote that is never closed"
        ) from None
    return Raw(names, [table.column(key) for key in keys], table.num_rows, ragged=ragged)


def _ragged_cure(delimiter: str) -> str:
    return f"put values that hold a {DELIMITERS.get(delimiter, 'delimiter')[:-1]} in quotes; delete lines that are no rows of the table"


def ragged_cure(raw: Raw, wrong: str) -> str:
    """What to do about a row with another number of fields."""
    for mark, name in DELIMITERS.items():
        if raw.form.startswith(name):
            return f"{wrong}; {_ragged_cure(mark)}"
    return wrong


def _lines(text: str, delimiter: str, rows: Sequence[int], header_lines: int, ragged: list[int]) -> list[int]:
    """Physical lines of rows; rows are numbered without those of another width, negative ones are these: -1-i."""
    skipped = set(ragged)
    wanted = {row for row in rows if row >= 0}
    found: dict[int, int] = {}
    last, row, record = 0, 0, 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for fields in reader:
            if fields:
                if record in skipped:
                    found[-1 - ragged.index(record)] = last + 1
                else:
                    if row in wanted:
                        found[row] = last + 1
                    row += 1
                record += 1
            last = reader.line_num
            if len(found) == len(wanted) + len(ragged):
                break
    except csv.Error:
        pass
    return [found.get(row, row) + header_lines for row in rows]
