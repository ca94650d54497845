"""Rogan and Gladen's correction for mean scores, label by label: a mean score lies between that of posts which are
so and that of posts which are not, and where it lies tells how many are.

The share is (mean - low) / (high - low), low and high being the mean scores of labelled posts without and with the label
(Rogan and Gladen 1978 for scores of 0 and 1; Bella et al. 2010 for probabilities). It holds if posts with the label
score alike in the sample and in the corpus. Shapes: n labelled posts, R replicates.
"""

import numpy as np
import numpy.typing as npt

from corpus_lonely.study.correction import Corrected, Z
from corpus_lonely.study.inference import Floats

MOST_REPLICATES = 500
_DEFINED = 0.99


def resampled_weights(
    weights_n: Floats, strata_n: npt.NDArray[np.str_], replicates: int, seed: int
) -> Floats:
    """Weights of as many samples drawn again within strata, shape [R, n]."""
    rng = np.random.default_rng(seed)
    drawn_Rn = np.zeros((replicates, len(weights_n)))
    for stratum in np.unique(strata_n):
        rows = np.flatnonzero(strata_n == stratum)
        drawn_Rn[:, rows] = rng.multinomial(
            len(rows), np.full(len(rows), 1 / len(rows)), replicates
        )
    return drawn_Rn * weights_n


def share(mean: Floats | float, truth_n: Floats, scored_n: Floats, weights: Floats) -> Floats:
    """The true share, from mean scores [R] or one, and weights [R, n] or [n]; NaN where the scores tell nothing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        high = weights @ (truth_n * scored_n) / (weights @ truth_n)
        low = weights @ ((1 - truth_n) * scored_n) / (weights @ (1 - truth_n))
        found: Floats = np.where(high > low, (mean - low) / (high - low), np.nan)
    return found


def over(above: Floats, below: Floats) -> Floats:
    """Their ratio; NaN where nothing is below, for two negative shares would make a plausible number."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: Floats = np.where(below > 0, above / below, np.nan)
    return ratio


def corrected(value: float, draws_R: Floats) -> Corrected:
    """With the error that would give the middle 95 % of the draws; undefined where many draws are.

    Quantiles, for where few labelled posts have the label some draws are wild.
    """
    known = np.isfinite(draws_R)
    if not np.isfinite(value) or known.mean() < _DEFINED:
        return Corrected(float("nan"), float("nan"))
    low, high = np.quantile(draws_R[known], [0.025, 0.975])
    return Corrected(value, float(high - low) / (2 * Z))
