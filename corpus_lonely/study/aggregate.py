"""Sums and means of scores by month, period and author, in Polars: lazy, so that memory stays bounded.

Two shares of a label, and every table names which is meant:
  share_of_lonely  sum(P(lonely) * P(label | lonely)) / sum(P(lonely)): its share among lonely posts,
                   each post counted by how likely it is lonely
  share_of_all     mean(P(lonely) * P(label | lonely)): its share of all posts
and two of loneliness itself:
  mean_probability    mean(P(lonely))
  share_at_threshold  the share of posts with P(lonely) at or above a threshold
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.taxonomy import Taxonomy

KINDS = ("submission", "comment", "both")
BEFORE, AFTER = "before", "after"
DIGITS = 9
"""Decimals kept in tables: sums of floats differ beyond them from run to run."""

_POSTS, _ABOVE = "posts", "above"


@dataclass(frozen=True)
class Estimand:
    """One number asked of a set of posts: the ratio of two sums over them."""

    group: str
    label: str
    measure: str
    numerator: str
    """The column of sums above the line."""
    denominator: str


def estimands(taxonomy: Taxonomy) -> list[Estimand]:
    """All that is asked: loneliness twice, then each label twice, in the order of the taxonomy."""
    root = taxonomy.root.name
    asked = [
        Estimand(root, root, "mean_probability", root, _POSTS),
        Estimand(root, root, "share_at_threshold", _ABOVE, _POSTS),
    ]
    for measure, denominator in (("share_of_lonely", root), ("share_of_all", _POSTS)):
        asked += [
            Estimand(category.name, label, measure, column, denominator)
            for category in taxonomy.categories
            for label, column in zip(category.labels, category.columns, strict=True)
        ]
    return asked


def sum_columns(taxonomy: Taxonomy) -> list[str]:
    """The columns of sums: posts, posts above the threshold, then P(lonely) and each label's."""
    return [_POSTS, _ABOVE, *taxonomy.score_columns]


@dataclass(frozen=True)
class Selection:
    """Which rows of scores a study looks at, and where it cuts time."""

    taxonomy: Taxonomy
    cut: date
    """Midnight UTC of this day begins the period after."""
    kind: str = "both"
    """`submission`, `comment` or `both`."""
    threshold: float = 0.5
    """From this P(lonely) on a post counts as lonely in `share_at_threshold`."""
    suppressed: tuple[tuple[str, str], ...] = ()
    """Months (`YYYY-MM`), each with its period, that are left out."""


def counted_rows(frame: pl.LazyFrame, selection: Selection) -> pl.LazyFrame:
    """Rows by `kind` and `reason`: `kept`, or why a row is dropped; read = kept + dropped."""
    kind = pl.col("kind").cast(pl.String) if _has(frame, "kind") else pl.lit("unknown")
    return (
        frame.group_by(kind.alias("kind"), _reason(frame, selection).alias("reason"))
        .agg(pl.len().cast(pl.Int64).alias("rows"))
        .sort("kind", "reason", nulls_last=True)
    )


def _has(frame: pl.LazyFrame, column: str) -> bool:
    return column in frame.collect_schema().names()


def _reason(frame: pl.LazyFrame, selection: Selection) -> pl.Expr:
    scored = pl.all_horizontal(
        pl.col(column).is_not_null() & pl.col(column).cast(pl.Float64).is_finite()
        for column in selection.taxonomy.score_columns
    )
    asked = pl.lit(True)
    if selection.kind != "both":
        asked = pl.col("kind").eq_missing(selection.kind)
    return (
        pl.when(~asked)
        .then(pl.lit("other_kind"))
        .when(pl.col("status").ne_missing("ok"))
        .then(pl.col("status").cast(pl.String).fill_null("no_status"))
        .when(pl.col("created_at").is_null())
        .then(pl.lit("no_date"))
        .when(~scored)
        .then(pl.lit("no_score"))
        .when(_is_suppressed(frame, selection))
        .then(pl.lit("suppressed"))
        .otherwise(pl.lit("kept"))
    )


def _is_suppressed(frame: pl.LazyFrame, selection: Selection) -> pl.Expr:
    if not selection.suppressed:
        return pl.lit(False)
    created = _moment(frame)
    return pl.any_horizontal(
        (_period(created, selection) == side)
        & created.dt.strftime("%Y-%m").is_in([m for m, p in selection.suppressed if p == side])
        for side in (BEFORE, AFTER)
    )


def usable(frame: pl.LazyFrame, selection: Selection, where: str) -> pl.LazyFrame:
    """The rows that are kept, ready for sums: `created_at`, `month`, `period`, `author`, `sum_columns`.

    Raises InputError when a column that is needed is missing, SettingsError for a kind unknown.
    """
    _check(frame, selection, where)
    weight = pl.col(selection.taxonomy.root.name).cast(pl.Float64)
    created = _moment(frame)
    author = pl.col("author") if _has(frame, "author") else pl.lit(None)
    labels = [
        (weight * pl.col(column).cast(pl.Float64)).alias(column)
        for column in selection.taxonomy.score_columns[1:]
    ]
    return frame.filter(_reason(frame, selection) == "kept").select(
        created.alias("created_at"),
        created.dt.truncate("1mo").alias("month"),
        _period(created, selection).alias("period"),
        author.cast(pl.String).alias("author"),
        pl.lit(1, pl.Int64).alias(_POSTS),
        (weight >= selection.threshold).cast(pl.Int64).alias(_ABOVE),
        weight.alias(selection.taxonomy.root.name),
        *labels,
    )


def _check(frame: pl.LazyFrame, selection: Selection, where: str) -> None:
    if selection.kind not in KINDS:
        raise SettingsError(f"--kind must be one of {', '.join(KINDS)}, got {selection.kind!r}")
    needed = ["created_at", "status", *selection.taxonomy.score_columns]
    needed += ["kind"] if selection.kind != "both" else []
    names = frame.collect_schema().names()
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(
            f"has no column {missing[0]!r}; its columns are {', '.join(names)}",
            where=where,
            hint="Score posts that have it: `corpus-lonely score` passes it through",
        )
    found = frame.collect_schema()["created_at"]
    if not isinstance(found, pl.Datetime):
        raise InputError(f"column 'created_at' is of type {found}, not a timestamp", where=where)


def _period(created: pl.Expr, selection: Selection) -> pl.Expr:
    begins = datetime(selection.cut.year, selection.cut.month, selection.cut.day, tzinfo=UTC)
    return pl.when(created < begins).then(pl.lit(BEFORE)).otherwise(pl.lit(AFTER))


def _moment(frame: pl.LazyFrame) -> pl.Expr:
    """`created_at` in UTC; a moment without a zone is taken for UTC."""
    column = pl.col("created_at")
    if getattr(frame.collect_schema()["created_at"], "time_zone", None) is None:
        return column.dt.replace_time_zone("UTC")
    return column.dt.convert_time_zone("UTC")


def monthly_sums(rows: pl.LazyFrame, taxonomy: Taxonomy) -> pl.LazyFrame:
    """Sums by month and period, with the `first` and `last` moment.

    The month that holds the cut has a row for each side of it.
    """
    return (
        rows.group_by("month", "period")
        .agg(
            *(pl.col(name).sum() for name in sum_columns(taxonomy)),
            pl.col("author").drop_nulls().n_unique().cast(pl.Int64).alias("authors"),
            pl.col("created_at").min().alias("first"),
            pl.col("created_at").max().alias("last"),
        )
        .sort("month", pl.col("period") == AFTER)
        .with_columns(pl.col("month").dt.strftime("%Y-%m"))
    )


def author_sums(rows: pl.LazyFrame, taxonomy: Taxonomy) -> pl.LazyFrame:
    """Sums by author and period; a post without an author is a row of its own, `author` null."""
    columns = sum_columns(taxonomy)
    known = (
        rows.filter(pl.col("author").is_not_null())
        .group_by("author", "period")
        .agg(pl.col(name).sum() for name in columns)
    )
    unknown = rows.filter(pl.col("author").is_null()).select("author", "period", *columns)
    # sorted, so that the same draws fall on the same authors in every run
    return pl.concat([known.sort("author", "period"), unknown.sort("period", *columns)])


def tidy(sums: pl.DataFrame, keys: list[str], taxonomy: Taxonomy) -> pl.DataFrame:
    """One row a set of posts and estimand: keys, group, label, measure, value, posts, authors.

    sums: `sum_columns`, `authors` and the keys. A value over nothing is null.
    """
    return pl.concat(
        sums.select(
            *keys,
            pl.lit(asked.group).alias("group"),
            pl.lit(asked.label).alias("label"),
            pl.lit(asked.measure).alias("measure"),
            (pl.col(asked.numerator) / pl.col(asked.denominator))
            .fill_nan(None)
            .round(DIGITS)
            .alias("value"),
            "posts",
            "authors",
        )
        for asked in estimands(taxonomy)
    )
