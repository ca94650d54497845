"""The tables of a study: month by month, before against after, and every estimator beside every other."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from corpus_lonely.study import aggregate, interrupted, panel, series, twoway
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
from corpus_lonely.study.series import Placebo, Series
from corpus_lonely.taxonomy import Taxonomy

_NAMES = ("group", "label", "measure")
_FEWEST_PANEL = 30
"""Authors; with fewer a bootstrap over them is no guide."""

TITLES = {
    "difference": "all posts, after less before",
    "authors_and_months": "all posts, reckoning with months",
    "blocks_of_time": "every month counts alike",
    "placebo_dates": "jump, against earlier dates",
    "seasonal": "against the same months before",
    "its_level": "jump beside a trend",
    "its_slope": "change of the trend, a month",
    "one_post_an_author": "every author counts alike",
    "within_author": "authors who posted in both",
    "standardised": "mix of posts held still",
}
"""What readers who know nothing of the code call an estimator."""
ESTIMATORS = {
    "difference": "after less before, all posts in the windows; authors resampled",
    "ratio": "after over before; authors resampled; its p is of a ratio of 1",
    "authors_and_months": "as difference; authors and blocks of three months both cluster, Satterthwaite's t",
    "blocks_of_time": "mean of months after less mean before; blocks of three months as units, Welch's t",
    "placebo_dates": "jump at the cut; p is its rank among jumps at earlier dates; no interval",
    "seasonal": "difference less that of the same months of earlier years; months as units, Welch's t",
    "its_level": "interrupted time series: change of level at the cut",
    "its_slope": "interrupted time series: change of slope, a month",
    "one_post_an_author": "as difference, each author counting as one post a period, whatever they wrote",
    "within_author": "the same, of authors alone who posted before and after",
    "standardised": "as difference, with the mix of strata held at that of before",
}


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
    difference, ratio = both_estimates(*both)
    columns = {
        "before": both[0], "after": both[1],
        "difference": difference.value, "difference_low": difference.low,
        "difference_high": difference.high,
        "ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high,
        "p": difference.p, "q": adjusted(difference.p, asked),
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


def sides(
    cells: Cells, asked: list[Estimand], rows: pl.Expr | None = None
) -> tuple[Floats, Floats, Floats, Floats]:
    """Before and after, of all cells in the windows or of some: values [E], then draws [R, E]."""
    every = pl.lit(True) if rows is None else rows
    chosen = [cells.chosen(in_window(side) & every) for side in (BEFORE, AFTER)]
    (before, after), (before_R, after_R) = (
        (ratios(one, cells.columns, asked) for one in both) for both in zip(*chosen, strict=True)
    )
    return before, after, before_R, after_R


def both_estimates(
    before_E: Floats, after_E: Floats, before_RE: Floats, after_RE: Floats
) -> tuple[Estimate, Estimate]:
    """Difference and ratio; a ratio over nothing is NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(before_E > 0, after_E / before_E, np.nan)
        ratio_RE = after_RE / before_RE
    return (
        estimate(after_E - before_E, after_RE - before_RE),
        estimate(ratio, ratio_RE, null=1.0),
    )


def adjusted(p_E: Floats, asked: list[Estimand]) -> Floats:
    """Benjamini and Hochberg over the labels of each measure; loneliness itself is not among them."""
    q_E = p_E.copy()
    for measure in dict.fromkeys(e.measure for e in asked):
        rows = [row for row, e in enumerate(asked) if e.measure == measure]
        q_E[rows] = false_discovery(p_E[rows])
    return q_E


def estimates_table(
    cells: Cells,
    sums: pl.DataFrame,
    course: Series,
    authors: pl.DataFrame,
    taxonomy: Taxonomy,
    *,
    windows: tuple[int | None, int | None],
    replicates: int,
    seed: int,
    strata: Cells | None = None,
) -> tuple[pl.DataFrame, Placebo | None]:
    """See `estimates.csv`: one row an estimator and estimand; and the jumps at placebo dates."""
    asked = estimands(taxonomy)
    difference, ratio = both_estimates(*sides(cells, asked))
    placebo = series.placebo_dates(course)
    found: list[tuple[str, Estimate, str]] = [
        ("difference", difference, "all posts compared"),
        ("ratio", ratio, "all posts compared"),
        ("authors_and_months", twoway.difference(sums, cells.columns, asked), "blocks of 3 months"),
        ("blocks_of_time", series.blocks_of_time(course, *windows), "blocks of 3 months"),
    ]
    if placebo is not None:
        found.append(("placebo_dates", *_placebo_row(placebo)))
    seasonal = series.seasonal(course)
    if seasonal is not None:
        told, span, years = seasonal
        found.append(("seasonal", told, f"{span} months a side, {years} earlier year(s)"))
    found += _interrupted(course)
    found += _by_author(authors, taxonomy, replicates, seed)
    if strata is not None:
        found.append(("standardised", panel.standardised(strata, asked), "mix of before"))
    return pl.concat(_rows(name, told, note, asked) for name, told, note in found), placebo


def _placebo_row(placebo: Placebo) -> tuple[Estimate, str]:
    unknown = np.full(placebo.jump_E.shape, np.nan)
    note = (
        f"{placebo.span} months a side, {len(placebo.months)} placebo dates, "
        f"smallest possible p {placebo.smallest_p:.3f}"
    )
    return Estimate(placebo.jump_E, unknown, unknown, placebo.p_E), note


def _interrupted(course: Series) -> Iterator[tuple[str, Estimate, str]]:
    if course.cut >= len(course.months):
        return
    columns = course.values_ME.shape[1]
    held = np.full((4, 2, columns), np.nan)
    method = ""
    for column, known in series.whole(course):
        fit = interrupted.change(
            course.times_M[known], course.values_ME[known, column], course.times_M[course.cut]
        )
        if fit is not None:
            held[:, :, column] = fit.value, fit.low, fit.high, fit.p
            method = fit.method
    if method:
        for place, name in enumerate(("its_level", "its_slope")):
            yield name, Estimate(*held[:, place]), f"{method}, {len(course.months)} months"


def _by_author(
    authors: pl.DataFrame, taxonomy: Taxonomy, replicates: int, seed: int
) -> Iterator[tuple[str, Estimate, str]]:
    for name, both in (("one_post_an_author", False), ("within_author", True)):
        clusters = panel.equal_authors(authors, taxonomy, both=both)
        if len(clusters) >= _FEWEST_PANEL:
            yield (
                name,
                panel.equal_difference(clusters, taxonomy, replicates, seed),
                f"{len(clusters):,} authors",
            )


def _rows(name: str, told: Estimate, note: str, asked: list[Estimand]) -> pl.DataFrame:
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
    base, base_R = cells.chosen(in_window(BEFORE))
    base_E, base_RE = (ratios(x, cells.columns, asked) for x in (base, base_R))
    parts = []
    for month, period in months.filter(~pl.col("suppressed")).select("month", "period").iter_rows():
        here = (pl.col("month") == month) & (pl.col("period") == period)
        totals, draws = cells.chosen(here)
        now, drawn = (ratios(x, cells.columns, asked) for x in (totals, draws))
        told = estimate(now - base_E, drawn - base_RE)
        parts.append(
            _rows("event", told, "", asked)
            .drop("estimator", "p", "q", "note")
            .with_columns(pl.lit(month).alias("month"), pl.lit(period).alias("period"))
        )
    return pl.concat(parts).select("month", "period", *_NAMES, "estimate", "low", "high")
