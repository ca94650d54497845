"""What a number made of months is worth: authors who write in several of them, and shocks that a month brings to all.

y = X b + a + s. What authors do, a, has the covariance that resampled authors show; s are shocks of one standard deviation sigma,
those of months g apart correlated by rho^g. How large sigma and rho are is what the months tell least: so their
restricted likelihood (Harville 1977) is taken over a grid of both, with priors flat on sigma (Gelman 2006) and on rho,
and a number is the mixture of what each pair would make of it, rather than what the likeliest pair would.

Shapes: M months (or blocks of them), P regressors, S standard deviations, G pairs of sigma and rho.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from corpus_lonely.study.inference import TAIL, Floats

_STEPS = (np.arange(160) + 0.5) / 160
_WIDEST = 16.0
"""The largest sigma, in residual standard deviations: few months leave it open how large it is."""
_NOTHING = 1e-10
_RHOS = np.arange(0.0, 0.95, 0.1)


@dataclass(frozen=True)
class Believed:
    """Each coefficient as a mixture of normals, by pairs of sigma and rho."""

    weight_G: Floats
    mean_GP: Floats
    error_GP: Floats

    def of(self, column: int) -> tuple[float, float, float, float]:
        """Value, the ends of its 95 % interval, and the p-value of 0."""
        mean_G, error_G = self.mean_GP[:, column], self.error_GP[:, column]
        value = float(self.weight_G @ mean_G)
        reach = 20 * float(np.sqrt(self.weight_G @ (error_G**2 + (mean_G - value) ** 2)))

        def below(x: float) -> float:
            return float(self.weight_G @ special.ndtr((x - mean_G) / error_G))

        low, high = (
            float(
                optimize.brentq(lambda x, part=part: below(x) - part, value - reach, value + reach)
            )
            for part in (TAIL, 1 - TAIL)
        )
        # both from their own tail, for 1 less a number near 1 is noise
        tails = (float(self.weight_G @ special.ndtr(side * mean_G / error_G)) for side in (1, -1))
        return value, low, high, 2 * min(tails)


def generalised(
    values_M: Floats, regressors_MP: Floats, authors_MM: Floats, times_M: Floats
) -> Believed | None:
    """Generalised least squares; shocks of months may last. None where nothing is left to tell shocks from."""
    lags_MM = np.abs(times_M[:, None] - times_M)
    return _believed(
        values_M,
        regressors_MP,
        authors_MM,
        (np.where(lags_MM == 0, 1.0, rho**lags_MM) for rho in _RHOS),
    )


def plain(values_M: Floats, regressors_MP: Floats, authors_MM: Floats) -> Believed | None:
    """Least squares, so that what is estimated does not hang on who wrote when; shocks are independent."""
    found = _believed(values_M, regressors_MP, authors_MM, iter([np.eye(len(values_M))]))
    if found is None:
        return None
    inverse_PM = np.linalg.pinv(regressors_MP)
    by_authors_P = np.einsum("pm,mn,pn->p", inverse_PM, authors_MM, inverse_PM)
    sigma2_S = _sigmas(values_M, regressors_MP) ** 2
    error_SP = np.sqrt(by_authors_P + sigma2_S[:, None] * (inverse_PM**2).sum(axis=1))
    mean_SP = np.broadcast_to(inverse_PM @ values_M, error_SP.shape)
    return Believed(found.weight_G, mean_SP, error_SP)


def _sigmas(values_M: Floats, regressors_MP: Floats) -> Floats:
    """From 0 on, closer together where they are small; none where nothing is left but rounding."""
    left_M = values_M - regressors_MP @ (np.linalg.pinv(regressors_MP) @ values_M)
    spread = np.sqrt((left_M**2).sum() / (len(values_M) - regressors_MP.shape[1]))
    if not spread > _NOTHING * np.abs(values_M).max():
        return np.empty(0)
    sigma_S: Floats = _WIDEST * spread * _STEPS**2
    return sigma_S


def _believed(
    values_M: Floats, regressors_MP: Floats, authors_MM: Floats, correlations: Iterator[Floats]
) -> Believed | None:
    if len(values_M) <= regressors_MP.shape[1]:
        return None
    sigma_S = _sigmas(values_M, regressors_MP)
    if not len(sigma_S):
        return None
    logs, means, errors = [], [], []
    for correlation_MM in correlations:
        log_S, mean_SP, error_SP = _pairs(
            values_M, regressors_MP, authors_MM, correlation_MM, sigma_S
        )
        # the prior is flat on sigma, whose steps widen with it
        logs.append(log_S + np.log(_STEPS))
        means.append(mean_SP)
        errors.append(error_SP)
    every = np.concatenate(logs)
    weight_G = np.exp(every - every.max())
    return Believed(weight_G / weight_G.sum(), np.concatenate(means), np.concatenate(errors))


def _pairs(
    values_M: Floats,
    regressors_MP: Floats,
    authors_MM: Floats,
    correlation_MM: Floats,
    sigma_S: Floats,
) -> tuple[Floats, Floats, Floats]:
    """With one correlation of shocks: restricted log-likelihoods, coefficients and their errors."""
    # in the axes of W, W authors W' is diagonal and shocks are sigma2 times the identity
    root = np.linalg.cholesky(correlation_MM)
    half = np.linalg.inv(root)
    own_M, axes = np.linalg.eigh(half @ authors_MM @ half.T)
    X, y = axes.T @ half @ regressors_MP, axes.T @ half @ values_M
    variance_SM = np.maximum(own_M, 0) + sigma_S[:, None] ** 2
    pairs = (X[:, :, None] * X[:, None, :]).reshape(len(X), -1)
    information = ((1 / variance_SM) @ pairs).reshape(-1, X.shape[1], X.shape[1])
    inverse = np.linalg.inv(information)
    mean_SP = (inverse @ ((y / variance_SM) @ X)[..., None])[..., 0]
    squares_S = ((y - mean_SP @ X.T) ** 2 / variance_SM).sum(axis=1)
    logs_S = np.log(variance_SM).sum(axis=1) + 2 * np.log(np.diag(root)).sum()
    log_S = -0.5 * (logs_S + np.linalg.slogdet(information)[1] + squares_S)
    return log_S, mean_SP, np.sqrt(np.diagonal(inverse, axis1=1, axis2=2))
