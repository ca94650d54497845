"""Interrupted time series: level and slope of a monthly series change at the cut.

y = level + slope * t + level change * after + slope change * (months since the cut) * after + error,
with a yearly wave (one sine, one cosine) where there are 36 months or more. Errors are what authors make months share,
and shocks of months that may last (`shocks`). Newey and West's errors, which statsmodels calls HAC, are far too small here
(benchmarks/coverage.py), and AR(1) errors alone too small where the same people write for months.

Shapes: M months, P parameters.
"""

import numpy as np

from corpus_lonely.study import shocks
from corpus_lonely.study.inference import Estimate, Floats

_SEASONAL = 36
_FEWEST = 12
_FEWEST_A_SIDE = 4
LEVEL, SLOPE = 2, 3
"""Columns of the design: the change of level, and of slope a month."""


def design(times_M: Floats, cut: float) -> Floats:
    """The regressors [M, P]; `cut` is the time of the first month after."""
    after = (times_M >= cut).astype(float)
    columns = [np.ones_like(times_M), times_M, after, after * (times_M - cut)]
    if len(times_M) >= _SEASONAL:
        turn = 2 * np.pi * times_M / 12
        columns += [np.sin(turn), np.cos(turn)]
    return np.stack(columns, axis=1)


def change(times_M: Floats, values_M: Floats, authors_MM: Floats, cut: float) -> Estimate | None:
    """The change of level at the cut, and of slope a month, [2]; None where it is flat or too short: 12 months, and 4 on each side, are needed.

    authors_MM: covariance of the values over authors resampled.
    """
    after = int((times_M >= cut).sum())
    if len(times_M) < _FEWEST or min(after, len(times_M) - after) < _FEWEST_A_SIDE:
        return None
    found = shocks.generalised(values_M, design(times_M, cut), authors_MM, times_M)
    if found is None:
        return None
    return Estimate(*np.array([found.of(LEVEL), found.of(SLOPE)]).T)
