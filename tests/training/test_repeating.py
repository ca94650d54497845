"""Repeat-factor sampling, against factors worked by hand."""

import numpy as np

from corpus_lonely.training.repeating import repeat_factors, repeats


def test_factors_follow_the_rarest_label_of_a_post() -> None:
    voted = np.zeros((100, 3), bool)
    voted[:, 0] = True  # in all posts
    voted[:4, 1] = True  # in 4 %: sqrt(.16 / .04) = 2
    voted[3, 2] = True  # in 1 %: sqrt(.16 / .01) = 4
    factors = repeat_factors(voted, 0.16)
    np.testing.assert_allclose(factors, [2, 2, 2, 4] + [1] * 96)
    assert repeats(voted, 0.16, 0) == [0, 0, 1, 1, 2, 2, 3, 3, 3, 3, *range(4, 100)]


def test_fractions_are_drawn_by_the_seed() -> None:
    voted = np.zeros((10_000, 1), bool)
    voted[:1000] = True
    share = 0.1 * 1.5**2  # a factor of 1.5
    rows = repeats(voted, share, 1)
    counts = np.bincount(rows)
    assert set(counts[:1000]) == {1, 2}
    assert set(counts[1000:]) == {1}
    assert abs(counts[:1000].mean() - 1.5) < 0.06
    assert rows == repeats(voted, share, 1)
    assert rows != repeats(voted, share, 2)
