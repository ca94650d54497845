"""The rows of a shard: which are read from its file, and their texts."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import accumulate
from typing import Any

import pyarrow as pa

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.parquet import open_parquet
from corpus_lonely.scoring.plan import Shard
from corpus_lonely.sources import InputFile, open_binary
from corpus_lonely.storage import answering, patient

_READ_ROWS = 8192
_READ_BYTES = 1 << 20
"""Of a column at a time; without it a whole row group's column is held, compressed, in memory."""
_CURSORS = 4
"""Files that a process keeps open: one a shard in hand of a GPU's worker, and one to spare."""


@patient
def read_rows(shard: Shard, columns: Sequence[str]) -> pa.Table:
    """The shard's rows: those of `columns` that its file holds.

    A row group can only be read from its beginning, so the place where the last shard ended is kept: a
    worker decodes a row group of a million rows once, not once for each of its shards.
    """
    wanted = tuple(columns)
    try:
        with answering(shard.file.url):
            cursor = _take(shard, wanted) or _Cursor(shard.file, wanted, shard.start)
            try:
                table = cursor.read(shard.start, shard.stop)
            except BaseException:
                cursor.close()
                raise
    except (pa.ArrowException, OSError) as error:
        reason = first_line(error)
        raise InputError(f"cannot be read ({reason})", where=shard.file.url) from error
    _put_back(cursor)
    return table


def carried_columns(
    rows: pa.Table, file: InputFile, carried: pa.Schema
) -> list[pa.ChunkedArray | pa.Array]:
    """Of rows of a file the columns that scores carry along, in their types; of some the folders' names tell."""
    return [
        rows.column(field.name).cast(field.type)
        if field.name in rows.column_names
        else pa.array([file.partitions[field.name]] * len(rows), field.type)
        for field in carried
    ]


class _Cursor:
    """A place among the rows of a file, from which reading goes on forward."""

    def __init__(self, file: InputFile, columns: tuple[str, ...], start: int) -> None:
        self.file, self.columns = file, columns
        self._opened: AbstractContextManager[Any] = open_binary(file.url)
        try:
            parquet = open_parquet(self._opened.__enter__(), buffer_size=_READ_BYTES)
            rows = [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)]
            self._groups = [0, *accumulate(rows[:-1])]
            group = max(i for i, first in enumerate(self._groups) if first <= start)
            self.position = self._groups[group]
            there = [name for name in columns if name in parquet.schema_arrow.names]
            self._batches: Iterator[pa.RecordBatch] = parquet.iter_batches(
                _READ_ROWS, row_groups=range(group, len(rows)), columns=there
            )
            self._rest: pa.RecordBatch | None = None
        except BaseException:
            self.close()
            raise

    def leads_to(self, shard: Shard, columns: tuple[str, ...]) -> bool:
        """Whether going on from here is the shortest way to the shard's rows."""
        if (self.file, self.columns) != (shard.file, columns) or self.position > shard.start:
            return False
        return not any(self.position < first <= shard.start for first in self._groups)

    def read(self, start: int, stop: int) -> pa.Table:
        """The rows from `start` to before `stop`; what lies before them is decoded and let go."""
        found: list[pa.RecordBatch] = []
        while self.position < stop:
            batch = self._rest if self._rest is not None else next(self._batches, None)
            if batch is None:
                raise pa.ArrowInvalid(f"it ends before row {stop:,}")
            first = min(max(start - self.position, 0), batch.num_rows)
            last = min(stop - self.position, batch.num_rows)
            if first < last:
                found.append(batch.slice(first, last - first))
            self.position += last
            self._rest = batch.slice(last) if last < batch.num_rows else None
        return pa.Table.from_batches(found)

    def close(self) -> None:
        """Lets go of the file."""
        with suppress(OSError):
            self._opened.__exit__(None, None, None)


_cursors: list[_Cursor] = []
_lock = threading.Lock()


def _take(shard: Shard, columns: tuple[str, ...]) -> _Cursor | None:
    """The cursor nearest before the shard, now the caller's alone."""
    with _lock:
        leading = [cursor for cursor in _cursors if cursor.leads_to(shard, columns)]
        if not leading:
            return None
        nearest = max(leading, key=lambda cursor: cursor.position)
        _cursors.remove(nearest)
        return nearest


def _put_back(cursor: _Cursor) -> None:
    if cursor.position >= cursor.file.rows:
        cursor.close()
        return
    with _lock:
        _cursors.append(cursor)
        oldest = _cursors[:-_CURSORS]
        del _cursors[:-_CURSORS]
    for one in oldest:
        one.close()


def read_texts(column: pa.ChunkedArray) -> list[str | None]:
    """The texts of a column; bytes that are no UTF-8 become replacement signs."""
    try:
        texts: list[str | None] = column.cast(pa.string()).to_pylist()
    except UnicodeDecodeError:  # Parquet does not check what it is told to be text
        raw = column.cast(pa.binary()).to_pylist()
        return [None if text is None else text.decode("utf-8", "replace") for text in raw]
    return texts
