"""The bootstrap against a direct loop, against known variances, and on what was and was not planted."""

from datetime import date
from math import sqrt

import numpy as np
import polars as pl
import pytest
from scipy import sparse, stats

from corpus_lonely.study import aggregate, effects, inference
from corpus_lonely.study.estimands import sum_columns
from corpus_lonely.study.inference import (
    Cells,
    Estimate,
    Floats,
    estimate,
    false_discovery,
    resampled_cells,
    resampled_totals,
)
from corpus_lonely.study.selection import Selection
from corpus_lonely.study.usable_rows import usable
from corpus_lonely.taxonomy import loneliness
from tests.study.simulated import simulated_scores

TAXONOMY = loneliness()
COLUMNS = sum_columns(TAXONOMY)


def cluster_sums(table: pl.DataFrame, **asked: bool) -> pl.DataFrame:
    selection = Selection(TAXONOMY, date(2020, 3, 11), **asked)  # type: ignore[arg-type]
    rows = usable(table.lazy(), selection, "scores")
    sums = aggregate.cluster_sums(rows, TAXONOMY).collect()
    return aggregate.named_months(sums.sort("cluster", *aggregate.CLUSTER_CELLS))


def test_totals_equal_a_loop_over_the_same_draws() -> None:
    sums_CK = np.random.default_rng(3).random((7, 4))
    drawn = np.random.default_rng(11).integers(7, size=(50, 7))
    expected = [[sum(sums_CK[c, k] for c in draw) for k in range(4)] for draw in drawn]
    for sums in (sums_CK, sparse.csr_array(sums_CK)):
        np.testing.assert_allclose(resampled_totals(sums, 50, 11), expected, rtol=1e-12)


def test_how_much_is_held_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sums_CK = np.random.default_rng(3).random((9, 3))
    whole = resampled_totals(sums_CK, 40, 5)
    monkeypatch.setattr(inference, "_DRAWS_AT_ONCE", 30)
    np.testing.assert_allclose(resampled_totals(sums_CK, 40, 5), whole, rtol=1e-12)


def test_cells_hold_each_month_and_authors_move_as_one(table: pl.DataFrame) -> None:
    sums = cluster_sums(table)
    cells = resampled_cells(sums, COLUMNS, 50, 4)
    for row, totals in zip(cells.keys.iter_rows(named=True), cells.totals_JK, strict=True):
        own = sums.filter(pl.col("month") == row["month"], pl.col("period") == row["period"])
        np.testing.assert_allclose(totals, own.select(pl.col(COLUMNS).sum()).row(0), rtol=1e-9)
    # the first replicate by hand: whole clusters, each as often as it was drawn
    names = sums["cluster"].unique().sort().to_list()
    drawn = np.random.default_rng(4).integers(len(names), size=(50, len(names)))[0]
    times = pl.DataFrame({"cluster": [names[place] for place in drawn]})
    again = times.join(sums, on="cluster").group_by("month", "period").agg(pl.col("lonely").sum())
    expected = again.sort("month", pl.col("period"))["lonely"].to_numpy()
    found = cells.draws_RJK[0, :, COLUMNS.index("lonely")]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_lone_posts_are_clusters_of_their_own(table: pl.DataFrame) -> None:
    sums = cluster_sums(table)
    scored = table.filter(pl.col("status") == "ok")
    clusters = sums["cluster"].n_unique()
    assert clusters == scored["author"].drop_nulls().n_unique() + scored["author"].null_count()


def test_dealt_clusters_give_about_the_same_interval(table: pl.DataFrame) -> None:
    widths = []
    for dealt in (False, True):
        cells = resampled_cells(cluster_sums(table, dealt=dealt), COLUMNS, 1000, 0)
        told = periods_of(cells)
        widths.append((told["difference_high"] - told["difference_low"]).to_numpy())
    # 4,096 for some 280 clusters: nearly none are dealt together
    np.testing.assert_allclose(widths[0], widths[1], rtol=0.2)


def interval(before: np.ndarray, after: np.ndarray) -> Estimate:
    """The difference of two means of [posts, sum] a cluster."""
    drawn = resampled_totals(np.hstack([before, after]), 4000, 1)
    value = after[:, 1].sum() / after[:, 0].sum() - before[:, 1].sum() / before[:, 0].sum()
    return estimate(
        np.array([value]), (drawn[:, 3] / drawn[:, 2] - drawn[:, 1] / drawn[:, 0])[:, None]
    )


def half_width(before: np.ndarray, after: np.ndarray) -> float:
    told = interval(before, after)
    return float(told.high[0] - told.low[0]) / 2


def test_few_and_unequal_authors_make_an_interval_wider_by_hand() -> None:
    rng = np.random.default_rng(2)
    draws = rng.normal(0.1, 0.02, (4000, 1)) + 0.0
    value = np.array([0.1])
    plain = estimate(value, draws)
    moved = np.array([0.05, -0.01, 0.01, 0.0, 0.01, -0.01])
    told = estimate(value, draws, left_out_CE=(value + moved)[:, None])
    variance = (moved**2).sum()
    wider = (variance / draws.std(ddof=1) ** 2) ** 0.25
    freedom = 2 * variance**2 / ((moved**4).sum() - variance**2 / 5)
    reach = wider * stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975)
    assert wider > 1.2
    assert told.low[0] - 0.1 == pytest.approx(reach * (plain.low[0] - 0.1))
    assert told.high[0] - 0.1 == pytest.approx(reach * (plain.high[0] - 0.1))
    error = wider * draws.std(ddof=1)
    assert told.p[0] == pytest.approx(2 * stats.t.sf(0.1 / error, freedom))
    # two authors have one degree of freedom, whatever their squares are
    two = estimate(value, draws, left_out_CE=np.array([[0.12], [0.08]]))
    assert two.high[0] - 0.1 > 5 * (plain.high[0] - 0.1)
    # 2,000 authors who weigh alike leave it as it is
    alike = np.repeat([[1.0], [-1.0]], 1000, axis=0) * draws.std() / np.sqrt(2000)
    same = estimate(value, draws, left_out_CE=value + alike)
    np.testing.assert_allclose([same.low, same.high], [plain.low, plain.high], rtol=1e-3)


def test_a_label_that_nobody_has_keeps_its_interval_of_nothing() -> None:
    zeros = np.zeros((50, 1))
    told = estimate(np.zeros(1), zeros, left_out_CE=zeros)
    assert (told.low[0], told.high[0]) == (0.0, 0.0)
    rounding = estimate(np.zeros(1), zeros, left_out_CE=zeros + 1e-17)
    assert (rounding.low[0], rounding.high[0]) == (0.0, 0.0)


def test_cells_without_each_author_are_sums_without_them(table: pl.DataFrame) -> None:
    sums = cluster_sums(table)
    cells = resampled_cells(sums, COLUMNS, 20, 4)
    left_out = cells.left_out(pl.col("period") == "before")
    assert left_out is not None
    names = sums["cluster"].unique().sort().to_list()
    for place in (0, 7, len(names) - 1):
        rest = sums.filter(pl.col("cluster") != names[place], pl.col("period") == "before")
        np.testing.assert_allclose(left_out[place], rest.select(pl.col(COLUMNS).sum()).row(0))


def split(posts: np.ndarray, lonely: np.ndarray, after: np.ndarray) -> tuple[Floats, Floats]:
    both = np.stack([posts, lonely], axis=1)
    return both * ~after[:, None], both * after[:, None]


def test_independent_posts_have_the_variance_of_two_means() -> None:
    rng = np.random.default_rng(0)
    values, after = rng.normal(0.4, 0.1, 900), np.arange(900) % 3 == 0
    error = sqrt(values[after].var() / 300 + values[~after].var() / 600)
    told = interval(*split(np.ones(900), values, after))
    assert (told.high[0] - told.low[0]) / 2 == pytest.approx(1.96 * error, rel=0.05)
    assert told.p[0] == pytest.approx(2 * stats.norm.sf(abs(told.value[0]) / error), abs=0.02)


def test_an_authors_posts_count_as_one_when_they_are_all_alike() -> None:
    rng = np.random.default_rng(0)
    values, after = rng.normal(0.4, 0.1, 300), np.arange(300) % 2 == 0
    expected = 1.96 * sqrt(values[after].var() / 150 + values[~after].var() / 150)
    found = half_width(*split(np.full(300, 20.0), 20 * values, after))
    assert found == pytest.approx(expected, rel=0.06)
    # taken for independent, the same posts would give an interval more than four times narrower
    naive = split(np.ones(6000), np.repeat(values, 20), np.repeat(after, 20))
    assert half_width(*naive) < found / 4


def test_what_authors_are_cancels_where_they_post_in_both_periods() -> None:
    rng = np.random.default_rng(0)
    own, moves = rng.normal(0.4, 0.2, 400), rng.normal(0.05, 0.02, 400)
    ones = np.ones(400)
    found = half_width(np.stack([ones, own], 1), np.stack([ones, own + moves], 1))
    assert found == pytest.approx(1.96 * moves.std() / sqrt(400), rel=0.05)


def test_a_number_that_draws_can_miss_has_no_interval() -> None:
    before = np.array([[1.0, 0.5]] * 9 + [[0.0, 0.0]])
    after = np.array([[0.0, 0.0]] * 9 + [[1.0, 0.5]])
    with np.errstate(invalid="ignore"):
        told = interval(before, after)
    assert np.isnan([told.low[0], told.high[0], told.p[0]]).all()


def test_false_discovery_by_hand_and_as_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.5])
    found = false_discovery(p)
    assert np.isnan(found[2])
    np.testing.assert_allclose(found[[0, 1, 3, 4]], [0.04, 0.16 / 3, 0.16 / 3, 0.5])
    np.testing.assert_allclose(
        found[[0, 1, 3, 4]], multitest.multipletests(p[[0, 1, 3, 4]], method="fdr_bh")[1]
    )


def periods(seed: int, moved: float) -> pl.DataFrame:
    table = simulated_scores(seed, posts=1500, authors=150, moved=moved)
    return periods_of(resampled_cells(cluster_sums(table), COLUMNS, 500, 0))


def periods_of(cells: Cells) -> pl.DataFrame:
    counts = pl.DataFrame({"period": ["before"], "inside": [True], "posts": [1], "authors": [1]})
    return effects.periods_table(cells, counts, TAXONOMY)


def left_out_zero(table: pl.DataFrame) -> pl.Expr:
    return (pl.col("difference_low") > 0) | (pl.col("difference_high") < 0)


def test_a_planted_change_is_found_with_its_sign() -> None:
    table = periods(1, 0.5).filter(
        pl.col("measure") == "share_of_lonely", pl.col("group") == "context"
    )
    found = {row["label"]: row for row in table.iter_rows(named=True)}
    assert found["physical"]["difference_low"] > 0
    assert found["social"]["difference_high"] < 0
    # half of social, which is 0.6 * 0.5 + 0.4 * 0.2 over all authors, goes to physical
    for label, moved in (("physical", 0.19), ("social", -0.19)):
        assert found[label]["difference"] == pytest.approx(moved, abs=0.06)
        assert found[label]["ratio"] == pytest.approx(
            found[label]["after"] / found[label]["before"], rel=1e-6
        )


def test_what_was_left_alone_is_flagged_as_rarely_as_an_interval_should() -> None:
    """Twelve corpora without any change: of the labels of a category, about 5 % leave out 0."""
    flagged, looked_at = 0, 0
    for seed in range(12):
        table = periods(seed, 0.0).filter(pl.col("measure") == "share_of_lonely")
        flagged += table.filter(left_out_zero(table)).height
        looked_at += table.height
    assert looked_at == 12 * 19
    assert flagged / looked_at < 0.12


def test_days_dealt_anew_leave_nothing_of_a_planted_change() -> None:
    """The same posts with their days shuffled, eleven times: as rarely flagged as chance allows."""
    table = simulated_scores(3, posts=1500, authors=150, moved=0.5)
    flagged, found = [], []
    for seed in range(12):
        days = table["created_at"]
        dealt = days.sample(fraction=1, shuffle=True, seed=seed) if seed else days
        told = periods_of(
            resampled_cells(cluster_sums(table.with_columns(dealt)), COLUMNS, 500, 0)
        ).filter(pl.col("measure") == "share_of_lonely")
        flagged.append(told.filter(left_out_zero(told)).height)
        found.append(told.filter(pl.col("q") < 0.05).select("group", "label").rows())
    assert set(found[0]) == {("context", "social"), ("context", "physical")}
    assert sum(map(bool, found[1:])) <= 2
    assert sum(flagged[1:]) / (11 * 19) < 0.12


def test_the_same_seed_gives_the_same_interval_and_another_a_close_one(table: pl.DataFrame) -> None:
    sums = cluster_sums(table)
    first, again, other = (
        periods_of(resampled_cells(sums, COLUMNS, 1000, seed)) for seed in (1, 1, 2)
    )
    assert first.equals(again)
    assert not first["difference_low"].equals(other["difference_low"])
    widths = (first["difference_high"] - first["difference_low"]).to_numpy()
    gaps = np.abs((first["difference_low"] - other["difference_low"]).to_numpy())
    assert (gaps < 0.15 * widths).all()
