"""Distances between distributions, and the losses of each group: Jiang, eq. 1."""

# B posts, K labels of a group, L labels of all groups

from collections.abc import Callable

import torch
from torch import Tensor

from corpus_lonely.taxonomy import Taxonomy

_SMALLEST = 1e-12


def kl(target_BK: Tensor, predicted_BK: Tensor) -> Tensor:
    """KL(target || predicted) of each post, nats."""
    log_ratio = target_BK.clamp_min(_SMALLEST).log() - predicted_BK.clamp_min(_SMALLEST).log()
    return (target_BK * log_ratio).sum(dim=-1)


def cross_entropy(target_BK: Tensor, predicted_BK: Tensor) -> Tensor:
    """-sum of target * log(predicted) of each post, nats: KL plus the target's own entropy."""
    return -(target_BK * predicted_BK.clamp_min(_SMALLEST).log()).sum(dim=-1)


def hellinger(target_BK: Tensor, predicted_BK: Tensor) -> Tensor:
    """Squared Hellinger distance of each post, 0 to 1: 1 - sum of sqrt(target * predicted).

    Squared, for the distance itself has no derivative where the two agree.
    """
    # the root of each alone: the root of a product has no gradient where the target is 0
    return 1 - (target_BK.sqrt() * predicted_BK.clamp_min(_SMALLEST).sqrt()).sum(dim=-1)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "kl": kl,
    "cross-entropy": cross_entropy,
    "hellinger": hellinger,
}


def group_losses(
    name: str, target_BL: Tensor, predicted_BL: Tensor, taxonomy: Taxonomy
) -> dict[str, Tensor]:
    """The mean loss of each group over the posts that have a target in it.

    A post without a target in a group has zeros there: non-lonely posts have none in the categories.
    A group that no post of the batch has a target in costs 0.
    """
    distance = LOSSES[name]
    losses = {}
    for group, part in taxonomy.slices.items():
        target_BK = target_BL[:, part]
        known_B = (target_BK.sum(dim=-1) > 0).to(target_BK.dtype)
        cost_B = distance(target_BK, predicted_BL[:, part]) * known_B
        losses[group] = cost_B.sum() / known_B.sum().clamp_min(1)
    return losses


def equal_weights(losses: dict[str, Tensor], taxonomy: Taxonomy) -> Tensor:
    """Eq. 1: the root's loss plus the mean of the categories'."""
    categories = [losses[category.name] for category in taxonomy.categories]
    return losses[taxonomy.root.name] + torch.stack(categories).mean()
