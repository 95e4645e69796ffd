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
        fields = [field for field in file.schema_arrow if wanted is None or field.name in wanted]
        _check_fields(path, [field.name for field in file.schema_arrow], fields, named=wanted is not None)
        plain = [field.name for field in fields if not pa.types.is_nested(field.type)]
        table = pq.ParquetFile(path, read_dictionary=plain).read(columns=plain)
        _check_texts(path, table)
        read = {name: _text(table.column(name)) for name in plain}
    except (pa.ArrowException, OSError) as error:
        raise refuse(path, f"a damaged Parquet file ({str(error).splitlines()[0][:100]})", "write it anew") from None
    names = [field.name for field in file.schema_arrow]
    nothing = (pa.repeat("", table.num_rows), Cell.TEXT)
    columns, cells = map(list, zip(*(read.get(name, nothing) for name in names), strict=True))
    return Raw(
        names, columns, table.num_rows, place="row", lines_of=lambda rows: [row + 1 for row in rows], cells=cells,
        form="Parquet",
    )  # fmt: skip


def _check_fields(path: Path, names: list[str], wanted: list[pa.Field], *, named: bool) -> None:
    """Refuses a name that several columns have, and, where they were named, columns of lists or structures."""
    again = next((field.name for field in wanted if names.count(field.name) > 1), None)
    if again is not None:
        raise refuse(path, f"{names.count(again)} columns of one name", "rename one in the file", again)
    for field in wanted:
        if named and pa.types.is_nested(field.type):
            raise refuse(
                path, f"a column of {field.type}"[:80], "give a column of single values: write it flat", field.name
            )


def _check_texts(path: Path, table: pa.Table) -> None:
    """Refuses texts that take much more room than in the file, where each stands once."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not pa.types.is_dictionary(column.type):
            continue
        size = sum(
            int(pc.sum(pc.take(pc.binary_length(chunk.dictionary), chunk.indices)).as_py() or 0)
            for chunk in column.chunks
            if pa.types.is_string(chunk.dictionary.type) or pa.types.is_binary(chunk.dictionary.type)
        )
        if size > MAX_BYTES:
            raise refuse(path, f"{show_size(size)} of texts", f"at most {show_size(MAX_BYTES)} a column", name)


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
