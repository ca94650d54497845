"""The rows of a shard: which are read from its file, and their texts."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.scoring.inputs import open_binary
from corpus_lonely.scoring.plan import Shard

_READ_ROWS = 8192
_READ_BYTES = 1 << 20
"""Of a column at a time; without it a whole row group's column is held, compressed, in memory."""


def read_rows(shard: Shard, columns: Sequence[str]) -> pa.Table:
    """The shard's rows: those of `columns` that its file holds.

    Only the row groups that it overlaps are opened, and streamed up to its range.
    """
    try:
        with open_binary(shard.file.url) as file:
            return pa.Table.from_batches(
                _batches(pq.ParquetFile(file, buffer_size=_READ_BYTES), shard, columns)
            )
    except (pa.ArrowException, OSError) as error:
        reason = first_line(error)
        raise InputError(f"cannot be read ({reason})", where=shard.file.url) from error


def _batches(
    file: pq.ParquetFile, shard: Shard, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    groups, position = _row_groups(file, shard)
    there = [name for name in columns if name in file.schema_arrow.names]
    for batch in file.iter_batches(_READ_ROWS, row_groups=groups, columns=there):
        first = max(shard.start - position, 0)
        last = min(shard.stop - position, batch.num_rows)
        if first < last:
            yield batch.slice(first, last - first)
        position += batch.num_rows
        if position >= shard.stop:
            return


def _row_groups(file: pq.ParquetFile, shard: Shard) -> tuple[list[int], int]:
    """The row groups that the shard overlaps, and the number of the first row in them."""
    groups: list[int] = []
    first = position = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if position < shard.stop and position + rows > shard.start:
            first = first if groups else position
            groups.append(group)
        position += rows
    return groups, first


def read_texts(column: pa.ChunkedArray) -> list[str | None]:
    """The texts of a column; bytes that are no UTF-8 become replacement signs."""
    try:
        texts: list[str | None] = column.cast(pa.string()).to_pylist()
    except UnicodeDecodeError:  # Parquet does not check what it is told to be text
        raw = column.cast(pa.binary()).to_pylist()
        return [None if text is None else text.decode("utf-8", "replace") for text in raw]
    return texts
