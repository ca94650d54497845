"""One month: its staged rows and what the folder has of it, each post once, in the order of time."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.files import atomic_path
from corpus_lonely.ingest.writer import LINE, MonthWriter

_ORIGIN = "file"
ORIGINS = pa.schema([pa.field(_ORIGIN, pa.int32(), nullable=False)])
"""Beside each month: the file, by its place in the record, that each row came from."""
_ROWS_PER_PASS = 4_000_000
"""Ids compared at a time; more are taken in several passes over the column of ids."""
_SORTED_BYTES = 256 << 20
"""Rows held at a time to sort them; where more overlap in time, rows stay in the order of input."""
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Source:
    """A Parquet file of rows of the month: a staged run, or the partition as it is."""

    path: Path
    origin: int | Path
    """The file that all rows came from, by its place in the record, or the ORIGINS of each row."""

    @property
    def staged(self) -> bool:
        return isinstance(self.origin, int)


@dataclass
class Merged:
    """What became of a month's rows, by the file that they came from."""

    kept: Counter[int] = field(default_factory=Counter)
    duplicates: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Group:
    """A row group, and the time its rows span."""

    source: Source
    index: int
    rows: slice
    """Its rows within the file."""
    begin: datetime
    end: datetime
    size: int
    """Bytes in memory, about."""
    lost: _Mask
    """The rows that another copy of the post supersedes."""


def merge_month(
    sources: list[Source],
    out: Path,
    origins_out: Path,
    schema: pa.Schema,
    facts: Mapping[str, Any],
) -> Merged:
    """Writes the month and its ORIGINS, each whole or not at all.

    Of the copies of a post the one retrieved last is kept, and any before one whose retrieval is
    not known; then the one of the file that was ingested last; then the last in its file. Copies
    are looked for within the month: `created_utc` of a post never changes.
    Rows are sorted by time and id, if memory allows (see _SORTED_BYTES).

    Raises InputError when a source is damaged, OutputError when the disk is full.
    """
    merged = Merged()
    groups = _row_groups(sources, _lost(sources))
    with (
        atomic_path(out) as posts_file,
        atomic_path(origins_out) as origins_file,
        MonthWriter(posts_file, schema, facts) as posts,
        MonthWriter(origins_file, ORIGINS, {}) as origins,
    ):
        for table in _in_order(groups, schema, merged):
            merged.kept.update(_counted(table.column(_ORIGIN)))
            posts.write(table.drop_columns(_ORIGIN))
            origins.write(table.select([_ORIGIN]))
    return merged


def _lost(sources: list[Source]) -> list[_Mask]:
    """For each source, the rows that are superseded."""
    sizes = [_metadata(source).num_rows for source in sources]
    masks = [np.zeros(size, dtype=bool) for size in sizes]
    passes = max(1, math.ceil(sum(sizes) / _ROWS_PER_PASS))
    for number in range(passes):
        mine = pl.col("post_id").hash() % passes == number
        ids = pl.concat(_ids(place, source).filter(mine) for place, source in enumerate(sources))
        if ids["post_id"].n_unique() == ids.height:
            continue
        ids = ids.sort("post_id", "retrieved_at", _ORIGIN, LINE, nulls_last=False)
        superseded = ids.filter(pl.col("post_id") == pl.col("post_id").shift(-1))
        for (place,), rows in superseded.group_by("source"):
            masks[int(str(place))][rows["row"].to_numpy()] = True
    return masks


def _ids(place: int, source: Source) -> pl.DataFrame:
    columns = ["post_id", "retrieved_at", *([LINE] if source.staged else [])]
    with _reading(source.path, staged=source.staged):
        frame = pl.DataFrame(pq.ParquetFile(source.path).read(columns))
    return frame.with_row_index("row").select(
        "row",
        "post_id",
        "retrieved_at",
        # what the folder has was ingested before all that is staged, and holds each id once
        pl.lit(source.origin if source.staged else -1, pl.Int32).alias(_ORIGIN),
        (pl.col(LINE) if source.staged else pl.lit(0, pl.Int64)).alias(LINE),
        pl.lit(place, pl.Int32).alias("source"),
    )


def _metadata(source: Source) -> pq.FileMetaData:
    with _reading(source.path, staged=source.staged):
        return pq.read_metadata(source.path)


@contextmanager
def _reading(path: Path, *, staged: bool) -> Iterator[None]:
    """Names the file that turns out to be damaged, and what to do about it."""
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        if staged:
            hint = f"Remove {path.parent} and run the same command again"
        else:
            hint = "Bring it back from a copy, or --overwrite to make the folder anew"
        raise InputError(
            f"is not readable as Parquet ({first_line(error)})", where=path, hint=hint
        ) from error


def _row_groups(sources: list[Source], lost: list[_Mask]) -> list[_Group]:
    groups = []
    for source, mask in zip(sources, lost, strict=True):
        metadata = _metadata(source)
        column = metadata.schema.names.index("created_at")
        begin = 0
        for index in range(metadata.num_row_groups):
            group = metadata.row_group(index)
            rows = slice(begin, begin + group.num_rows)
            times = group.column(column).statistics
            # columns of few values take more in memory than on disk: 64 bytes a row for those
            size = group.total_byte_size + 64 * group.num_rows
            groups.append(_Group(source, index, rows, times.min, times.max, size, mask[rows]))
            begin = rows.stop
    return groups


def _in_order(groups: list[_Group], schema: pa.Schema, merged: Merged) -> Iterator[pa.Table]:
    """The rows that are kept, with the column `file`, sorted if that fits into memory."""
    if _most_at_once(groups) > _SORTED_BYTES:
        yield from (_load(group, schema, merged) for group in groups)
        return
    groups = sorted(groups, key=lambda group: group.begin)
    waiting = []
    for group, following in zip(groups, [*groups[1:], None], strict=True):
        waiting.append(_load(group, schema, merged))
        table = pa.concat_tables(waiting)
        if following is None:
            yield _sorted(table)
        elif following.begin > group.begin:
            # nothing that is still to come was made before the next group begins
            times = table.column("created_at")
            early = pc.less(times, pa.scalar(following.begin, times.type))
            yield _sorted(table.filter(early))
            waiting = [table.filter(pc.invert(early))]


def _most_at_once(groups: list[_Group]) -> int:
    """The bytes of the groups that overlap in time, where most do."""
    moments = [(group.begin, 0, group.size) for group in groups]
    moments += [(group.end, 1, -group.size) for group in groups]
    held = most = 0
    for _, _, change in sorted(moments):
        held += change
        most = max(most, held)
    return most


def _sorted(table: pa.Table) -> pa.Table:
    return table.sort_by([("created_at", "ascending"), ("post_id", "ascending")])


def _load(group: _Group, schema: pa.Schema, merged: Merged) -> pa.Table:
    source, origin = group.source, group.source.origin
    with _reading(source.path, staged=source.staged):
        table = pq.ParquetFile(source.path).read_row_group(group.index, schema.names)
    if isinstance(origin, Path):
        # written with row groups of the same length as the month
        with _reading(origin, staged=False):
            files = pq.ParquetFile(origin).read_row_group(group.index).column(_ORIGIN)
    else:
        files = pa.chunked_array([pa.repeat(pa.scalar(origin, pa.int32()), table.num_rows)])
    lost = pa.array(group.lost)
    merged.duplicates.update(_counted(files.filter(lost)))
    return table.append_column(ORIGINS.field(0), files).filter(pc.invert(lost))


def _counted(files: pa.ChunkedArray) -> dict[int, int]:
    return {entry["values"]: entry["counts"] for entry in files.value_counts().to_pylist()}
