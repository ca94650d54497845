"""Gaps: months or days with no or far fewer posts in a subreddit that was active before and after."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

import numpy as np
import numpy.typing as npt
import polars as pl

SHARE = 0.25
"""Of the usual number; fewer are a gap."""
ACTIVE = 30
"""Posts a unit that are usual at least: of fewer, chance alone makes a quarter of them now and then."""
RULE = (
    f"A gap is a run of months (or days) that each have less than {SHARE:.0%} of the usual number: the "
    "smaller of the median of the 3 months (14 days) before and that of the 3 (14) after, at least "
    f"{ACTIVE} posts. By month all posts read count, copies once; by day those that are kept"
)


@dataclass(frozen=True)
class Unit:
    """Months or days."""

    name: str
    window: int
    """How many on each side tell what is usual."""
    least: int
    """How many of them must be there."""


MONTHS = Unit("month", 3, 1)
DAYS = Unit("day", 14, 7)


@dataclass(frozen=True)
class Gap:
    """A run of months or days with far fewer posts than its neighbours."""

    subreddit: str
    kind: str
    unit: str
    begin: str
    """YYYY-MM of a month, YYYY-MM-DD of a day."""
    end: str
    """The last one, included."""
    posts: int
    usual: int
    """A month or a day."""

    @property
    def first_day(self) -> date:
        """Its first day."""
        return _first_day(self.begin)

    @property
    def last_day(self) -> date:
        """Its last day."""
        if self.unit == "day":
            return date.fromisoformat(self.end)
        return month_days(self.end)[1]


def month_days(month: str) -> tuple[date, date]:
    """The first and the last day of a month."""
    after = months_between(month, month, beyond=1)[-1]
    return _first_day(month), _first_day(after) - timedelta(days=1)


def _first_day(told: str) -> date:
    return date.fromisoformat(told if len(told) > 7 else f"{told}-01")


def runs(counts: Sequence[int], unit: Unit) -> Iterator[tuple[int, int, float]]:
    """Where each gap begins, where it has ended, and the usual number, by RULE.

    Units that lie in a gap tell nothing of what is usual after it.
    """
    past: deque[int] = deque(maxlen=unit.window)
    place = 0
    while place < len(counts):
        run = _run_at(counts, place, past, unit)
        if run:
            yield place, *run
            place = run[0]
        else:
            if past or counts[place]:  # what is before its first post tells nothing of it
                past.append(counts[place])
            place += 1


def _run_at(
    counts: Sequence[int], begin: int, past: deque[int], unit: Unit
) -> tuple[int, float] | None:
    # no median exceeds the greatest: nearly all places are passed over by it
    if len(past) < unit.least or counts[begin] >= SHARE * max(past):
        return None
    before = median(past)
    end = begin
    while end < len(counts) and counts[end] < SHARE * before:
        end += 1
    if before < ACTIVE or end == begin or len(counts) - end < unit.least:
        return None
    usual = min(before, median(counts[end : end + unit.window]))
    if usual < ACTIVE or max(counts[begin:end]) >= SHARE * usual:
        return None
    return end, usual


def month_gaps(coverage: pl.DataFrame) -> list[Gap]:
    """Gaps by month, from the table of coverage."""
    dated = coverage.filter(pl.col("month").is_not_null())
    if dated.is_empty():
        return []
    months = months_between(str(dated["month"].min()), str(dated["month"].max()))
    places = {month: place for place, month in enumerate(months)}
    series: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * len(months))
    seen = dated.with_columns(seen=pl.col("read") - pl.col("dropped_duplicate"))
    active = pl.col("seen").max().over("subreddit", "kind") >= ACTIVE
    for month, subreddit, kind, count in (
        seen.filter(active).select("month", "subreddit", "kind", "seen").iter_rows()
    ):
        series[subreddit, kind][places[month]] = count
    return [
        Gap(*name, "month", months[a], months[b - 1], sum(counts[a:b]), round(usual))
        for name, counts in sorted(series.items())
        for a, b, usual in runs(counts, MONTHS)
    ]


class DayCounts:
    """Posts by day of a choice of subreddits and kinds, added up month by month."""

    def __init__(
        self, chosen: Iterable[tuple[str, str]], first_month: str, last_month: str
    ) -> None:
        self._begin = _first_day(first_month).toordinal()
        days = month_days(last_month)[1].toordinal() + 1 - self._begin
        self._counts: dict[tuple[str, str], npt.NDArray[np.int64]] = {
            name: np.zeros(days, np.int64) for name in chosen
        }

    def add(self, counted: pl.DataFrame) -> None:
        """Rows of `subreddit` (in lower case), `kind`, `day` and `len`; others than those chosen, too."""
        for subreddit, kind, day, count in counted.select(
            "subreddit", "kind", "day", "len"
        ).iter_rows():
            found = self._counts.get((subreddit, kind))
            place = day.toordinal() - self._begin
            if found is not None and 0 <= place < len(found):
                found[place] += count

    def gaps(self) -> list[Gap]:
        """Gaps by day."""
        return [
            Gap(*name, "day", self._day(a), self._day(b - 1), int(counts[a:b].sum()), round(usual))
            for name, counts in sorted(self._counts.items())
            for a, b, usual in runs(counts.tolist(), DAYS)
        ]

    def _day(self, place: int) -> str:
        return date.fromordinal(self._begin + place).isoformat()


def together(by_month: Iterable[Gap], by_day: Iterable[Gap]) -> list[Gap]:
    """Each gap once: whole months as months, unless days tell its bounds more closely."""
    days, months = list(by_day), list(by_month)
    kept = [gap for gap in months if not any(_within(gap, other) for other in days)]
    kept += [gap for gap in days if not any(_within(gap, other) for other in kept)]
    return sorted(kept, key=lambda gap: (gap.first_day, gap.last_day, gap.subreddit, gap.kind))


def _within(gap: Gap, other: Gap) -> bool:
    same = (gap.subreddit, gap.kind) == (other.subreddit, other.kind)
    return same and other.first_day <= gap.first_day and gap.last_day <= other.last_day


def months_between(first: str, last: str, beyond: int = 0) -> list[str]:
    """All months from `first` to `last`, both `YYYY-MM`, both included, and so many after it."""
    begin, end = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (first, last))
    numbers = range(begin, end + 1 + beyond)
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in numbers]


def empty_months(coverage: pl.DataFrame) -> list[str]:
    """Months between the first and the last of which nothing at all was read: a file may be missing."""
    there = set(coverage.filter(pl.col("read") > 0)["month"].drop_nulls().to_list())
    if not there:
        return []
    return [month for month in months_between(min(there), max(there)) if month not in there]
