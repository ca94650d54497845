"""How many different values a column of a month has, in memory that does not grow with the month."""

import math
from collections.abc import Sequence

import polars as pl

_ROWS_PER_PASS = 4_000_000
"""Rows whose values are compared at a time; of more, several passes take a share of the values each."""


def distinct(frame: pl.LazyFrame, column: str, by: Sequence[str], rows: int) -> pl.DataFrame:
    """For each group of `by` the number of different values of `column`, nulls left out.

    rows: of the frame, which decides in how many passes it is read. The values themselves are
    compared, so the number is exact.
    """
    passes = max(1, math.ceil(rows / _ROWS_PER_PASS))
    known = frame.select(*by, column).filter(pl.col(column).is_not_null())
    parts = [
        known.filter(pl.col(column).hash() % passes == number)
        .unique()
        .group_by(*by)
        .agg(pl.len().cast(pl.Int64).alias(column))
        .collect(engine="streaming")
        for number in range(passes)
    ]
    return pl.concat(parts).group_by(*by).agg(pl.col(column).sum())
