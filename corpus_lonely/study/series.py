"""Months as units: what a month does to everyone at once is a shock, and authors cannot tell it.

Shapes: M months in order, E estimands. A month that the cut splits is left out of every series.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from corpus_lonely.study.estimands import Estimand
from corpus_lonely.study.inference import Estimate, Floats, ratios
from corpus_lonely.study.periods import AFTER

BLOCK = 3
"""Months averaged into one unit, so that shocks which last a few months do not count as several."""
FEWEST_BLOCKS = 3
_SPANS = (12, 6, 3)
_ENOUGH_PLACEBOS = 39
_YEAR = 12


@dataclass(frozen=True)
class Series:
    """Shares by month; NaN where a month is missing or suppressed."""

    months: list[str]
    """All from the first to the last, without gaps, without the month that the cut splits."""
    values_ME: Floats
    posts_M: Floats
    after_M: np.ndarray
    """Whether the month lies after the cut."""
    times_M: Floats
    """Months since the first; the month of the cut keeps its place."""

    @property
    def cut(self) -> int:
        """The position of the first month after the cut."""
        return int(np.argmax(self.after_M)) if self.after_M.any() else len(self.months)


def series_of(months: pl.DataFrame, columns: list[str], asked: list[Estimand]) -> Series:
    """From the monthly sums with `suppressed` and `holds_cut`."""
    first, last = (_number(str(months["month"].sort()[end])) for end in (0, -1))
    split = {_number(month) for month in months.filter("holds_cut")["month"]}
    cut = _number(str(months.filter(pl.col("period") == AFTER)["month"].min()))
    numbers = [number for number in range(first, last + 1) if number not in split]
    shown = months.filter(~pl.col("suppressed") & ~pl.col("holds_cut"))
    place = {number: row for row, number in enumerate(numbers)}
    rows = [place[_number(month)] for month in shown["month"]]
    values, posts = np.full((len(numbers), len(asked)), np.nan), np.zeros(len(numbers))
    sums = shown.select(pl.col(columns).cast(pl.Float64)).to_numpy()
    values[rows], posts[rows] = ratios(sums, columns, asked), shown["posts"].to_numpy()
    at = np.array(numbers, dtype=float)
    return Series([_name(n) for n in numbers], values, posts, at >= cut, at - first)


def _number(month: str) -> int:
    return int(month[:4]) * _YEAR + int(month[5:]) - 1


def _name(number: int) -> str:
    return f"{number // _YEAR:04d}-{number % _YEAR + 1:02d}"


def blocks(values_ME: Floats, size: int = BLOCK) -> Floats:
    """Means of consecutive blocks of `size` months, [B, E]; a rest shorter than a block joins the last."""
    count = max(1, len(values_ME) // size)
    edges = [number * size for number in range(count)]
    ends = [*edges[1:], len(values_ME)]
    with np.errstate(all="ignore"):
        means = [_mean(values_ME[a:b]) for a, b in zip(edges, ends, strict=True)]
    return np.stack(means)


def _mean(values_ME: Floats) -> Floats:
    """Means over the months that are known; NaN where none is."""
    known = np.isfinite(values_ME)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(known, values_ME, 0).sum(axis=0) / known.sum(axis=0)
    return mean


def welch(before_ME: Floats, after_ME: Floats, size: int = BLOCK) -> Estimate:
    """Mean of blocks after less mean of blocks before, with Welch's t over blocks.

    NaN intervals with fewer than three blocks on a side. Ibragimov and Müller 2016.
    """
    sides = [blocks(before_ME, size), blocks(after_ME, size)]
    sides = [side[np.isfinite(side).all(axis=1)] for side in sides]
    value = _mean(sides[1]) - _mean(sides[0])
    if min(len(side) for side in sides) < FEWEST_BLOCKS:
        unknown = np.full(value.shape, np.nan)
        return Estimate(value, unknown, unknown, unknown)
    with np.errstate(invalid="ignore", divide="ignore"):
        test = stats.ttest_ind(sides[1], sides[0], axis=0, equal_var=False)
        interval = test.confidence_interval(0.95)
    return Estimate(value, interval.low, interval.high, test.pvalue)


def blocks_of_time(series: Series, pre: int | None, post: int | None) -> Estimate:
    """Before against after, each month counting alike, months in blocks as units."""
    before, after = series.values_ME[: series.cut], series.values_ME[series.cut :]
    return welch(before[-pre:] if pre else before, after[:post] if post else after)


def seasonal(series: Series) -> tuple[Estimate, int, int] | None:
    """Difference in differences with the same months of earlier years; months a side, earlier years.

    The estimand: the mean of (month less the same month of earlier years, on average) over up to six
    months after the cut, less the same over as many before it. None without a year of earlier data.
    Single months are the units here, for a block of three would leave two a side.
    """
    known = {time: row for row, time in enumerate(series.times_M)}
    span = min(6, len(series.months) - series.cut)
    chosen = [*range(series.cut - span, series.cut), *range(series.cut, series.cut + span)]
    if span < FEWEST_BLOCKS or chosen[0] < 0:
        return None
    first, year = series.times_M[chosen[0]], 1
    while first - _YEAR * (year + 1) >= 0:
        year += 1
    wanted = [series.times_M[row] - _YEAR * back for row in chosen for back in range(1, year + 1)]
    if first < _YEAR or not all(time in known for time in wanted):
        return None
    earlier = series.values_ME[[known[time] for time in wanted]].reshape(len(chosen), year, -1)
    lone = series.values_ME[chosen] - earlier.mean(axis=1)
    return welch(lone[:span], lone[span:], size=1), span, year


@dataclass(frozen=True)
class Placebo:
    """The jump at the cut among the jumps at dates where nothing is known to have happened."""

    span: int
    """Months on each side of a date."""
    jump_E: Floats
    months: list[str]
    """The first month after each placebo date, P of them."""
    placebo_PE: Floats
    p_E: Floats

    @property
    def smallest_p(self) -> float:
        """No p-value can be smaller than this, however large the jump."""
        return 1 / (1 + len(self.months))


def placebo_dates(series: Series) -> Placebo | None:
    """Randomisation inference over dates before the cut; None where no date leaves room.

    Under no effect, and if months are alike over time (no trend), the jump at the cut is one of many
    jumps of the same distribution: p = (1 + those at least as large) / (1 + placebo dates).
    """
    cut, rest = series.cut, len(series.months) - series.cut
    spans = [span for span in _SPANS if span <= rest and cut >= 2 * span]
    if not spans:
        return None
    enough = [span for span in spans if cut - 2 * span + 1 >= _ENOUGH_PLACEBOS]
    span = enough[0] if enough else spans[-1]
    jump = _jump(series.values_ME, cut, span)
    places = range(span, cut - span + 1)
    placebo = np.stack([_jump(series.values_ME, place, span) for place in places])
    known = np.asarray(np.isfinite(placebo).all(axis=1))
    placebo = placebo[known]
    above = (np.abs(placebo) >= np.abs(jump) - 1e-12).sum(axis=0)
    p = np.where(np.isfinite(jump), (1 + above) / (1 + len(placebo)), np.nan)
    months = [series.months[place] for place, kept in zip(places, known, strict=True) if kept]
    return Placebo(span, jump, months, placebo, p) if months else None


def _jump(values_ME: Floats, place: int, span: int) -> Floats:
    return _mean(values_ME[place : place + span]) - _mean(values_ME[place - span : place])


def whole(series: Series) -> Iterator[tuple[int, np.ndarray]]:
    """Each estimand's position with the months in which it is known."""
    for position in range(series.values_ME.shape[1]):
        yield position, np.isfinite(series.values_ME[:, position])
