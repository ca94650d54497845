"""Shares corrected for what the classifier errs by, as a labelled sample tells."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from corpus_lonely.study import correction, mean_scores
from corpus_lonely.study.correction import Corrected, Rates
from corpus_lonely.study.effects import in_window
from corpus_lonely.study.estimands import DIGITS, Estimand
from corpus_lonely.study.inference import Cells, Floats
from corpus_lonely.study.labelled import Labelled
from corpus_lonely.study.periods import AFTER, BEFORE

FEWEST = 30
"""Labelled posts a period needs before anything is corrected by them."""


def corrected_table(labelled: Labelled, cells: Cells, asked: list[Estimand]) -> pl.DataFrame:
    """See `corrected.csv`: raw and corrected values of each period and of the difference, with intervals.

    Without a row where one of the periods has fewer than `FEWEST` labelled posts: half a correction is none.
    """
    enough = min(labelled.posts(period) for period in (BEFORE, AFTER)) >= FEWEST
    known = [e for e in asked if f"truth_{_truth_of(e)}" in labelled.rows.columns]
    lines = [
        line
        for estimand in (known if enough else ())
        for method in _methods(estimand)
        for line in _lines(labelled, cells, estimand, method)
    ]
    schema = {
        "group": pl.String, "label": pl.String, "measure": pl.String, "method": pl.String,
        "period": pl.String, "raw": pl.Float64, "corrected": pl.Float64, "low": pl.Float64,
        "high": pl.Float64, "labelled": pl.Int64,
    }  # fmt: skip
    numbers = pl.col("raw", "corrected", "low", "high")
    return pl.DataFrame(lines, schema, orient="row").with_columns(
        numbers.fill_nan(None).round(DIGITS)
    )


def _truth_of(estimand: Estimand) -> str:
    return estimand.group if estimand.numerator == "above" else estimand.numerator


def _methods(estimand: Estimand) -> tuple[str, ...]:
    rest = () if estimand.numerator == "above" else ("prediction_powered",)
    return (*rest, "rogan_gladen")


def _lines(
    labelled: Labelled, cells: Cells, estimand: Estimand, method: str
) -> Iterator[tuple[object, ...]]:
    sides = {}
    names = (estimand.group, estimand.label, estimand.measure, method)
    way = _powered if method == "prediction_powered" else _mean_scores
    way = _rogan if estimand.numerator == "above" else way
    for period in (BEFORE, AFTER):
        rows = labelled.rows.filter(pl.col("period") == period)
        scores, told, drawn_R = way(rows, cells, estimand, period)
        sides[period] = (scores.raw, told, drawn_R, len(rows))
        yield (*names, period, scores.raw, told.value, *told.interval, len(rows))
    (raw_b, before, b_R, n_b), (raw_a, after, a_R, n_a) = sides[BEFORE], sides[AFTER]
    if way is _mean_scores:
        moved = mean_scores.corrected(after.value - before.value, a_R - b_R)
    else:
        moved = correction.difference(before, after, correction.covariance(b_R, a_R))
    yield (*names, "difference", raw_a - raw_b, moved.value, *moved.interval, n_b + n_a)


def rates_of(labelled: Labelled, period: str, root: str) -> Rates:
    """Sensitivity and specificity at the threshold; a vote of half or more counts as lonely."""
    rows = labelled.rows.filter(pl.col("period") == period)
    return _rates(rows, root)


def _rates(rows: pl.DataFrame, root: str) -> Rates:
    truth = (rows[f"truth_{root}"] >= 0.5).cast(pl.Float64).to_numpy()
    return correction.rates(truth, rows["above"].to_numpy(), rows["weight"].to_numpy())


@dataclass(frozen=True)
class _Scores:
    """The two sums of an estimand and the posts they are of, with their draws [R]."""

    above: float
    below: float
    posts: int
    above_R: Floats
    below_R: Floats
    posts_R: Floats

    @property
    def raw(self) -> float:
        return self.above / self.below

    @property
    def error(self) -> float:
        return float(np.std(self.above_R / self.below_R, ddof=1))


def _scores(cells: Cells, estimand: Estimand, period: str) -> _Scores:
    totals, draws = cells.chosen(in_window(period))
    above, below, posts = (
        cells.columns.index(name) for name in (estimand.numerator, estimand.denominator, "posts")
    )
    sums = float(totals[above]), float(totals[below]), int(totals[posts])
    return _Scores(*sums, draws[:, above], draws[:, below], draws[:, posts])


_Told = tuple[_Scores, Corrected, Floats]
"""What is scored, what is true, and [R] a replicate of the authors: the score, or with `_mean_scores` the truth."""


def _rogan(rows: pl.DataFrame, cells: Cells, estimand: Estimand, period: str) -> _Told:
    scores = _scores(cells, estimand, period)
    told = correction.rogan_gladen(scores.raw, scores.error, _rates(rows, estimand.group))
    return scores, told, scores.above_R / scores.below_R


def _mean_scores(rows: pl.DataFrame, cells: Cells, estimand: Estimand, period: str) -> _Told:
    """Rogan and Gladen's, of mean scores: the label's true share of posts, over that of lonely ones where asked."""
    scores = _scores(cells, estimand, period)
    weights_n, strata_n = rows["weight"].to_numpy(), rows["stratum"].to_numpy()
    replicates = min(mean_scores.MOST_REPLICATES, len(scores.posts_R))
    weights_Rn = mean_scores.resampled_weights(
        weights_n, strata_n, replicates, seed=(BEFORE, AFTER).index(period)
    )

    def shares(name: str, total: float, total_R: Floats) -> tuple[Floats, Floats]:
        pair = rows[f"truth_{name}"].to_numpy(), rows[name].to_numpy()
        means = total / scores.posts, total_R[:replicates] / scores.posts_R[:replicates]
        return (
            mean_scores.share(means[0], *pair, weights_n),
            mean_scores.share(means[1], *pair, weights_Rn),
        )

    value, draws_R = shares(estimand.numerator, scores.above, scores.above_R)
    if estimand.denominator != "posts":
        below, below_R = shares(estimand.denominator, scores.below, scores.below_R)
        value, draws_R = mean_scores.over(value, below), mean_scores.over(draws_R, below_R)
    return scores, mean_scores.corrected(float(value), draws_R), draws_R


def _powered(rows: pl.DataFrame, cells: Cells, estimand: Estimand, period: str) -> _Told:
    scores = _scores(cells, estimand, period)
    raw, posts = scores.raw, scores.posts
    weights, strata = rows["weight"].to_numpy(), rows["stratum"].to_numpy()
    truth = rows[f"truth_{estimand.numerator}"].to_numpy()
    scored = rows[estimand.numerator].to_numpy()
    raw_R = scores.above_R / scores.below_R
    if (
        not truth.any()
    ):  # a sample without any tells neither how many there are nor how sure that is
        return scores, Corrected(float("nan"), float("nan")), raw_R
    if estimand.denominator == "posts":
        told = correction.mean_powered(
            truth, scored, weights,
            scored_mean=raw, scored_error=scores.error,
            posts=posts, strata_n=strata, clustered=True,
        )  # fmt: skip
        return scores, told, raw_R
    line_R = (scores.above_R - raw * scores.below_R) / scores.posts_R
    under: tuple[Floats, Floats] = (
        rows[f"truth_{estimand.denominator}"].to_numpy(),
        rows[estimand.denominator].to_numpy(),
    )
    told = correction.ratio_powered(
        (truth, scored), under, weights,
        above_mean=scores.above / posts, below_mean=scores.below / posts,
        line_error=float(np.std(line_R, ddof=1)), posts=posts, strata_n=strata,
    )  # fmt: skip
    return scores, told, line_R
