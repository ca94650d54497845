"""One month of a posts folder: read to its end, counted, and the first thing that is wrong with it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.ingest.coverage import EMPTY_KEPT, kept_of
from corpus_lonely.ingest.distinct import distinct
from corpus_lonely.ingest.folder import PostsFolder
from corpus_lonely.ingest.gap_days import posts_by_day
from corpus_lonely.ingest.month_sources import ORIGIN
from corpus_lonely.ingest.record import Record
from corpus_lonely.parquet import open_parquet
from corpus_lonely.tables import footer_and_rows, table_schema

_TOLD = {
    "settings": "was made with other settings than the folder",
    "author_key": "has authors hashed with another key than the folder",
}


@dataclass(frozen=True)
class Month:
    """What was found."""

    name: str
    """YYYY-MM."""
    rows: int = 0
    problem: str | None = None
    """Why it is no good, in words; never a post's."""
    authors: int | None = None
    """Different ones of the whole month; None when it was not read."""
    days: pl.DataFrame | None = None
    """Posts by `subreddit` (in lower case), `kind` and `day`."""


def read_month(
    folder: PostsFolder, record: Record, name: str, covered: pl.DataFrame, check: bool
) -> Month:
    """Reads the footer of a month, and with `check` every value; raises nothing.

    covered: the rows of the coverage table that are of the month.
    """
    path = folder.month(name)
    if not path.exists():
        return Month(name, problem="is missing")
    try:
        facts, rows = footer_and_rows(path)
        month = Month(name, rows, _contradiction(path, facts, rows, record, name))
        if not check or month.problem:
            return month
        return _read(folder, record, month, covered)
    except InputError as error:
        return Month(name, problem=error.what)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, ValueError) as error:
        return Month(name, problem=f"cannot be read ({first_line(error)})")


def _contradiction(
    path: Path, facts: Mapping[str, Any], rows: int, record: Record, name: str
) -> str | None:
    """What the footer says against the record."""
    if facts.get("table") != "posts":
        return "was not written by `corpus-lonely ingest`"
    for key, told in _TOLD.items():
        if facts.get(key) != getattr(record, key):
            return told
    wanted = sum(record.months[name].values())
    if rows != wanted:
        return f"has {rows:,} posts, and should have {wanted:,}"
    declared = table_schema("posts")
    for field in pq.read_schema(path):
        at = declared.get_field_index(field.name)
        if at < 0 or declared.field(at).type != field.type:
            return f"has a column {field.name!r} of type {field.type}, which posts have not"
    return None


def _read(folder: PostsFolder, record: Record, month: Month, covered: pl.DataFrame) -> Month:
    path = folder.month(month.name)
    decode(path)
    posts = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    kept = kept_of({month.name: path})
    ((_, days),) = posts_by_day({month.name: path})
    everyone = distinct(posts.with_columns(pl.lit(0).alias("all")), "author", ["all"], month.rows)
    ids = distinct(posts.with_columns(pl.lit(0).alias("all")), "post_id", ["all"], month.rows)
    problem = (
        _outside(days, month.name)
        or (None if ids["post_id"].sum() == month.rows else "holds a post twice, or one without id")
        or _against_coverage(kept, covered)
        or _against_origins(folder.origins(month.name), record.months[month.name])
    )
    return Month(month.name, month.rows, problem, int(everyone["author"].sum()), days)


def decode(path: Path) -> None:
    """Reads every page of a Parquet file, a row group at a time; raises what pyarrow raises."""
    with open_parquet(path) as file:
        for group in range(file.num_row_groups):
            file.read_row_group(group).validate(full=True)


def _outside(days: pl.DataFrame, name: str) -> str | None:
    outside = days.filter(pl.col("day").dt.strftime("%Y-%m") != name)
    return f"holds {outside['len'].sum():,} posts of other months" if len(outside) else None


def _against_coverage(kept: pl.DataFrame, covered: pl.DataFrame) -> str | None:
    told = covered.filter(pl.col("kept") > 0).select(EMPTY_KEPT.columns)
    order = ["subreddit", "kind"]
    if kept.sort(order).equals(told.sort(order)):
        return None
    return "holds other posts or authors than the coverage table tells"


def _against_origins(path: Path, wanted: Mapping[int, int]) -> str | None:
    if not path.exists():
        return f"has lost {path}, which tells the file that each post came from"
    files = Counter(open_parquet(path).read([ORIGIN]).column(ORIGIN).to_pylist())
    return None if files == Counter(wanted) else f"is not told rightly by {path}"
