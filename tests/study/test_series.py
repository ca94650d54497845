"""Months as units: against SciPy, statsmodels and plain loops, and on what was planted."""

import numpy as np
import polars as pl
import pytest
from scipy import linalg, stats

from corpus_lonely.study import interrupted, series
from corpus_lonely.study.estimands import Estimand
from corpus_lonely.study.series import Series
from corpus_lonely.taxonomy import loneliness

TAXONOMY = loneliness()


def made(values: np.ndarray, cut: int) -> Series:
    """A series of whole months from 2015 on, one estimand."""
    count = len(values)
    months = [series._name(2015 * 12 + number) for number in range(count)]
    after = np.arange(count) >= cut
    return Series(
        months, values[:, None], np.full(count, 100.0), after, np.arange(count, dtype=float)
    )


def test_a_series_has_gaps_for_missing_and_suppressed_months_and_leaves_the_cuts_out() -> None:
    months = pl.DataFrame(
        {
            "month": ["2019-11", "2020-01", "2020-02", "2020-03", "2020-03", "2020-04"],
            "period": ["before"] * 4 + ["after"] * 2,
            "suppressed": [False, True, False, False, False, False],
            "holds_cut": [False, False, False, True, True, False],
            "posts": [10, 2, 10, 4, 4, 20],
            "lonely": [5.0, 1.0, 2.0, 1.0, 1.0, 8.0],
        }
    )
    asked = [Estimand("lonely", "lonely", "mean_probability", "lonely", "posts")]
    told = series.series_of(months, ["posts", "lonely"], asked)
    assert told.months == ["2019-11", "2019-12", "2020-01", "2020-02", "2020-04"]
    assert told.times_M.tolist() == [0, 1, 2, 3, 5]
    assert told.cut == 4
    np.testing.assert_allclose(told.values_ME[:, 0], [0.5, np.nan, np.nan, 0.2, 0.4])


def test_blocks_average_three_months_and_a_rest_joins_the_last() -> None:
    values = np.arange(8.0)[:, None]
    assert series.blocks(values)[:, 0].tolist() == [1.0, 5.0]
    assert series.blocks(values, 1)[:, 0].tolist() == list(range(8))


def test_blocks_of_time_are_welchs_test_on_the_blocks() -> None:
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    values = np.random.default_rng(1).normal(0.4, 0.05, 27)
    told = series.blocks_of_time(made(values, 15), None, None)
    before, after = values[:15].reshape(5, 3).mean(1), values[15:].reshape(4, 3).mean(1)
    assert told.p[0] == pytest.approx(stats.ttest_ind(after, before, equal_var=False).pvalue)
    compared = weightstats.CompareMeans.from_data(after, before)
    expected = compared.tconfint_diff(usevar="unequal")
    np.testing.assert_allclose([told.low[0], told.high[0]], expected, rtol=1e-9)
    short = series.blocks_of_time(made(values, 15), 6, None)
    assert np.isnan(short.low[0])


def test_seasonal_takes_out_a_season_and_finds_the_change() -> None:
    season = 0.1 * np.sin(2 * np.pi * np.arange(36) / 12)
    noise = np.random.default_rng(2).normal(0, 0.002, 36)
    values = 0.4 + season + noise + 0.05 * (np.arange(36) >= 30)
    told, span, years = series.seasonal(made(values, 30)) or pytest.fail("no season")
    assert (span, years) == (6, 2)
    lone = values[24:36] - (values[12:24] + values[:12]) / 2
    expected = stats.ttest_ind(lone[6:], lone[:6], equal_var=False)
    assert told.value[0] == pytest.approx(lone[6:].mean() - lone[:6].mean())
    assert told.p[0] == pytest.approx(expected.pvalue)
    assert told.low[0] < 0.05 < told.high[0]
    assert told.low[0] > 0
    assert series.seasonal(made(values[20:], 10)) is None


def test_placebo_dates_rank_the_jump_as_a_loop_does() -> None:
    values = np.random.default_rng(3).normal(0.4, 0.05, 30)
    told = series.placebo_dates(made(values, 22)) or pytest.fail("no placebo")
    span = told.span
    jumps = [values[p : p + span].mean() - values[p - span : p].mean() for p in range(span, 23)]
    jumps = [j for p, j in zip(range(span, 23), jumps, strict=True) if p + span <= 22]
    true = values[22 : 22 + span].mean() - values[22 - span : 22].mean()
    assert told.placebo_PE[:, 0] == pytest.approx(jumps)
    assert told.p_E[0] == pytest.approx(
        (1 + sum(abs(j) >= abs(true) for j in jumps)) / (1 + len(jumps))
    )
    assert told.smallest_p == pytest.approx(1 / (1 + len(jumps)))
    assert series.placebo_dates(made(values, 4)) is None


def test_a_change_of_level_is_generalised_least_squares_at_its_rho() -> None:
    gls = pytest.importorskip("statsmodels.regression.linear_model").GLS
    rng = np.random.default_rng(4)
    times = np.delete(np.arange(25.0), 12)
    values = 0.4 + 0.002 * times + 0.08 * (times > 12) + rng.normal(0, 0.02, 24)
    told = interrupted.change(times, values, 13.0) or pytest.fail("no change")
    assert told.method == "reml_ar1"
    lags = np.abs(times[:, None] - times[None])
    sigma = np.sign(told.correlation) ** lags * np.abs(told.correlation) ** lags
    fit = gls(values, interrupted.design(times, 13.0), sigma=sigma).fit()
    np.testing.assert_allclose(told.value, fit.params[2:4], rtol=1e-5)
    # same standard error; ours takes Satterthwaite's degrees of freedom, at most those of GLS
    narrow = fit.conf_int()[2:4]
    assert (told.high - told.low >= 0.999 * (narrow[:, 1] - narrow[:, 0])).all()
    assert told.low[0] < 0.08 < told.high[0]


def test_the_restricted_likelihood_is_that_of_error_contrasts() -> None:
    """REML is the likelihood of K'y, with K an orthonormal basis of what the regressors leave."""
    rng = np.random.default_rng(5)
    times, values = np.arange(20.0), rng.normal(size=20)
    X = interrupted.design(times, 9.0)
    K = linalg.null_space(X.T)
    fit = interrupted._Restricted(X, times, values)
    lags = np.abs(times[:, None] - times[None])
    found, expected = [], []
    for rho, log_sigma2 in ((0.3, 0.0), (-0.4, 0.2), (0.7, -0.5)):
        sigma = np.exp(log_sigma2) * np.sign(rho) ** lags * np.abs(rho) ** lags
        normal = stats.multivariate_normal(np.zeros(16), K.T @ sigma @ K)
        expected.append(normal.logpdf(K.T @ values))
        found.append(fit.likelihood(rho, log_sigma2))
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-8)


def test_hac_errors_are_those_of_statsmodels_and_no_series_takes_them() -> None:
    linear = pytest.importorskip("statsmodels.regression.linear_model")
    rng = np.random.default_rng(6)
    times = np.arange(132.0)
    values = 0.4 + rng.normal(0, 0.02, 132)
    used = interrupted.change(times, values, 40.0) or pytest.fail("no change")
    assert used.method == "reml_ar1"
    told = interrupted.hac(interrupted.design(times, 40.0), values)
    # the same coefficients, for errors of one month tell nothing of the next here
    np.testing.assert_allclose(used.value, told.value, atol=2e-3)
    fit = linear.OLS(values, interrupted.design(times, 40.0)).fit(
        cov_type="HAC", cov_kwds={"maxlags": 4, "use_correction": True}, use_t=True
    )
    np.testing.assert_allclose(told.low, fit.conf_int()[2:4, 0])
    np.testing.assert_allclose(told.p, fit.pvalues[2:4])


def test_a_series_too_short_or_flat_has_no_change() -> None:
    assert (
        interrupted.change(np.arange(11.0), np.random.default_rng(0).normal(size=11), 5.0) is None
    )
    assert interrupted.change(np.arange(20.0), np.full(20, 0.4), 9.0) is None
    assert (
        interrupted.change(np.arange(20.0), np.random.default_rng(0).normal(size=20), 17.0) is None
    )
