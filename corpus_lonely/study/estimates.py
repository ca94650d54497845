"""The same change by every estimator: `estimates.csv`, and what each estimator is."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from corpus_lonely.study import interrupted, panel, series, twoway
from corpus_lonely.study.effects import difference, ratio, rows_of, sides
from corpus_lonely.study.estimands import estimands
from corpus_lonely.study.inference import Cells, Estimate
from corpus_lonely.study.series import Placebo, Series
from corpus_lonely.taxonomy import Taxonomy

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
    "authors_and_months": "after less before, all posts; authors and blocks of three months both cluster, Satterthwaite's t",
    "blocks_of_time": "mean of blocks of three months after less mean before; authors resampled, and shocks of the blocks",
    "placebo_dates": "jump at the cut; p is its rank among jumps at earlier dates, so there is no interval",
    "seasonal": "after less before, less the same difference a year (or more) earlier; authors resampled, and shocks of the months",
    "its_level": "interrupted time series: change of level at the cut; authors resampled, and shocks of the months that may last",
    "its_slope": "interrupted time series: change of slope, a month; the same",
    "one_post_an_author": "after less before, each author counting as one post a period, however many they wrote; authors resampled",
    "within_author": "after less before, each author counting as one post a period, of authors alone who posted in both; authors resampled",
    "standardised": "after less before, with the mix of kinds or subreddits held at that of before; authors resampled",
}


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
    both = sides(cells, asked)
    placebo = series.placebo_dates(course)
    found: list[tuple[str, Estimate, str]] = [
        ("difference", difference(*both), "all posts compared"),
        ("ratio", ratio(*both), "all posts compared"),
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
    return pl.concat(rows_of(name, told, note, asked) for name, told, note in found), placebo


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
    for column, known in series.whole(course):
        fit = interrupted.change(
            course.times_M[known],
            course.values_ME[known, column],
            course.authors_EMM[column][np.ix_(known, known)],
            course.times_M[course.cut],
        )
        if fit is not None:
            held[:, :, column] = fit.value, fit.low, fit.high, fit.p
    if np.isfinite(held).any():
        for place, name in enumerate(("its_level", "its_slope")):
            yield name, Estimate(*held[:, place]), f"{len(course.months)} months"


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
