"""Parquet files: the columns that are wanted, as text."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sim.scenario.fleet_files.content import MAX_BYTES, refuse
from sim.scenario.fleet_files.raw import Cell, Raw
from sim.units import show_size

MOST_ROWS = 50_000_000


def read_parquet(path: Path, wanted: frozenset[str] | None) -> Raw:
    """The wanted columns (None: all of plain values) as text. Raises FleetFileError."""
    try:
        file = pq.ParquetFile(path)
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        size = sum(group.total_byte_size for group in groups)
        if file.metadata.num_rows > MOST_ROWS or size > 4 * MAX_BYTES:
            raise refuse(
                path,
                f"{file.metadata.num_rows:,} rows, {show_size(size)}",
                f"at most {MOST_ROWS:,} rows and {show_size(4 * MAX_BYTES)}",
            )
        names = [field.name for field in file.schema_arrow]
        plain = [
            f.name for f in file.schema_arrow if not pa.types.is_nested(f.type) and (wanted is None or f.name in wanted)
        ]
        table = file.read(columns=plain)
    except (pa.ArrowException, OSError) as error:
        raise refuse(path, f"a damaged Parquet file ({str(error)[:100]})", "write it anew") from None
    columns, cells = [], []
    empty = pa.array([""] * 1, pa.string())
    for name in names:
        if name in plain:
            text, kind = _text(table.column(name))
            columns.append(text)
            cells.append(kind)
        else:
            columns.append(empty)
            cells.append(Cell.TEXT)
    return Raw(
        names, columns, table.num_rows, place="row", lines_of=lambda rows: [row + 1 for row in rows], cells=cells,
        form="Parquet",
    )  # fmt: skip


def _text(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Cell]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = kind.value_type
    if pa.types.is_floating(kind):
        made, cell = column.cast(pa.float64()).cast(pa.string()), Cell.REAL
        made = pc.if_else(pc.is_nan(column), "", made)
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        made, cell = column.cast(pa.string()), Cell.TEXT
    elif pa.types.is_temporal(kind):
        made, cell = column.cast(pa.string()), Cell.DATE
    else:
        made, cell = column.cast(pa.string()), Cell.INTEGER if pa.types.is_integer(kind) else Cell.TEXT
    return pc.fill_null(made, ""), cell
