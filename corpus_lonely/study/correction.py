"""What a labelled sample says of a classifier's errors: shares corrected for them, with intervals.

Shapes: n labelled posts. `truth` and `scored` are of the same posts; `weights` undo unequal sampling.
Sources: Rogan and Gladen 1978; Angelopoulos et al. 2023 (prediction-powered inference) and 2024 (PPI++).
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from corpus_lonely.study.inference import Floats

Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Corrected:
    """A share, and the standard error that its labelled sample and its posts leave."""

    value: float
    error: float
    slope: float = 1.0
    """How far the truth is taken to move where the score that it corrects moves by 1, as authors make it."""

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval by the normal."""
        return self.value - Z * self.error, self.value + Z * self.error


def difference(before: Corrected, after: Corrected, shared: float = 0.0) -> Corrected:
    """After less before, of two labelled samples drawn apart.

    shared: covariance of the scores of the two periods, for some authors wrote in both. Above what the errors allow
    it says nothing, and is left out.
    """
    apart = before.error**2 + after.error**2
    variance = apart - 2 * before.slope * after.slope * shared
    error = float(np.sqrt(variance if variance > 0 else apart))
    return Corrected(after.value - before.value, error)


def covariance(before_R: Floats, after_R: Floats) -> float:
    """Of two numbers in the replicates where both are defined; 0 where these are fewer than two."""
    known = np.isfinite(before_R) & np.isfinite(after_R)
    return float(np.cov(before_R[known], after_R[known])[0, 1]) if known.sum() > 1 else 0.0


def mean_powered(
    truth_n: Floats,
    scored_n: Floats,
    weights_n: Floats,
    *,
    scored_mean: float,
    scored_error: float,
    posts: int,
    strata_n: Floats | None = None,
    power: float | None = None,
    clustered: bool = False,
) -> Corrected:
    """The mean of the truth: power * mean score + weighted mean of (truth - power * score).

    scored_mean, scored_error: of the scores of all `posts`, with the standard error of the mean that
    their clusters leave. power: between 0 (labels alone) and 1 (plain PPI); by default that with the
    least variance, PPI++ eq. 10.
    clustered: what authors add to the error of the score, they add to that of the truth too, which the
    labelled posts share; so it counts as `carried` says and not as `power` does.
    """
    weights_n = weights_n / weights_n.mean()
    if power is None:
        power = least_variance(truth_n, scored_n, weights_n, posts)
    rectifier_n = truth_n - power * scored_n
    rectified = float(np.mean(weights_n * rectifier_n))
    error = sample_error(rectifier_n, weights_n, strata_n)
    value = power * scored_mean + rectified
    factor = max(power, carried(truth_n, scored_n, weights_n)) if clustered else power
    return Corrected(value, float(np.hypot(factor * scored_error, error)), factor)


def least_variance(truth_n: Floats, scored_n: Floats, weights_n: Floats, posts: int) -> float:
    """Cov(truth, score) / ((1 + n / posts) Var(score)), clipped to [0, 1]."""
    _, spread, shared = _moments(truth_n, scored_n, weights_n)
    if spread == 0:
        return 0.0
    return float(np.clip(shared / ((1 + len(truth_n) / posts) * spread), 0.0, 1.0))


def carried(truth_n: Floats, scored_n: Floats, weights_n: Floats) -> float:
    """How far the truth moves between authors where their score moves by 1: Var(truth) / Cov(truth, score).

    Between 1 and 3: below, errors would be smaller than those of the score; above, it is noise.
    """
    spread, _, shared = _moments(truth_n, scored_n, weights_n)
    return float(np.clip(spread / shared, 1.0, 3.0)) if shared > 0 else 1.0


def _moments(truth_n: Floats, scored_n: Floats, weights_n: Floats) -> tuple[float, float, float]:
    """Var(truth), Var(score) and their covariance, weighted."""
    mean_t, mean_s = (float(np.average(x, weights=weights_n)) for x in (truth_n, scored_n))
    products = (
        (truth_n - mean_t) ** 2,
        (scored_n - mean_s) ** 2,
        (scored_n - mean_s) * (truth_n - mean_t),
    )
    spread_t, spread_s, shared = (float(np.average(x, weights=weights_n)) for x in products)
    return spread_t, spread_s, shared


def sample_error(values_n: Floats, weights_n: Floats, strata_n: Floats | None = None) -> float:
    """Standard error of a weighted mean: within strata where they are given (Cochran 1977, 5.3).

    A post alone in its stratum cannot tell how others there differ; it is taken to differ as all posts do.
    """
    n = len(values_n)
    if strata_n is None:
        centred = weights_n * (values_n - np.average(values_n, weights=weights_n))
        return float(np.sqrt(np.mean(centred**2) / n))
    variance = 0.0
    for stratum in np.unique(strata_n):
        rows = strata_n == stratum
        own = int(rows.sum())
        alike = values_n[rows] if own > 1 else values_n
        if len(alike) > 1:
            share = weights_n[rows].sum() / weights_n.sum()
            variance += share**2 * float(np.var(alike, ddof=1)) / own
    return float(np.sqrt(variance))


def ratio_powered(
    above: tuple[Floats, Floats], below: tuple[Floats, Floats], weights_n: Floats,
    *, above_mean: float, below_mean: float, line_error: float, posts: int,
    strata_n: Floats | None = None,
) -> Corrected:  # fmt: skip
    """A ratio of two powered means, by its linearisation: sum of above / sum of below.

    above, below: truth and score of each labelled post. line_error: standard error, over all posts, of the
    mean of (score above - ratio * score below); NaN where nothing below is left.
    """
    (truth_a, scored_a), (truth_b, scored_b) = above, below
    weights_n = weights_n / weights_n.mean()
    plain = (
        float(np.mean(weights_n * truth_a) / np.mean(weights_n * truth_b)) if truth_b.any() else 0.0
    )
    power = least_variance(truth_a - plain * truth_b, scored_a - plain * scored_b, weights_n, posts)
    top = power * above_mean + float(np.mean(weights_n * (truth_a - power * scored_a)))
    bottom = power * below_mean + float(np.mean(weights_n * (truth_b - power * scored_b)))
    if bottom <= 0:
        return Corrected(float("nan"), float("nan"))
    ratio = top / bottom
    rest_n = (truth_a - ratio * truth_b) - power * (scored_a - ratio * scored_b)
    moved = carried(truth_a - ratio * truth_b, scored_a - ratio * scored_b, weights_n)
    factor = max(power, moved)
    error = np.hypot(factor * line_error, sample_error(rest_n, weights_n, strata_n))
    return Corrected(ratio, float(error) / bottom, factor / bottom)


@dataclass(frozen=True)
class Rates:
    """How often a threshold finds what is there, and leaves what is not, with standard errors."""

    sensitivity: float
    specificity: float
    sensitivity_error: float
    specificity_error: float


def rates(truth_n: Floats, found_n: Floats, weights_n: Floats) -> Rates:
    """Of labelled posts; NaN where all are lonely, or none is. truth and found are 0 or 1."""
    told = []
    for of in (1.0, 0.0):
        rows = truth_n == of
        if not rows.any():
            told.append((float("nan"), float("nan")))
            continue
        right = (found_n[rows] == of).astype(float)
        weights = weights_n[rows] / weights_n[rows].mean()
        told.append((float(np.average(right, weights=weights)), sample_error(right, weights)))
    (sensitivity, se_error), (specificity, sp_error) = told
    return Rates(sensitivity, specificity, se_error, sp_error)


def rogan_gladen(found: float, found_error: float, of: Rates) -> Corrected:
    """(found + specificity - 1) / (sensitivity + specificity - 1), its error by the delta method.

    NaN where the classifier is no better than chance. The value is not clipped to [0, 1], for a clipped
    one is biased; Rogan and Gladen 1978.
    """
    youden = of.sensitivity + of.specificity - 1
    if not youden > 0:
        return Corrected(float("nan"), float("nan"))
    value = (found + of.specificity - 1) / youden
    variance = (
        found_error**2
        + (value * of.sensitivity_error) ** 2
        + ((1 - value) * of.specificity_error) ** 2
    )
    return Corrected(value, float(np.sqrt(variance)) / youden, 1 / youden)
