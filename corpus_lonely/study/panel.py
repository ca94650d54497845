"""Who posts, and where: authors who count alike, those who posted before and after, and a mix held still.

Shapes: C authors, K columns of sums, E estimands, R replicates, S strata.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from corpus_lonely.study.effects import Side, difference
from corpus_lonely.study.estimands import Estimand, estimands, sum_columns
from corpus_lonely.study.inference import (
    Cells,
    Estimate,
    Floats,
    estimate,
    ratios,
    resampled_totals,
)
from corpus_lonely.study.periods import AFTER, BEFORE
from corpus_lonely.taxonomy import Taxonomy

MOST_STRATA = 40
"""The largest before; the others are pooled as `OTHERS`."""
OTHERS = "(others)"


@dataclass(frozen=True)
class Clusters:
    """What each author's average post holds, before and after; zeros where they did not post."""

    before_CK: Floats
    after_CK: Floats

    def __len__(self) -> int:
        return len(self.before_CK)


def equal_authors(authors: pl.DataFrame, taxonomy: Taxonomy, *, both: bool) -> Clusters:
    """From `aggregate.author_sums`: sums over posts become means, so that each author counts as one post.

    It is what one post an author, drawn at random, would give on average, without the chance of a draw.
    both: only authors who posted in both periods. Posts without an author are left out.
    """
    columns = sum_columns(taxonomy)
    means = authors.select(
        "author", "period", *(pl.col(name).cast(pl.Float64) / pl.col("posts") for name in columns)
    )
    names = authors.select(pl.col("author").unique().sort())
    if both:
        names = names.filter(
            pl.col("author").is_in(
                authors.group_by("author").len().filter(pl.col("len") == 2)["author"].implode()
            )
        )
    sides = [
        names.join(
            means.filter(pl.col("period") == side), on="author", how="left", maintain_order="left"
        )
        .select(pl.col(columns).fill_null(0.0))
        .to_numpy()
        for side in (BEFORE, AFTER)
    ]
    return Clusters(*sides)


def equal_difference(
    clusters: Clusters, taxonomy: Taxonomy, replicates: int, seed: int
) -> Estimate:
    """After less before; authors resampled."""
    return resampled_difference(
        clusters, sum_columns(taxonomy), estimands(taxonomy), replicates, seed
    )


def resampled_difference(
    clusters: Clusters, columns: list[str], asked: list[Estimand], replicates: int, seed: int
) -> Estimate:
    """The same of any columns."""
    sums = np.hstack([clusters.before_CK, clusters.after_CK])
    totals = sums.sum(axis=0)
    parts = (totals, resampled_totals(sums, replicates, seed), totals - sums)
    periods = zip(*(np.split(part, 2, axis=-1) for part in parts), strict=True)
    before, after = (Side(*(ratios(part, columns, asked) for part in side)) for side in periods)
    return difference(before, after)


def standardised(cells: Cells, asked: list[Estimand]) -> Estimate:
    """After less before with each stratum weighing as much after as it did before.

    after* = sum over strata of (its part of the denominator before) * (its share after). Direct
    standardisation; a stratum without posts in one period is left out of both. Authors resampled.
    """
    names = cells.keys["stratum"].unique().sort()
    stacks = []
    for side in (BEFORE, AFTER):
        chosen = [
            cells.chosen(
                (pl.col("period") == side) & pl.col("inside") & (pl.col("stratum") == name)
            )
            for name in names
        ]
        stacks.append((np.stack([c[0] for c in chosen]), np.stack([c[1] for c in chosen], axis=1)))
    (before, before_R), (after, after_R) = stacks
    value = _standardised(before, after, cells.columns, asked)
    return estimate(value, _standardised(before_R, after_R, cells.columns, asked))


def _standardised(
    before_SK: Floats, after_SK: Floats, columns: list[str], asked: list[Estimand]
) -> Floats:
    below = [columns.index(e.denominator) for e in asked]
    shares = [ratios(side, columns, asked) for side in (before_SK, after_SK)]
    known = np.isfinite(shares[0]) & np.isfinite(shares[1])
    weights = np.where(known, before_SK[..., below], 0.0)
    moved = np.where(known, shares[1] - shares[0], 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        value: Floats = (weights * moved).sum(axis=-2) / weights.sum(axis=-2)
    return value
