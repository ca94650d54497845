"""How sure a number is: the author-clustered bootstrap, vectorised, and what follows from its draws.

Shapes: C clusters, J cells (month, period, ...), K columns of sums, E estimands, R replicates.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse, stats

from corpus_lonely.study.estimands import Estimand

Floats = npt.NDArray[np.float64]

_DRAWS_AT_ONCE = 4_000_000
"""Draws held in memory at a time: 32 MB of them, and as much of counts."""
_DEFINED = 0.99
"""The share of replicates in which a number must be defined for its interval to be."""
CELL = ("month", "period", "inside", "stratum", "kind", "group")
"""Of which sums have some."""


@dataclass(frozen=True)
class Cells:
    """Totals of each cell, as they are and in each replicate of the bootstrap."""

    keys: pl.DataFrame
    """J rows: those of `CELL` that the sums have."""
    columns: list[str]
    totals_JK: Floats
    draws_RJK: Floats

    def chosen(self, rows: pl.Expr) -> tuple[Floats, Floats]:
        """Totals of all cells that `rows` chooses, shapes [K] and [R, K]."""
        mask = self.keys.select(rows).to_series().to_numpy()
        return self.totals_JK[mask].sum(axis=0), self.draws_RJK[:, mask].sum(axis=1)


def resampled_cells(sums: pl.DataFrame, columns: list[str], replicates: int, seed: int) -> Cells:
    """From `aggregate.cluster_sums`: clusters are drawn with replacement, with all that they wrote.

    A post without an author may be of the same person as another, which nobody can know: each is a
    cluster of its own, so where they are many intervals are too narrow rather than too wide.
    """
    names = [name for name in CELL if name in sums.columns]
    keys = sums.select(names).unique().sort(names)
    place = sums.join(keys.with_row_index("cell"), on=names, how="left", maintain_order="left")
    row = sums["cluster"].rank("dense").to_numpy().astype(np.int64) - 1
    wide = len(columns)
    column = (place["cell"].to_numpy().astype(np.int64) * wide)[:, None] + np.arange(wide)
    values = sums.select(pl.col(columns).cast(pl.Float64)).to_numpy()
    shape = (int(row.max()) + 1, len(keys) * wide)
    where = (np.repeat(row, wide), column.ravel())
    matrix = sparse.csr_array((values.ravel(), where), shape=shape)
    draws = resampled_totals(matrix, replicates, seed).reshape(replicates, len(keys), wide)
    totals = np.asarray(matrix.sum(axis=0)).reshape(len(keys), wide)
    return Cells(keys, columns, totals, draws)


def resampled_totals(sums_CK: Any, replicates: int, seed: int) -> Floats:
    """Totals over C clusters drawn with replacement, once a replicate: shape [R, K].

    sums_CK: dense or sparse. The draws depend on the seed and on C alone.
    Efron and Tibshirani 1993, chapter 13, on clusters.
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
        totals_RK[start : start + size] = (sums_CK.T @ times.T.astype(np.float64)).T
    return totals_RK


def ratios(totals_K: Floats, columns: list[str], asked: list[Estimand]) -> Floats:
    """The value of each estimand, shape [..., E], from totals [..., K]; NaN over nothing."""
    above = [columns.index(estimand.numerator) for estimand in asked]
    below = [columns.index(estimand.denominator) for estimand in asked]
    with np.errstate(invalid="ignore", divide="ignore"):
        values: Floats = totals_K[..., above] / totals_K[..., below]
    return values


@dataclass(frozen=True)
class Estimate:
    """Values with their 95 % intervals and p-values, each of shape [E]; NaN where undefined."""

    value: Floats
    low: Floats
    high: Floats
    p: Floats


def estimate(value_E: Floats, draws_RE: Floats, null: float = 0.0) -> Estimate:
    """Percentile interval of the draws; p from the normal with their standard deviation.

    NaN where a number is undefined in more than 1 % of the replicates.
    """
    low, high, p = (np.full(value_E.shape, np.nan) for _ in range(3))
    known = np.isfinite(draws_RE).mean(axis=0) >= _DEFINED
    if known.any():
        kept = np.where(np.isfinite(draws_RE[:, known]), draws_RE[:, known], np.nan)
        low[known], high[known] = np.nanpercentile(kept, [2.5, 97.5], axis=0)
        spread = np.nanstd(kept, axis=0, ddof=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            p[known] = 2 * stats.norm.sf(np.abs(value_E[known] - null) / spread)
    return Estimate(value_E, low, high, p)


def false_discovery(p: Floats) -> Floats:
    """Benjamini and Hochberg's adjusted p-values; NaN stays NaN and counts for nothing."""
    adjusted = np.full(p.shape, np.nan)
    known = np.isfinite(p)
    if known.any():
        adjusted[known] = stats.false_discovery_control(p[known], method="bh")
    return adjusted
