"""One month: its staged rows and what the folder has of it, each post once, in the order of time."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus_lonely.files import atomic_path
from corpus_lonely.ingest.copies import Verdict, judge
from corpus_lonely.ingest.month_sources import (
    ORIGIN,
    ORIGINS,
    Source,
    extents,
    fewer,
    joined,
    read_rows,
    reading,
)
from corpus_lonely.ingest.purged import Purged
from corpus_lonely.ingest.staged_file import Extent
from corpus_lonely.ingest.writer import MonthWriter, staged_schema
from corpus_lonely.parquet import open_parquet
from corpus_lonely.tables import write_parquet

_SORTED_BYTES = 256 << 20
"""Rows held at a time to sort them; where more overlap in time, rows stay in the order of input."""
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class MonthFiles:
    """Where a month is written."""

    posts: Path
    origins: Path
    traces: Path


@dataclass
class Merged:
    """What became of a month's rows, by the file that they came from."""

    kept: Counter[int] = field(default_factory=Counter)
    duplicates: Counter[int] = field(default_factory=Counter)
    gone: int = 0
    """Posts of which a trace is left."""
    purged: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    """Rows of purged posts, by file, subreddit in lower case, and kind."""
    purged_ids: set[str] = field(default_factory=set)
    """Of those rows: another copy may name no author to tell by."""


@dataclass(frozen=True)
class _Group:
    """A group of rows, and what becomes of each."""

    source: Source
    index: int
    extent: Extent
    kept: _Mask
    marked: _Mask
    """Kept rows whose text moderators removed later."""
    gone: _Mask
    """Rows that are but traces of posts."""
    purged: _Mask


def merge_month(
    sources: list[Source],
    traces: Path | None,
    out: MonthFiles,
    schema: pa.Schema,
    facts: Mapping[str, Any],
    purged: Purged | None = None,
    repaired: Collection[int] = (),
) -> Merged:
    """Writes the month, its ORIGINS and its TRACES, each whole or not at all.

    traces: those that the folder has of the month.
    purged: posts that are not kept, whatever else holds.
    repaired: files whose rows in the folder are not kept either, by their place in the record: they broke
        off, damage may have altered them, and they are among the staged ones as a whole now.

    Of the copies of a post the one retrieved last counts, and any before one whose retrieval is
    not known; then the one of the file that was ingested last; then the last in its file. A text whose
    author deleted it later is not kept; one that others removed later is, and `removed` says so. Copies
    are looked for within the month: `created_utc` of a post never changes. Rows are sorted by time and id, if memory allows (see _SORTED_BYTES).

    Raises InputError when a source is damaged, OutputError when the disk is full.
    """
    merged = Merged()
    sources = joined(sources, staged_schema(schema).names)
    verdicts, gone = judge(sources, traces, purged, repaired)
    merged.gone = gone.num_rows
    write_parquet(gone, out.traces)
    with (
        atomic_path(out.posts) as posts_file,
        atomic_path(out.origins) as origins_file,
        MonthWriter(posts_file, schema, facts) as posts,
        MonthWriter(origins_file, ORIGINS, {}) as origins,
    ):
        for table in fewer(_in_order(_row_groups(sources, verdicts), schema, merged)):
            merged.kept.update(_counted(table.column(ORIGIN)))
            posts.write(table.drop_columns(ORIGIN))
            origins.write(table.select([ORIGIN]))
    return merged


def _row_groups(sources: list[Source], verdicts: list[Verdict]) -> list[_Group]:
    groups = []
    for source, verdict in zip(sources, verdicts, strict=True):
        begin = 0
        for index, extent in enumerate(extents(source)):
            rows = slice(begin, begin + extent.rows)
            masks = (
                mask[rows] for mask in (verdict.kept, verdict.marked, verdict.gone, verdict.purged)
            )
            groups.append(_Group(source, index, extent, *masks))
            begin = rows.stop
    return groups


def _in_order(groups: list[_Group], schema: pa.Schema, merged: Merged) -> Iterator[pa.Table]:
    """The rows that are kept, with the column `file`, sorted if that fits into memory."""
    if _most_at_once(groups) > _SORTED_BYTES:
        yield from (_load(group, schema, merged) for group in groups)
        return
    groups = sorted(groups, key=lambda group: group.extent.begin)
    waiting = []
    for group, following in zip(groups, [*groups[1:], None], strict=True):
        waiting.append(_load(group, schema, merged))
        if following is None:
            yield _sorted(pa.concat_tables(waiting))
        elif following.extent.begin > group.extent.begin:
            # nothing that is still to come was made before the next group begins
            table = _sorted(pa.concat_tables(waiting))
            early = _rows_before(table, following.extent.begin)
            yield table.slice(0, early)
            waiting = [table.slice(early)]


def _rows_before(table: pa.Table, moment: int) -> int:
    """How many rows of a table in order were made before a moment."""
    times = table.column("created_at")
    return int(pc.sum(pc.less(times, pa.scalar(moment, times.type))).as_py() or 0)


def _most_at_once(groups: list[_Group]) -> int:
    """The bytes of the groups that overlap in time, where most do."""
    moments = [(group.extent.begin, 0, group.extent.size) for group in groups]
    moments += [(group.extent.end, 1, -group.extent.size) for group in groups]
    held = most = 0
    for _, _, change in sorted(moments):
        held += change
        most = max(most, held)
    return most


def _sorted(table: pa.Table) -> pa.Table:
    order = pc.sort_indices(
        table.select(["created_at", "post_id"]),
        sort_keys=[("created_at", "ascending"), ("post_id", "ascending")],
    )
    places = order.to_numpy()
    if np.array_equal(places, np.arange(len(places))):  # as dumps since 2023-04 are
        return table
    # in one piece each column is taken from in one go
    return table.combine_chunks().take(order)


def _load(group: _Group, schema: pa.Schema, merged: Merged) -> pa.Table:
    source, origin = group.source, group.source.origin
    table = read_rows(source, group.index, schema.names)
    if isinstance(origin, Path):
        # written with row groups of the same length as the month
        with reading(origin, staged=False):
            files = open_parquet(origin).read_row_group(group.index).column(ORIGIN)
    else:
        files = pa.chunked_array([pa.repeat(pa.scalar(origin, pa.int32()), table.num_rows)])
    copies = ~(group.kept | group.gone | group.purged)
    if copies.any():
        merged.duplicates.update(_counted(files.filter(pa.array(copies))))
    if group.purged.any():
        rows = table.append_column(ORIGINS.field(0), files).filter(pa.array(group.purged))
        merged.purged.update(purged_rows(rows))
        merged.purged_ids.update(rows.column("post_id").to_pylist())
    if group.marked.any():
        place, how = table.schema.get_field_index("removed"), table.column("removed")
        marks = pc.if_else(
            pa.array(group.marked), pa.scalar("removed"), pa.scalar(None, pa.string())
        )
        table = table.set_column(place, table.schema.field(place), pc.coalesce(how, marks))
    table = table.append_column(ORIGINS.field(0), files)
    return table if group.kept.all() else table.filter(pa.array(group.kept))


def purged_rows(rows: pa.Table) -> Counter[tuple[int, str, str]]:
    """How many, by file, subreddit in lower case, and kind."""
    columns = (rows.column(name).to_pylist() for name in (ORIGIN, "subreddit", "kind"))
    return Counter((file, name.lower(), kind) for file, name, kind in zip(*columns, strict=True))


def _counted(files: pa.ChunkedArray) -> dict[int, int]:
    return {entry["values"]: entry["counts"] for entry in files.value_counts().to_pylist()}
