"""Scores of systems over seeds, and how sure their differences are: over posts, paired, and over seeds."""

# S seeds, N posts, M metrics, L labels, R replicates

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

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
    """Ends of the 95 % interval."""
    over_seeds: bool = True
    """Whether the interval reckons with other seeds; with one seed on a side it is over posts alone."""

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out, and reckons with what another seed would have given."""
        return self.over_seeds and (self.low > 0 or self.high < 0)


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) over seeds; no deviation of one seed, nor of infinite values."""
    several = len(values) > 1 and np.isfinite(values).all()
    deviation = float(np.std(values, ddof=1)) if several else float("nan")
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
    """Every metric of the groups, the system's less the baseline's, with intervals over posts and seeds.

    The posts drawn are the same for every pair of systems and the same `seed`. Efron and Tibshirani 1993,
    chapter 13. Drawing two or three seeds anew as well would tell too little of their spread (Hesterberg, The
    American Statistician 2015, on the bootstrap's narrowness in small samples), so that is reckoned: see `_interval`.
    With one seed on a side: the percentiles over posts, of just these runs.
    """
    posts = len(targets.values_NL)
    over_seeds = min(len(system_SNL), len(baseline_SNL)) > 1
    judges = [
        (group, [_judge(targets, group, scored) for scored in (system_SNL, baseline_SNL)])
        for group in groups
    ]
    drawn: dict[str, list[list[Array]]] = {group: [[], []] for group in groups}
    for counts_RN in _draws(posts, replicates, seed):
        for group, sides in judges:
            for place, judge in enumerate(sides):
                drawn[group][place].append(judge(counts_RN))
    found = []
    once_1N = np.ones((1, posts))
    for group, sides in judges:
        whole_SM, other_SM = (judge(once_1N)[0] for judge in sides)
        system_RSM, baseline_RSM = map(np.concatenate, drawn[group])
        value_M = whole_SM.mean(axis=0) - other_SM.mean(axis=0)
        if over_seeds:
            low_M, high_M = _interval(value_M, (whole_SM, other_SM), (system_RSM, baseline_RSM))
        else:
            drawn_RM = system_RSM.mean(axis=1) - baseline_RSM.mean(axis=1)
            low_M, high_M = np.percentile(drawn_RM, [2.5, 97.5], axis=0)
        ends = zip(_names(targets, group), value_M, low_M, high_M, strict=True)
        found += [
            Difference(group, name, float(value), float(low), float(high), over_seeds)
            for name, value, low, high in ends
        ]
    return found


def _interval(
    value_M: Array, whole: tuple[Array, Array], drawn: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Ends of value -+ t * sqrt(variance over posts and seeds).

    whole: (S, M) each side's figures, a seed at a time; drawn: (R, S, M) the same in every replicate.
    How seeds differ on single posts is in the variance over posts and in that over seeds, and is counted once.
    t has the degrees of freedom of Welch and Satterthwaite: few seeds tell little of their own spread.
    """
    of_seeds = [side_SM.var(axis=0, ddof=1) / len(side_SM) for side_SM in whole]
    twice_M = np.zeros_like(value_M)
    for side_RSM in drawn:
        seeds = side_RSM.shape[1]
        apart_RSM = side_RSM - side_RSM.mean(axis=1, keepdims=True)
        twice_M += apart_RSM.var(axis=0).sum(axis=0) / (seeds * (seeds - 1))
    posts_M = (drawn[0].mean(axis=1) - drawn[1].mean(axis=1)).var(axis=0)
    total_M = np.maximum(posts_M, posts_M - twice_M + sum(of_seeds))
    terms_M = sum(
        of_M**2 / (len(side_SM) - 1) for of_M, side_SM in zip(of_seeds, whole, strict=True)
    )
    freedom_M = total_M**2 / np.maximum(terms_M, 1e-300)
    half_M = stats.t.ppf(0.975, np.maximum(freedom_M, 1)) * np.sqrt(total_M)
    return value_M - half_M, value_M + half_M


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


def _judge(targets: Targets, group: str, scored_SNL: Array) -> Callable[[Array], Array]:
    """(R, N) draws to (R, S, M) metrics of one group, a seed at a time."""
    taxonomy = targets.taxonomy
    part = taxonomy.slices[group]
    if group == taxonomy.root.name:
        lonely_N = targets.values_NL[:, part][:, 1] > 0.5
        root_SNK = scored_SNL[:, :, part]
        called_SN = root_SNK[:, :, 1] > root_SNK[:, :, 0]
        return lambda counts_RN: _binary(counts_RN, lonely_N, called_SN)
    target_NK, known_N = targets.group(taxonomy.category_of(group))
    by_post_NSM = np.stack(
        [_by_post(target_NK, scored_NL[known_N, part]) for scored_NL in scored_SNL], axis=1
    )
    flat_NX = by_post_NSM.reshape(len(by_post_NSM), -1)

    def judge(counts_RN: Array) -> Array:
        drawn_RN = counts_RN[:, known_N]
        means_RX = drawn_RN @ flat_NX / np.maximum(drawn_RN.sum(axis=1)[:, None], 1)
        means_RSM: Array = means_RX.reshape(-1, *by_post_NSM.shape[1:])
        return means_RSM

    return judge


def _by_post(target_NK: Array, scored_NK: Array) -> Array:
    """(N, M) each metric of each post."""
    names = metrics.DISTRIBUTION_METRICS
    found_NM = np.stack([metrics.BY_POST[name](target_NK, scored_NK) for name in names], axis=1)
    return np.where(np.isfinite(found_NM), found_NM, np.nan)  # an infinite KL has no difference


def _binary(counts_RN: Array, lonely_N: NDArray[np.bool_], called_SN: NDArray[np.bool_]) -> Array:
    """(R, S, 4) accuracy, precision, recall and F1 of the drawn posts."""
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
    return np.stack(values, axis=2)
