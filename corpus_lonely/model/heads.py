"""Heads over the label hierarchy: one flat MLP, and the HDLN with global and local classifiers."""

# B posts, X encoder hidden, D head hidden, L labels of all groups

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from corpus_lonely.taxonomy import Taxonomy

Norm = Literal["batch", "layer", "none"]


class Predictions(NamedTuple):
    """Distributions over each group's labels, side by side; every group of a row sums to 1."""

    final_BL: Tensor
    """What is evaluated and scored."""
    heads: dict[str, Tensor]
    """What each loss is taken of: `global` and `local` for HDLN, `flat` for MLP; each (B, L)."""


def softmax_by_group(logits_BL: Tensor, taxonomy: Taxonomy) -> Tensor:
    """A softmax within each group of the taxonomy."""
    return torch.cat(
        [logits_BL[:, part].softmax(dim=-1) for part in taxonomy.slices.values()], dim=-1
    )


def _layer(inputs: int, outputs: int, norm: Norm, dropout: float) -> nn.Sequential:
    norms: dict[Norm, nn.Module] = {
        "batch": nn.BatchNorm1d(outputs),
        "layer": nn.LayerNorm(outputs),
        "none": nn.Identity(),
    }
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), norms[norm], nn.Dropout(dropout))


class MLPHead(nn.Module):
    """The paper's "BERT + MLP": one flat head, softmax within each group."""

    def __init__(
        self, inputs: int, taxonomy: Taxonomy, hidden: int, norm: Norm, dropout: float
    ) -> None:
        super().__init__()
        self.taxonomy = taxonomy
        self.hidden = _layer(inputs, hidden, norm, dropout)
        self.out = nn.Linear(hidden, taxonomy.num_outputs)

    def forward(self, pooled_BX: Tensor) -> Predictions:
        """Distributions from the encoder's representation of each post."""
        flat_BL = softmax_by_group(self.out(self.hidden(pooled_BX)), self.taxonomy)
        return Predictions(flat_BL, {"flat": flat_BL})


class HDLNHead(nn.Module):
    """Hierarchical distributional learning network: Jiang, section 4.2, on HMCN-F.

    Wehrmann et al., ICML 2018: `A_G1 = f(W1 x)`, `A_G2 = f(W2 [A_G1, x])`, the global classifier on
    `A_G2`; a local classifier per group on its own transition of its level, `A_L = f(T A_G)`: level 1
    has the root, level 2 the categories. Probabilities are mixed, not logits:
    `P_F = beta * P_L + (1 - beta) * P_G`.

    rejoin: join x once more before the global classifier, as some implementations do.
    """

    def __init__(
        self,
        inputs: int,
        taxonomy: Taxonomy,
        hidden: int,
        norm: Norm,
        dropout: float,
        beta: float,
        rejoin: bool,
    ) -> None:
        super().__init__()
        self.taxonomy, self.beta, self.rejoin = taxonomy, beta, rejoin
        self.level_1 = _layer(inputs, hidden, norm, dropout)
        self.level_2 = _layer(hidden + inputs, hidden, norm, dropout)
        self.global_out = nn.Linear(hidden + inputs * rejoin, taxonomy.num_outputs)
        self.transitions = nn.ModuleDict(
            {group.name: _layer(hidden, hidden, norm, dropout) for group in taxonomy.groups}
        )
        self.local_outs = nn.ModuleDict(
            {group.name: nn.Linear(hidden, len(group.labels)) for group in taxonomy.groups}
        )

    def forward(self, pooled_BX: Tensor) -> Predictions:
        """Distributions from the encoder's representation of each post."""
        level_1_BD = self.level_1(pooled_BX)
        level_2_BD = self.level_2(torch.cat([level_1_BD, pooled_BX], dim=-1))
        top = torch.cat([level_2_BD, pooled_BX], dim=-1) if self.rejoin else level_2_BD
        global_BL = softmax_by_group(self.global_out(top), self.taxonomy)
        root = self.taxonomy.root.name
        local_BL = torch.cat(
            [
                self._local(group.name, level_1_BD if group.name == root else level_2_BD)
                for group in self.taxonomy.groups
            ],
            dim=-1,
        )
        final_BL = self.beta * local_BL + (1 - self.beta) * global_BL
        return Predictions(final_BL, {"global": global_BL, "local": local_BL})

    def _local(self, name: str, level_BD: Tensor) -> Tensor:
        logits: Tensor = self.local_outs[name](self.transitions[name](level_BD))
        return logits.softmax(dim=-1)
