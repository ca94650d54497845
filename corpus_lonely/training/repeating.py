"""Repeats posts with rare labels, so that each pass over the posts meets them more often."""

# N posts, L labels

import numpy as np
from numpy.typing import NDArray

from corpus_lonely.training.labels import LabelledPosts


def repeated(posts: LabelledPosts, share: float, seed: int) -> LabelledPosts:
    """What is trained on: each post as often as `repeats` says, where there is a share."""
    return posts.take(repeats(posts.targets.values_NL > 0, share, seed)) if share else posts


def repeat_factors(voted_NL: NDArray[np.bool_], share: float) -> NDArray[np.float64]:
    """(N) how often each post should stand in the training set, 1 or more.

    max(1, sqrt(share / f)) of its rarest label, where f is the share of posts that have the label at
    all: Gupta, Dollar and Girshick, CVPR 2019, section 4.3.
    """
    frequency_L = np.maximum(voted_NL.mean(axis=0), 1 / len(voted_NL))
    factor_L = np.maximum(1.0, np.sqrt(share / frequency_L))
    factor_N: NDArray[np.float64] = np.where(voted_NL, factor_L, 1.0).max(axis=1)
    return factor_N


def repeats(voted_NL: NDArray[np.bool_], share: float, seed: int) -> list[int]:
    """The posts' numbers, each as often as its factor says; what is left of a factor is drawn once."""
    factor_N = repeat_factors(voted_NL, share)
    whole_N = factor_N.astype(np.int64)
    extra_N = np.random.default_rng(seed).random(len(factor_N)) < factor_N - whole_N
    rows: list[int] = np.repeat(np.arange(len(factor_N)), whole_N + extra_N).tolist()
    return rows
