"""Heads over the label hierarchy: one flat MLP, and the HDLN with global and local classifiers."""

# B posts, X encoder hidden, D head hidden, L labels of all groups

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from corpus_lonely.model.outputs import by_group
from corpus_lonely.taxonomy import Taxonomy

Norm = Literal["batch", "layer", "none"]
LOSSES_OF = {"hdln": ("global", "local"), "mlp": ("flat",)}
"""What losses are taken of, for each head: the keys of `Predictions.heads`, in their order."""


class Predictions(NamedTuple):
    """Distributions over each group's labels, side by side; every group of a row sums to 1."""

    final_BL: Tensor
    """What is evaluated and scored."""
    heads: dict[str, Tensor]
    """What each loss is taken of: `global` and `local` for HDLN, `flat` for MLP; each (B, L)."""
    scores: dict[str, Tensor]
    """What each of them was made of, before probabilities: any numbers, (B, L)."""


def _layer(inputs: int, outputs: int, norm: Norm, dropout: float) -> nn.Sequential:
    norms: dict[Norm, nn.Module] = {
        "batch": nn.BatchNorm1d(outputs),
        "layer": nn.LayerNorm(outputs),
        "none": nn.Identity(),
    }
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), norms[norm], nn.Dropout(dropout))


class MLPHead(nn.Module):
    """The paper's "BERT + MLP": one flat head, probabilities within each group.

    output: a name in `outputs.OUTPUTS`; the paper has softmax.
    """

    def __init__(
        self, inputs: int, taxonomy: Taxonomy, hidden: int, norm: Norm, dropout: float, output: str
    ) -> None:
        super().__init__()
        self.taxonomy, self.output = taxonomy, output
        self.hidden = _layer(inputs, hidden, norm, dropout)
        self.out = nn.Linear(hidden, taxonomy.num_outputs)

    def forward(self, pooled_BX: Tensor) -> Predictions:
        """Distributions from the encoder's representation of each post."""
        scores_BL = self.out(self.hidden(pooled_BX))
        flat_BL = by_group(self.output, scores_BL, self.taxonomy)
        return Predictions(flat_BL, {"flat": flat_BL}, {"flat": scores_BL})


class HDLNHead(nn.Module):
    """Hierarchical distributional learning network: Jiang, section 4.2, on HMCN-F.

    Wehrmann et al., ICML 2018: `A_G1 = f(W1 x)`, `A_G2 = f(W2 [A_G1, x])`, the global classifier on
    `A_G2`; a local classifier per group on its own transition of its level, `A_L = f(T A_G)`: level 1
    has the root, level 2 the categories. Probabilities are mixed, not logits:
    `P_F = beta * P_L + (1 - beta) * P_G`.

    rejoin: join x once more before the global classifier, as some implementations do.
    output: a name in `outputs.OUTPUTS`; the paper has softmax.
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
        output: str,
    ) -> None:
        super().__init__()
        self.taxonomy, self.output = taxonomy, output
        self.beta, self.rejoin = beta, rejoin
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
        root = self.taxonomy.root.name
        local_scores = [
            self._local(group.name, level_1_BD if group.name == root else level_2_BD)
            for group in self.taxonomy.groups
        ]
        scores = {"global": self.global_out(top), "local": torch.cat(local_scores, dim=-1)}
        heads = {name: by_group(self.output, of, self.taxonomy) for name, of in scores.items()}
        final_BL = self.beta * heads["local"] + (1 - self.beta) * heads["global"]
        return Predictions(final_BL, heads, scores)

    def _local(self, name: str, level_BD: Tensor) -> Tensor:
        scores_BK: Tensor = self.local_outs[name](self.transitions[name](level_BD))
        return scores_BK
