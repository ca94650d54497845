"""Gaps are found where they were planted, and nowhere else; by the rule, told once more as a slow loop."""

from statistics import median

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_lonely.ingest.gaps import (
    DAYS,
    MONTHS,
    DayCounts,
    Gap,
    empty_months,
    month_gaps,
    months_between,
    runs,
    together,
)


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ([400, 400, 0, 400, 400], [(2, 3, 400)]),
        ([400, 0, 0, 0, 300], [(1, 4, 300)]),  # a run is one gap; the smaller side tells the usual
        ([400, 400, 99, 400], [(2, 3, 400)]),
        ([400, 400, 100, 400], []),  # a quarter is no gap
        ([400, 400, 20, 60, 60, 60], []),  # no gap by the side after it: it died down
        ([400, 400, 0, 0], []),  # it ended
        ([0, 0, 400, 400], []),  # it began
        ([29, 29, 0, 29, 29], []),  # too few to tell
        ([400, 0, 400, 0, 400, 400], [(1, 2, 400), (3, 4, 400)]),
        ([400, 400, 0, 0, 0, 0, 400, 0, 400], [(2, 6, 400), (7, 8, 400)]),
    ],
)
def test_by_hand(counts: list[int], found: list[tuple[int, int, float]]) -> None:
    assert list(runs(counts, MONTHS)) == found


@given(
    st.lists(st.sampled_from([0, 1, 7, 8, 30, 31, 40, 120, 130, 500]), max_size=60),
    st.sampled_from([MONTHS, DAYS]),
)
def test_each_gap_obeys_the_rule(counts: list[int], unit: object) -> None:
    assert unit in (MONTHS, DAYS)
    chosen = MONTHS if unit == MONTHS else DAYS
    in_gaps: set[int] = set()
    last = 0
    for begin, end, usual in runs(counts, chosen):
        first = next(place for place, count in enumerate(counts) if count)
        before = [n for place, n in enumerate(counts[:begin]) if place not in in_gaps][first:]
        after = counts[end : end + chosen.window]
        assert last <= begin < end
        assert min(len(before), len(after)) >= chosen.least
        assert usual == min(median(before[-chosen.window :]), median(after)) >= 30
        assert all(count * 4 < usual for count in counts[begin:end])
        in_gaps |= set(range(begin, end))
        last = end


def test_ordinary_days_have_no_gap() -> None:
    """Thirty years of chance about 35 a day, with a weekly rhythm."""
    days = np.arange(365 * 30)
    counts = np.random.default_rng(7).poisson(35 * (1 + 0.3 * (days % 7 > 4)))
    assert list(runs(counts.tolist(), DAYS)) == []


def coverage(*rows: tuple[str | None, str, int, int]) -> pl.DataFrame:
    table = pl.DataFrame(
        rows, schema=["month", "subreddit", "read", "dropped_duplicate"], orient="row"
    )
    return table.with_columns(pl.lit("comment").alias("kind"))


def test_months_that_a_subreddit_lacks_count_as_none() -> None:
    table = coverage(
        ("2021-11", "a", 100, 0), ("2021-12", "a", 100, 60), ("2022-01", "b", 100, 0),
        ("2022-03", "a", 40, 0), ("2022-03", "b", 100, 0), (None, "a", 9, 0),
    )  # fmt: skip
    assert month_gaps(table) == [
        Gap("a", "comment", "month", "2022-01", "2022-02", 0, 40),
        Gap("b", "comment", "month", "2022-02", "2022-02", 0, 100),
    ]
    assert empty_months(table) == ["2022-02"]


def test_days_and_the_month_that_holds_them() -> None:
    counts = DayCounts([("a", "comment")], "2023-05", "2023-07")
    days = pl.date_range(pl.date(2023, 5, 1), pl.date(2023, 7, 31), eager=True).alias("day")
    table = pl.DataFrame(days).filter(
        ~pl.col("day").is_between(pl.date(2023, 6, 12), pl.date(2023, 6, 14))
    )
    told = [
        pl.lit("a").alias("subreddit"),
        pl.lit("comment").alias("kind"),
        pl.lit(50).alias("len"),
    ]
    counts.add(table.with_columns(told))
    counts.add(table.with_columns(told).with_columns(pl.lit("other").alias("subreddit")))
    (gap,) = counts.gaps()
    assert gap == Gap("a", "comment", "day", "2023-06-12", "2023-06-14", 0, 50)
    june = Gap("a", "comment", "month", "2023-06", "2023-06", 10, 1000)
    assert together([june], [gap]) == [june]  # a whole month is told once
    longer = Gap("a", "comment", "day", "2023-05-30", "2023-06-30", 10, 50)
    assert together([june], [longer]) == [longer]
    elsewhere = Gap("b", "comment", "day", "2023-06-12", "2023-06-14", 0, 50)
    assert together([june], [elsewhere]) == [june, elsewhere]


def test_months_between() -> None:
    assert months_between("2019-11", "2020-02") == ["2019-11", "2019-12", "2020-01", "2020-02"]
    assert months_between("2019-12", "2019-12", beyond=1) == ["2019-12", "2020-01"]
