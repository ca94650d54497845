"""A labelled sample against the scores: what the classifier errs by, and shares corrected for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.study import correction, mean_scores
from corpus_lonely.study.correction import Corrected, Rates
from corpus_lonely.study.effects import in_window
from corpus_lonely.study.estimands import DIGITS, Estimand
from corpus_lonely.study.inference import Cells, Floats
from corpus_lonely.study.periods import AFTER, BEFORE
from corpus_lonely.taxonomy import Taxonomy

FEWEST = 30
"""Labelled posts a period needs before anything is corrected by them."""


@dataclass(frozen=True)
class Labelled:
    """The posts of a labelled sample that the study compares."""

    rows: pl.DataFrame
    """`period`, `weight`, `stratum`; `truth_…` and the scores, a column a score column: P(lonely), and
    the products with it; `above`: whether P(lonely) reaches the threshold."""
    read: int
    blank: int
    """Rows whose `lonely` nobody filled in."""
    unknown: int
    """Rows without a score in the periods compared."""
    categories: tuple[str, ...]
    """Those that are labelled."""

    def posts(self, period: str) -> int:
        """How many labelled posts the period has."""
        return int((self.rows["period"] == period).sum())


def read_labelled(path: Path, taxonomy: Taxonomy) -> pl.DataFrame:
    """`post_id`, `weight`, `stratum`, and `truth_…` of each score column; null where not filled in.

    path: Parquet or CSV, as `corpus-lonely sample` makes it, with `lonely` (0 to 1) and, of lonely posts, a
    label's name in each category's column. InputError names what does not fit.
    """
    table = _read(path)
    root = taxonomy.root.name
    for name in ("post_id", root):
        if name not in table.columns:
            raise InputError(
                f"has no column {name!r}; its columns are {', '.join(table.columns)}",
                where=path,
                hint="`corpus-lonely sample` makes a file to fill in",
            )
    scored = [name for name in taxonomy.score_columns[1:] if name in table.columns]
    if scored:  # the model would be taken for the truth
        raise InputError(
            f"holds scores, not labels: it has the column {scored[0]!r}",
            where=path,
            hint="--gold takes a file of `corpus-lonely sample`, filled in by people",
        )
    if table["post_id"].is_duplicated().any():
        raise InputError("holds a post_id twice", where=path)
    try:
        lonely = table[root].cast(pl.Float64)
    except pl.exceptions.PolarsError:
        raise InputError(f"column {root!r} must hold 1 or 0", where=path) from None
    if not lonely.drop_nulls().is_between(0, 1).all():
        raise InputError(f"column {root!r} must lie between 0 and 1", where=path)
    weight = table["weight"] if "weight" in table.columns else pl.Series([1.0] * len(table))
    if weight.null_count() or not (weight.cast(pl.Float64) > 0).all():
        raise InputError("column 'weight' must be above 0 in every row", where=path)
    stratum = table["stratum"] if "stratum" in table.columns else pl.Series(["all"] * len(table))
    return pl.DataFrame(
        {
            "post_id": table["post_id"].cast(pl.String),
            "weight": weight.cast(pl.Float64),
            "stratum": stratum.cast(pl.String).fill_null("all"),
            f"truth_{root}": lonely,
            **dict(_truths(table, lonely, taxonomy, path)),
        }
    )


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_csv(path) if path.suffix.lower() == ".csv" else pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"cannot be read ({first_line(error)})", where=path) from error


def _truths(
    table: pl.DataFrame, lonely: pl.Series, taxonomy: Taxonomy, path: Path
) -> Iterator[tuple[str, pl.Series]]:
    for category in taxonomy.categories:
        if category.name not in table.columns or table[category.name].is_null().all():
            continue
        told = table[category.name].cast(pl.String).str.strip_chars().str.to_lowercase()
        strange = set(told.drop_nulls()) - set(category.labels) - {""}
        if strange:
            raise InputError(
                f"column {category.name!r} holds a label that is none: {min(strange)!r}; the "
                f"labels are {', '.join(category.labels)}",
                where=path,
            )
        missing = ((lonely > 0) & ~told.is_in(category.labels).fill_null(False)).sum()
        if missing:
            raise InputError(
                f"column {category.name!r} is empty in {missing} rows that are lonely",
                where=path,
                hint="Fill in all of a column, or none",
            )
        for label, column in zip(category.labels, category.columns, strict=True):
            yield f"truth_{column}", lonely * (told == label).fill_null(False).cast(pl.Float64)


def matched(
    labelled: pl.DataFrame, scored: pl.DataFrame, taxonomy: Taxonomy, threshold: float
) -> Labelled:
    """Joined to `scored`: `post_id`, `period`, and the sums' columns of the posts compared."""
    root = taxonomy.root.name
    filled = labelled.filter(pl.col(f"truth_{root}").is_not_null())
    rows = filled.join(scored, on="post_id", how="inner", maintain_order="left")
    categories = tuple(
        category.name
        for category in taxonomy.categories
        if f"truth_{category.columns[0]}" in rows.columns
    )
    above = (pl.col(root) >= threshold).cast(pl.Float64).alias("above")
    return Labelled(
        rows.with_columns(above),
        read=len(labelled),
        blank=len(labelled) - len(filled),
        unknown=len(filled) - len(rows),
        categories=categories,
    )


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
    for period in (BEFORE, AFTER):
        rows = labelled.rows.filter(pl.col("period") == period)
        way = _powered if method == "prediction_powered" else _mean_scores
        way = _rogan if estimand.numerator == "above" else way
        raw, told = way(rows, cells, estimand, period)
        sides[period] = (raw, told, len(rows))
        yield (*names, period, raw, told.value, *told.interval, len(rows))
    (raw_b, before, n_b), (raw_a, after, n_a) = sides[BEFORE], sides[AFTER]
    moved = correction.difference(before, after)
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


def _rogan(
    rows: pl.DataFrame, cells: Cells, estimand: Estimand, period: str
) -> tuple[float, Corrected]:
    scores = _scores(cells, estimand, period)
    told = correction.rogan_gladen(scores.raw, scores.error, _rates(rows, estimand.group))
    return scores.raw, told


def _mean_scores(
    rows: pl.DataFrame, cells: Cells, estimand: Estimand, period: str
) -> tuple[float, Corrected]:
    """Rogan and Gladen's, of mean scores: the label's true share of posts, over that of lonely ones where asked."""
    scores = _scores(cells, estimand, period)
    weights_n, strata_n = rows["weight"].to_numpy(), rows["stratum"].to_numpy()
    replicates = min(mean_scores.MOST_REPLICATES, len(scores.posts_R))
    weights_Rn = mean_scores.resampled_weights(weights_n, strata_n, replicates, seed=0)

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
    return scores.raw, mean_scores.corrected(float(value), draws_R)


def _powered(
    rows: pl.DataFrame, cells: Cells, estimand: Estimand, period: str
) -> tuple[float, Corrected]:
    scores = _scores(cells, estimand, period)
    raw, posts = scores.raw, scores.posts
    weights, strata = rows["weight"].to_numpy(), rows["stratum"].to_numpy()
    truth = rows[f"truth_{estimand.numerator}"].to_numpy()
    scored = rows[estimand.numerator].to_numpy()
    if estimand.denominator == "posts":
        return raw, correction.mean_powered(
            truth, scored, weights,
            scored_mean=raw, scored_error=scores.error,
            posts=posts, strata_n=strata, clustered=True,
        )  # fmt: skip
    line = (scores.above_R - raw * scores.below_R) / scores.posts_R
    under: tuple[Floats, Floats] = (
        rows[f"truth_{estimand.denominator}"].to_numpy(),
        rows[estimand.denominator].to_numpy(),
    )
    return raw, correction.ratio_powered(
        (truth, scored), under, weights,
        above_mean=scores.above / posts, below_mean=scores.below / posts,
        line_error=float(np.std(line, ddof=1)), posts=posts, strata_n=strata,
    )  # fmt: skip
