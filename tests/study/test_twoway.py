"""Authors and months as clusters at once: against statsmodels and by loops; a mix held still, authors alike."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from scipy import stats

from corpus_lonely.study import aggregate, panel, twoway
from corpus_lonely.study.estimands import Estimand, estimands, sum_columns
from corpus_lonely.study.inference import resampled_cells
from corpus_lonely.study.selection import Selection
from corpus_lonely.study.usable_rows import usable
from corpus_lonely.taxonomy import loneliness
from tests.study.simulated import CUT

TAXONOMY = loneliness()
COLUMNS = sum_columns(TAXONOMY)
ASKED = estimands(TAXONOMY)
MEAN = [Estimand("lonely", "lonely", "mean_probability", "lonely", "posts")]


def posts(seed: int, months: int = 24) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    author, month = rng.integers(40, size=1500), rng.integers(months, size=1500)
    value = 0.4 + rng.normal(0, 0.1, 40)[author] + rng.normal(0, 0.15, months)[month]
    return np.stack([np.ones(1500), value], axis=1), month >= months // 2, author, month


def left_of(sums: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What a post is above its side's mean, over the posts of the side; before the cut with a minus."""
    left = np.empty(len(sums))
    for side, sign in ((after, 1), (~after, -1)):
        left[side] = sign * (sums[side, 1] - sums[side, 1].mean()) / side.sum()
    return left


def test_authors_who_write_alike_in_all_months_leave_statsmodels_cluster_covariance() -> None:
    """No block differs from another; every author's leverage is 1/40."""
    linear = pytest.importorskip("statsmodels.regression.linear_model")
    author, month = np.repeat(np.arange(40), 24), np.tile(np.arange(24), 40)
    rng, after = np.random.default_rng(0), month >= 12
    value = 0.4 + rng.normal(0, 0.1, 40)[author] + rng.normal(0, 0.05, 40)[author] * after
    told = twoway.two_way(
        np.stack([np.ones(960), value], axis=1), after, author, month, ["posts", "lonely"], MEAN
    )
    fit = linear.OLS(value, np.column_stack([np.ones(960), after])).fit()
    held = fit.get_robustcov_results("cluster", groups=author, use_correction=False)
    assert told.value[0] == pytest.approx(fit.params[1])
    reach = stats.norm.ppf(0.975) * held.bse[1] / np.sqrt(1 - 1 / 40)
    assert told.high[0] - told.value[0] == pytest.approx(reach)


def test_the_interval_by_loops() -> None:
    """Authors' leverage undone; blocks' spread less what authors make of it; Satterthwaite."""
    sums, after, author, month = posts(1)
    told = twoway.two_way(sums, after, author, month, ["posts", "lonely"], MEAN)
    left, blocks = left_of(sums, after), month // 3
    moved = np.zeros(40)
    shocks = []
    for side in (after, ~after):
        w = np.array([(blocks[side] == b).mean() for b in np.unique(blocks[side])])
        mine = [
            [side & (author == a) & (blocks == b) for b in np.unique(blocks[side])]
            for a in range(40)
        ]
        own = np.array([[left[cell].sum() for cell in row] for row in mine])
        h = np.array([[cell.sum() for cell in row] for row in mine]) / side.sum()
        spread = (own.sum(axis=0) ** 2).sum()
        by_authors = ((own - w * own.sum(axis=1, keepdims=True)) ** 2).sum()
        # what shocks s of the blocks make of both: the coefficients of s, squared and summed
        held = np.linalg.norm(np.diag(w) - np.outer(w, w)) ** 2
        shared = 0.0
        for row in h:
            of_author = np.diag(row) - np.outer(row, w)
            shared += float(np.linalg.norm(of_author - np.outer(w, of_author.sum(axis=0)))) ** 2
        shocks.append(max(0.0, (spread - by_authors) * (w**2).sum() / (held - shared)))
        moved += own.sum(axis=1) / np.sqrt(1 - h.sum(axis=1))
    variance = (moved**2).sum() + sum(shocks)
    freedom = variance**2 / sum(s**2 / 3 for s in shocks)
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    assert sum(shocks) > 0.2 * variance
    assert (told.low[0], told.high[0]) == pytest.approx(
        (told.value[0] - reach, told.value[0] + reach)
    )


@pytest.mark.parametrize(("authors", "unequal"), [(25, False), (6, True)])
def test_what_shocks_add_is_found_on_average_where_authors_write_for_several_blocks(
    authors: int, unequal: bool
) -> None:
    """Blocks of unequal size: the variance of a side's mean that shocks of sd .2 make is .04 * sum of squared weights."""
    found = []
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        block = np.repeat(np.arange(4), (40, 80, 120, 160))
        odds = rng.dirichlet(np.full(authors, 0.5)) if unequal else np.full(authors, 1 / authors)
        author = rng.choice(authors, 400, p=odds)
        value = rng.normal(0, 0.05, authors)[author] + rng.normal(0, 0.2, 4)[block]
        left, weight = ((value - value.mean()) / 400)[:, None], np.full((400, 1), 1 / 400)
        own, share = (twoway._sums(x, author, authors) for x in (left, weight))
        found.append(twoway._shocks(left, weight, own, share, author, block, 4)[0])
    assert np.nanmean(found) == pytest.approx(0.04 * (weights**2).sum(), rel=0.08)


def test_one_author_or_one_block_alone_makes_no_interval_up() -> None:
    sums, after, author, month = posts(3)
    everyone = np.zeros(1500, int)
    told = twoway.two_way(sums, after, everyone, month, ["posts", "lonely"], MEAN)
    assert np.isnan(told.low[0])
    rng = np.random.default_rng(4)
    for _ in range(20):  # weights that do not add up to quite 1
        below = rng.random(1500)
        some = np.stack([below, below * rng.random(1500)], axis=1)
        lone = np.where(after, author, 0)
        assert np.isnan(twoway.two_way(some, after, lone, month, ["posts", "lonely"], MEAN).low[0])
    gap = (month < 3) | (month >= 12)  # only one of the four blocks before is there
    few = twoway.two_way(sums[gap], after[gap], author[gap], month[gap], ["posts", "lonely"], MEAN)
    assert np.isnan(few.low[0])
    assert np.isfinite(few.value[0])


def test_few_months_have_no_interval_and_a_value_all_the_same() -> None:
    sums, after, author, month = posts(2, months=10)
    told = twoway.two_way(sums, after, author, month, ["posts", "lonely"], MEAN)
    assert told.value[0] == pytest.approx(sums[after, 1].mean() - sums[~after, 1].mean())
    assert np.isnan(told.low[0])


def test_authors_who_count_alike_are_means_of_means(table: pl.DataFrame) -> None:
    rows = usable(table.lazy(), Selection(TAXONOMY, date(2020, 3, 11)), "scores")
    sums = aggregate.author_sums(rows, TAXONOMY).collect()
    scored = table.filter(pl.col("status") == "ok", pl.col("author").is_not_null())
    means: dict[bool, dict[str, float]] = {False: {}, True: {}}
    for after, own in means.items():
        side = scored.filter((pl.col("created_at") >= CUT) == after)
        own.update(
            side.group_by("author").agg(pl.col("lonely").cast(pl.Float64).mean()).iter_rows()
        )
    for both in (False, True):
        clusters = panel.equal_authors(sums, TAXONOMY, both=both)
        told = panel.equal_difference(clusters, TAXONOMY, 200, 0)
        kept = (
            set(means[False]) & set(means[True]) if both else set(means[False]) | set(means[True])
        )
        assert len(clusters) == len(kept)
        before, after_ = ([m for a, m in means[x].items() if a in kept] for x in (False, True))
        assert told.value[0] == pytest.approx(np.mean(after_) - np.mean(before), abs=1e-6)
        assert told.low[0] < told.value[0] < told.high[0]


def test_a_shift_of_the_mix_alone_is_standardised_away() -> None:
    """Two strata, .2 and .6 lonely throughout; half of the posts move from one to the other."""
    rows = []
    for period, shares in (("before", (600, 200)), ("after", (200, 600))):
        for stratum, share, count in zip(("a", "b"), (0.2, 0.6), shares, strict=True):
            for author in range(40):
                n = count / 40
                rows.append((f"{stratum}{author}", "2020-01", period, True, stratum, n, n * share))
    names = ["cluster", "month", "period", "inside", "stratum", "posts", "lonely"]
    cells = resampled_cells(pl.DataFrame(rows, names, orient="row"), ["posts", "lonely"], 100, 0)
    assert panel.standardised(cells, MEAN).value[0] == pytest.approx(0.0, abs=1e-12)
