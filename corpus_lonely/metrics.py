"""The paper's metrics, trivial baselines and floors, in NumPy; no model here."""

# N posts, K labels of a category, L labels of all groups

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus_lonely.taxonomy import Category, Taxonomy

Array = NDArray[np.float64]

BINARY_METRICS = ("accuracy", "precision", "recall", "f1")
DISTRIBUTION_METRICS = ("accuracy", "clark", "canberra", "cosine", "intersection", "kl", "js")
LOWER_IS_BETTER = frozenset({"clark", "canberra", "kl", "js"})


def mode_accuracy(target_NK: Array, predicted_NK: Array) -> Array:
    """Whether the predicted mode is among the target's: Jiang, table 2.

    Where several labels share the greatest predicted probability, as under a uniform guess, the share
    of them that are modes of the target: what choosing one at random would score on average.
    """
    target_modes_NK = np.isclose(target_NK, target_NK.max(axis=1, keepdims=True))
    predicted_modes_NK = predicted_NK == predicted_NK.max(axis=1, keepdims=True)
    hits_N: Array = (target_modes_NK & predicted_modes_NK).sum(axis=1) / predicted_modes_NK.sum(
        axis=1
    )
    return hits_N


def _ratio(target_NK: Array, predicted_NK: Array) -> Array:
    """|P - Q| / (P + Q), with 0/0 = 0 as in SciPy's `canberra`."""
    total_NK = target_NK + predicted_NK
    difference_NK = np.abs(target_NK - predicted_NK)
    return np.divide(difference_NK, total_NK, out=np.zeros_like(total_NK), where=total_NK > 0)


def clark(target_NK: Array, predicted_NK: Array) -> Array:
    """Clark distance of each post: Jiang, table 2."""
    distance_N: Array = np.sqrt((_ratio(target_NK, predicted_NK) ** 2).sum(axis=1))
    return distance_N


def canberra(target_NK: Array, predicted_NK: Array) -> Array:
    """Canberra metric of each post: Jiang, table 2."""
    distance_N: Array = _ratio(target_NK, predicted_NK).sum(axis=1)
    return distance_N


def cosine(target_NK: Array, predicted_NK: Array) -> Array:
    """Cosine similarity of each post: Jiang, table 2."""
    norms_N = np.linalg.norm(target_NK, axis=1) * np.linalg.norm(predicted_NK, axis=1)
    similarity_N: Array = (target_NK * predicted_NK).sum(axis=1) / norms_N
    return similarity_N


def intersection(target_NK: Array, predicted_NK: Array) -> Array:
    """Intersection similarity of each post: Jiang, table 2. 1 less the total variation distance."""
    similarity_N: Array = np.minimum(target_NK, predicted_NK).sum(axis=1)
    return similarity_N


def kl(target_NK: Array, predicted_NK: Array) -> Array:
    """KL(target || predicted) of each post, nats; infinite where a label with votes has probability exactly 0."""
    voted_NK, given_NK = target_NK > 0, predicted_NK > 0
    ratio_NK = np.divide(
        target_NK, predicted_NK, out=np.ones_like(target_NK), where=voted_NK & given_NK
    )
    costs_NK = np.where(voted_NK & ~given_NK, np.inf, target_NK * np.log(ratio_NK))
    divergence_N: Array = costs_NK.sum(axis=1)
    return divergence_N


def js(target_NK: Array, predicted_NK: Array) -> Array:
    """Jensen-Shannon divergence of each post, nats, 0 to log 2."""
    middle_NK = (target_NK + predicted_NK) / 2
    divergence_N: Array = (kl(target_NK, middle_NK) + kl(predicted_NK, middle_NK)) / 2
    return divergence_N


def binary_metrics(target_N: NDArray[np.bool_], predicted_N: NDArray[np.bool_]) -> dict[str, float]:
    """Accuracy, and precision, recall and F1 of the positive class; 0 where nothing was predicted."""
    hits = float((target_N & predicted_N).sum())
    precision = hits / predicted_N.sum() if predicted_N.any() else 0.0
    recall = hits / target_N.sum() if target_N.any() else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    accuracy = float((target_N == predicted_N).mean())
    return {
        "accuracy": accuracy,
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
    }


BY_POST: dict[str, Callable[[Array, Array], Array]] = {
    "accuracy": mode_accuracy,
    "clark": clark,
    "canberra": canberra,
    "cosine": cosine,
    "intersection": intersection,
    "kl": kl,
    "js": js,
}
"""Each metric of distributions: (N, K) targets and predictions to (N)."""


def distribution_metrics(target_NK: Array, predicted_NK: Array) -> dict[str, float]:
    """Every metric of distributions, each averaged a post at a time."""
    return {name: float(metric(target_NK, predicted_NK).mean()) for name, metric in BY_POST.items()}


def softmax_floors(target_NK: Array) -> dict[str, float]:
    """The best that a prediction without exact zeros can reach, for metrics where that is not 0 or 1.

    A label nobody voted for costs 1 in Clark's sum and in Canberra's, whatever its small probability.
    """
    unvoted_N = (target_NK == 0).sum(axis=1)
    return {"clark": float(np.sqrt(unvoted_N).mean()), "canberra": float(unvoted_N.mean())}


@dataclass(frozen=True)
class Targets:
    """Labelled posts as distributions, side by side as a model's outputs are."""

    taxonomy: Taxonomy
    values_NL: Array
    """(N, L): each group of a row sums to 1, or is all zero where the post has no target in it."""

    def group(self, group: Category) -> tuple[Array, NDArray[np.bool_]]:
        """The targets of one group among the posts that have one, and which posts those are."""
        part_NK = self.values_NL[:, self.taxonomy.slices[group.name]]
        known_N = part_NK.sum(axis=1) > 0
        return part_NK[known_N], known_N


def evaluate(targets: Targets, predicted_NL: Array) -> dict[str, dict[str, float]]:
    """The root's binary metrics over all posts, the categories' over posts with a target in them.

    Not gated by the predicted root, as in the paper: the categories are judged on truly lonely posts.
    """
    taxonomy = targets.taxonomy
    predicted_NL = predicted_NL.astype(np.float64)
    root_NK, known_N = targets.group(taxonomy.root)
    root_predicted_NK = predicted_NL[known_N][:, taxonomy.slices[taxonomy.root.name]]
    results = {
        taxonomy.root.name: binary_metrics(
            root_NK[:, 1] > root_NK[:, 0], root_predicted_NK[:, 1] > root_predicted_NK[:, 0]
        )
    }
    for category in taxonomy.categories:
        target_NK, known_N = targets.group(category)
        predicted_NK = predicted_NL[known_N][:, taxonomy.slices[category.name]]
        results[category.name] = distribution_metrics(target_NK, predicted_NK)
    return results


def baselines(targets: Targets, train_means_L: Array) -> dict[str, dict[str, dict[str, float]]]:
    """What guesses that read no text score: uniform, the training mean, its mode alone; of the root also always yes.

    train_means_L: (L) the mean target of each label in training.
    """
    taxonomy = targets.taxonomy
    guesses = {
        "uniform": np.concatenate(
            [np.full(len(group.labels), 1 / len(group.labels)) for group in taxonomy.groups]
        ),
        "train mean": train_means_L,
        "train mode": np.concatenate(
            [_one_hot(train_means_L[part]) for part in taxonomy.slices.values()]
        ),
    }
    rows = len(targets.values_NL)
    found = {name: evaluate(targets, np.tile(guess, (rows, 1))) for name, guess in guesses.items()}
    root_NK, _ = targets.group(taxonomy.root)
    yes_N = np.ones(len(root_NK), dtype=np.bool_)
    always = binary_metrics(root_NK[:, 1] > root_NK[:, 0], yes_N)
    return {**found, f"always {taxonomy.root.name}": {taxonomy.root.name: always}}


def _one_hot(means_K: Array) -> Array:
    chosen_K: Array = np.eye(len(means_K))[int(means_K.argmax())]
    return chosen_K


def floors(targets: Targets) -> dict[str, dict[str, float]]:
    """`softmax_floors` of each category."""
    return {
        category.name: softmax_floors(targets.group(category)[0])
        for category in targets.taxonomy.categories
    }


def mean_targets(targets: Targets) -> Array:
    """(L) the mean target of each label over the posts that have one in its group."""
    means = [
        targets.group(group)[0].mean(axis=0)
        if targets.group(group)[1].any()
        else np.full(len(group.labels), 1 / len(group.labels))
        for group in targets.taxonomy.groups
    ]
    return np.concatenate(means)


def selection_score(results: dict[str, dict[str, float]], taxonomy: Taxonomy) -> float:
    """One number to choose a checkpoint by: the mean over the groups in `results`.

    The root counts with its F1, a category with the mean of accuracy, cosine and intersection. Clark
    and Canberra are left out: a constant one-hot guess beats any softmax on them.
    """
    scores = [
        values["f1"]
        if group == taxonomy.root.name
        else float(np.mean([values[name] for name in ("accuracy", "cosine", "intersection")]))
        for group, values in results.items()
    ]
    return float(np.mean(scores))
