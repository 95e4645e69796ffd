"""Tables that are longer than memory is wide: blocks kept in memory while they are few, then in a temporary file."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa
from pyarrow import parquet as pq

ROWS_IN_MEMORY = 2_000_000


def schema_of(block: pd.DataFrame) -> pa.Schema:
    """The schema of a table that begins with this block; later blocks may have any number of categories."""
    schema = pa.Schema.from_pandas(block.iloc[:1], preserve_index=False)
    for place, column in enumerate(schema):
        if pa.types.is_dictionary(column.type):
            schema = schema.set(place, column.with_type(pa.dictionary(pa.int32(), column.type.value_type)))
    return schema


class BlockWriter:
    """Writes a Parquet file block by block; while one is compressed and written, the next one can be made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        self._pool = ThreadPoolExecutor(1)
        self._written: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, block: pd.DataFrame) -> None:
        """Takes a block of rows; waits while the one before is being written."""
        if self._written is not None:
            self._written.result()
        if self._writer is None:
            schema = schema_of(block)
            repeated = [c.name for c in schema if pa.types.is_dictionary(c.type) or pa.types.is_integer(c.type)]
            self._writer = pq.ParquetWriter(self._path, schema, use_dictionary=repeated)
        self._written = self._pool.submit(self._write, self._writer, block)

    @staticmethod
    def _write(writer: pq.ParquetWriter, block: pd.DataFrame) -> None:
        writer.write_table(pa.Table.from_pandas(block, schema=writer.schema, preserve_index=False, nthreads=1))

    def close(self) -> None:
        """Writes what is left and ends the file."""
        try:
            if self._written is not None:
                self._written.result()
        finally:
            self._pool.shutdown()
            if self._writer is not None:
                self._writer.close()


class BlockTable:
    """A table that grows by blocks of rows: a records.Table."""

    def __init__(self) -> None:
        self._blocks: list[pd.DataFrame] = []
        self._rows = 0
        self._writer: BlockWriter | None = None
        self._folder: Path | None = None

    def __len__(self) -> int:
        return self._rows

    def __reduce__(self) -> tuple[Any, ...]:
        """What is sent to another process is the table itself."""
        return _of_frame, (self.frame(),)

    def add(self, block: pd.DataFrame) -> None:
        """Takes a block of rows."""
        self._rows += len(block)
        self._blocks.append(block)
        if self._rows > ROWS_IN_MEMORY:
            self._spill()

    def _spill(self) -> None:
        if self._writer is None:
            self._folder = Path(tempfile.mkdtemp(prefix="fotasim-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            self._writer = BlockWriter(self._folder / "table.parquet")
        for block in self._blocks:
            self._writer.add(block)
        self._blocks = []

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """Some or all columns, some rows at a time; nothing can be added any more."""
        if self._folder is not None:
            if self._writer is not None:
                self._writer.close()
            with pq.ParquetFile(self._folder / "table.parquet") as file:
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group, columns=columns).to_pandas()
        for block in self._blocks:
            yield block if columns is None else block[list(columns)]

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Some or all columns, of all rows."""
        blocks = list(self.blocks(columns))
        joined = pd.concat([block.astype(_plain(block)) for block in blocks], ignore_index=True)
        return joined.astype(dict.fromkeys(_plain(blocks[0]), "category"))


def _plain(block: pd.DataFrame) -> dict[str, str]:
    """Columns of categories, to be joined as what they stand for."""
    return {str(name): "object" for name, kind in block.dtypes.items() if isinstance(kind, pd.CategoricalDtype)}


def _of_frame(frame: pd.DataFrame) -> BlockTable:
    table = BlockTable()
    table.add(frame)
    return table
