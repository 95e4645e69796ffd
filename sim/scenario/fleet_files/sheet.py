"""Excel workbooks (.xlsx): the rows of one sheet as text; what a cell was is kept beside it."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sim.errors import FleetFileError
from sim.scenario.fleet_files.content import MAX_BYTES, refuse
from sim.scenario.fleet_files.raw import Cell, Raw
from sim.units import show_size

MOST_COLUMNS = 1000
_HEADER_WITHIN = 30
_SAVE_AS = "save the sheet as .xlsx or CSV"


def read_sheet(path: Path, data: bytes, sheet: str | None) -> Raw:
    """The rows of a sheet: the named one, or the only one that holds a table. Raises FleetFileError."""
    _check_size(path, data)
    try:
        import openpyxl

        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    except ImportError:
        raise refuse(path, "an Excel workbook", "pip install openpyxl, or save it as CSV") from None
    except Exception as error:  # openpyxl raises whatever its parsers do
        raise refuse(path, f"a workbook that cannot be read ({type(error).__name__})", _SAVE_AS) from None
    try:
        name, rows, header = _table(path, book, sheet)
        formulas = _formulas(data, name) if _has_formulas(data) else {}
    except FleetFileError:
        raise
    except Exception as error:
        raise refuse(path, f"a sheet that cannot be read ({type(error).__name__})", _SAVE_AS) from None
    finally:
        book.close()
    return _raw(rows, header, name, formulas)


def _check_size(path: Path, data: bytes) -> None:
    """Refuses what would unpack to more than it should; zipfile itself reads no more than an entry announces."""
    try:
        entries = zipfile.ZipFile(io.BytesIO(data)).infolist()
        size = sum(entry.file_size for entry in entries)
    except (zipfile.BadZipFile, OSError, ValueError):
        raise refuse(path, "a damaged workbook", "save it again in Excel, or as CSV") from None
    if not any(entry.filename.startswith("xl/") for entry in entries):
        listed = ", ".join(entry.filename for entry in entries[:3])
        raise refuse(path, f"a ZIP file of {listed}"[:100], "unpack it, and give the list itself")
    if size > MAX_BYTES:
        raise refuse(
            path, f"{show_size(size)} unpacked", f"at most {show_size(MAX_BYTES)}: save the sheet as CSV or Parquet"
        )


def _table(path: Path, book: Any, wanted: str | None) -> tuple[str, list[tuple[Any, ...]], int]:
    """Name of the sheet, its rows, and the number of the header's row from 0."""
    names = [s.title for s in book.worksheets]
    if wanted is not None and wanted not in names:
        raise refuse(path, repr(wanted), f"the workbook has the sheets {', '.join(map(repr, names))}", "sheet")
    found: list[tuple[str, list[tuple[Any, ...]], int]] = []
    for sheet in book.worksheets:
        if wanted is not None and sheet.title != wanted:
            continue
        sheet.reset_dimensions()  # what a file announces may be wrong
        rows = [tuple(row[:MOST_COLUMNS]) for row in sheet.iter_rows(values_only=True)]
        filled = [sum(cell is not None for cell in row) for row in rows]
        widest = max(filled[:_HEADER_WITHIN], default=0)
        if widest:
            header = next(i for i, width in enumerate(filled) if width >= max(1, 0.8 * widest))
            found.append((sheet.title, rows, header))
    if not found:
        raise refuse(path, "no table", "a row with the names of the columns is needed, then a module a row")
    if len(found) > 1:
        listed = ", ".join(repr(name) for name, _, _ in found)
        raise refuse(
            path,
            f"several sheets with a table: {listed}",
            "name one: sheet: NAME in the group of a scenario, --sheet NAME for fotasim fleet",
            "sheet",
        )
    return found[0]


def _has_formulas(data: bytes) -> bool:
    """Whether a sheet's XML has a formula anywhere."""
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        for entry in parts.infolist():
            if entry.filename.startswith("xl/worksheets/") and entry.filename.endswith(".xml"):
                with parts.open(entry) as xml:
                    before = b""
                    while block := xml.read(1 << 20):
                        if b"<f>" in before + block or b"<f " in before + block:
                            return True
                        before = block[-3:]
    return False


def _formulas(data: bytes, name: str) -> dict[tuple[int, int], str]:
    """Formulas by row and column from 0."""
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=False, keep_links=False)
    sheet = book[name]
    sheet.reset_dimensions()
    found = {
        (i, j): cell
        for i, row in enumerate(sheet.iter_rows(values_only=True))
        for j, cell in enumerate(row[:MOST_COLUMNS])
        if isinstance(cell, str) and cell.startswith("=")
    }
    book.close()
    return found


def _raw(rows: list[tuple[Any, ...]], header: int, name: str, formulas: dict[tuple[int, int], str]) -> Raw:
    computed = {row for row, _ in formulas}
    body = [
        (number, row) for number, row in enumerate(rows)
        if number > header and (number in computed or any(c is not None for c in row))
    ]  # fmt: skip
    numbers = [number + 1 for number, _ in body]
    names, columns, cells = [], [], []
    for j, title in enumerate(rows[header]):
        texts, kinds = [], np.zeros(len(body), dtype=np.int8)
        for i, (number, row) in enumerate(body):
            text, kind = _text(row[j] if j < len(row) else None)
            if not text and (number, j) in formulas:
                text, kind = formulas[number, j], Cell.BARE_FORMULA
            texts.append(text)
            kinds[i] = kind
        if title is None and not any(texts):
            continue
        names.append("" if title is None else _text(title)[0].strip())
        columns.append(pa.array(texts, pa.string()))
        cells.append(kinds)
    notes = [f"{header} row{'s' if header > 1 else ''} above the header skipped"] if header else []
    return Raw(
        names, columns, len(body), place="row", lines_of=lambda wanted: [numbers[row] for row in wanted], cells=cells,
        form=f"Excel, sheet {name!r}", notes=notes,
    )  # fmt: skip


def _text(value: Any) -> tuple[str, Cell]:
    if value is None:
        return "", Cell.TEXT
    if isinstance(value, bool):
        return str(value), Cell.TEXT
    if isinstance(value, int):
        return str(value), Cell.INTEGER
    if isinstance(value, float):
        return (str(int(value)), Cell.INTEGER) if value.is_integer() else (repr(value), Cell.REAL)
    if isinstance(value, datetime | date | time):
        return value.isoformat(), Cell.DATE
    text = str(value)
    return text, Cell.ERROR if text in _ERRORS else Cell.TEXT


_ERRORS = frozenset({"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"})
