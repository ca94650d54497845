"""What a posts folder covers: month by subreddit and kind, how much was read, kept and dropped, and why."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus_lonely.ingest.distinct import distinct
from corpus_lonely.ingest.gap_days import GAP_DAYS, KEY, with_gaps
from corpus_lonely.ingest.month_sources import reading, several
from corpus_lonely.ingest.normalize import STAGED
from corpus_lonely.ingest.purged import COUNTS
from corpus_lonely.parquet import open_parquet
from corpus_lonely.tables import conform, table_schema

_DROPPED = "dropped_"
_ROWS_HELD = 1 << 18
"""Rows of months that are counted at once; a month of more is read piece by piece."""


def coverage(
    counts: Iterable[Path],
    months: Mapping[str, Path],
    changed: Collection[str],
    before: Path | None,
    purged: pl.DataFrame = COUNTS,
) -> pa.Table:
    """The table of schemas/coverage.json.

    counts: the staged counts of every file in the folder.
    months: the Parquet files of all months.
    changed: the months that changed, though nothing may be left of them; the rows of the others stay as
        they are in `before`, the coverage table of the last run. Without one, all are counted.
    purged: posts purged since then.

    Raises InputError when a month cannot be read.
    """
    if before is None:
        changed = {*changed, *months}
    written = {month: path for month, path in months.items() if month in changed}
    schema = table_schema("coverage")
    reasons = [name for name in schema.names if name.startswith(_DROPPED)]
    told = _told(before)
    unchanged = told.filter(~pl.col("month").is_in(list(changed)) & (pl.col("kept") > 0))
    kept = pl.concat([kept_of(written), unchanged.select(EMPTY_KEPT.columns)])
    purged_before = told.select(*KEY, pl.col(f"{_DROPPED}purged").alias("purged"))
    purged = pl.concat([purged, purged_before]).group_by(KEY).agg(pl.col("purged").sum())
    read = pl.concat([_EMPTY_COUNTS, *map(_table, counts)])
    table = (
        read.group_by(KEY)
        .agg(
            pl.col("count").sum().alias("read"),
            pl.col("count").filter(pl.col("reason") == STAGED).sum().alias(STAGED),
            *(
                pl.col("count")
                .filter(pl.col("reason") == name.removeprefix(_DROPPED))
                .sum()
                .alias(name)
                for name in reasons
            ),
        )
        .join(kept, on=KEY, how="left")
        .join(purged, on=KEY, how="left")
        .with_columns(pl.col("kept", "authors", "purged").fill_null(0))
        .with_columns(
            (pl.col("read") - pl.col("kept")).alias("dropped"),
            (pl.col(STAGED) - pl.col("kept") - pl.col("purged")).alias(f"{_DROPPED}duplicate"),
            pl.col("purged").alias(f"{_DROPPED}purged"),
        )
    )
    table = with_gaps(table, months, changed, told.select(*KEY, GAP_DAYS)).sort(
        KEY, nulls_last=True
    )
    return conform(table.to_arrow(), schema, "coverage")


_EMPTY_COUNTS = pl.DataFrame(
    schema={
        "month": pl.String,
        "subreddit": pl.String,
        "kind": pl.String,
        "reason": pl.String,
        "count": pl.Int64,
    }
)
EMPTY_KEPT = pl.DataFrame(
    schema={
        "month": pl.String,
        "subreddit": pl.String,
        "kind": pl.String,
        "kept": pl.Int64,
        "authors": pl.Int64,
    }
)
_NOTHING_TOLD = pl.DataFrame(
    schema={**EMPTY_KEPT.schema, f"{_DROPPED}purged": pl.Int64, GAP_DAYS: pl.Int64}
)


def kept_of(months: Mapping[str, Path]) -> pl.DataFrame:
    """What months hold: rows of EMPTY_KEPT. InputError when one cannot be read."""
    parts, small = [EMPTY_KEPT], {}
    for month, path in months.items():
        with reading(path, staged=False):
            rows = pq.read_metadata(path).num_rows
            if rows <= _ROWS_HELD:
                small[month] = path
                continue
            large = pl.scan_parquet(path, glob=False, hive_partitioning=False)
            parts.append(_counted(large.with_columns(month=pl.lit(month)), rows))
    # many small months at once: to count one alone takes milliseconds
    batches = several(_frames(small), len, _ROWS_HELD)
    parts.extend(_counted(pl.concat(some).lazy(), sum(map(len, some))) for some in batches)
    return pl.concat(parts)


def _frames(months: Mapping[str, Path]) -> Iterator[pl.DataFrame]:
    for month, path in months.items():
        frame = _table(path, [*KEY[1:], "author"])
        yield frame.with_columns(month=pl.lit(month))


def _table(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    with reading(path, staged=False):
        table = pl.DataFrame(open_parquet(path).read(columns))
        if columns is None and table.schema != _EMPTY_COUNTS.schema:
            raise pa.ArrowInvalid("it has lost a column")
    return table


def _counted(posts: pl.LazyFrame, rows: int) -> pl.DataFrame:
    spellings = posts.select(pl.col("subreddit").unique()).collect()["subreddit"].to_list()
    lower = {name: name.lower() for name in spellings}
    cased = posts.with_columns(pl.col("subreddit").replace_strict(lower, return_dtype=pl.String))
    kept = (
        cased.group_by(KEY).agg(pl.len().cast(pl.Int64).alias("kept")).collect(engine="streaming")
    )
    authors = distinct(cased, "author", KEY, rows)
    return (
        kept.join(authors.rename({"author": "authors"}), on=KEY, how="left")
        .with_columns(pl.col("authors").fill_null(0))
        .select(EMPTY_KEPT.columns)
    )


def _told(before: Path | None) -> pl.DataFrame:
    """What is asked of the last table; `gap_days` is null where it is of a version that told none."""
    if before is None:
        return _NOTHING_TOLD
    table = _table(before, _NOTHING_TOLD.columns)
    if GAP_DAYS in table.columns:
        return table
    return table.with_columns(pl.lit(None, pl.Int64).alias(GAP_DAYS))
