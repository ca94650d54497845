"""Scores of labels to probabilities, within each group: softmax, or mappings that can give exactly 0."""

# B posts, K labels of a group, L labels of all groups

from collections.abc import Callable

import entmax
import torch
from torch import Tensor

from corpus_lonely.taxonomy import Taxonomy

_ALPHAS = {"entmax15": 1.5, "sparsemax": 2.0}
"""Of Tsallis's entropy, which each of them maximises beside the scores; Peters et al., ACL 2019."""
OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda scores_BK: scores_BK.softmax(dim=-1),
    "entmax15": lambda scores_BK: entmax.entmax15(scores_BK, dim=-1),
    "sparsemax": lambda scores_BK: entmax.sparsemax(scores_BK, dim=-1),
}


def by_group(output: str, scores_BL: Tensor, taxonomy: Taxonomy) -> Tensor:
    """(B, L) probabilities; those of each group of the taxonomy sum to 1."""
    shares = OUTPUTS[output] if output == "softmax" else _finite_rows(OUTPUTS[output])
    return torch.cat([shares(scores_BL[:, part]) for part in taxonomy.slices.values()], dim=-1)


def _finite_rows(mapping: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """NaN for rows with a number that is none, as softmax gives: sparse mappings would index beyond the row."""

    def mapped(scores_BK: Tensor) -> Tensor:
        finite_B1 = scores_BK.isfinite().all(dim=-1, keepdim=True)
        shares_BK = mapping(scores_BK.where(finite_B1, 0.0))
        return shares_BK.where(finite_B1, torch.nan)

    return mapped


def fenchel_young(output: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss that belongs to a sparse mapping, as KL belongs to softmax: of targets and scores, both (B, K).

    Blondel, Martins and Niculae, JMLR 2020: 0 where the mapping gives the target, and its gradient is the
    difference of the two, so that a label at exactly 0 can still come back. KL would be infinite there.
    """
    alpha = _ALPHAS[output]

    def loss(target_BK: Tensor, scores_BK: Tensor) -> Tensor:
        given_BK = OUTPUTS[output](scores_BK).detach()  # its own gradient cancels out: the envelope
        gap_B = ((given_BK - target_BK) * scores_BK).sum(dim=-1)
        return gap_B + _negentropy(target_BK, alpha) - _negentropy(given_BK, alpha)

    return loss


def without_small(shares_BK: Tensor, threshold: float) -> Tensor:
    """(B, K) with shares below the threshold at exactly 0, but never a row's largest; rows sum to 1 again."""
    largest_B1 = shares_BK.amax(dim=-1, keepdim=True)
    kept_BK = torch.where(shares_BK < largest_B1.clamp_max(threshold), 0.0, shares_BK)
    return kept_BK / kept_BK.sum(dim=-1, keepdim=True)


def _negentropy(shares_BK: Tensor, alpha: float) -> Tensor:
    """Tsallis's, with the sign turned: 0 where one label has all, below 0 elsewhere."""
    return (shares_BK.pow(alpha).sum(dim=-1) - 1) / (alpha * (alpha - 1))
