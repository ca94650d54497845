"""Months as units: what a month does to everyone at once is a shock, and authors cannot tell it.

Shapes: M months in order, E estimands, R replicates. A month that the cut splits is left out of every series.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from corpus_lonely.study import shocks
from corpus_lonely.study.estimands import Estimand
from corpus_lonely.study.inference import Cells, Estimate, Floats, ratios
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
    authors_EMM: Floats
    """Covariance of the values of months over authors resampled; 0 where a month is missing."""

    @property
    def cut(self) -> int:
        """The position of the first month after the cut."""
        return int(np.argmax(self.after_M)) if self.after_M.any() else len(self.months)


def series_of(
    months: pl.DataFrame, columns: list[str], asked: list[Estimand], cells: Cells
) -> Series:
    """From the monthly sums with `suppressed` and `holds_cut`, and their replicates."""
    first, last = (_number(str(months["month"].sort()[end])) for end in (0, -1))
    split = {_number(month) for month in months.filter("holds_cut")["month"]}
    cut = _number(str(months.filter(pl.col("period") == AFTER)["month"].min()))
    numbers = [number for number in range(first, last + 1) if number not in split]
    shown = months.filter(~pl.col("suppressed") & ~pl.col("holds_cut"))
    place = {number: row for row, number in enumerate(numbers)}
    rows = np.array([place[_number(month)] for month in shown["month"]], dtype=np.intp)
    values, posts = np.full((len(numbers), len(asked)), np.nan), np.zeros(len(numbers))
    sums = shown.select(pl.col(columns).cast(pl.Float64)).to_numpy()
    values[rows], posts[rows] = ratios(sums, columns, asked), shown["posts"].to_numpy()
    at = np.array(numbers, dtype=float)
    authors = np.zeros((len(asked), len(numbers), len(numbers)))
    if len(rows):
        authors[:, rows[:, None], rows] = _covariances(cells, shown["month"], asked)
    return Series([_name(n) for n in numbers], values, posts, at >= cut, at - first, authors)


def _covariances(cells: Cells, months: pl.Series, asked: list[Estimand]) -> Floats:
    """Of the months' values over the replicates, [E, M, M]; a value that a replicate leaves undefined is as it was."""
    number = pl.DataFrame({"month": months}).with_row_index("number")
    found = cells.keys.with_row_index("cell").join(number, on="month").sort("number", "cell")
    starts = found["number"].search_sorted(number["number"]).to_numpy()
    order = found["cell"].to_numpy()
    covariances = np.empty((len(asked), len(months), len(months)))
    for place, estimand in enumerate(asked):
        names = [estimand.numerator, estimand.denominator]
        used = [cells.columns.index(name) for name in names]
        sums_M2 = np.add.reduceat(cells.totals_JK[order][:, used], starts, axis=0)
        sums_RM2 = np.add.reduceat(cells.draws_RJK[:, order[:, None], used], starts, axis=1)
        value_M, value_RM = (
            ratios(sums, names, [estimand])[..., 0] for sums in (sums_M2, sums_RM2)
        )
        moved_RM = np.where(np.isfinite(value_RM), value_RM, value_M)
        covariances[place] = np.cov(moved_RM, rowvar=False)
    return np.nan_to_num(covariances)


def _number(month: str) -> int:
    return int(month[:4]) * _YEAR + int(month[5:]) - 1


def _name(number: int) -> str:
    return f"{number // _YEAR:04d}-{number % _YEAR + 1:02d}"


def blocks(known_M: np.ndarray, size: int = BLOCK) -> Floats:
    """What each month counts for in the means of consecutive blocks of `size` months, [B, M].

    A rest shorter than a block joins the last; a block none of whose months is known is left out.
    """
    count = max(1, len(known_M) // size)
    block_M = np.minimum(np.arange(len(known_M)) // size, count - 1)
    member = ((block_M == np.arange(count)[:, None]) & known_M).astype(float)
    member = member[member.any(axis=1)]
    means: Floats = member / member.sum(axis=1, keepdims=True)
    return means


def blocks_of_time(series: Series, pre: int | None, post: int | None) -> Estimate:
    """Before against after, each block of three months counting alike; `shocks.plain` of the blocks.

    NaN intervals with fewer than three blocks on a side.
    """
    start = 0 if pre is None else max(0, series.cut - pre)
    end = None if post is None else series.cut + post
    parts = (slice(start, series.cut), slice(series.cut, end))

    def weights(known_M: np.ndarray) -> tuple[Floats, Floats]:
        sides = []
        for part in parts:
            inside = blocks(known_M[part])
            side = np.zeros((len(inside), len(known_M)))
            side[:, part] = inside
            sides.append(side)
        return sides[0], sides[1]

    return _means(series, weights)


def seasonal(series: Series) -> tuple[Estimate, int, int] | None:
    """Difference in differences with the same months of earlier years; months a side, earlier years.

    The estimand: the mean of (month less the same month of earlier years, on average) over up to six
    months after the cut, less the same over as many before it. None without a year of earlier data.
    Single months are the units here, for a block of three would leave two a side; `shocks.plain`.
    """
    known = {time: row for row, time in enumerate(series.times_M)}
    span = min(6, len(series.months) - series.cut)
    chosen = [*range(series.cut - span, series.cut), *range(series.cut, series.cut + span)]
    if span < FEWEST_BLOCKS or chosen[0] < 0:
        return None
    years = int(series.times_M[chosen[0]] // _YEAR)
    if years < 1:
        return None
    lone = np.zeros((len(chosen), len(series.months)))
    for place, row in enumerate(chosen):
        earlier = [series.times_M[row] - _YEAR * back for back in range(1, years + 1)]
        if not all(time in known for time in earlier):
            return None
        lone[place, row] = 1
        lone[place, [known[time] for time in earlier]] = -1 / years

    def weights(known_M: np.ndarray) -> tuple[Floats, Floats]:
        whole = lone if known_M[lone.any(axis=0)].all() else lone[:0]
        return whole[:span], whole[span:]

    return _means(series, weights), span, years


def _means(series: Series, weights: Callable[[np.ndarray], tuple[Floats, Floats]]) -> Estimate:
    """The mean of some units after less that of those before; each unit is a weighted sum of known months, [B, M]."""
    told = np.full((4, series.values_ME.shape[1]), np.nan)
    for place, known_M in whole(series):
        before, after = weights(known_M)
        if not min(len(before), len(after)):
            continue
        units_BM = np.vstack([before, after])
        values_B = units_BM @ np.where(known_M, series.values_ME[:, place], 0)
        side_B = np.repeat([0.0, 1.0], [len(before), len(after)])
        told[0, place] = values_B[side_B == 1].mean() - values_B[side_B == 0].mean()
        if min(len(before), len(after)) < FEWEST_BLOCKS:
            continue
        authors_BB = units_BM @ series.authors_EMM[place] @ units_BM.T
        found = shocks.plain(values_B, np.stack([np.ones_like(side_B), side_B], axis=1), authors_BB)
        if found is not None:
            told[:, place] = found.of(1)
    return Estimate(*told)


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


def _mean(values_ME: Floats) -> Floats:
    """Means over the months that are known; NaN where none is."""
    known = np.isfinite(values_ME)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(known, values_ME, 0).sum(axis=0) / known.sum(axis=0)
    return mean


def _jump(values_ME: Floats, place: int, span: int) -> Floats:
    return _mean(values_ME[place : place + span]) - _mean(values_ME[place - span : place])


def whole(series: Series) -> Iterator[tuple[int, np.ndarray]]:
    """Each estimand's position with the months in which it is known."""
    for position in range(series.values_ME.shape[1]):
        yield position, np.isfinite(series.values_ME[:, position])
