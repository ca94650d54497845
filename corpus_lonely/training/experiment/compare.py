"""Scores of systems over seeds, and how sure their differences are: a paired bootstrap over posts."""

# S seeds, N posts, M metrics, L labels, R replicates

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus_lonely import metrics
from corpus_lonely.metrics import Array, Targets

Results = dict[str, dict[str, float]]
_AT_ONCE = 500
"""Replicates drawn at a time."""


@dataclass(frozen=True)
class Difference:
    """Of one metric between two systems, each the mean over its seeds."""

    group: str
    metric: str
    value: float
    """The system's less the baseline's."""
    low: float
    high: float
    """Ends of the 95 % percentile interval over posts; the seeds are taken as they are."""

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) over seeds; no deviation of one seed."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return float(np.mean(values)), deviation


def mean_results(results: Sequence[Results]) -> dict[str, dict[str, tuple[float, float]]]:
    """`spread` of each group's metrics over the seeds."""
    return {
        group: {name: spread([one[group][name] for one in results]) for name in found}
        for group, found in results[0].items()
    }


def differences(
    targets: Targets,
    system_SNL: Array,
    baseline_SNL: Array,
    groups: Sequence[str],
    replicates: int = 10_000,
    seed: int = 0,
) -> list[Difference]:
    """Every metric of the groups, the system's less the baseline's, with intervals over posts.

    The posts drawn are the same for every pair of systems and the same seed. Efron and Tibshirani 1993,
    chapter 13. What another training seed would have given is not in the intervals: that is what the
    standard deviation over seeds tells.
    """
    posts = len(targets.values_NL)
    once_1N = np.ones((1, posts))
    found = []
    for group in groups:
        judge = _judge(targets, group, system_SNL, baseline_SNL)
        names = _names(targets, group)
        whole_M = judge(once_1N)[0]
        drawn_RM = np.concatenate([judge(counts) for counts in _draws(posts, replicates, seed)])
        low_M, high_M = np.percentile(drawn_RM, [2.5, 97.5], axis=0)
        found += [
            Difference(group, name, *map(float, row))
            for name, *row in zip(names, whole_M, low_M, high_M, strict=True)
        ]
    return found


def _names(targets: Targets, group: str) -> Sequence[str]:
    is_root = group == targets.taxonomy.root.name
    return metrics.BINARY_METRICS if is_root else metrics.DISTRIBUTION_METRICS


def _draws(posts: int, replicates: int, seed: int) -> Iterator[Array]:
    """(R, N) how often each post is drawn, some replicates at a time."""
    dice = np.random.default_rng(seed)
    shares_N = np.full(posts, 1 / posts)
    for start in range(0, replicates, _AT_ONCE):
        size = min(_AT_ONCE, replicates - start)
        yield dice.multinomial(posts, shares_N, size=size).astype(np.float64)


def _judge(
    targets: Targets, group: str, system_SNL: Array, baseline_SNL: Array
) -> Callable[[Array], Array]:
    """(R, N) draws to (R, M) differences in one group."""
    taxonomy = targets.taxonomy
    if group == taxonomy.root.name:
        part = taxonomy.slices[group]
        lonely_N = targets.values_NL[:, part][:, 1] > 0.5
        pair = [
            scored_SNL[:, :, part][:, :, 1] > scored_SNL[:, :, part][:, :, 0]
            for scored_SNL in (system_SNL, baseline_SNL)
        ]
        return lambda counts_RN: np.subtract(*(_binary(counts_RN, lonely_N, p) for p in pair))
    target_NK, known_N = targets.group(taxonomy.category_of(group))
    by_post_NM = np.subtract(
        *(
            _by_post(target_NK, scored_SNL[:, known_N, taxonomy.slices[group]])
            for scored_SNL in (system_SNL, baseline_SNL)
        )
    )

    def judge(counts_RN: Array) -> Array:
        drawn_RN = counts_RN[:, known_N]
        means_RM: Array = drawn_RN @ by_post_NM / np.maximum(drawn_RN.sum(axis=1)[:, None], 1)
        return means_RM

    return judge


def _by_post(target_NK: Array, scored_SNK: Array) -> Array:
    """(N, M) each metric of each post, its mean over the seeds."""
    metrics_ = [
        np.mean([metrics.BY_POST[name](target_NK, scored_NK) for scored_NK in scored_SNK], axis=0)
        for name in metrics.DISTRIBUTION_METRICS
    ]
    return np.stack(metrics_, axis=1)


def _binary(counts_RN: Array, lonely_N: NDArray[np.bool_], called_SN: NDArray[np.bool_]) -> Array:
    """(R, 4) accuracy, precision, recall and F1 of the drawn posts, their mean over the seeds."""
    hits_RS = counts_RN @ (called_SN & lonely_N).T
    called_RS, lonely_R1 = counts_RN @ called_SN.T, (counts_RN @ lonely_N)[:, None]
    right_RS = counts_RN @ (called_SN == lonely_N).T
    total_R1 = counts_RN.sum(axis=1)[:, None]
    values = (
        right_RS / total_R1,
        hits_RS / np.maximum(called_RS, 1),
        hits_RS / np.maximum(lonely_R1, 1),
        2 * hits_RS / np.maximum(called_RS + lonely_R1, 1),
    )
    return np.stack([value.mean(axis=1) for value in values], axis=1)
