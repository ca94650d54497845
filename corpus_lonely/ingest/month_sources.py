"""What a month is merged from: groups of rows of staged files, and the partition as the folder has it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.ingest.staged_file import Group, read_staged

MOMENT = pa.timestamp("us", "UTC")
_HELD_BYTES = 64 << 20
ORIGIN = "file"
ORIGINS = pa.schema([pa.field(ORIGIN, pa.int32(), nullable=False)])
"""Beside each month: the file, by its place in the record, that each row came from."""
TRACES = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("retrieved_at", MOMENT),
        pa.field("removed", pa.string(), nullable=False),
    ]
)
"""Posts whose latest copy has no text: `deleted` or `removed`. Text that is read later must know."""


class Batch(NamedTuple):
    """Rows of one month in a staged file."""

    number: int
    told: Group


@dataclass(frozen=True)
class Source:
    """Rows of the month: a record batch of a staged file, or the partition as it is."""

    path: Path
    origin: int | Path
    """The file that all rows came from, by its place in the record, or the ORIGINS of each row."""
    batch: Batch | None = None
    """Where they stand in a staged file; None for the partition."""
    rows: pa.Table | None = None
    """They themselves, where they were read already."""

    @property
    def staged(self) -> bool:
        """Whether it was read from a dump in this run, and is not of the folder yet."""
        return self.batch is not None


def groups_of(source: Source) -> list[Group]:
    """What is read of it at a time; InputError when the partition is damaged."""
    if source.batch:
        return [source.batch.told]
    with reading(source.path, staged=False):
        metadata = pq.read_metadata(source.path)
    column = metadata.schema.names.index("created_at")
    return [_group(metadata.row_group(n), column) for n in range(metadata.num_row_groups)]


def _group(told: pq.RowGroupMetaData, column: int) -> Group:
    times = told.column(column).statistics
    begin, end = (pa.scalar(time, MOMENT).value for time in (times.min, times.max))
    # columns of few values take more in memory than on disk: 64 bytes a row for those
    return Group(told.num_rows, begin, end, told.total_byte_size + 64 * told.num_rows)


def held(sources: list[Source], columns: list[str]) -> list[Source]:
    """The sources, with all rows of the staged ones where those are few: to read each twice takes twice as long.

    columns: all that will be asked for.
    """
    if sum(source.batch.told.size for source in sources if source.batch) > _HELD_BYTES:
        return sources
    return [
        replace(source, rows=read_rows(source, None, columns)) if source.batch else source
        for source in sources
    ]


def rows_of(source: Source) -> int:
    """How many rows the source has."""
    return sum(group.rows for group in groups_of(source))


def read_rows(source: Source, group: int | None, columns: list[str]) -> pa.Table:
    """Some columns of one of its groups, or of all; InputError when the file is damaged."""
    if source.rows is not None:
        return source.rows.select(columns)
    with reading(source.path, staged=source.staged):
        if source.batch:
            return read_staged(source.path, source.batch.number, columns)
        with pq.ParquetFile(source.path) as file:
            return file.read(columns) if group is None else file.read_row_group(group, columns)


@contextmanager
def reading(path: Path, *, staged: bool) -> Iterator[None]:
    """Names the file that turns out to be damaged, and what to do about it."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        form = "Arrow" if staged else "Parquet"
        if staged:
            hint = f"Remove {path.parent} and run the same command again"
        else:
            hint = "Bring it back from a copy, or --overwrite to make the folder anew"
        raise InputError(
            f"is not readable as {form} ({first_line(error)})", where=path, hint=hint
        ) from error
