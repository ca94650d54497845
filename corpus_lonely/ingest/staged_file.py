"""A block's rows on their way to their months: Arrow's IPC, which is quicker than Parquet to write, to open and to read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from corpus_lonely.files import atomic_path
from corpus_lonely.tables import schema_facts, with_footer

SUFFIX = ".arrow"
_PACKED = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


class Extent(NamedTuple):
    """What is known of rows that are read at a time."""

    rows: int
    begin: int
    end: int
    """When the first and the last of them were made, in microseconds since 1970."""
    size: int
    """Bytes in memory, about."""


class Batch(NamedTuple):
    """Rows of one month in a staged file."""

    number: int
    """Which of its record batches they are."""
    extent: Extent


def extent_of(table: pa.Table) -> Extent:
    """That of these rows; one at least."""
    times = pc.min_max(table.column("created_at").cast(pa.int64())).as_py()
    return Extent(table.num_rows, times["min"], times["max"], table.nbytes)


def write_staged(
    path: Path, schema: pa.Schema, rows: Mapping[str, pa.Table], facts: Mapping[str, Any]
) -> None:
    """Writes rows by month, a record batch a month in the order of months.

    schema: see `writer.staged_schema`. facts: what `staged_facts` gives back. OutputError when the disk is
    full.
    """
    with (
        atomic_path(path) as temporary,
        pa.OSFile(str(temporary), "wb") as file,
        pa.ipc.new_file(file, with_footer(schema, facts), options=_PACKED) as writer,
    ):
        for month in sorted(rows):
            (batch,) = rows[month].combine_chunks().to_batches()
            writer.write_batch(batch)


def staged_facts(path: Path) -> dict[str, Any]:
    """What else was written into a staged file. Raises what pyarrow does when it is damaged."""
    with pa.OSFile(str(path)) as file:
        return schema_facts(pa.ipc.open_file(file).schema)


def read_staged(path: Path, batch: Batch, columns: Sequence[str]) -> pa.Table:
    """Some columns of a batch. Raises what pyarrow does when the file is damaged, or is another."""
    # not mapped into memory: a disk that fails would end the process without a word
    with pa.OSFile(str(path)) as file:
        schema = pa.ipc.open_file(file).schema
        wanted = [schema.get_field_index(name) for name in columns]
        options = pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
        reader = pa.ipc.open_file(file, options=options)
        if min(wanted) < 0 or batch.number >= reader.num_record_batches:
            raise pa.ArrowInvalid("it lacks rows or columns")
        rows = reader.get_batch(batch.number)
    if rows.num_rows != batch.extent.rows:
        raise pa.ArrowInvalid("it has other rows than were written")
    # what is packed has no checksum, and nothing else that reads would look at the lengths of texts
    rows.validate(full=True)
    return pa.table(rows).select(columns).replace_schema_metadata()
