"""The rows that count, one column for each thing that sums are made of or by."""

import polars as pl

from corpus_lonely.study.estimands import ABOVE, POSTS
from corpus_lonely.study.periods import begin, inside, moment, month, period_of
from corpus_lonely.study.selection import Selection, check, has, kind_of, reason

MOST_CLUSTERS = 20_000
"""Up to so many authors each is a cluster of their own."""
DEALT_CLUSTERS = 4_096
"""More authors are dealt at random into so many clusters, which bounds memory: sums over random groups of
independent authors are independent too (the random groups of Wolter 2007, chapter 2)."""


def usable(
    frame: pl.LazyFrame, selection: Selection, where: str, carried: tuple[str, ...] = ()
) -> pl.LazyFrame:
    """The rows that are kept, ready for sums: `created_at`, `month`, `week`, `period`, `inside`, `author`,
    `who` (the author as a number), `kind`, `cluster`, `stratum`, `group`, `subreddit`, `sum_columns`, and columns
    to be carried where there are any. `inside` tells whether the row is in the windows compared.

    Raises InputError when a column that is needed is missing, SettingsError for a kind unknown.
    """
    check(frame, selection, where)
    weight = pl.col(selection.taxonomy.root.name).cast(pl.Float64)
    created = moment(frame)
    author = (pl.col("author") if has(frame, "author") else pl.lit(None)).cast(pl.String)
    labels = [
        (weight * pl.col(column).cast(pl.Float64)).alias(column)
        for column in selection.taxonomy.score_columns[1:]
    ]
    return frame.filter(reason(frame, selection) == "kept").select(
        created.alias("created_at"),
        month(created, selection.by).alias("month"),
        begin(created, "week").alias("week"),
        period_of(created, selection.cut).alias("period"),
        inside(created, selection.cut, selection.by, pre=selection.pre, post=selection.post).alias(
            "inside"
        ),
        author.alias("author"),
        author.hash(seed=0).alias("who"),
        kind_of(frame).alias("kind"),
        _cluster(frame, author, selection).alias("cluster"),
        as_text(selection.stratum).alias("stratum"),
        as_text(selection.group).alias("group"),
        as_text("subreddit" if has(frame, "subreddit") else None).alias("subreddit"),
        pl.lit(1, pl.Int64).alias(POSTS),
        (weight >= selection.threshold).cast(pl.Int64).alias(ABOVE),
        weight.alias(selection.taxonomy.root.name),
        *labels,
        *(pl.col(name) for name in carried if has(frame, name)),
    )


def _cluster(frame: pl.LazyFrame, author: pl.Expr, selection: Selection) -> pl.Expr:
    """The author, or the post itself where none is known, marked so that it is nobody's name."""
    alone = (
        pl.col("post_id")
        if has(frame, "post_id")
        else pl.struct("created_at", selection.taxonomy.root.name).hash()
    )
    key = pl.coalesce(author, pl.lit("\0") + alone.cast(pl.String))
    return (key.hash(seed=0) % DEALT_CLUSTERS).cast(pl.UInt16) if selection.dealt else key


def as_text(column: str | None) -> pl.Expr:
    """A column that splits rows; empty when None."""
    if column is None:
        return pl.lit("")
    return pl.col(column).cast(pl.String).str.to_lowercase().fill_null("unknown")
