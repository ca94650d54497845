"""Which of the copies of a post counts, and what a later deletion or removal says of it."""

import math
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from corpus_lonely.ingest.month_sources import (
    ORIGIN,
    TRACES,
    Source,
    fewer,
    read_rows,
    reading,
    rows_of,
    several,
)
from corpus_lonely.ingest.purged import Purged
from corpus_lonely.ingest.writer import GONE, PLACE
from corpus_lonely.parquet import open_parquet

_EARLIER = pl.lit(0, pl.Int64).alias(PLACE)
_NOT_GONE = pl.lit(False).alias(GONE)
_NOT_PURGED = pl.lit(False).alias("purged")
_ROWS_PER_PASS = 4_000_000
"""Ids compared at a time; more are taken in several passes over the column of ids."""
_ROWS_PER_FRAME = 1 << 18
"""Ids of staged sources that are looked at together."""


class Verdict:
    """What becomes of the rows of a source."""

    def __init__(self, rows: int) -> None:
        self.kept, self.marked, self.gone, self.purged = (
            np.zeros(rows, dtype=bool) for _ in range(4)
        )

    def take(self, ranked: pl.DataFrame) -> None:
        """Some of its rows, as `_ranked` has them."""
        rows = ranked["row"].to_numpy()
        self.kept[rows] = ranked["kept"].to_numpy()
        self.marked[rows] = ranked["marked"].to_numpy()
        self.gone[rows] = ranked[GONE].to_numpy()
        self.purged[rows] = ranked["purged"].to_numpy()


def judge(
    sources: list[Source],
    traces: Path | None,
    purged: Purged | None = None,
    repaired: Collection[int] = (),
) -> tuple[list[Verdict], pa.Table]:
    """For each source what becomes of its rows; and the traces of posts that stay gone.

    repaired: see `merge.merge_month`.
    """
    lengths = [rows_of(source) for source in sources]
    verdicts = list(map(Verdict, lengths))
    passes = max(1, math.ceil(sum(lengths) / _ROWS_PER_PASS))
    lasting = [pl.DataFrame(TRACES.empty_table())]
    for number in range(passes):
        mine = pl.col("post_id").hash() % passes == number
        parts = [ids.filter(mine) for ids in _ids(sources, lengths, purged, repaired)]
        if traces:
            parts.append(_traces(traces).filter(mine))
        ids = _told(pl.concat(parts))
        if purged:
            ids = _without(ids)
        for (place,), rows in ids.filter(pl.col("source") >= 0).group_by("source"):
            verdicts[int(str(place))].take(rows)
        lasting.append(ids.filter("lasts").select(TRACES.names))
    table = pl.concat(lasting).sort("post_id", "removed").to_arrow().cast(TRACES)
    return verdicts, table


def _told(ids: pl.DataFrame) -> pl.DataFrame:
    """`_ranked` for all ids; those that occur once, nearly all, need no ranks."""
    several = ids["post_id"].is_duplicated()
    copied = bool(several.any())
    alone = (ids.filter(~several) if copied else ids).with_columns(
        kept=~pl.col(GONE), marked=pl.lit(False), lasts=pl.col(GONE)
    )
    if not copied:
        return alone
    return pl.concat([alone, _ranked(ids.filter(several)).select(alone.columns)])


def _ranked(ids: pl.DataFrame) -> pl.DataFrame:
    """With `kept`, `marked` (kept, but removed later) and `lasts` (a trace that outlives the text).

    All is told from the last text, the last deletion and the last removal of a post, and these are
    what lasts: so it does not matter in how many runs its copies were read.
    """
    gone, rank, text = pl.col(GONE), pl.col("rank"), pl.col("text_rank")
    deletion = gone & (pl.col("removed") == "deleted")
    last = {"text_rank": ~gone, "deletion_rank": deletion, "removal_rank": gone & ~deletion}
    deleted, removed = (
        (pl.col(name) > text).fill_null(False) for name in ("deletion_rank", "removal_rank")
    )
    kept = ~gone & (rank == text) & ~deleted
    # a removal before the last deletion says no more than that one: a text before it is gone either way
    is_last = rank.eq_missing(pl.col("deletion_rank")) | (
        rank.eq_missing(pl.col("removal_rank")) & (rank > pl.col("deletion_rank")).fill_null(True)
    )
    return (
        ids.sort("post_id", "retrieved_at", ORIGIN, PLACE, nulls_last=False)
        .with_row_index("rank")
        .with_columns(
            rank.filter(which).max().over("post_id").alias(name) for name, which in last.items()
        )
        .with_columns(
            kept=kept, marked=kept & removed, lasts=is_last & (text.is_null() | (rank > text))
        )
    )


def _without(ids: pl.DataFrame) -> pl.DataFrame:
    """Purged posts are not kept, whichever of their copies shows that they are."""
    purged = pl.col("purged").any().over("post_id")
    ids = ids.with_columns(purged=purged & ~pl.col(GONE), kept=pl.col("kept") & ~purged)
    return ids.with_columns(marked=pl.col("marked") & pl.col("kept"))


def _ids(
    sources: list[Source], lengths: list[int], purged: Purged | None, repaired: Collection[int]
) -> Iterator[pl.DataFrame]:
    """The ids of all sources, those of staged ones together: a frame costs a millisecond.

    lengths: the rows of each.
    """
    every = list(zip(range(len(sources)), sources, lengths, strict=True))
    for one in every:
        if not one[1].staged:
            ids = _read([one], purged)
            yield ids.filter(~_rows_from(one[1], repaired)) if repaired else ids
    staged = (one for one in every if one[1].staged)
    for some in several(staged, lambda one: one[2], _ROWS_PER_FRAME):
        yield _read(some, purged)


def _read(sources: list[tuple[int, Source, int]], purged: Purged | None) -> pl.DataFrame:
    """The ids of staged sources, or of one that is not; each with its place among all, and its rows."""
    places, some, lengths = zip(*sources, strict=True)
    staged = some[0].staged
    columns = ["post_id", "retrieved_at", *([PLACE, GONE, "removed"] if staged else [])]
    if purged:
        columns = list(dict.fromkeys([*columns, *purged.columns()]))
    rows = pa.concat_tables(fewer(read_rows(source, None, columns) for source in some))
    with reading(some[0].path, staged=staged):
        frame = pl.DataFrame(rows)
    frame = frame.with_columns(purged.hit().alias("purged") if purged else _NOT_PURGED)
    if not staged:
        frame = frame.with_columns(_EARLIER, _NOT_GONE, removed=pl.lit(None, pl.String))
    # what the folder has was ingested before all that is staged, and holds each id once
    origins = [source.origin if staged else -1 for source in some]
    return frame.select(
        pl.Series(
            "row", np.concatenate([np.arange(length, dtype=np.uint32) for length in lengths])
        ),
        *TRACES.names,
        pl.Series(ORIGIN, np.repeat(np.array(origins, np.int32), lengths)),
        PLACE,
        GONE,
        "purged",
        pl.Series("source", np.repeat(np.array(places, np.int32), lengths)),
    )


def _rows_from(source: Source, files: Collection[int]) -> pl.Series:
    """Which rows of a partition came from those files."""
    assert isinstance(source.origin, Path)  # noqa: S101  (narrows the type)
    with reading(source.origin, staged=False):
        origins = pl.DataFrame(open_parquet(source.origin).read([ORIGIN]))
    return origins[ORIGIN].is_in(list(files))


def _traces(path: Path) -> pl.DataFrame:
    """The traces that the folder has of the month; each is of a later time than the folder's row."""
    with reading(path, staged=False):
        frame = pl.DataFrame(open_parquet(path).read())
    return frame.select(
        pl.lit(0, pl.UInt32).alias("row"),
        *TRACES.names,
        pl.lit(-1, pl.Int32).alias(ORIGIN),
        pl.lit(1, pl.Int64).alias(PLACE),
        pl.lit(True).alias(GONE),
        _NOT_PURGED,
        pl.lit(-1, pl.Int32).alias("source"),
    )
