"""Shocks of months beside what authors share: by dense algebra, by closed forms, against statsmodels, by simulation."""

import numpy as np
import pytest
from scipy import linalg, stats

from corpus_lonely.study import shocks


def persistent(rng: np.random.Generator, months: int) -> np.ndarray:
    """A covariance as authors who stay for a year leave it."""
    lags = np.abs(np.arange(months)[:, None] - np.arange(months))
    return 0.0004 * np.exp(-lags / 12) + np.diag(rng.uniform(1e-5, 1e-4, months))


def test_weights_are_the_likelihood_of_error_contrasts_and_means_those_of_statsmodels() -> None:
    """REML is the likelihood of K'y, with K an orthonormal basis of what the regressors leave."""
    gls = pytest.importorskip("statsmodels.regression.linear_model").GLS
    rng = np.random.default_rng(1)
    times = np.delete(np.arange(21.0), 9)
    X = np.column_stack([np.ones(20), times, times > 9])
    authors = persistent(rng, 20)
    values = rng.multivariate_normal(np.zeros(20), authors) + rng.normal(0, 0.02, 20)
    told = shocks.generalised(values, X, authors, times)
    assert told is not None
    K = linalg.null_space(X.T)
    lags = np.abs(times[:, None] - times)
    sigmas = shocks._sigmas(values, X)
    expected, pairs = [], []
    for rho in shocks._RHOS:
        for sigma in sigmas:
            correlation = np.where(lags == 0, 1.0, rho**lags)
            pairs.append(authors + sigma**2 * correlation)
            normal = stats.multivariate_normal(np.zeros(17), K.T @ pairs[-1] @ K)
            expected.append(normal.logpdf(K.T @ values))
    # a flat prior on sigma, over steps as wide as half of what lies between their neighbours
    wide = np.tile(np.sqrt(sigmas / sigmas[-1]), len(shocks._RHOS))
    weights = wide * np.exp(np.array(expected) - max(expected))
    np.testing.assert_allclose(told.weight_G, weights / weights.sum(), rtol=1e-6, atol=1e-12)
    for place in (3, 200, 1277):
        fit = gls(values, X, sigma=pairs[place]).fit()
        np.testing.assert_allclose(told.mean_GP[place], fit.params, rtol=1e-6)
        plain = np.sqrt(np.diag(np.linalg.inv(X.T @ np.linalg.solve(pairs[place], X))))
        np.testing.assert_allclose(told.error_GP[place], plain, rtol=1e-6)


@pytest.mark.parametrize(("units", "close"), [(16, 2e-3), (60, 2e-3), (6, 0.03)])
def test_without_authors_it_is_the_t_of_a_flat_prior(units: int, close: float) -> None:
    """A flat prior on sigma leaves t with one degree less than least squares has (Gelman et al. 2013, 3.2)."""
    rng = np.random.default_rng(2)
    values = rng.normal(0.4, 0.03, units)
    X = np.column_stack([np.ones(units), np.arange(units) >= units // 2]).astype(float)
    told = shocks.plain(values, X, np.zeros((units, units)))
    assert told is not None
    value, low, high, p = told.of(1)
    fit = np.linalg.lstsq(X, values, rcond=None)
    left, spread = units - 2, float(fit[1][0])
    t = stats.t(left - 1, fit[0][1], np.sqrt(spread / (left - 1) * np.linalg.inv(X.T @ X)[1, 1]))
    assert value == pytest.approx(fit[0][1])
    # the grid of sigma ends at 16 residual standard deviations
    reach = t.interval(0.95)[1] - value
    assert (value - low, high - value) == pytest.approx((reach, reach), rel=close)
    assert p == pytest.approx(2 * min(t.cdf(0), t.sf(0)), rel=10 * close)


def test_where_authors_explain_all_shocks_add_little() -> None:
    rng = np.random.default_rng(3)
    authors = persistent(rng, 24) * 100
    values = rng.normal(0.4, 0.002, 24)
    X = np.column_stack([np.ones(24), np.arange(24) >= 14]).astype(float)
    told = shocks.plain(values, X, authors)
    assert told is not None
    inverse = np.linalg.pinv(X)
    error = float(np.sqrt((inverse @ authors @ inverse.T)[1, 1]))
    _, low, high, _ = told.of(1)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.01)


@pytest.mark.parametrize("shock", [0.0, 0.03])
def test_intervals_hold_where_authors_stay(shock: float) -> None:
    rng = np.random.default_rng(4)
    times = np.arange(30.0)
    X = np.column_stack([np.ones(30), times, times >= 20])
    authors = persistent(rng, 30)
    noise = rng.multivariate_normal(np.zeros(30), authors, 300) + rng.normal(0, shock, (300, 30))
    held = {"generalised": 0, "plain": 0, "independent": 0}
    widths = []
    for values in 0.4 + 0.05 * X[:, 2] + noise:
        ways = {
            "generalised": shocks.generalised(values, X, authors, times),
            "plain": shocks.plain(values, X, authors),
            "independent": shocks.plain(values, X, np.zeros_like(authors)),
        }
        for name, told in ways.items():
            assert told is not None
            _, low, high, _ = told.of(2)
            held[name] += low <= 0.05 <= high
            if name == "generalised":
                widths.append(high - low)
    # 300 runs of .95: 285 +- 7.4 is chance of 95 in 100
    assert held["generalised"] >= 275
    assert held["plain"] >= 275
    # and no wider than who knew the shocks would have them by a third
    oracle = authors + shock**2 * np.eye(30)
    error = np.sqrt(np.linalg.inv(X.T @ np.linalg.solve(oracle, X))[2, 2])
    assert np.mean(widths) < 1.33 * 2 * 1.96 * error
    if shock == 0:  # what it would be to take months for independent
        assert held["independent"] < 270


def test_a_perfect_fit_is_no_certainty() -> None:
    X = np.column_stack([np.ones(8), np.arange(8) >= 4]).astype(float)
    assert shocks.plain(np.repeat([0.1, 0.4], 4), X, np.zeros((8, 8))) is None
    times = np.arange(8.0)
    line = np.column_stack([np.ones(8), times])
    assert shocks.plain(0.1 + 0.03 * times, line, np.zeros((8, 8))) is None


def test_nothing_is_told_of_a_flat_series_or_of_as_many_regressors_as_months() -> None:
    X = np.column_stack([np.ones(4), np.arange(4.0)])
    zeros = np.zeros((4, 4))
    assert shocks.plain(np.full(4, 0.4), X, zeros) is None
    assert shocks.generalised(np.array([0.1, 0.4]), X[:2], zeros[:2, :2], np.arange(2.0)) is None
