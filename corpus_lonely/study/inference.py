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
TAIL = 0.025
"""On each side of a 95 % interval."""
_NOTHING = 1e-12
"""What rounding moves a share by."""
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
    clusters: Any
    """The sums that were resampled, sparse by columns, [C, J * K]."""

    def chosen(self, rows: pl.Expr) -> tuple[Floats, Floats]:
        """Totals of all cells that `rows` chooses, shapes [K] and [R, K]."""
        mask = self.keys.select(rows).to_series().to_numpy()
        return self.totals_JK[mask].sum(axis=0), self.draws_RJK[:, mask].sum(axis=1)

    def left_out(self, rows: pl.Expr) -> Floats:
        """Totals of the same cells without each of the clusters, [C, K]."""
        mask, wide = self.keys.select(rows).to_series().to_numpy(), len(self.columns)
        chosen = self.clusters[:, np.flatnonzero(np.repeat(mask, wide))]
        own_CK = np.asarray(
            (chosen @ sparse.vstack([sparse.eye_array(wide)] * mask.sum())).todense()
        )
        left: Floats = self.totals_JK[mask].sum(axis=0) - own_CK
        return left


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
    return Cells(keys, columns, totals, draws, matrix.tocsc())


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


def estimate(
    value_E: Floats, draws_RE: Floats, null: float = 0.0, left_out_CE: Floats | None = None
) -> Estimate:
    """Percentile interval of the draws; p from t with their standard deviation, from the normal where no cluster is left out.

    left_out_CE: the values without each of the clusters. Draws spread too little where a few clusters weigh much: half of
    what the jackknife has more is made up for (as Bell and McCaffrey 2002 do for regressions), and t takes the degrees
    of freedom that squares so unequal leave. NaN where a number is undefined in more than 1 % of the replicates.
    """
    low, high, p = (np.full(value_E.shape, np.nan) for _ in range(3))
    known = np.isfinite(draws_RE).mean(axis=0) >= _DEFINED
    if known.any():
        kept = np.where(np.isfinite(draws_RE[:, known]), draws_RE[:, known], np.nan)
        value, spread = value_E[known], np.nanstd(kept, axis=0, ddof=1)
        wider, freedom = np.ones_like(value), np.full_like(value, np.inf)
        if left_out_CE is not None:
            wider, freedom = _small_sample(left_out_CE[:, known] - value, spread)
        reach = wider * stats.t.ppf(1 - TAIL, freedom) / stats.norm.ppf(1 - TAIL)
        ends = np.nanpercentile(kept, [100 * TAIL, 100 * (1 - TAIL)], axis=0)
        low[known], high[known] = value + reach * (ends - value)
        with np.errstate(invalid="ignore", divide="ignore"):
            p[known] = 2 * stats.t.sf(np.abs(value - null) / (wider * spread), freedom)
    return Estimate(value_E, low, high, p)


def _small_sample(moved_CE: Floats, spread_E: Floats) -> tuple[Floats, Floats]:
    """By what the draws' spread is too small, and the degrees of freedom of the variance: at most one less than clusters."""
    with np.errstate(invalid="ignore", divide="ignore"):
        squares_CE = np.where(np.abs(moved_CE) > _NOTHING, moved_CE, 0 * moved_CE) ** 2
        variance_E, count_E = squares_CE.sum(axis=0), (squares_CE > 0).sum(axis=0)
        most_E = np.maximum(count_E - 1.0, 1.0)
        wider_E = np.where(spread_E > 0, (variance_E / spread_E**2) ** 0.25, 1.0)
        # the variance of a sum of squares, from the squares
        unequal_E = (squares_CE**2).sum(axis=0) - variance_E**2 / count_E
        freedom_E = np.where(unequal_E > 0, 2 * variance_E**2 / unequal_E, most_E)
    return np.maximum(wider_E, 1.0), np.clip(freedom_E, 1.0, most_E)


def false_discovery(p: Floats) -> Floats:
    """Benjamini and Hochberg's adjusted p-values; NaN stays NaN and counts for nothing."""
    adjusted = np.full(p.shape, np.nan)
    known = np.isfinite(p)
    if known.any():
        adjusted[known] = stats.false_discovery_control(p[known], method="bh")
    return adjusted
