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


def test_the_parts_are_statsmodels_cluster_covariances() -> None:
    linear = pytest.importorskip("statsmodels.regression.linear_model")
    sums, after, author, month = posts(1)
    told = twoway.two_way(sums, after, author, month, ["posts", "lonely"], MEAN)
    blocks = month // 3
    X = np.column_stack([np.ones(1500), after])
    fit = linear.OLS(sums[:, 1], X).fit()
    error = {}
    for name, groups in (("people", author), ("blocks", blocks), ("both", author * 8 + blocks)):
        held = fit.get_robustcov_results("cluster", groups=groups, use_correction=False)
        error[name] = held.bse[1] ** 2
    assert told.value[0] == pytest.approx(fit.params[1])
    # ours corrects each side's four blocks by 4/3; statsmodels is told not to correct
    variance = error["people"] + error["blocks"] * 4 / 3 - error["both"]
    low, high, value = told.low[0], told.high[0], told.value[0]
    assert (high - value) == pytest.approx(value - low)
    sides = []
    for side in (after, ~after):
        left = sums[side, 1] - sums[side, 1].mean()
        squares = [
            (left[blocks[side] == b].sum() / side.sum()) ** 2 for b in np.unique(blocks[side])
        ]
        sides.append(sum(squares) * 4 / 3)
    freedom = max(variance**2 / sum(side**2 / 3 for side in sides), 3)
    assert high - value == pytest.approx(stats.t.ppf(0.975, freedom) * np.sqrt(variance), rel=1e-6)


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
