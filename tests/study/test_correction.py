"""Corrections for a classifier's errors: against ppi-python where it is installed, and worked by hand."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from corpus_lonely.study import correction, gold, mean_scores
from corpus_lonely.study.correction import Corrected, Rates, mean_powered, rogan_gladen
from corpus_lonely.study.estimands import Estimand
from corpus_lonely.study.inference import Cells


def made(seed: int, n: int = 400, posts: int = 5000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < 0.4).astype(float)
    scored = np.clip(0.7 * truth + 0.1 + rng.normal(0, 0.15, n), 0, 1)
    every = (rng.random(posts) < 0.4).astype(float)
    return truth, scored, np.clip(0.7 * every + 0.1 + rng.normal(0, 0.15, posts), 0, 1)


@pytest.mark.parametrize("power", [0.0, 0.6, 1.0])
def test_the_powered_mean_by_hand(power: float) -> None:
    truth, scored, every = made(1)
    error = every.std() / np.sqrt(len(every))
    told = mean_powered(truth, scored, np.ones(400), scored_mean=every.mean(), scored_error=error,
                        posts=5000, power=power)  # fmt: skip
    left = truth - power * scored
    assert told.value == pytest.approx(power * every.mean() + left.mean())
    expected = np.sqrt(power**2 * every.var() / 5000 + left.var() / 400)
    assert told.error == pytest.approx(expected)
    assert told.interval == pytest.approx(
        (told.value - 1.959964 * expected, told.value + 1.959964 * expected)
    )


def test_a_post_alone_in_its_stratum_differs_as_all_do() -> None:
    values, strata = np.array([1.0, 3.0, 5.0, 9.0]), np.array(["a", "a", "a", "b"])
    told = correction.sample_error(values, np.array([1.0, 1.0, 1.0, 2.0]), strata)
    # shares 3/5 and 2/5; variances 4 within a, and of all 35/3
    assert told == pytest.approx(np.sqrt(0.36 * 4 / 3 + 0.16 * 35 / 3))


def test_the_powered_mean_as_ppi_python() -> None:
    ppi_py = pytest.importorskip("ppi_py", exc_type=ImportError)
    truth, scored, every = made(2)
    error = every.std() / np.sqrt(len(every))
    for asked in (None, 1.0, 0.3):
        told = mean_powered(truth, scored, np.ones(400), scored_mean=every.mean(),
                            scored_error=error, posts=5000, power=asked)  # fmt: skip
        # ppi-python takes the variance of labelled and unlabelled scores together, we of the labelled
        power = correction.least_variance(truth, scored, np.ones(400), 5000)
        power = power if asked is None else asked
        value = ppi_py.ppi_mean_pointestimate(truth, scored, every, lam=power)
        assert told.value == pytest.approx(float(np.squeeze(value)), rel=1e-9)
        low, high = ppi_py.ppi_mean_ci(truth, scored, every, alpha=0.05, lam=power)
        assert told.interval == pytest.approx(
            (float(np.squeeze(low)), float(np.squeeze(high))), rel=1e-6
        )


def numbered(n: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth and scores without a generator of random numbers, which another NumPy may change."""
    place = np.arange(start, start + n)
    truth = (place * 7919 % 10 < 4).astype(float)
    seen = np.where(place * 31 % 100 < 12, 1 - truth, truth)
    return truth, 0.9 * seen + 0.1 * (place * 104_729 % 997) / 997


@pytest.mark.parametrize(
    ("power", "value", "low", "high", "exact"),
    [
        (1.0, 0.4010072417251755, 0.3659843588795785, 0.4360301245707725, 1e-9),
        (0.3, 0.40030217251755273, 0.36096838912207624, 0.43963595591302923, 1e-9),
        # it takes the variance of labelled and unlabelled scores together, we of the labelled
        (None, 0.4007702134092974, 0.3674799054479303, 0.43406052137066453, 1e-4),
    ],
)
def test_the_powered_mean_as_ppi_python_gave_it(
    power: float | None, value: float, low: float, high: float, exact: float
) -> None:
    """Worked by ppi-python 0.2.3 (`ppi_mean_pointestimate` and `ppi_mean_ci`, alpha .05) on 2026-11-26."""
    (truth, scored), (_, every) = numbered(400, 0), numbered(5000, 400)
    error = every.std() / np.sqrt(len(every))
    told = mean_powered(truth, scored, np.ones(400), scored_mean=every.mean(), scored_error=error,
                        posts=5000, power=power)  # fmt: skip
    assert (told.value, *told.interval) == pytest.approx((value, low, high), rel=exact)


def test_the_power_is_that_of_least_variance() -> None:
    truth, scored, every = made(3)
    asked = {
        "scored_mean": every.mean(),
        "scored_error": scored.std() / np.sqrt(5000),
        "posts": 5000,
    }
    best = mean_powered(truth, scored, np.ones(400), **asked).error
    others = [
        mean_powered(truth, scored, np.ones(400), power=p, **asked).error
        for p in np.linspace(0, 1, 101)
    ]
    assert best == pytest.approx(min(others), rel=1e-4)
    assert best < others[0]
    noise = np.random.default_rng(0).random(400) * 0
    assert correction.least_variance(truth, noise, np.ones(400), 5000) == 0


def test_weights_undo_unequal_sampling() -> None:
    # two strata of 900 and 100 posts, two labelled in each
    truth, scored = np.array([0.0, 1.0, 1.0, 1.0]), np.zeros(4)
    weights, strata = np.array([450.0, 450, 50, 50]), np.array(["a", "a", "b", "b"])
    told = mean_powered(
        truth, scored, weights, scored_mean=0, scored_error=0, posts=1000, strata_n=strata
    )
    assert told.value == pytest.approx(0.9 * 0.5 + 0.1)
    assert told.error == pytest.approx(0.9 * np.sqrt(0.5 / 2))


def test_a_ratio_by_its_jackknife() -> None:
    rng = np.random.default_rng(4)
    lonely = (rng.random(500) < 0.5).astype(float)
    label = lonely * (rng.random(500) < 0.3)
    zeros, ones = np.zeros(500), np.ones(500)
    told = correction.ratio_powered((label, zeros), (lonely, zeros), ones, above_mean=0, below_mean=0,
                                    line_error=0, posts=5000)  # fmt: skip
    assert told.value == pytest.approx(label.sum() / lonely.sum())
    left_out = (label.sum() - label) / (lonely.sum() - lonely)
    jackknife = np.sqrt(499 / 500 * ((left_out - left_out.mean()) ** 2).sum())
    assert told.error == pytest.approx(jackknife, rel=0.01)


def test_rates_and_rogan_gladen_by_hand() -> None:
    truth = np.array([1.0] * 10 + [0.0] * 10)
    found = np.array([1.0] * 8 + [0.0] * 2 + [1.0] + [0.0] * 9)
    of = correction.rates(truth, found, np.ones(20))
    assert (of.sensitivity, of.specificity) == pytest.approx((0.8, 0.9))
    assert of.sensitivity_error == pytest.approx(np.sqrt(0.8 * 0.2 / 10))
    # 8 % found with 3 % of false positives and all true ones: 5.15 % are there
    exact = Rates(1.0, 0.97, 0.0, 0.0)
    assert rogan_gladen(0.08, 0.01, exact).value == pytest.approx(0.05 / 0.97)
    assert rogan_gladen(0.08, 0.01, exact).error == pytest.approx(0.01 / 0.97)
    assert np.isnan(rogan_gladen(0.3, 0.01, Rates(0.5, 0.5, 0.1, 0.1)).value)
    assert np.isnan(correction.rates(np.ones(3), np.ones(3), np.ones(3)).specificity)


def test_rogan_gladens_error_is_the_spread_of_simulated_estimates() -> None:
    rng = np.random.default_rng(5)
    of = Rates(0.85, 0.95, 0.03, 0.02)
    told = rogan_gladen(0.4, 0.01, of)
    found, se, sp = rng.normal([0.4, 0.85, 0.95], [0.01, 0.03, 0.02], (200_000, 3)).T
    assert told.error == pytest.approx(((found + sp - 1) / (se + sp - 1)).std(), rel=0.02)


def test_differences_add_their_variances() -> None:
    told = correction.difference(Corrected(0.2, 0.03), Corrected(0.3, 0.04))
    assert (told.value, told.error) == pytest.approx((0.1, 0.05))


def test_authors_who_write_in_both_periods_make_a_difference_surer() -> None:
    before, after = Corrected(0.2, 0.03, slope=1.2), Corrected(0.3, 0.04, slope=1.5)
    told = correction.difference(before, after, shared=0.0004)
    assert told.error == pytest.approx(np.sqrt(0.0009 + 0.0016 - 2 * 1.2 * 1.5 * 0.0004))
    # more than the errors allow: no certainty is made of it
    assert correction.difference(before, after, shared=0.01).error == pytest.approx(0.05)
    draws = np.array([0.1, 0.2, np.nan, 0.4]), np.array([0.2, 0.1, 0.3, 0.5])
    known = [0, 1, 3]
    expected = np.cov(draws[0][known], draws[1][known])[0, 1]
    assert correction.covariance(*draws) == pytest.approx(expected)
    assert correction.covariance(np.full(4, np.nan), draws[1]) == 0


def test_what_authors_add_to_the_truth_is_carried_over_from_the_score() -> None:
    truth = np.array([0.0, 1.0, 0.0, 1.0])
    # the score moves by half of what the truth does, so the truth moves by twice what the score does
    assert correction.carried(truth, 0.2 + 0.5 * truth, np.ones(4)) == pytest.approx(2.0)
    assert correction.carried(truth, 1 - truth, np.ones(4)) == 1.0
    asked: dict[str, Any] = {"scored_mean": 0.45, "scored_error": 0.1, "posts": 4000, "power": 1.0}
    plain, clustered = (
        mean_powered(truth, 0.2 + 0.5 * truth, np.ones(4), clustered=c, **asked).error
        for c in (False, True)
    )
    rest = np.std(truth - 0.2 - 0.5 * truth) / 2
    assert (plain, clustered) == pytest.approx((np.hypot(0.1, rest), np.hypot(0.2, rest)))


def test_mean_scores_tell_shares_by_hand_and_as_rogan_and_gladen_do() -> None:
    truth, scored = np.array([1.0, 1, 0, 0, 0]), np.array([0.9, 0.7, 0.1, 0.2, 0.3])
    # those that are score .8, those that are not .2: a mean of .35 is a quarter of the way
    assert mean_scores.share(0.35, truth, scored, np.ones(5)) == pytest.approx(0.25)
    weights = np.array([3.0, 1, 1, 1, 2])
    high, low = (2.7 + 0.7) / 4, (0.1 + 0.2 + 0.6) / 4
    told = mean_scores.share(0.4, truth, scored, weights)
    assert told == pytest.approx((0.4 - low) / (high - low))
    # scores of 0 and 1: the classic
    found = (scored > 0.25).astype(float)
    of = correction.rates(truth, found, weights)
    classic = rogan_gladen(0.6, 0.01, of).value
    assert mean_scores.share(0.6, truth, found, weights) == pytest.approx(classic)
    assert np.isnan(mean_scores.share(0.5, truth, 1 - scored, np.ones(5)))


def test_the_error_of_mean_scores_is_the_spread_of_simulated_samples() -> None:
    rng = np.random.default_rng(6)

    def sample() -> tuple[np.ndarray, np.ndarray]:
        truth = (rng.random(300) < 0.3).astype(float)
        return truth, np.clip(0.2 + 0.4 * truth + rng.normal(0, 0.15, 300), 0, 1)

    spread = np.std([mean_scores.share(0.32, *sample(), np.ones(300)) for _ in range(2000)])  # fmt: skip
    errors = []
    for seed in range(20):
        truth, scored = sample()
        weights = mean_scores.resampled_weights(np.ones(300), np.array(["a"] * 300), 400, seed)
        draws = mean_scores.share(np.full(400, 0.32), truth, scored, weights)
        errors.append(mean_scores.corrected(0.3, draws).error)
    assert np.mean(errors) == pytest.approx(spread, rel=0.08)


def test_samples_drawn_again_keep_their_strata() -> None:
    strata, weights = np.array(["a"] * 3 + ["b"] * 7), np.array([2.0] * 3 + [5.0] * 7)
    drawn = mean_scores.resampled_weights(weights, strata, 50, 1)
    assert (drawn[:, :3].sum(axis=1) == 6).all()
    assert (drawn[:, 3:].sum(axis=1) == 35).all()
    assert len(np.unique(drawn, axis=0)) > 40


def test_a_share_of_no_lonely_posts_is_not_corrected() -> None:
    """Posts that score below the labelled ones make both shares negative: -.10 / -.15 is no two thirds."""
    truth = np.tile([1.0, 0.0], 30)
    rows = pl.DataFrame(
        {
            "period": ["before"] * 60,
            "weight": np.ones(60),
            "stratum": ["all"] * 60,
            "truth_lonely": truth,
            "lonely": 0.2 + 0.4 * truth,
            "truth_context_social": truth,
            "context_social": 0.1 + 0.2 * truth,
        }
    )
    asked = Estimand("context", "social", "share_of_lonely", "context_social", "lonely")

    def told(lonely: float, social: float) -> Corrected:
        totals = np.array([[1000.0, 1000 * lonely, 1000 * social]])
        keys = pl.DataFrame({"period": ["before"], "inside": [True]})
        columns = ["posts", "lonely", "context_social"]
        cells = Cells(keys, columns, totals, np.repeat(totals[None], 200, axis=0), None)
        return gold._mean_scores(rows, cells, asked, "before")[1]

    assert told(0.4, 0.2).value == pytest.approx(1.0)  # (.2 - .1) / .2 over (.4 - .2) / .4
    assert np.isnan(told(0.14, 0.08).value)
    assert np.isnan(told(0.14, 0.08).error)
    assert np.isnan(told(0.2, 0.2).value)
