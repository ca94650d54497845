"""Rows to Parquet: a run of rows per month while a file is read, whole months with their footer later."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from corpus_lonely.files import output_error
from corpus_lonely.ingest.normalize import Row
from corpus_lonely.tables import table_schema, with_footer

ROWS_PER_GROUP = 1 << 16
"""Rows in a row group of a finished month."""
_BUFFERED_BYTES = 128 << 20
_BYTES_PER_ROW = 800
"""What a buffered row takes beside its text, roughly, as Python objects."""
LINE = "line"
"""A column of staged rows alone: the line of the dump, by which ties are broken."""


def posts_schema(keep_permalinks: bool) -> pa.Schema:
    """The schema of schemas/posts.json, without the columns that were not asked for."""
    schema = table_schema("posts")
    return schema if keep_permalinks else schema.remove(schema.get_field_index("permalink"))


class StagingWriter:
    """Buffers rows by month and writes the fullest months out when memory is used up.

    Each flush makes a run: `month=2020-03.0000.parquet` with the rows in the order they came.
    """

    def __init__(
        self, folder: Path, schema: pa.Schema, buffered_bytes: int = _BUFFERED_BYTES
    ) -> None:
        self._folder, self._limit = folder, buffered_bytes
        self._columns = [Row._fields.index(name) for name in schema.names]
        self._schema = schema.append(pa.field(LINE, pa.int64(), nullable=False))
        self._rows: dict[str, list[tuple[Row, int]]] = {}
        self._sizes: dict[str, int] = {}
        self._total = 0
        self._runs: dict[str, int] = {}

    def add(self, row: Row, line: int) -> str:
        """Takes a row from a line of the dump; returns its month. OutputError when the disk is full."""
        month, size = row.month, len(row.text) + _BYTES_PER_ROW
        self._rows.setdefault(month, []).append((row, line))
        self._sizes[month] = self._sizes.get(month, 0) + size
        self._total += size
        if self._total > self._limit:
            # half at once, so that many small months do not each make a run of a few rows
            while self._total > self._limit // 2:
                self._flush(max(self._sizes, key=self._sizes.__getitem__))
        return month

    def close(self) -> None:
        """Writes what is still in memory."""
        for month in sorted(self._rows):
            self._flush(month)

    def _flush(self, month: str) -> None:
        rows = self._rows.pop(month)
        self._total -= self._sizes.pop(month)
        number = self._runs.get(month, 0)
        self._runs[month] = number + 1
        path = self._folder / f"month={month}.{number:04d}.parquet"
        columns = list(zip(*(row for row, _ in rows), strict=True))
        arrays = [
            pa.array(columns[index], field.type)
            for index, field in zip(self._columns, self._schema, strict=False)
        ]
        lines = pa.array([line for _, line in rows], pa.int64())
        table = pa.Table.from_arrays([*arrays, lines], schema=self._schema)
        try:
            pq.write_table(table, path, compression="lz4")
        except OSError as error:
            raise output_error(error, path) from error


def staged_runs(folder: Path) -> Iterator[tuple[str, Path]]:
    """Month and path of the runs in a staging folder, in the order they were written."""
    for path in sorted(folder.glob("month=*.parquet")):
        yield path.name.removeprefix("month=").split(".")[0], path


class MonthWriter:
    """Writes tables of any length as row groups of one length, so that bytes tell only of the rows."""

    def __init__(self, path: Path, schema: pa.Schema, facts: Mapping[str, Any]) -> None:
        self._schema = with_footer(schema, facts)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._count = 0

    def write(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._count += table.num_rows
        if self._count >= ROWS_PER_GROUP:
            self._write(last=False)

    def _write(self, *, last: bool) -> None:
        table = pa.concat_tables(self._waiting).replace_schema_metadata(self._schema.metadata)
        end = table.num_rows if last else table.num_rows - table.num_rows % ROWS_PER_GROUP
        for start in range(0, end, ROWS_PER_GROUP):
            # one chunk a column: where chunks meet, Parquet may begin a page
            group = table.slice(start, min(ROWS_PER_GROUP, end - start)).combine_chunks()
            self._writer.write_table(group, row_group_size=ROWS_PER_GROUP)
        self._waiting, self._count = [table.slice(end)], table.num_rows - end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None and self._count:
                self._write(last=True)
        finally:
            self._writer.close()
