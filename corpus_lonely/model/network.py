"""The whole network as a Hugging Face model: encoder, pooling, head, loss; the taxonomy in its config."""

# B posts, T tokens of a post, N tokens of all posts, X encoder hidden, L labels, H heads, G groups

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils.generic import ModelOutput

from corpus_lonely.model import encoder as encoders
from corpus_lonely.model import outputs
from corpus_lonely.model.heads import HDLNHead, MLPHead, Norm, Predictions
from corpus_lonely.model.losses import LOSSES, equal_shares, group_losses
from corpus_lonely.taxonomy import Taxonomy, loneliness

MODEL_TYPE = "corpus-lonely"


class LonelinessConfig(PretrainedConfig):
    """Everything needed to build the network again; saved as config.json.

    encoder_config: the encoder's own configuration, as a dict with its `model_type`.
    taxonomy: the label hierarchy, as `Taxonomy.to_dict` gives it.
    head: `hdln` or `mlp`.
    pooling: `mean` over the tokens or the first token, `cls`.
    head_size: hidden units of the head. HMCN's is 384.
    norm: normalisation in the head: `batch` (HMCN's), `layer` or `none`.
    head_dropout: share of the head's units left out in training.
    beta: weight of the local classifiers in the final distribution, 0 to 1. HMCN's is 0.5.
    rejoin: join the encoder's output once more before HDLN's global classifier.
    output: `softmax`, or a mapping that can give exactly 0: `entmax15` or `sparsemax`.
    loss: `kl`, `cross-entropy` or `hellinger`; with another output than softmax its Fenchel-Young loss.
    max_tokens: tokens kept per post in training, and so in scoring.
    cut: what is kept of a longer post: its `head`, or `head-tail`.
    label_means: (L) mean target of each label in training, the baseline that knows no text.
    temperatures: of each group's probabilities, where they were fitted: p^(1/T), made to sum to 1 again.
    thresholds: of each group's probabilities, where they were fitted: those below become exactly 0.
    only: the groups that were learnt, where not all were; what is put out for others means nothing.
    """

    model_type = MODEL_TYPE
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["losses"]

    def __init__(
        self,
        encoder_config: dict[str, Any] | None = None,
        taxonomy: dict[str, Any] | None = None,
        head: Literal["hdln", "mlp"] = "hdln",
        pooling: Literal["mean", "cls"] = "mean",
        head_size: int = 384,
        norm: Norm = "layer",
        head_dropout: float = 0.1,
        beta: float = 0.5,
        rejoin: bool = False,
        output: str = "softmax",
        loss: str = "kl",
        max_tokens: int = 512,
        cut: Literal["head", "head-tail"] = "head",
        label_means: list[float] | None = None,
        only: Sequence[str] = (),
        temperatures: dict[str, float] | None = None,
        thresholds: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        self.encoder_config = encoder_config or {"model_type": "bert"}
        self.taxonomy = taxonomy or loneliness().to_dict()
        self.head, self.pooling = head, pooling
        self.head_size, self.norm, self.head_dropout = head_size, norm, head_dropout
        self.beta, self.rejoin, self.output, self.loss = beta, rejoin, output, loss
        self.max_tokens, self.cut = max_tokens, cut
        self.label_means = label_means
        self.only = list(only)
        self.temperatures, self.thresholds = temperatures or {}, thresholds or {}
        super().__init__(**kwargs)


@dataclass
class LonelinessOutput(ModelOutput):
    """What a forward pass gives."""

    loss: Tensor | None = None
    """Eq. 1 over the batch, where labels were given; a scalar."""
    probabilities: Tensor | None = None
    """(B, L), float32: each group of a row sums to 1."""
    losses: Tensor | None = None
    """(H, G): what each head loses in each group that is learnt."""


class LonelinessModel(PreTrainedModel):
    """Posts to distributions over the labels of a taxonomy."""

    config_class = LonelinessConfig
    base_model_prefix = "network"
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(self, config: LonelinessConfig, encoder: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        self.encoder = encoder or encoders.build(config.encoder_config)
        self.head = _head(config, self.encoder.config.hidden_size)
        self.post_init()  # type: ignore[no-untyped-call]

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The label hierarchy that the outputs follow."""
        return Taxonomy.from_dict(self.config.taxonomy)

    @property
    def encoders(self) -> list[PreTrainedModel]:
        """The encoder, in a list: an ensemble has several."""
        return [self.encoder]

    @cached_property
    def learnt(self) -> dict[str, slice]:
        """The groups that are learnt, and where each stands among the outputs."""
        slices = self.taxonomy.slices
        return {name: slices[name] for name in slices if name in (self.config.only or slices)}

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None
    ) -> LonelinessOutput:
        """input_ids and attention_mask: (B, T); labels: (B, L), zeros where a post has no target."""
        return self.predict(self.represent(input_ids, attention_mask), labels)

    def represent(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, X) float32: the encoder's representation of posts padded to (B, T)."""
        hidden_BTX = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        with torch.autocast(hidden_BTX.device.type, enabled=False):
            return self._pool(hidden_BTX.float(), attention_mask)

    def represent_packed(self, ids_N: Tensor, bounds_B: Tensor, longest: int) -> Tensor:
        """(B, X) float32: the same of posts laid end to end; needs `attention.PACKED`.

        ids_N: the posts' token ids, one post after the other.
        bounds_B: (B + 1) int32, where each post begins in `ids_N`, and where the last one ends.
        longest: tokens of the longest post.
        """
        starts_N = torch.repeat_interleave(bounds_B[:-1], bounds_B.diff(), output_size=len(ids_N))
        positions_N = torch.arange(len(ids_N), device=ids_N.device) - starts_N
        hidden_NX = self.encoder(
            input_ids=ids_N[None],
            position_ids=(positions_N + encoders.first_position(self.encoder.config))[None],
            cu_seq_lens_q=bounds_B,
            cu_seq_lens_k=bounds_B,
            max_length_q=longest,
            max_length_k=longest,
        ).last_hidden_state[0]
        with torch.autocast(hidden_NX.device.type, enabled=False):
            return self._pool_packed(hidden_NX.float(), bounds_B)

    def predict(self, pooled_BX: Tensor, labels: Tensor | None = None) -> LonelinessOutput:
        """Distributions from representations, and the loss where there are labels."""
        # a head in bfloat16 would round probabilities to two or three digits
        with torch.autocast(pooled_BX.device.type, enabled=False):
            predictions: Predictions = self.head(pooled_BX)
            final_BL = self._fitted(predictions.final_BL)
            if labels is None:
                return LonelinessOutput(probabilities=final_BL)
            losses_HG = self._losses(labels.float(), predictions)
            shares_G = equal_shares(list(self.learnt), self.taxonomy.root.name)
            loss = (losses_HG @ shares_G.to(losses_HG.device)).mean()
        return LonelinessOutput(loss, final_BL, losses_HG)

    def _fitted(self, final_BL: Tensor) -> Tensor:
        """With the temperatures and thresholds that were fitted when training was over, if any."""
        temperatures, thresholds = self.config.temperatures, self.config.thresholds
        if not temperatures and not thresholds:
            return final_BL
        parts = []
        for name, part in self.taxonomy.slices.items():
            shares_BK = final_BL[:, part]
            if name in temperatures:  # a 0 that is meant stays 0
                shares_BK = (shares_BK.log() / temperatures[name]).softmax(dim=-1)
            if name in thresholds:
                shares_BK = outputs.without_small(shares_BK, thresholds[name])
            parts.append(shares_BK)
        return torch.cat(parts, dim=-1)

    def _pool_packed(self, hidden_NX: Tensor, bounds_B: Tensor) -> Tensor:
        if self.config.pooling == "cls":
            return hidden_NX[bounds_B[:-1].long()]
        # not index_add: on a GPU it adds in another order each time, and other bytes come out
        return torch.segment_reduce(hidden_NX, "mean", offsets=bounds_B.long(), axis=0)

    def _pool(self, hidden_BTX: Tensor, mask_BT: Tensor) -> Tensor:
        if self.config.pooling == "cls":
            return hidden_BTX[:, 0]
        mask_BT1 = mask_BT[:, :, None].to(hidden_BTX.dtype)
        return (hidden_BTX * mask_BT1).sum(dim=1) / mask_BT1.sum(dim=1).clamp_min(1)

    def _losses(self, labels_BL: Tensor, predictions: Predictions) -> Tensor:
        if self.config.output == "softmax":
            distance, given = LOSSES[self.config.loss], predictions.heads
        else:
            distance, given = outputs.fenchel_young(self.config.output), predictions.scores
        return torch.stack(
            [group_losses(distance, labels_BL, one_BL, self.learnt) for one_BL in given.values()]
        )


def _head(config: LonelinessConfig, inputs: int) -> nn.Module:
    taxonomy = Taxonomy.from_dict(config.taxonomy)
    size, norm, dropout, output = config.head_size, config.norm, config.head_dropout, config.output
    if config.head == "mlp":
        return MLPHead(inputs, taxonomy, size, norm, dropout, output)
    return HDLNHead(inputs, taxonomy, size, norm, dropout, config.beta, config.rejoin, output)


AutoConfig.register(MODEL_TYPE, LonelinessConfig)
AutoModel.register(LonelinessConfig, LonelinessModel)
