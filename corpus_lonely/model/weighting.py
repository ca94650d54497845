"""How the losses of several heads and groups become one: the paper's weights, and what others propose.

All but `Equal` and `Surgery` look at how large losses are, and so at the distance: KL can fall to 0 in every group,
cross-entropy to the entropy of its targets, which differs between groups.
"""

# H heads (global and local, or flat), G groups that are learnt (the root and categories)

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torchjd.scalarization import DWA, IMTLL, UW, Scalarizer

from corpus_lonely.model.losses import equal_shares

HEADS = "heads"
"""The panel of weights that weigh heads against each other: the paper's Lambda."""
GROUPS = "groups"
"""The panel of weights of groups where the heads are not told apart."""
Weights = dict[str, dict[str, float]]
"""Panel to what is weighed to its share; the shares of a panel sum to 1."""


class Weighting(nn.Module):
    """The losses of heads and groups, to one that is trained on.

    Its parameters are trained with the network's, and it is no part of the network: once training is
    over, nobody asks for it.
    """

    def __init__(self, heads: Sequence[str], groups: Sequence[str]) -> None:
        super().__init__()
        self.heads, self.groups = tuple(heads), tuple(groups)

    def forward(self, losses_HG: Tensor) -> Tensor:
        """The loss to descend, a scalar."""
        raise NotImplementedError

    def weights(self) -> Weights:
        """The weights now, as shares; empty where they do not change."""
        return {}

    def end_epoch(self) -> None:
        """Told at the end of each epoch."""


class Equal(Weighting):
    """Jiang, eq. 1: the root's loss plus the mean of the categories', and the heads' mean of that."""

    def __init__(self, heads: Sequence[str], groups: Sequence[str], root: str) -> None:
        super().__init__(heads, groups)
        self.register_buffer("shares_G", equal_shares(groups, root), persistent=False)

    def forward(self, losses_HG: Tensor) -> Tensor:
        return (losses_HG @ self.get_buffer("shares_G")).mean()


class Learned(Weighting):
    """Jiang, eqs. 2 to 4: weights on the simplex over each head's groups, and over the heads.

    Each is a softmax of free numbers that start equal. The loss is linear in the weights, so descending
    it carries them to the vertex of the smallest loss, whatever the tasks; `entropy` adds
    -entropy * H(weights) for each of them; then the minimum over a head's groups is
    softmax(-losses / entropy) instead.

    entropy: nats of loss that a nat of the weights' entropy is worth; 0 is the paper's.
    """

    def __init__(self, heads: Sequence[str], groups: Sequence[str], entropy: float = 0.0) -> None:
        super().__init__(heads, groups)
        self.entropy = entropy
        self.groups_HG = nn.Parameter(torch.zeros(len(heads), len(groups)))
        self.heads_H = nn.Parameter(torch.zeros(len(heads)))

    def forward(self, losses_HG: Tensor) -> Tensor:
        gamma_HG, lambda_H = self.groups_HG.softmax(dim=1), self.heads_H.softmax(dim=0)
        loss_H = (gamma_HG * losses_HG).sum(dim=1)
        if not self.entropy:
            return lambda_H @ loss_H
        # a head's entropy is weighed as its losses are: else a light head's weights would be flatter
        return lambda_H @ (loss_H - self.entropy * _entropy(gamma_HG)) - self.entropy * _entropy(
            lambda_H
        )

    @torch.no_grad()
    def weights(self) -> Weights:
        shares: Weights = {
            head: _named(self.groups, self.groups_HG[place].softmax(dim=0))
            for place, head in enumerate(self.heads)
        }
        if len(self.heads) > 1:
            shares[HEADS] = _named(self.heads, self.heads_H.softmax(dim=0))
        return shares


class ByGroup(Weighting):
    """A weighting of torchjd over the groups' losses, each the mean of its heads'."""

    def __init__(self, heads: Sequence[str], groups: Sequence[str], scalarizer: Scalarizer) -> None:
        super().__init__(heads, groups)
        self.scalarizer = scalarizer
        self.register_buffer("shares_G", torch.full((len(groups),), 1 / len(groups)))

    def forward(self, losses_HG: Tensor) -> Tensor:
        losses_G = losses_HG.mean(dim=0)
        loss: Tensor = self.scalarizer(losses_G)
        if losses_G.requires_grad:
            # the weight of a loss is what its gradient is multiplied by
            (weights_G,) = torch.autograd.grad(loss, losses_G, retain_graph=True)
            self.get_buffer("shares_G").copy_(weights_G / weights_G.sum())
        return loss

    def weights(self) -> Weights:
        return {GROUPS: _named(self.groups, self.get_buffer("shares_G"))}


class DynamicAverage(ByGroup):
    """Dynamic weight average, which looks at the last two epochs: they are kept for a resumed run.

    torchjd's DWA holds them where no checkpoint sees them, so they are counted here too, and told to it
    again.
    """

    def __init__(self, heads: Sequence[str], groups: Sequence[str]) -> None:
        super().__init__(heads, groups, DWA())
        self.register_buffer("sum_G", torch.zeros(len(groups)))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("averages_2G", torch.full((2, len(groups)), torch.nan))

    def forward(self, losses_HG: Tensor) -> Tensor:
        self.get_buffer("sum_G").add_(losses_HG.detach().mean(dim=0))
        self.get_buffer("batches").add_(1)
        return super().forward(losses_HG)

    def end_epoch(self) -> None:
        averages_2G, sum_G = self.get_buffer("averages_2G"), self.get_buffer("sum_G")
        averages_2G.copy_(torch.stack([averages_2G[1], sum_G / self.get_buffer("batches")]))
        sum_G.zero_()
        self.get_buffer("batches").zero_()
        self._tell()

    def load_state_dict(self, *arguments: object, **named: object) -> object:
        told = super().load_state_dict(*arguments, **named)  # type: ignore[arg-type]
        self._tell()
        return told

    def _tell(self) -> None:
        dwa = self.scalarizer
        assert isinstance(dwa, DWA)  # noqa: S101  (as made above)
        dwa.reset()
        for average_G in self.get_buffer("averages_2G"):
            if bool(average_G.isfinite().all()):
                dwa(average_G)
                dwa.step()


class Surgery(Equal):
    """PCGrad: a group's gradient that points against another's loses that part of it.

    The groups' losses are weighed as eq. 1 does, so where no two gradients conflict nothing changes. What is
    done to gradients is the Trainer's to do (`training/weighted.py`); it tells the weights that it came to.
    """

    def __init__(self, heads: Sequence[str], groups: Sequence[str], root: str) -> None:
        super().__init__(heads, groups, root)
        self.register_buffer("last_G", torch.full((len(groups),), 1 / len(groups)))

    def losses(self, losses_HG: Tensor) -> list[Tensor]:
        """A loss for each group."""
        return list(losses_HG.mean(dim=0) * self.get_buffer("shares_G"))

    def keep(self, weights_G: Tensor) -> None:
        """Remembers how often each group's gradient went into a step's; 1 is where nothing conflicts."""
        self.get_buffer("last_G").copy_(weights_G / weights_G.sum())

    def weights(self) -> Weights:
        return {GROUPS: _named(self.groups, self.get_buffer("last_G"))}


def make_weighting(
    name: str, heads: Sequence[str], groups: Sequence[str], root: str, entropy: float
) -> Weighting:
    """The weighting of that name; ValueError when there is none.

    heads, groups: in the order of the losses.
    root: the group that eq. 1 weighs as much as all others together.
    """
    makers: dict[str, Callable[[], Weighting]] = {
        "equal": lambda: Equal(heads, groups, root),
        "learned": lambda: Learned(heads, groups),
        "learned-entropy": lambda: Learned(heads, groups, entropy),
        "uncertainty": lambda: ByGroup(heads, groups, UW(len(groups))),
        "imtl-l": lambda: ByGroup(heads, groups, IMTLL(len(groups))),
        "dwa": lambda: DynamicAverage(heads, groups),
        "pcgrad": lambda: Surgery(heads, groups, root),
    }
    if name not in makers:
        raise ValueError(f"no weighting {name!r}; there are {', '.join(makers)}")
    return makers[name]()


def _entropy(shares: Tensor) -> Tensor:
    spread: Tensor = torch.special.entr(shares).sum(dim=-1)
    return spread


def _named(names: Sequence[str], shares: Tensor) -> dict[str, float]:
    return dict(zip(names, shares.tolist(), strict=True))
