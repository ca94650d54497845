"""Sums of the rows that count by month, period and author, in Polars."""

import polars as pl

from corpus_lonely.study.estimands import DIGITS, estimands, sum_columns
from corpus_lonely.study.periods import UNITS
from corpus_lonely.taxonomy import Taxonomy

CLUSTER_CELLS = ("month", "period", "inside")


def unit_keys(by: str) -> tuple[str, ...]:
    """What a row of `monthly_sums` is of."""
    return ("month", "period") if by == "month" else ("month", "week", "period")


def monthly_sums(rows: pl.LazyFrame, taxonomy: Taxonomy, by: str = "month") -> pl.LazyFrame:
    """Sums by month (or week) and period, with posts `without_author`, the `first` and the `last` moment.

    The month that holds the cut has a row for each side of it.
    """
    return rows.group_by(*unit_keys(by), maintain_order=True).agg(
        *(pl.col(name).sum() for name in sum_columns(taxonomy)),
        pl.col("author").is_null().sum().cast(pl.Int64).alias("without_author"),
        pl.col("created_at").min().alias("first"),
        pl.col("created_at").max().alias("last"),
    )


def period_counts(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Posts and posts without an author, by `period` and `inside`."""
    return rows.group_by("period", "inside", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("posts"),
        pl.col("author").is_null().sum().cast(pl.Int64).alias("without_author"),
    )


def cluster_sums(
    rows: pl.LazyFrame, taxonomy: Taxonomy, by: tuple[str, ...] = CLUSTER_CELLS
) -> pl.LazyFrame:
    """Sums by cluster and `by`; a post without an author is a cluster."""
    return rows.group_by("cluster", *by, maintain_order=True).agg(
        pl.col(name).sum() for name in sum_columns(taxonomy)
    )


def named_months(sums: pl.DataFrame) -> pl.DataFrame:
    """With `month` as `YYYY-MM`, and `week` as the day of its Monday."""
    return sums.with_columns(
        pl.col(name).dt.strftime(form) for name, form in UNITS.items() if name in sums.columns
    )


def author_sums(rows: pl.LazyFrame, taxonomy: Taxonomy, share: float = 1.0) -> pl.LazyFrame:
    """Sums by known author and period, inside the windows; of a random `share` of the authors."""
    chosen = pl.col("author").is_not_null() & pl.col("inside")
    if share < 1:
        chosen &= pl.col("author").hash(seed=1) % 1_000_000 < round(share * 1_000_000)
    return (
        rows.filter(chosen)
        .group_by("author", "period", maintain_order=True)
        .agg(pl.col(name).sum() for name in sum_columns(taxonomy))
    )


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
