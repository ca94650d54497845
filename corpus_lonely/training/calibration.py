"""What is fitted to votes when a model is there: temperatures and thresholds; and whether probabilities fit them."""

# N posts, K labels of a group, L labels of all groups

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.optimize import minimize_scalar

from corpus_lonely import metrics
from corpus_lonely.metrics import Array, Targets
from corpus_lonely.model import outputs
from corpus_lonely.training.curve import LINES

_SMALLEST = 1e-12
_COLDEST, _HOTTEST = 0.2, 5.0
_BINS = 10
_THRESHOLDS = np.round(np.arange(0, 0.31, 0.01), 2)
_CHOSEN_BY = ("accuracy", "cosine", "intersection")
"""As `metrics.selection_score`; Clark and Canberra would be gamed (a guess of one label is best)."""


def temper(predicted_NK: Array, temperature: float) -> Array:
    """(N, K) p^(1/T), made to sum to 1 again: above 1 flatter, below 1 steeper, the order and every 0 as it was."""
    raised_NK = predicted_NK ** (1 / temperature)
    shares_NK: Array = raised_NK / raised_NK.sum(axis=1, keepdims=True)
    return shares_NK


def fit_temperatures(
    targets: Targets, predicted_NL: Array, groups: Sequence[str]
) -> dict[str, float]:
    """The temperature of each group under which the votes are likeliest: the least mean KL.

    Guo et al., ICML 2017, on distributions of votes instead of one true label.
    """
    by_name = {group.name: group for group in targets.taxonomy.groups}
    found = {}
    for name in groups:
        target_NK, known_N = targets.group(by_name[name])
        predicted_NK = predicted_NL[known_N][:, targets.taxonomy.slices[name]]

        def cost(log_t: float, target: Array = target_NK, predicted: Array = predicted_NK) -> float:
            tempered = temper(predicted, float(np.exp(log_t)))
            # a sparse output's zeros stay zeros at any temperature: they must not hide the other labels
            return float(metrics.kl(target, np.maximum(tempered, _SMALLEST)).mean())

        bounds = (np.log(_COLDEST), np.log(_HOTTEST))
        found[name] = float(np.exp(minimize_scalar(cost, bounds=bounds, method="bounded").x))
    return found


def changed_by_group(
    change: Callable[[Array, float], Array],
    targets: Targets,
    predicted_NL: Array,
    fitted: Mapping[str, float],
) -> Array:
    """(N, L) `temper` or `without_small` of every group that something was fitted for."""
    result_NL = predicted_NL.copy()
    for name, value in fitted.items():
        part = targets.taxonomy.slices[name]
        result_NL[:, part] = change(predicted_NL[:, part], value)
    return result_NL


def without_small(predicted_NK: Array, threshold: float) -> Array:
    """(N, K) `outputs.without_small`, as the network does it."""
    cut_NK: Array = outputs.without_small(torch.from_numpy(predicted_NK), threshold).numpy()
    return cut_NK


def fit_thresholds(
    targets: Targets, predicted_NL: Array, groups: Sequence[str]
) -> dict[str, float]:
    """The threshold of each category with the best mean of accuracy, cosine and intersection, in steps of .01.

    None of the root: P(lonely) is a probability that studies add up, and 0 would be too much said.
    """
    found = {}
    for category in targets.taxonomy.categories:
        if category.name in groups:
            target_NK, known_N = targets.group(category)
            predicted_NK = predicted_NL[known_N][:, targets.taxonomy.slices[category.name]]
            scores = [
                np.mean([metrics.BY_POST[name](target_NK, cut_NK).mean() for name in _CHOSEN_BY])
                for cut_NK in (without_small(predicted_NK, threshold) for threshold in _THRESHOLDS)
            ]
            found[category.name] = float(_THRESHOLDS[int(np.argmax(scores))])
    return found


@dataclass(frozen=True)
class Bin:
    """Labels that were given a probability between two bounds."""

    predicted: float
    """The mean probability given."""
    voted: float
    """The mean share of votes."""
    count: int
    """Posts times labels in the bin."""


def reliability(target_NK: Array, predicted_NK: Array) -> list[Bin]:
    """Probabilities in ten bins of equal width; empty ones are left out."""
    which = np.minimum((predicted_NK * _BINS).astype(int), _BINS - 1).ravel()
    predicted, voted = predicted_NK.ravel(), target_NK.ravel()
    return [
        Bin(float(predicted[inside].mean()), float(voted[inside].mean()), int(inside.sum()))
        for inside in (which == place for place in range(_BINS))
        if inside.any()
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: |predicted - voted|, its mean over bins by their counts."""
    total = sum(entry.count for entry in bins)
    return sum(abs(entry.predicted - entry.voted) * entry.count for entry in bins) / total


def reliability_of(
    targets: Targets, predicted_NL: Array, groups: Sequence[str]
) -> dict[str, list[Bin]]:
    """`reliability` of each group, over the posts with a target in it."""
    found = {}
    for group in targets.taxonomy.groups:
        if group.name in groups:
            target_NK, known_N = targets.group(group)
            part = targets.taxonomy.slices[group.name]
            found[group.name] = reliability(target_NK, predicted_NL[known_N][:, part])
    return found


def draw_reliability(found: Mapping[str, Sequence[Bin]], path: Path, kind: str = "png") -> None:
    """A panel a group: the share of votes against the probability given; on the diagonal they agree."""
    figure = Figure(figsize=(2.6 * len(found), 3.1), layout="constrained")
    every = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    for axes, (group, bins) in zip(every, found.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="#6b6b6b", linewidth=0.8)
        sizes = np.array([entry.count for entry in bins])
        axes.plot([b.predicted for b in bins], [b.voted for b in bins], color=LINES[0])
        axes.scatter(
            [b.predicted for b in bins],
            [b.voted for b in bins],
            s=12 + 100 * sizes / sizes.max(),
            color=LINES[0],
            alpha=0.7,
        )
        axes.set(title=group, xlabel="Probability given", xlim=(0, 1), ylim=(0, 1))
        axes.text(0.05, 0.92, f"off by {calibration_error(bins):.3f}", transform=axes.transAxes)
        axes.spines[["top", "right"]].set_visible(False)
    every[0].set_ylabel("Share of votes")
    figure.savefig(path, dpi=150, format=kind)
