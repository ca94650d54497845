"""Authors and months at once: errors that people share with themselves, and that months share with all.

V = V(authors) + V(blocks of months) - V(authors within blocks), Cameron, Gelbach and Miller 2011, of the
linearised difference; t with Satterthwaite's degrees of freedom, for blocks are few.

Shapes: N rows of sums (cluster, month, period), K columns, E estimands.
"""

import numpy as np
import polars as pl
from scipy import stats

from corpus_lonely.study.estimands import Estimand
from corpus_lonely.study.inference import Estimate, Floats, ratios
from corpus_lonely.study.periods import AFTER
from corpus_lonely.study.series import BLOCK, FEWEST_BLOCKS

_NAMES = ("cluster", "period", "month")


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
    above, below = (
        [columns.index(getattr(e, part)) for e in asked] for part in ("numerator", "denominator")
    )
    value, left_NE = np.zeros(len(asked)), np.zeros((len(sums_NK), len(asked)))
    block_N, counts = np.zeros(len(sums_NK), dtype=np.int64), list[int]()
    for sign, chosen in ((-1, ~after_N), (1, after_N)):
        totals = sums_NK[chosen].sum(axis=0)
        share = ratios(totals, columns, asked)
        value += sign * share
        with np.errstate(invalid="ignore", divide="ignore"):
            own = sums_NK[chosen][:, above] - share * sums_NK[chosen][:, below]
            left_NE[chosen] = sign * own / totals[below]
        numbers = (month_N[chosen] - month_N[chosen].min()) // BLOCK
        # a rest shorter than a block joins the last
        count = max(1, int(month_N[chosen].max() - month_N[chosen].min() + 1) // BLOCK)
        block_N[chosen] = np.minimum(numbers, count - 1) + sum(counts)
        counts.append(count)
    if min(counts) < FEWEST_BLOCKS:
        unknown = np.full(len(asked), np.nan)
        return Estimate(value, unknown, unknown, unknown)
    return _interval(value, left_NE, cluster_N, block_N, counts)


def _interval(
    value: Floats, left_NE: Floats, cluster_N: np.ndarray, block_N: np.ndarray, counts: list[int]
) -> Estimate:
    blocks = sum(counts)
    by_block = _squares(left_NE, block_N)
    sides = [
        side.sum(axis=0) * count / (count - 1)
        for side, count in zip(np.split(by_block, [counts[0]]), counts, strict=True)
    ]
    people = _squares(left_NE, cluster_N).sum(axis=0)
    both = _squares(left_NE, cluster_N * blocks + block_N).sum(axis=0)
    # with few blocks the sum may come out below what people alone make uncertain: never below it
    variance = np.maximum(people + sides[0] + sides[1] - both, people)
    with np.errstate(invalid="ignore", divide="ignore"):
        below = sum(side**2 / (count - 1) for side, count in zip(sides, counts, strict=True))
        freedom = np.maximum(variance**2 / below, min(counts) - 1)
        reach = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
        p = 2 * stats.t.sf(np.abs(value) / np.sqrt(variance), freedom)
    return Estimate(value, value - reach, value + reach, p)


def _squares(left_NE: Floats, groups_N: np.ndarray) -> Floats:
    """Squared sums of each group, [G, E]."""
    _, place = np.unique(groups_N, return_inverse=True)
    sums = np.zeros((int(place.max()) + 1, left_NE.shape[1]))
    np.add.at(sums, place, left_NE)
    squares: Floats = sums**2
    return squares
