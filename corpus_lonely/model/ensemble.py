"""Several models as one: for each group the mean of those that know it best. A model folder like any other."""

# B posts, T tokens of a post, N tokens of all posts, X encoder hidden, L labels

from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from corpus_lonely.model.network import LonelinessConfig, LonelinessModel, LonelinessOutput
from corpus_lonely.taxonomy import Taxonomy, loneliness

ENSEMBLE_TYPE = "corpus-lonely-ensemble"


def asked(learnt: Sequence[Collection[str]], group: str) -> list[int]:
    """Whose mean a group is: of the models that learnt it those that learnt the fewest others beside it.

    learnt: for each model the groups that it learnt. All are asked where nobody learnt the group, which is as
    meaningless in the mean as in each.
    """
    knowing = [place for place, groups in enumerate(learnt) if group in groups]
    fewest = min((len(learnt[place]) for place in knowing), default=0)
    return [place for place in knowing if len(learnt[place]) == fewest] or [*range(len(learnt))]


class EnsembleConfig(PretrainedConfig):
    """What the members are, each a LonelinessConfig as a dict, and what all of them share.

    taxonomy, max_tokens, cut: as in LonelinessConfig.
    only: the groups that some member learnt; empty when these are all.
    label_means: (L) the mean of the members'.
    """

    model_type = ENSEMBLE_TYPE

    def __init__(
        self,
        members: Sequence[dict[str, Any]] = (),
        taxonomy: dict[str, Any] | None = None,
        max_tokens: int = 512,
        cut: Literal["head", "head-tail"] = "head",
        only: Sequence[str] = (),
        label_means: list[float] | None = None,
        **kwargs: Any,
    ) -> None:
        self.members = list(members)
        self.taxonomy = taxonomy or loneliness().to_dict()
        self.max_tokens, self.cut, self.only = max_tokens, cut, list(only)
        self.label_means = label_means
        super().__init__(**kwargs)


class EnsembleModel(PreTrainedModel):
    """Posts to the mean of its members' distributions."""

    config_class = EnsembleConfig
    base_model_prefix = "ensemble"
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(
        self, config: EnsembleConfig, members: Sequence[LonelinessModel] | None = None
    ) -> None:
        super().__init__(config)
        made = members or [
            LonelinessModel(LonelinessConfig.from_dict(told)) for told in config.members
        ]
        self.members = nn.ModuleList(made)
        self.post_init()  # type: ignore[no-untyped-call]

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The label hierarchy that the outputs follow."""
        return Taxonomy.from_dict(self.config.taxonomy)

    @property
    def learnt(self) -> dict[str, slice]:
        """The groups that some member learnt, and where each stands among the outputs."""
        told = {name for member in self._members() for name in member.learnt}
        return {name: part for name, part in self.taxonomy.slices.items() if name in told}

    @property
    def encoders(self) -> list[PreTrainedModel]:
        """One a member."""
        return [encoder for member in self._members() for encoder in member.encoders]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> LonelinessOutput:
        """input_ids and attention_mask: (B, T)."""
        return self.predict(self.represent(input_ids, attention_mask))

    def represent(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, sum of X) float32: what each member's encoder makes of posts padded to (B, T)."""
        return _joined(member.represent(input_ids, attention_mask) for member in self._members())

    def represent_packed(self, ids_N: Tensor, bounds_B: Tensor, longest: int) -> Tensor:
        """(B, sum of X) float32: the same of posts laid end to end, as in LonelinessModel."""
        return _joined(
            member.represent_packed(ids_N, bounds_B, longest) for member in self._members()
        )

    def predict(self, pooled_BX: Tensor) -> LonelinessOutput:
        """The mean distributions from what `represent` gave."""
        sizes = [encoder.config.hidden_size for encoder in self.encoders]
        parts = zip(self._members(), torch.split(pooled_BX, sizes, dim=-1), strict=True)
        given = [member.predict(part_BX).probabilities for member, part_BX in parts]
        learnt = [member.learnt for member in self._members()]
        columns = []
        for name, part in self.taxonomy.slices.items():
            several = [given[place] for place in asked(learnt, name)]
            some = [one_BL[:, part] for one_BL in several if one_BL is not None]
            columns.append(torch.stack(some).mean(dim=0))
        return LonelinessOutput(probabilities=torch.cat(columns, dim=-1))

    def _members(self) -> list[LonelinessModel]:
        return cast("list[LonelinessModel]", list(self.members))


Network = LonelinessModel | EnsembleModel
"""What scores posts."""


def _joined(pooled: Iterable[Tensor]) -> Tensor:
    return torch.cat(list(pooled), dim=-1)


AutoConfig.register(ENSEMBLE_TYPE, EnsembleConfig)
AutoModel.register(EnsembleConfig, EnsembleModel)
