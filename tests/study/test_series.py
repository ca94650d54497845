"""Months as units: by plain loops, and on what was planted."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from corpus_lonely.study import interrupted, series, shocks
from corpus_lonely.study.estimands import Estimand
from corpus_lonely.study.inference import Cells
from corpus_lonely.study.series import Series
from corpus_lonely.taxonomy import loneliness

TAXONOMY = loneliness()


def made(values: np.ndarray, cut: int) -> Series:
    """A series of whole months from 2015 on, one estimand."""
    count = len(values)
    months = [series._name(2015 * 12 + number) for number in range(count)]
    after = np.arange(count) >= cut
    times, authors = np.arange(count, dtype=float), np.zeros((1, count, count))
    return Series(months, values[:, None], np.full(count, 100.0), after, times, authors)


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
    # each month's posts are of two authors, and the second replicate has only the second
    keys = months.select("month", "period").sort("month", "period")
    rows = keys.join(months, on=["month", "period"], how="left", maintain_order="left")
    totals = rows.select("posts", "lonely").cast(pl.Float64).to_numpy()
    lone = totals * [[0.5, 0.25]]
    cells = Cells(keys, ["posts", "lonely"], totals, np.stack([totals, lone, 0 * totals]), None)
    told = series.series_of(months, ["posts", "lonely"], asked, cells)
    assert told.months == ["2019-11", "2019-12", "2020-01", "2020-02", "2020-04"]
    assert told.times_M.tolist() == [0, 1, 2, 3, 5]
    assert told.cut == 4
    values = np.array([0.5, np.nan, np.nan, 0.2, 0.4])
    np.testing.assert_allclose(told.values_ME[:, 0], values)
    # a share is halved in the second replicate, and as it was where there are no posts
    shares = np.nan_to_num(values)
    expected = np.cov([shares, shares / 2, shares], rowvar=False)
    np.testing.assert_allclose(told.authors_EMM[0], expected, atol=1e-15)


def test_blocks_average_three_months_and_a_rest_joins_the_last() -> None:
    values, known = np.arange(8.0), np.ones(8, dtype=bool)
    assert (series.blocks(known) @ values).tolist() == [1.0, 5.0]
    known[[1, 3, 4, 5, 6, 7]] = False
    assert (series.blocks(known) @ values).tolist() == [1.0]
    assert (series.blocks(np.ones(2, dtype=bool)) @ values[:2]).tolist() == [0.5]


def test_blocks_of_time_are_least_squares_on_the_blocks() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0.4, 0.05, 27)
    authors = np.diag(rng.uniform(0, 0.001, 27))
    made_up = replace(made(values, 15), authors_EMM=authors[None])
    told = series.blocks_of_time(made_up, None, None)
    before, after = values[:15].reshape(5, 3).mean(1), values[15:].reshape(4, 3).mean(1)
    assert told.value[0] == pytest.approx(after.mean() - before.mean())
    X = np.column_stack([np.ones(9), np.arange(9) >= 5]).astype(float)
    of_blocks = np.diag(np.diag(authors).reshape(9, 3).sum(1) / 9)
    expected = shocks.plain(np.concatenate([before, after]), X, of_blocks)
    assert expected is not None
    assert (told.low[0], told.high[0], told.p[0]) == pytest.approx(expected.of(1)[1:])
    window = series.blocks_of_time(made_up, 9, 10)
    assert window.value[0] == pytest.approx(
        np.mean([after[0], after[1], values[21:25].mean()]) - before[2:].mean()
    )
    short = series.blocks_of_time(made_up, 6, None)
    assert short.value[0] == pytest.approx(after.mean() - before[3:].mean())
    assert np.isnan(short.low[0])


def test_seasonal_takes_out_a_season_and_finds_the_change() -> None:
    season = 0.1 * np.sin(2 * np.pi * np.arange(36) / 12)
    noise = np.random.default_rng(2).normal(0, 0.002, 36)
    values = 0.4 + season + noise + 0.05 * (np.arange(36) >= 30)
    told, span, years = series.seasonal(made(values, 30)) or pytest.fail("no season")
    assert (span, years) == (6, 2)
    lone = values[24:36] - (values[12:24] + values[:12]) / 2
    assert told.value[0] == pytest.approx(lone[6:].mean() - lone[:6].mean())
    X = np.column_stack([np.ones(12), np.arange(12) >= 6]).astype(float)
    expected = shocks.plain(lone, X, np.zeros((12, 12)))
    assert expected is not None
    assert (told.low[0], told.high[0], told.p[0]) == pytest.approx(expected.of(1)[1:])
    assert told.low[0] < 0.05 < told.high[0]
    assert told.low[0] > 0
    assert series.seasonal(made(values[20:], 10)) is None
    values[14] = np.nan
    gap, *_ = series.seasonal(made(values, 30)) or pytest.fail("no season")
    assert np.isnan(gap.value[0])


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


def test_a_change_of_level_beside_a_trend_is_found_in_spite_of_a_missing_month() -> None:
    rng = np.random.default_rng(4)
    times = np.delete(np.arange(25.0), 12)
    values = 0.4 + 0.002 * times + 0.08 * (times > 12) + rng.normal(0, 0.02, 24)
    authors = np.diag(np.full(24, 1e-4))
    told = interrupted.change(times, values, authors, 13.0) or pytest.fail("no change")
    expected = shocks.generalised(values, interrupted.design(times, 13.0), authors, times)
    assert expected is not None
    for place, column in enumerate((2, 3)):
        found = [getattr(told, name)[place] for name in ("value", "low", "high", "p")]
        assert found == pytest.approx(list(expected.of(column)))
    assert told.low[0] < 0.08 < told.high[0]
    assert told.low[0] > 0
    assert told.low[1] < 0 < told.high[1]


def test_a_long_series_has_a_yearly_wave_beside_it() -> None:
    times = np.arange(48.0)
    wave = 0.05 * np.sin(2 * np.pi * times / 12)
    values = 0.4 + wave + 0.03 * (times >= 31) + np.random.default_rng(5).normal(0, 0.003, 48)
    told = interrupted.change(times, values, np.zeros((48, 48)), 31.0) or pytest.fail("no change")
    assert told.value[0] == pytest.approx(0.03, abs=0.005)
    assert told.p[0] < 1e-4


def test_a_series_too_short_or_flat_has_no_change() -> None:
    noise, none = np.random.default_rng(0).normal(size=20), np.zeros((20, 20))
    times = np.arange(20.0)
    assert interrupted.change(times[:11], noise[:11], none[:11, :11], 5.0) is None
    assert interrupted.change(times, np.full(20, 0.4), none, 9.0) is None
    assert interrupted.change(times, noise, none, 17.0) is None
