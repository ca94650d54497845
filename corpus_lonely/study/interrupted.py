"""Interrupted time series: level and slope of a monthly series change at the cut, errors correlated.

y = level + slope * t + level change * after + slope change * (months since the cut) * after + error,
with a yearly wave (one sine, one cosine) where there are 36 months or more. AR(1) errors by restricted maximum
likelihood, t with Satterthwaite's degrees of freedom: Turner et al. 2021 find HAC errors too small on short series, and
benchmarks/coverage.py on those of 180 months too. `hac` stands here for that comparison.

Shapes: M months, P parameters.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

from corpus_lonely.study.inference import Floats

_SEASONAL = 36
_FEWEST = 12
_FEWEST_A_SIDE = 4
_BOUND = 0.95
_STEP = 1e-3
LEVEL, SLOPE = 2, 3
"""Columns of the design: the change of level, and of slope a month."""


@dataclass(frozen=True)
class Change:
    """The change of level at the cut and of slope a month, each with a 95 % interval."""

    method: str
    value: Floats
    """[2]: level, slope."""
    low: Floats
    high: Floats
    p: Floats
    correlation: float
    """Of errors a month apart."""


def design(times_M: Floats, cut: float) -> Floats:
    """The regressors [M, P]; `cut` is the time of the first month after."""
    after = (times_M >= cut).astype(float)
    columns = [np.ones_like(times_M), times_M, after, after * (times_M - cut)]
    if len(times_M) >= _SEASONAL:
        turn = 2 * np.pi * times_M / 12
        columns += [np.sin(turn), np.cos(turn)]
    return np.stack(columns, axis=1)


def change(times_M: Floats, values_M: Floats, cut: float) -> Change | None:
    """Fits one series; None where it is too short: 12 months, and 4 on each side, are needed."""
    after = int((times_M >= cut).sum())
    if len(times_M) < _FEWEST or min(after, len(times_M) - after) < _FEWEST_A_SIDE:
        return None
    if np.ptp(values_M) == 0:
        return None
    return restricted(times_M, values_M, cut)


def hac(regressors: Floats, values_M: Floats) -> Change:
    """What a study does not use: least squares with Newey and West's errors; statsmodels, small-sample factor, t."""
    # half a second to import, and needed by no study
    from statsmodels.regression.linear_model import OLS  # noqa: PLC0415

    lags = int(np.floor(4 * (len(values_M) / 100) ** (2 / 9)))
    options = {"maxlags": lags, "use_correction": True}
    fit: Any = OLS(values_M, regressors).fit(cov_type="HAC", cov_kwds=options, use_t=True)
    ends = np.asarray(fit.conf_int())[[LEVEL, SLOPE]]
    left = np.asarray(fit.resid)
    rho = float(np.corrcoef(left[1:], left[:-1])[0, 1])
    both = [LEVEL, SLOPE]
    return Change("hac", fit.params[both], ends[:, 0], ends[:, 1], fit.pvalues[both], rho)


def restricted(times_M: Floats, values_M: Floats, cut: float) -> Change:
    """Restricted maximum likelihood over rho; sigma² is profiled out. Harville 1977."""
    regressors = design(times_M, cut)
    scale = float(np.std(values_M))
    fit = _Restricted(regressors, times_M, values_M / scale)
    found = optimize.minimize_scalar(
        lambda rho: -fit.profile(rho), bounds=(-_BOUND, _BOUND), method="bounded"
    )
    rho = float(found.x)
    beta, variance, sigma2 = fit.at(rho)
    ends = []
    for column, freedom in zip((LEVEL, SLOPE), fit.freedom((LEVEL, SLOPE), rho), strict=True):
        error = float(np.sqrt(sigma2 * variance[column, column]))
        reach = float(stats.t.ppf(0.975, freedom)) * error
        p = 2 * float(stats.t.sf(abs(beta[column]) / error, freedom))
        ends.append((beta[column] - reach, beta[column] + reach, p))
    low, high, p_values = np.array(ends).T
    value = beta[[LEVEL, SLOPE]] * scale
    return Change("reml_ar1", value, low * scale, high * scale, p_values, rho)


class _Restricted:
    """The restricted likelihood of AR(1) errors at the times given, in order; gaps are allowed."""

    def __init__(self, regressors: Floats, times_M: Floats, values_M: Floats) -> None:
        self.columns_MP = np.column_stack([regressors, values_M])
        self.gaps = np.diff(times_M).astype(int)
        self.left = len(values_M) - regressors.shape[1]

    def _pieces(self, rho: float) -> tuple[Floats, Floats, float, float]:
        """Coefficients, their variance over sigma², squared residuals, log determinants."""
        # given the month before, an error has mean rho^gap times that month's and variance 1 - rho^(2 gap)
        kept = np.power(rho, self.gaps)
        left = np.sqrt(1 - kept**2)
        white = self.columns_MP.copy()
        white[1:] = (self.columns_MP[1:] - kept[:, None] * self.columns_MP[:-1]) / left[:, None]
        X, y = white[:, :-1], white[:, -1]
        information = X.T @ X
        variance = np.linalg.inv(information)
        beta = variance @ (X.T @ y)
        squares = float(((y - X @ beta) ** 2).sum())
        logs = 2 * np.log(left).sum() + np.linalg.slogdet(information)[1]
        return beta.astype(np.float64), variance.astype(np.float64), squares, float(logs)

    def profile(self, rho: float) -> float:
        """The restricted log-likelihood at rho and the best sigma², up to a constant."""
        *_, squares, logs = self._pieces(rho)
        return float(-0.5 * (self.left * np.log(squares) + logs))

    def at(self, rho: float) -> tuple[Floats, Floats, float]:
        """Coefficients, their variance over sigma², and sigma²."""
        beta, variance, squares, _ = self._pieces(rho)
        return beta, variance, squares / self.left

    def likelihood(self, rho: float, log_sigma2: float) -> float:
        """The restricted log-likelihood, up to a constant."""
        *_, squares, logs = self._pieces(rho)
        return float(-0.5 * (self.left * log_sigma2 + squares / np.exp(log_sigma2) + logs))

    def freedom(self, columns: tuple[int, ...], rho: float) -> list[float]:
        """Satterthwaite 1946: 2 V² / (g' A g), V the variance, g its gradient, A that of (rho, log sigma²).

        Derivatives by rho are central differences, those by log sigma² exact. Between 2 and the degrees of
        independent errors.
        """
        rho = float(np.clip(rho, -_BOUND + _STEP, _BOUND - _STEP))
        _, variance, squares, _ = self._pieces(rho)
        sigma2 = squares / self.left
        sides = [self._pieces(rho + step) for step in (_STEP, -_STEP)]
        heights = [self.likelihood(rho + step, np.log(sigma2)) for step in (_STEP, 0.0, -_STEP)]
        both = -(sides[0][2] - sides[1][2]) / (2 * _STEP) / (2 * sigma2)
        bend = -(heights[0] - 2 * heights[1] + heights[2]) / _STEP**2
        spread = np.linalg.pinv(np.array([[bend, both], [both, self.left / 2]]))
        told = []
        for column in columns:
            slope = (sides[0][1] - sides[1][1])[column, column] / (2 * _STEP)
            gradient = sigma2 * np.array([slope, variance[column, column]])
            below = float(gradient @ spread @ gradient)
            own = sigma2 * float(variance[column, column])
            freedom = 2 * own**2 / below if below > 0 else float(self.left)
            told.append(float(np.clip(freedom, 2, self.left)))
        return told
