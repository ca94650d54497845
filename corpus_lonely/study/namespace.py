"""What researchers ask of scores again and again, as `scan_scores(...).scores`: a small Polars namespace."""

from datetime import date

import polars as pl

from corpus_lonely.study.periods import moment, period_of
from corpus_lonely.taxonomy import Taxonomy, loneliness


@pl.api.register_lazyframe_namespace("scores")
class Scores:
    """Questions to a lazy frame of scores; rows without scores, or without a date, are left out.

    The labels are those of loneliness; for another taxonomy, `Scores(frame, taxonomy)`.
    """

    def __init__(self, frame: pl.LazyFrame, taxonomy: Taxonomy | None = None) -> None:
        self._frame = frame
        self._taxonomy = taxonomy or loneliness()

    def by_month(self) -> pl.LazyFrame:
        """By month: `posts`, `authors`, mean P(lonely), and each label's share of lonely posts."""
        return self._every("1mo", "%Y-%m", "month")

    def by_week(self) -> pl.LazyFrame:
        """The same by week, named by its Monday (UTC)."""
        return self._every("1w", "%Y-%m-%d", "week")

    def period(self, cut: date) -> pl.LazyFrame:
        """All columns and rows, and `period`: `before` the midnight (UTC) of `cut`, or `after`."""
        return self._frame.with_columns(period_of(moment(self._frame), cut).alias("period"))

    def distribution(self, category: str, *by: str) -> pl.LazyFrame:
        """Each label of a category: `share_of_lonely`, `share_of_all`, `posts`; split by columns.

        KeyError names the categories where there is no such one.
        """
        chosen = self._taxonomy.category_of(category)
        weight = pl.col(self._taxonomy.root.name).cast(pl.Float64)
        sums = self._usable().group_by(*by) if by else self._usable().group_by(pl.lit(0).alias("_"))
        told = sums.agg(
            pl.len().cast(pl.Int64).alias("posts"),
            weight.sum().alias("_lonely"),
            *((weight * pl.col(c).cast(pl.Float64)).sum().alias(c) for c in chosen.columns),
        )
        parts = [
            told.select(
                *by,
                pl.lit(label).alias("label"),
                (pl.col(column) / pl.col("_lonely")).alias("share_of_lonely"),
                (pl.col(column) / pl.col("posts")).alias("share_of_all"),
                "posts",
            )
            for label, column in zip(chosen.labels, chosen.columns, strict=True)
        ]
        return pl.concat(parts).sort(*by, maintain_order=True) if by else pl.concat(parts)

    def _every(self, every: str, form: str, name: str) -> pl.LazyFrame:
        weight = pl.col(self._taxonomy.root.name).cast(pl.Float64)
        when = moment(self._frame).dt.truncate(every).dt.strftime(form).alias(name)
        there = self._frame.collect_schema().names()
        author = pl.col("author") if "author" in there else pl.lit(None, pl.String)
        return (
            self._usable()
            .group_by(when)
            .agg(
                pl.len().cast(pl.Int64).alias("posts"),
                author.drop_nulls().n_unique().cast(pl.Int64).alias("authors"),
                weight.mean().alias(self._taxonomy.root.name),
                *(
                    ((weight * pl.col(c).cast(pl.Float64)).sum() / weight.sum()).alias(c)
                    for c in self._taxonomy.score_columns[1:]
                ),
            )
            .sort(name)
        )

    def _usable(self) -> pl.LazyFrame:
        known = pl.col("created_at").is_not_null() & pl.col(self._taxonomy.root.name).is_not_null()
        return self._frame.filter((pl.col("status") == "ok") & known)
