"""Authors and months at once: errors that people share with themselves, and that months share with all.

V = V(authors) + V(shocks of blocks of months), t with Satterthwaite's degrees of freedom, for blocks are few.
V(authors) is the clustered variance with each author's leverage undone (Bell and McCaffrey 2002). Blocks differ because of
shocks and because of who wrote in them: the second is known from the authors and taken off (a moment estimator). Cameron,
Gelbach and Miller 2011 take off what authors add within blocks, which is too much where they write for several blocks: the mean
of a side has followed them there.

Shapes: N rows of sums (cluster, month, period), K columns, E estimands, B blocks of a side.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse, stats

from corpus_lonely.study.estimands import Estimand
from corpus_lonely.study.inference import TAIL, Estimate, Floats, ratios
from corpus_lonely.study.periods import AFTER
from corpus_lonely.study.series import BLOCK, FEWEST_BLOCKS

_NAMES = ("cluster", "period", "month")
_NOTHING = 1e-9


def difference(sums: pl.DataFrame, columns: list[str], asked: list[Estimand]) -> Estimate:
    """After less before, all posts in the windows; from `aggregate.cluster_sums`.

    NaN intervals with fewer than three blocks of three months on a side.
    """
    rows = sums.filter("inside").sort(_NAMES)
    values = rows.select(pl.col(columns).cast(pl.Float64)).to_numpy()
    after = (rows["period"] == AFTER).to_numpy()
    cluster = rows["cluster"].rank("dense").to_numpy().astype(np.int64) - 1
    month = rows["month"].str.slice(0, 4).cast(pl.Int64) * 12 + rows["month"].str.slice(5).cast(
        pl.Int64
    )
    return two_way(values, after, cluster, month.to_numpy(), columns, asked)


def two_way(
    sums_NK: Floats,
    after_N: np.ndarray,
    cluster_N: np.ndarray,
    month_N: np.ndarray,
    columns: list[str],
    asked: list[Estimand],
) -> Estimate:
    """The same from arrays; clusters are numbered from 0, months count on from any year."""
    clusters = int(cluster_N.max()) + 1
    before, after = (
        _side(sums_NK[rows], cluster_N[rows], month_N[rows], clusters, columns, asked)
        for rows in (~after_N, after_N)
    )
    value = after.share_E - before.share_E
    if min(before.blocks, after.blocks) < FEWEST_BLOCKS:
        unknown = np.full(len(asked), np.nan)
        return Estimate(value, unknown, unknown, unknown)
    by_authors = ((after.moved_CE - before.moved_CE) ** 2).sum(axis=0)
    variance = by_authors + before.shocks_E + after.shocks_E
    random = sum(side.shocks_E**2 / (side.blocks - 1) for side in (before, after))
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = np.where(random > 0, variance**2 / random, np.inf)
        error = np.where(variance > 0, np.sqrt(variance), np.nan)
        reach = stats.t.ppf(1 - TAIL, freedom) * error
        p = 2 * stats.t.sf(np.abs(value) / error, freedom)
    return Estimate(value, value - reach, value + reach, p)


@dataclass(frozen=True)
class _Side:
    """A period: its shares, what each author moves them by, and the variance that shocks of its blocks add."""

    share_E: Floats
    moved_CE: Floats
    shocks_E: Floats
    blocks: int


def _side(
    sums_NK: Floats,
    cluster_N: np.ndarray,
    month_N: np.ndarray,
    clusters: int,
    columns: list[str],
    asked: list[Estimand],
) -> _Side:
    above, below = (
        [columns.index(getattr(e, part)) for e in asked] for part in ("numerator", "denominator")
    )
    totals = sums_NK.sum(axis=0)
    share = ratios(totals, columns, asked)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight_NE = sums_NK[:, below] / totals[below]
        left_NE = sums_NK[:, above] / totals[below] - share * weight_NE
    block_N, count = _blocks(month_N)
    own_CE, weight_CE = (_sums(x_NE, cluster_N, clusters) for x_NE in (left_NE, weight_NE))
    shocks = _shocks(left_NE, weight_NE, own_CE, weight_CE, cluster_N, block_N, count)
    with np.errstate(invalid="ignore", divide="ignore"):
        # an author who wrote all leaves nothing to compare with, and 1 less 1 is seldom quite 0
        moved = np.where(weight_CE < 1 - _NOTHING, own_CE / np.sqrt(1 - weight_CE), np.nan)
    return _Side(share, moved, shocks, count)


def _blocks(month_N: np.ndarray) -> tuple[np.ndarray, int]:
    """The number of each row's block, among those that have any row, and how many these are."""
    first = month_N.min()
    # a rest shorter than a block joins the last
    most = max(1, int(month_N.max() - first + 1) // BLOCK)
    there, block_N = np.unique(
        np.minimum((month_N - first) // BLOCK, most - 1), return_inverse=True
    )
    return block_N, len(there)


def _shocks(
    left_NE: Floats,
    weight_NE: Floats,
    own_CE: Floats,
    weight_CE: Floats,
    cluster_N: np.ndarray,
    block_N: np.ndarray,
    count: int,
) -> Floats:
    """What shocks of the blocks of a side add to the variance of its share; not below 0.

    With weights w of the blocks and shocks of variance s2, which add s2 * sum(w2), the blocks' sums of what is left hold
    s2 * sum(w2 * (1 - 2w + sum(w2))); and what authors are found to make them differ by holds some of it too, `shared`, for
    shocks are in what each author wrote.
    """
    block_BE = _sums(left_NE, block_N, count)
    w_BE = _sums(weight_NE, block_N, count)
    pairs, place_N = np.unique(cluster_N * count + block_N, return_inverse=True)
    of_C, of_B = pairs // count, pairs % count
    both_GE, h_GE = (_sums(x, place_N, len(pairs)) for x in (left_NE, weight_NE))
    w_GE = w_BE[of_B]
    squares = (w_BE**2).sum(axis=0)
    by_authors = (
        (both_GE**2).sum(axis=0)
        - 2 * (w_GE * both_GE * own_CE[of_C]).sum(axis=0)
        + squares * (own_CE**2).sum(axis=0)
    )
    left = (w_BE**2 * (1 - 2 * w_BE + squares)).sum(axis=0)
    # for each author the squares of diag(h) - h w' - w h' + sum(h) w w', h being the weights of what they wrote in blocks
    hw_CE, hww_CE = (_sums(x_GE, of_C, len(own_CE)) for x_GE in (h_GE * w_GE, h_GE * w_GE**2))
    shared = (h_GE**2 * (1 + 2 * squares - 4 * w_GE)).sum(axis=0)
    shared += (
        (weight_CE * squares) ** 2
        + 2 * weight_CE * hww_CE
        + 2 * hw_CE**2
        - 4 * squares * weight_CE * hw_CE
    ).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        known = left - shared > _NOTHING * left
        found = ((block_BE**2).sum(axis=0) - by_authors) * squares / (left - shared)
    return np.where(known, np.maximum(found, 0.0), np.nan)


def _sums(values_NE: Floats, groups_N: np.ndarray, count: int) -> Floats:
    """Of each group, [count, E]."""
    member = sparse.csr_array(
        (np.ones(len(groups_N)), (groups_N, np.arange(len(groups_N)))), (count, len(groups_N))
    )
    sums: Floats = member @ values_NE
    return sums
