"""The truth keeps its own rules."""

from datetime import UTC, date, datetime

import pytest

from corpus_lonely.demo.corpus import SUBREDDITS
from corpus_lonely.demo.truth import planted
from corpus_lonely.taxonomy import loneliness


def test_every_category_sums_to_one_in_both_periods() -> None:
    for after in (False, True):
        for category in loneliness().categories:
            assert planted().distribution(category, after).sum() == pytest.approx(1)
    assert set(planted().before) == set(loneliness().score_columns)


def test_what_moves_and_what_does_not() -> None:
    truth = planted()
    assert truth.flat_categories == ("duration", "interpersonal")
    assert set(truth.changed) == {
        "lonely",
        "context_social",
        "context_physical",
        "interaction_reach_out",
        "interaction_non_directed",
    }
    assert truth.after["context_physical"] > truth.before["context_physical"]
    assert truth.after["interaction_reach_out"] > truth.before["interaction_reach_out"]


def test_the_cut_is_midnight_utc() -> None:
    truth = planted(date(2020, 3, 11))
    assert not truth.is_after(datetime(2020, 3, 10, 23, 59, 59, tzinfo=UTC))
    assert truth.is_after(datetime(2020, 3, 11, tzinfo=UTC))


def test_what_subreddits_add_cancels_out() -> None:
    assert sum(share for share, _ in SUBREDDITS.values()) == pytest.approx(1)
    assert sum(share * more for share, more in SUBREDDITS.values()) == pytest.approx(0)
