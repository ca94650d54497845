"""How sure a difference is: the author-clustered bootstrap, vectorised.

Shapes: C clusters, K columns of sums, E estimands, R replicates.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus_lonely.study.aggregate import AFTER, BEFORE, Estimand, sum_columns
from corpus_lonely.taxonomy import Taxonomy

Floats = npt.NDArray[np.float64]

_DRAWS_AT_ONCE = 4_000_000
"""Draws held in memory at a time: 32 MB of them, and as much of counts."""
_DEFINED = 0.99
"""The share of replicates in which a difference must be defined for its interval to be."""


@dataclass(frozen=True)
class Clusters:
    """Sums of each cluster before and after: an author's posts, or one post without an author."""

    before_CK: Floats
    after_CK: Floats

    def __len__(self) -> int:
        return len(self.before_CK)


def clusters_of(sums: pl.DataFrame, taxonomy: Taxonomy) -> Clusters:
    """From `aggregate.author_sums`, collected: an author who posted in both periods is one cluster.

    Posts without an author may be of the same person, which nobody can know: each is a cluster of
    its own, so where they are many the interval is too narrow rather than too wide.
    """
    columns = sum_columns(taxonomy)
    known = sums.filter(pl.col("author").is_not_null())
    unknown = sums.filter(pl.col("author").is_null())
    authors = known.select(pl.col("author").unique().sort())
    parts = []
    for period in (BEFORE, AFTER):
        own = authors.join(
            known.filter(pl.col("period") == period), on="author", how="left", maintain_order="left"
        )
        lone = [pl.when(pl.col("period") == period).then(pl.col(c)).otherwise(0) for c in columns]
        stacked = [own.select(pl.col(columns).fill_null(0)), unknown.select(lone)]
        parts.append(np.vstack([part.cast(pl.Float64).to_numpy() for part in stacked]))
    return Clusters(*parts)


def ratios(totals_K: Floats, columns: list[str], asked: list[Estimand]) -> Floats:
    """The value of each estimand, shape [..., E], from totals [..., K]; NaN over nothing."""
    above = [columns.index(estimand.numerator) for estimand in asked]
    below = [columns.index(estimand.denominator) for estimand in asked]
    with np.errstate(invalid="ignore", divide="ignore"):
        values: Floats = totals_K[..., above] / totals_K[..., below]
    return values


def resampled_totals(sums_CK: Floats, replicates: int, seed: int) -> Floats:
    """Totals over C clusters drawn with replacement, once a replicate: shape [R, K].

    The draws depend on the seed and on C alone.
    """
    rng = np.random.default_rng(seed)
    clusters, columns = sums_CK.shape
    totals_RK = np.empty((replicates, columns))
    step = max(1, _DRAWS_AT_ONCE // clusters)
    for start in range(0, replicates, step):
        size = min(step, replicates - start)
        drawn = rng.integers(clusters, size=(size, clusters))
        drawn += clusters * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * clusters).reshape(size, clusters)
        totals_RK[start : start + size] = times @ sums_CK
    return totals_RK


def difference_intervals(
    clusters: Clusters, asked: list[Estimand], columns: list[str], replicates: int, seed: int
) -> tuple[Floats, Floats]:
    """Lower and upper end of each difference's 95 % percentile interval, shapes [E] and [E].

    Authors are resampled with all their posts, before and after alike, so neither how much one
    person posts nor that the same people post in both periods makes the interval too narrow. What a
    month does to everyone at once is not in it. NaN where a period comes out empty in more than 1 % of the replicates.
    Efron and Tibshirani 1993, chapter 13, on clusters.
    """
    both_CK = np.hstack([clusters.before_CK, clusters.after_CK])
    totals_RK = resampled_totals(both_CK, replicates, seed)
    before_RE, after_RE = (ratios(half, columns, asked) for half in np.hsplit(totals_RK, 2))
    differences_RE = after_RE - before_RE
    ends = np.full((2, len(asked)), np.nan)
    known = np.isfinite(differences_RE).mean(axis=0) >= _DEFINED
    ends[:, known] = np.nanpercentile(differences_RE[:, known], [2.5, 97.5], axis=0)
    return ends[0], ends[1]
