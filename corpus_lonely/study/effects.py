"""The two tables of a study: month by month, and before against after with intervals."""

import polars as pl

from corpus_lonely.study import aggregate, inference
from corpus_lonely.study.aggregate import AFTER, BEFORE
from corpus_lonely.taxonomy import Taxonomy

_NAMES = ("group", "label", "measure")


def with_suppressed(months: pl.DataFrame, min_authors: int) -> pl.DataFrame:
    """With `suppressed`, and `holds_cut` for the two rows of the month that the cut splits."""
    # where no author is known at all, posts stand in for authors
    counted = "authors" if months["authors"].sum() else "posts"
    return months.with_columns(
        (pl.col(counted) < min_authors).alias("suppressed"),
        pl.col("month").is_duplicated().alias("holds_cut"),
    )


def monthly_table(months: pl.DataFrame, taxonomy: Taxonomy) -> pl.DataFrame:
    """See `monthly.csv`; values and counts of a suppressed month are null."""
    keys = ["month", "period", "holds_cut", "suppressed"]
    table = aggregate.tidy(months, keys, taxonomy)
    shown = pl.when(~pl.col("suppressed")).then(pl.col("value", "posts", "authors"))
    return table.with_columns(shown).select(
        "month", "period", "group", "label", "measure", "value", "posts", "authors",
        "holds_cut", "suppressed",
    )  # fmt: skip


def periods_table(
    authors: pl.DataFrame, taxonomy: Taxonomy, replicates: int, seed: int
) -> pl.DataFrame:
    """See `periods.csv`: before, after, difference with its interval, ratio, posts, authors.

    authors: `aggregate.author_sums` without suppressed months, or subtraction would uncover them.
    """
    columns, asked = aggregate.sum_columns(taxonomy), aggregate.estimands(taxonomy)
    sums = authors.group_by("period").agg(
        *(pl.col(name).sum() for name in columns),
        pl.col("author").count().cast(pl.Int64).alias("authors"),
    )
    values = aggregate.tidy(sums, ["period"], taxonomy)
    sides = {
        side: values.filter(pl.col("period") == side).select(
            *_NAMES,
            pl.col("value").alias(side),
            pl.col("posts").alias(f"posts_{side}"),
            pl.col("authors").alias(f"authors_{side}"),
        )
        for side in (BEFORE, AFTER)
    }
    clusters = inference.clusters_of(authors, taxonomy)
    low, high = inference.difference_intervals(clusters, asked, columns, replicates, seed)
    joined = sides[BEFORE].join(sides[AFTER], on=_NAMES, how="left", maintain_order="left")
    ends = [pl.Series("difference_low", low), pl.Series("difference_high", high)]
    before, after = pl.col("before"), pl.col("after")
    return joined.with_columns(
        *(end.fill_nan(None).round(aggregate.DIGITS) for end in ends),
        (after - before).round(aggregate.DIGITS).alias("difference"),
        pl.when(before > 0).then(after / before).round(aggregate.DIGITS).alias("ratio"),
    ).select(
        *_NAMES, "before", "after", "difference", "difference_low", "difference_high", "ratio",
        "posts_before", "posts_after", "authors_before", "authors_after",
    )  # fmt: skip
