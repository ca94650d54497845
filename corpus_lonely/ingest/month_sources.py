"""What a month is merged from: groups of rows of staged files, and the partition as the folder has it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.ingest.staged_file import Batch, Extent, extent_of, read_staged
from corpus_lonely.parquet import open_parquet

_MOMENT = pa.timestamp("us", "UTC")
_JOINED_BYTES = 64 << 20
"""Of the staged rows of a month that are read once and held, instead of twice."""
_FEW_ROWS, _MANY_TABLES = 1 << 12, 64
"""Tables of fewer rows are put together, so many of them at the most."""
DAMAGE = (
    pa.ArrowException,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    UnicodeDecodeError,
)
"""What comes of reading bytes that are not those that were written."""
_Item = TypeVar("_Item")
ORIGIN = "file"
ORIGINS = pa.schema([pa.field(ORIGIN, pa.int32(), nullable=False)])
"""Beside each month: the file, by its place in the record, that each row came from."""
TRACES = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("retrieved_at", _MOMENT),
        pa.field("removed", pa.string(), nullable=False),
    ]
)
"""Posts whose latest copy has no text: `deleted` or `removed`. Text that is read later must know."""


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


def extents(source: Source) -> list[Extent]:
    """Of what is read of it at a time; InputError when the partition is damaged."""
    if source.batch:
        return [source.batch.extent]
    with reading(source.path, staged=False):
        metadata = pq.read_metadata(source.path)
        if "created_at" not in metadata.schema.names:
            raise pa.ArrowInvalid("it has lost a column")
    column = metadata.schema.names.index("created_at")
    return [_extent(metadata.row_group(n), column) for n in range(metadata.num_row_groups)]


def _extent(group: pq.RowGroupMetaData, column: int) -> Extent:
    times = group.column(column).statistics
    begin, end = (pa.scalar(time, _MOMENT).value for time in (times.min, times.max))
    # columns of few values take more in memory than on disk: 64 bytes a row for those
    return Extent(group.num_rows, begin, end, group.total_byte_size + 64 * group.num_rows)


def rows_of(source: Source) -> int:
    """How many rows the source has."""
    return sum(extent.rows for extent in extents(source))


def read_rows(source: Source, group: int | None, columns: list[str]) -> pa.Table:
    """Some columns of one of its groups, or of all; InputError when the file is damaged."""
    if source.rows is not None:
        return source.rows.select(columns)
    with reading(source.path, staged=source.staged):
        if source.batch:
            return read_staged(source.path, source.batch, columns)
        with open_parquet(source.path) as file:
            return file.read(columns) if group is None else file.read_row_group(group, columns)


def joined(sources: list[Source], columns: list[str]) -> list[Source]:
    """The sources; where the staged ones are small altogether, those of a dump as one, which is read already.

    columns: all that will be asked for.
    """
    if sum(source.batch.extent.size for source in sources if source.batch) > _JOINED_BYTES:
        return sources
    less = [source for source in sources if not source.batch]
    for origin, some in groupby(sources[len(less) :], lambda source: source.origin):
        together = list(some)
        rows = pa.concat_tables(fewer(read_rows(source, None, columns) for source in together))
        less.append(Source(together[0].path, origin, Batch(0, 0, 0, extent_of(rows)), rows))
    return less


def fewer(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows; small tables in one, for of each column of each a thousand bytes are spent."""
    for some in several(tables, lambda table: table.num_rows, _FEW_ROWS, _MANY_TABLES):
        yield some[0] if len(some) == 1 else pa.concat_tables(some).combine_chunks()


def several(
    items: Iterable[_Item], rows: Callable[[_Item], int], enough: int, most: int | None = None
) -> Iterator[list[_Item]]:
    """The items, as many at a time as have enough rows together, or `most` of them."""
    some: list[_Item] = []
    held = 0
    for item in items:
        some.append(item)
        held += rows(item)
        if held >= enough or len(some) == most:
            yield some
            some, held = [], 0
    if some:
        yield some


@contextmanager
def reading(path: Path, *, staged: bool) -> Iterator[None]:
    """Names the file that turns out to be damaged, and what to do about it."""
    try:
        yield
    except DAMAGE as error:
        if staged:
            what, hint = "is damaged", f"Remove {path.parent} and run the same command again"
        else:
            what = "is not readable as Parquet"
            hint = "Bring it back from a copy, or --overwrite to make the folder anew"
        raise InputError(f"{what} ({first_line(error)})", where=path, hint=hint) from error
