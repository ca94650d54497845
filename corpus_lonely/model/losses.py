"""Distances between distributions, and the losses of each group: Jiang, eq. 1."""

# B posts, K labels of a group, L labels of all groups, G groups

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

_SMALLEST = 1e-12


def kl(target_BK: Tensor, predicted_BK: Tensor) -> Tensor:
    """KL(target || predicted) of each post, nats."""
    log_ratio = target_BK.clamp_min(_SMALLEST).log() - predicted_BK.clamp_min(_SMALLEST).log()
    return (target_BK * log_ratio).sum(dim=-1)


def cross_entropy(target_BK: Tensor, predicted_BK: Tensor) -> Tensor:
    """-sum of target * log(predicted) of each post, nats: KL plus the target's own entropy.

    The network's gradients are KL's; what weighs a loss by its size sees another floor in every group.
    """
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
    distance: Callable[[Tensor, Tensor], Tensor],
    target_BL: Tensor,
    predicted_BL: Tensor,
    parts: Mapping[str, slice],
) -> Tensor:
    """(G) the mean loss of each group over the posts that have a target in it.

    distance: of targets and what is predicted, both (B, K); one of LOSSES, for probabilities.
    parts: where each of G groups stands among the labels.
    A post without a target in a group has zeros there: non-lonely posts have none in the categories.
    A group that no post of the batch has a target in costs 0.
    """
    losses = []
    for part in parts.values():
        target_BK = target_BL[:, part]
        known_B = (target_BK.sum(dim=-1) > 0).to(target_BK.dtype)
        cost_B = distance(target_BK, predicted_BL[:, part]) * known_B
        losses.append(cost_B.sum() / known_B.sum().clamp_min(1))
    return torch.stack(losses)


def equal_shares(groups: Sequence[str], root: str) -> Tensor:
    """(G) eq. 1's weights: 1 for the root, and 1 shared by the categories."""
    categories = max(1, len(groups) - (root in groups))
    return torch.tensor([1.0 if group == root else 1 / categories for group in groups])
