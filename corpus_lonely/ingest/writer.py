"""The schemas of rows, and months of them to Parquet."""

from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from corpus_lonely.ingest.settings import OPTIONAL_COLUMNS
from corpus_lonely.tables import table_schema, with_footer

ROWS_PER_GROUP = 1 << 16
"""Rows in a row group of a finished month."""
PLACE = "place"
"""A column of staged rows alone: grows from line to line of a dump; ties are broken by it."""
GONE = "gone"
"""A column of staged rows alone: whether the row is but the trace of a deleted or removed post."""
_UNIQUE = frozenset({"post_id", "text", "title", "permalink"})
"""Columns without equal values: to look for them costs a third of the time of writing."""


def posts_schema(keep_permalinks: bool, columns: Collection[str] | None = None) -> pa.Schema:
    """The schema of schemas/posts.json, without the columns that were not asked for.

    columns: those of OPTIONAL_COLUMNS that are; all when None.
    """
    left_out = set() if columns is None else {*OPTIONAL_COLUMNS} - {*columns}
    if not keep_permalinks:
        left_out.add("permalink")
    return pa.schema([field for field in table_schema("posts") if field.name not in left_out])


def staged_schema(posts: pa.Schema) -> pa.Schema:
    """The schema of rows on their way: that of posts, with PLACE and GONE."""
    staged = posts.append(pa.field(PLACE, pa.int64(), nullable=False))
    return staged.append(pa.field(GONE, pa.bool_(), nullable=False))


class MonthWriter:
    """Writes tables of any length as row groups of one length, so that bytes tell only of the rows.

    Groups are packed in a thread while the next ones are made ready, one at a time.
    """

    def __init__(self, path: Path, schema: pa.Schema, facts: Mapping[str, Any]) -> None:
        self._schema = with_footer(schema, facts)
        repeated = [name for name in schema.names if name not in _UNIQUE]
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression="zstd",
            use_dictionary=repeated,
            write_page_checksum=True,
        )
        self._waiting: list[pa.Table] = []
        self._count = 0
        self._thread = ThreadPoolExecutor(1)
        self._packing: Future[None] | None = None

    def write(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._count += table.num_rows
        if self._count >= ROWS_PER_GROUP:
            self._write(last=False)

    def _write(self, *, last: bool) -> None:
        table = pa.concat_tables(self._waiting).replace_schema_metadata(self._schema.metadata)
        end = table.num_rows if last else table.num_rows - table.num_rows % ROWS_PER_GROUP
        for start in range(0, end, ROWS_PER_GROUP):
            self._wait()
            group = table.slice(start, min(ROWS_PER_GROUP, end - start))
            self._packing = self._thread.submit(self._pack, group)
        self._waiting, self._count = [table.slice(end)], table.num_rows - end

    def _pack(self, group: pa.Table) -> None:
        # one chunk a column: where chunks meet, Parquet may begin a page
        self._writer.write_table(group.combine_chunks(), row_group_size=ROWS_PER_GROUP)

    def _wait(self) -> None:
        if self._packing:
            self._packing.result()
            self._packing = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None and self._count:
                self._write(last=True)
            self._wait()
        finally:
            self._thread.shutdown()
            self._writer.close()
