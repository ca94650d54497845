"""Gaps in the table of coverage: which months lie in one, and how many days of the others do."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from corpus_lonely.ingest.gaps import (
    ACTIVE,
    DAYS,
    DayCounts,
    month_days,
    month_gaps,
    months_between,
)
from corpus_lonely.ingest.month_sources import reading, several
from corpus_lonely.parquet import open_parquet

KEY = ["month", "subreddit", "kind"]
GAP, GAP_DAYS = "gap", "gap_days"
_SERIES = KEY[1:]
_BUSY_DAYS = 2 * ((DAYS.least + 1) // 2)
"""Days of ACTIVE posts that three months have at least where a gap is among them: half of those on either side."""
_ROWS_HELD = 1 << 18


def with_gaps(
    covered: pl.DataFrame,
    months: Mapping[str, Path],
    changed: Collection[str],
    before: pl.DataFrame,
) -> pl.DataFrame:
    """The table of coverage with `gap` and `gap_days`, and with rows for months of a gap that have none.

    What a month's row tells depends on its posts, those of the months beside it, and what was read of
    all months, never on which were read first.

    months: the Parquet files of all months.
    changed: the months that are others than in `before`.
    before: rows of KEY and `gap_days` of the last table; `gap_days` is null where it was not told.
    Raises InputError when a month cannot be read.
    """
    in_gap = [
        (month, gap.subreddit, gap.kind, True)
        for gap in month_gaps(covered)
        for month in months_between(gap.begin, gap.end)
    ]
    found = pl.DataFrame(
        in_gap, schema={**dict.fromkeys(KEY, pl.String), GAP: pl.Boolean}, orient="row"
    )
    counts = [name for name in covered.columns if name not in KEY]
    told = (
        covered.join(found, on=KEY, how="full", coalesce=True, nulls_equal=True)
        .with_columns(pl.col(counts).fill_null(0), pl.col(GAP).fill_null(value=False))
        .join(before.unique(KEY), on=KEY, how="left", nulls_equal=True)
    )
    by_day = pl.col("month").is_not_null() & ~pl.col(GAP)
    unknown = told.filter(by_day & pl.col(GAP_DAYS).is_null())["month"].unique().to_list()
    wanted = sorted({*unknown, *(near for month in changed for near in _around(month))})
    new = pl.DataFrame(
        list(_days_in_gaps(months, wanted)),
        schema={**dict.fromkeys(KEY, pl.String), "days": pl.Int64},
        orient="row",
    )
    new = new.group_by(KEY).agg(pl.col("days").sum())
    anew = pl.when(pl.col("month").is_in(wanted)).then(pl.col("days").fill_null(0))
    return (
        told.join(new, on=KEY, how="left")
        .with_columns(pl.when(by_day).then(anew.otherwise(GAP_DAYS)).alias(GAP_DAYS))
        .drop("days")
    )


def _around(month: str) -> list[str]:
    """The month before, it itself, and the one after."""
    year, number = int(month[:4]), int(month[5:])
    before = f"{year - (number == 1):04d}-{(number - 2) % 12 + 1:02d}"
    return months_between(before, before, beyond=2)


def _days_in_gaps(
    months: Mapping[str, Path], wanted: Sequence[str]
) -> Iterator[tuple[str, str, str, int]]:
    """Month, subreddit, kind, and how many days of it lie in gaps; `wanted` in order."""
    needed = sorted({near for month in wanted for near in _around(month)} & months.keys())
    coming = posts_by_day({month: months[month] for month in needed})
    held: dict[str, pl.DataFrame] = {}
    for month in wanted:
        first, _, last = _around(month)
        while max(held, default="") < last and (counted := next(coming, None)):
            held[counted[0]] = counted[1]
        held = {name: days for name, days in held.items() if name >= first}
        if there := [days for name, days in held.items() if name <= last]:
            yield from _days_of(month, pl.concat(there), first, last)


def _days_of(
    month: str, counted: pl.DataFrame, first: str, last: str
) -> Iterator[tuple[str, str, str, int]]:
    if (counted["len"] >= ACTIVE).sum() < _BUSY_DAYS:
        return
    busy = (pl.col("len") >= ACTIVE).sum()
    chosen = counted.group_by(_SERIES).agg(busy).filter(pl.col("len") >= _BUSY_DAYS)
    series = DayCounts(chosen.select(_SERIES).iter_rows(), first, last)
    series.add(counted.join(chosen, on=_SERIES, how="semi"))
    begin, end = month_days(month)
    for gap in series.gaps():
        days = (min(gap.last_day, end) - max(gap.first_day, begin)).days + 1
        if days > 0:
            yield month, gap.subreddit, gap.kind, days


def posts_by_day(months: Mapping[str, Path]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each month with its posts by `subreddit` (in lower case), `kind` and `day`; small ones are read together."""

    def rows(month: tuple[str, Path]) -> int:
        with reading(month[1], staged=False):
            return int(pq.read_metadata(month[1]).num_rows)

    for some in several(months.items(), rows, _ROWS_HELD):
        pieces = (_by_day(posts) for posts in _pieces(some))
        counted = pl.concat(pieces).group_by("month", *_SERIES, "day").agg(pl.col("len").sum())
        by_month = counted.partition_by("month", as_dict=True)
        yield from ((name, by_month[name,]) for name, _ in some)


def _pieces(months: Iterable[tuple[str, Path]]) -> Iterator[pl.DataFrame]:
    """The posts of months, some at a time: groups of rows, and those of small months together."""
    groups = (group for month in months for group in _groups(*month))
    for some in several(groups, len, _ROWS_HELD):
        yield pl.concat(some)


def _groups(name: str, path: Path) -> Iterator[pl.DataFrame]:
    with reading(path, staged=False), open_parquet(path) as file:
        for group in range(file.num_row_groups):
            posts = pl.DataFrame(file.read_row_group(group, [*_SERIES, "created_at"]))
            yield posts.with_columns(month=pl.lit(name))


def _by_day(posts: pl.DataFrame) -> pl.DataFrame:
    day = pl.col("created_at").dt.date().alias("day")
    counted = posts.group_by("month", pl.col(_SERIES).cast(pl.String), day).len()
    return counted.with_columns(pl.col("subreddit").str.to_lowercase())
