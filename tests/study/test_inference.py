"""The bootstrap against a direct loop, against known variances, and on what was and was not planted."""

from datetime import date
from math import sqrt

import numpy as np
import polars as pl
import pytest

from corpus_lonely.study import aggregate, effects, inference
from corpus_lonely.study.aggregate import Estimand, Selection
from corpus_lonely.study.inference import Clusters, difference_intervals, resampled_totals
from corpus_lonely.taxonomy import loneliness
from tests.study.simulated import simulated_scores

TAXONOMY = loneliness()
COLUMNS = aggregate.sum_columns(TAXONOMY)
MEAN = [Estimand("lonely", "lonely", "mean", "lonely", "posts")]
TWO = ["posts", "lonely"]


def author_sums(table: pl.DataFrame) -> pl.DataFrame:
    rows = aggregate.usable(table.lazy(), Selection(TAXONOMY, date(2020, 3, 11)), "scores")
    return aggregate.author_sums(rows, TAXONOMY).collect()


def test_totals_equal_a_loop_over_the_same_draws() -> None:
    sums_CK = np.random.default_rng(3).random((7, 4))
    drawn = np.random.default_rng(11).integers(7, size=(50, 7))
    expected = [[sum(sums_CK[c, k] for c in draw) for k in range(4)] for draw in drawn]
    np.testing.assert_allclose(resampled_totals(sums_CK, 50, 11), expected, rtol=1e-12)


def test_how_much_is_held_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sums_CK = np.random.default_rng(3).random((9, 3))
    whole = resampled_totals(sums_CK, 40, 5)
    monkeypatch.setattr(inference, "_DRAWS_AT_ONCE", 30)
    np.testing.assert_allclose(resampled_totals(sums_CK, 40, 5), whole, rtol=1e-12)


def test_clusters_hold_each_author_once_and_lone_posts_alone(table: pl.DataFrame) -> None:
    sums = author_sums(table)
    clusters = inference.clusters_of(sums, TAXONOMY)
    known = sums["author"].drop_nulls().n_unique()
    assert len(clusters) == known + sums["author"].null_count()
    for period, held in (("before", clusters.before_CK), ("after", clusters.after_CK)):
        totals = sums.filter(pl.col("period") == period).select(pl.col(COLUMNS).sum())
        np.testing.assert_allclose(held.sum(axis=0), totals.row(0), rtol=1e-9)
    # a lone post lies on one side alone
    lone = slice(known, None)
    sides = clusters.before_CK[lone, 0] + clusters.after_CK[lone, 0]
    assert set(sides) == {1.0}


def half_width(clusters: Clusters) -> float:
    low, high = difference_intervals(clusters, MEAN, TWO, 4000, 1)
    return float(high[0] - low[0]) / 2


def split(posts: np.ndarray, lonely: np.ndarray, after: np.ndarray) -> Clusters:
    both = np.stack([posts, lonely], axis=1)
    return Clusters(both * ~after[:, None], both * after[:, None])


def test_independent_posts_have_the_variance_of_two_means() -> None:
    rng = np.random.default_rng(0)
    values, after = rng.normal(0.4, 0.1, 900), np.arange(900) % 3 == 0
    expected = 1.96 * sqrt(values[after].var() / 300 + values[~after].var() / 600)
    found = half_width(split(np.ones(900), values, after))
    assert found == pytest.approx(expected, rel=0.05)


def test_an_authors_posts_count_as_one_when_they_are_all_alike() -> None:
    rng = np.random.default_rng(0)
    values, after = rng.normal(0.4, 0.1, 300), np.arange(300) % 2 == 0
    expected = 1.96 * sqrt(values[after].var() / 150 + values[~after].var() / 150)
    found = half_width(split(np.full(300, 20.0), 20 * values, after))
    assert found == pytest.approx(expected, rel=0.06)
    # taken for independent, the same posts would give an interval more than four times narrower
    naive = split(np.ones(6000), np.repeat(values, 20), np.repeat(after, 20))
    assert half_width(naive) < found / 4


def test_what_authors_are_cancels_where_they_post_in_both_periods() -> None:
    rng = np.random.default_rng(0)
    own, moves = rng.normal(0.4, 0.2, 400), rng.normal(0.05, 0.02, 400)
    ones = np.ones(400)
    clusters = Clusters(np.stack([ones, own], 1), np.stack([ones, own + moves], 1))
    assert half_width(clusters) == pytest.approx(1.96 * moves.std() / sqrt(400), rel=0.05)


def test_a_period_that_draws_can_miss_has_no_interval() -> None:
    before = np.array([[1.0, 0.5]] * 9 + [[0.0, 0.0]])
    after = np.array([[0.0, 0.0]] * 9 + [[1.0, 0.5]])
    low, high = difference_intervals(Clusters(before, after), MEAN, TWO, 500, 0)
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def periods(seed: int, moved: float) -> pl.DataFrame:
    table = simulated_scores(seed, posts=1500, authors=150, moved=moved)
    return effects.periods_table(author_sums(table), TAXONOMY, 500, 0)


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


def test_the_same_seed_gives_the_same_interval_and_another_a_close_one(table: pl.DataFrame) -> None:
    sums = author_sums(table)
    first, again, other = (effects.periods_table(sums, TAXONOMY, 1000, seed) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first["difference_low"].equals(other["difference_low"])
    widths = (first["difference_high"] - first["difference_low"]).to_numpy()
    gaps = np.abs((first["difference_low"] - other["difference_low"]).to_numpy())
    assert (gaps < 0.15 * widths).all()
