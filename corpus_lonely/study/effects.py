"""The tables of a study: month by month, before against after, and each month against before."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from corpus_lonely.study import aggregate
from corpus_lonely.study.estimands import DIGITS, Estimand, estimands
from corpus_lonely.study.inference import (
    Cells,
    Estimate,
    Floats,
    estimate,
    false_discovery,
    ratios,
)
from corpus_lonely.study.periods import AFTER, BEFORE
from corpus_lonely.taxonomy import Taxonomy

_NAMES = ("group", "label", "measure")


def with_suppressed(units: pl.DataFrame, min_authors: int, by: str = "month") -> pl.DataFrame:
    """With `suppressed`, and `holds_cut` for the two rows of the month (or week) that the cut splits."""
    # where no author is known at all, posts stand in for authors
    counted = "authors" if units["authors"].sum() else "posts"
    return units.with_columns(
        (pl.col(counted) < min_authors).alias("suppressed"),
        pl.col(by).is_duplicated().alias("holds_cut"),
    )


def monthly_table(units: pl.DataFrame, taxonomy: Taxonomy, by: str = "month") -> pl.DataFrame:
    """See `monthly.csv` and `weekly.csv`; values and counts of a suppressed month or week are null."""
    keys = [by, "period", "holds_cut", "suppressed"]
    table = aggregate.tidy(units, keys, taxonomy)
    shown = pl.when(~pl.col("suppressed")).then(pl.col("value", "posts", "authors"))
    return table.with_columns(shown).select(
        by, "period", "group", "label", "measure", "value", "posts", "authors",
        "holds_cut", "suppressed",
    )  # fmt: skip


def in_window(period: str) -> pl.Expr:
    """The cells of one period that are compared."""
    return (pl.col("period") == period) & pl.col("inside")


def periods_table(cells: Cells, counts: pl.DataFrame, taxonomy: Taxonomy) -> pl.DataFrame:
    """See `periods.csv`: before, after, difference and ratio with intervals, p, q, posts, authors.

    cells: without suppressed months, or subtraction would uncover them.
    counts: `aggregate.period_counts`.
    """
    asked = estimands(taxonomy)
    both = sides(cells, asked)
    moved, times = difference(*both), ratio(*both)
    columns = {
        "before": both[0].value_E, "after": both[1].value_E,
        "difference": moved.value, "difference_low": moved.low,
        "difference_high": moved.high,
        "ratio": times.value, "ratio_low": times.low, "ratio_high": times.high,
        "p": moved.p, "q": adjusted(moved.p, asked),
    }  # fmt: skip
    table = names_of(asked).with_columns(numbers(columns))
    told = {
        f"{what}_{side}": pl.lit(count_of(counts, what, side))
        for what in ("posts", "authors")
        for side in (BEFORE, AFTER)
    }
    return table.with_columns(**told)


def count_of(counts: pl.DataFrame, what: str, side: str) -> int:
    """A column of counts, summed over one period compared."""
    return int(counts.filter(in_window(side))[what].sum())


def names_of(asked: list[Estimand]) -> pl.DataFrame:
    """A row an estimand: group, label, measure."""
    return pl.DataFrame([(e.group, e.label, e.measure) for e in asked], _NAMES, orient="row")


def numbers(columns: dict[str, Floats]) -> list[pl.Series]:
    """As tables hold them: rounded, and null where there is no number."""
    return [
        pl.Series(name, np.asarray(values, dtype=float)).fill_nan(None).round(DIGITS)
        for name, values in columns.items()
    ]


@dataclass(frozen=True)
class Side:
    """Shares of some posts: values, replicates, and the values without each cluster."""

    value_E: Floats
    drawn_RE: Floats
    left_out_CE: Floats


def side_of(cells: Cells, asked: list[Estimand], rows: pl.Expr) -> Side:
    """Of the cells that `rows` chooses."""
    parts = (*cells.chosen(rows), cells.left_out(rows))
    return Side(*(ratios(part, cells.columns, asked) for part in parts))


def sides(cells: Cells, asked: list[Estimand], rows: pl.Expr | None = None) -> tuple[Side, Side]:
    """Before and after, of all cells in the windows or of some."""
    every = pl.lit(True) if rows is None else rows
    before, after = (side_of(cells, asked, in_window(side) & every) for side in (BEFORE, AFTER))
    return before, after


def difference(before: Side, after: Side) -> Estimate:
    """After less before."""
    value, drawn = after.value_E - before.value_E, after.drawn_RE - before.drawn_RE
    return estimate(value, drawn, left_out_CE=after.left_out_CE - before.left_out_CE)


def ratio(before: Side, after: Side) -> Estimate:
    """After over before; over nothing it is NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        left_out = after.left_out_CE / before.left_out_CE
        value = np.where(before.value_E > 0, after.value_E / before.value_E, np.nan)
        drawn = after.drawn_RE / before.drawn_RE
    return estimate(value, drawn, null=1.0, left_out_CE=left_out)


def adjusted(p_E: Floats, asked: list[Estimand]) -> Floats:
    """Benjamini and Hochberg over the labels of each measure; loneliness itself is not among them."""
    q_E = p_E.copy()
    for measure in dict.fromkeys(e.measure for e in asked):
        rows = [row for row, e in enumerate(asked) if e.measure == measure]
        q_E[rows] = false_discovery(p_E[rows])
    return q_E


def rows_of(name: str, told: Estimate, note: str, asked: list[Estimand]) -> pl.DataFrame:
    """A row an estimand, of one estimator."""
    columns = {"estimate": told.value, "low": told.low, "high": told.high, "p": told.p,
               "q": adjusted(told.p, asked)}  # fmt: skip
    return names_of(asked).with_columns(
        pl.lit(name).alias("estimator"),
        *numbers(columns),
        pl.lit(note).alias("note"),
    )


def events_table(cells: Cells, months: pl.DataFrame, taxonomy: Taxonomy) -> pl.DataFrame:
    """See `events.csv`: each month less the mean of the period before, with its interval.

    Pointwise intervals that resample authors; months without a shown row are left out.
    """
    asked = estimands(taxonomy)
    base, parts = side_of(cells, asked, in_window(BEFORE)), []
    for month, period in months.filter(~pl.col("suppressed")).select("month", "period").iter_rows():
        here = (pl.col("month") == month) & (pl.col("period") == period)
        told = difference(base, side_of(cells, asked, here))
        parts.append(
            rows_of("event", told, "", asked)
            .drop("estimator", "p", "q", "note")
            .with_columns(pl.lit(month).alias("month"), pl.lit(period).alias("period"))
        )
    return pl.concat(parts).select("month", "period", *_NAMES, "estimate", "low", "high")
