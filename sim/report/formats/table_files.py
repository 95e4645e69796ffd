"""Every table of a page as CSV and Parquet files: raw values in SI units, a column's name carries its unit."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from sim.report.page import Column, Page, Table
from sim.report.show import printable

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula."""


def records(page: Page) -> dict[str, list[dict[str, Any]]]:
    """Every table by name as a list of rows, ready for JSON. A second table of one name gets a number."""
    listed: dict[str, list[dict[str, Any]]] = {}
    for name, table in named(page):
        keys = [column.key for column in table.columns]
        listed[name] = [dict(zip(keys, map(_json, row), strict=True)) for row in table.raw()]
    return listed


def named(page: Page) -> list[tuple[str, Table]]:
    """Every table with a file name of its own."""
    seen: dict[str, int] = {}
    listed = []
    for table in page.tables():
        seen[table.name] = seen.get(table.name, 0) + 1
        number = seen[table.name]
        listed.append((table.name if number == 1 else f"{table.name}_{number}", table))
    return listed


def write_csv(page: Page, folder: Path) -> list[Path]:
    """One CSV file for each table; texts that a spreadsheet would take for a formula get an apostrophe before them."""
    written = []
    for name, table in named(page):
        path = folder / f"{name}.csv"
        with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
            writer = csv.writer(file)
            writer.writerow([_csv(column.key) for column in table.columns])
            writer.writerows([_csv(value) for value in row] for row in table.raw())
        written.append(path)
    return written


def write_parquet(page: Page, folder: Path) -> list[Path]:
    """One Parquet file for each table, headings and kinds in the schema's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = []
    for name, table in named(page):
        rows = table.raw()
        fields = [_field(column) for column in table.columns]
        arrays = [pa.array([_typed(row[i], field) for row in rows], type=field.type) for i, field in enumerate(fields)]
        path = folder / f"{name}.parquet"
        pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), path)
        written.append(path)
    return written


def _field(column: Column) -> Any:
    import pyarrow as pa

    kind = pa.bool_() if column.kind == "met" else pa.float64() if column.numeric else pa.string()
    return pa.field(column.key, kind, metadata={"label": column.label, "kind": json.dumps(column.kind)})


def _typed(value: Any, field: Any) -> Any:
    import pyarrow as pa

    if value is None:
        return None
    return (
        printable(str(value))
        if field.type == pa.string()
        else bool(value)
        if field.type == pa.bool_()
        else float(value)
    )


def _csv(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if text.startswith(FORMULA_STARTS) else text
    return value


def _json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
