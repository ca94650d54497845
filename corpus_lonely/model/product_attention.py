"""Attention by plain products, to train in bfloat16 on a CPU: the fused kernel's way back is slow there."""

# B posts, H heads, T tokens of the longest, D units of a head

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

PRODUCTS = "corpus_lonely_products"
"""The name under which transformers finds it."""
_NOT_OURS = ("softcap", "s_aux", "position_bias")
"""What some encoders ask of attention, and the products would not give."""


def attend_by_products(encoder: PreTrainedModel) -> None:
    """Lets an encoder that asks for torch's fused attention train by `product_attention`."""
    usual = encoder.config._attn_implementation  # noqa: SLF001  (it has no public name)
    if usual == "sdpa":
        encoder.set_attn_implementation(PRODUCTS)


def product_attention(
    module: nn.Module,
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """What transformers' attention functions do; the fused kernel does it where that is no slower.

    attention_mask: (B, 1, T, T) bool, which keys a query sees; None is all of them.
    Returns (B, T, H, D).
    """
    ours = (
        query_BHTD.requires_grad
        and query_BHTD.dtype == torch.bfloat16
        and query_BHTD.device.type == "cpu"
        and query_BHTD.shape[:2] == key_BHTD.shape[:2]
        and not getattr(module, "is_causal", False)
        and (attention_mask is None or attention_mask.dtype == torch.bool)
        and not any(others.get(name) is not None for name in _NOT_OURS)
    )
    if not ours:
        out_BTHD, _ = sdpa_attention_forward(
            module, query_BHTD, key_BHTD, value_BHTD, attention_mask,
            dropout=dropout, scaling=scaling, **others,
        )  # fmt: skip
        return out_BTHD, None
    scale = query_BHTD.shape[-1] ** -0.5 if scaling is None else scaling
    # autocast would take the softmax in float32, and with it twice the memory through the caches
    with torch.autocast("cpu", enabled=False):
        weights_BHTT = (query_BHTD * scale) @ key_BHTD.transpose(2, 3)
        if attention_mask is not None:
            # not minus infinity: padding may see no key at all, and NaN there would reach the other tokens
            least = torch.finfo(weights_BHTT.dtype).min
            unseen_B1TT = torch.zeros_like(attention_mask, dtype=weights_BHTT.dtype)
            weights_BHTT += unseen_B1TT.masked_fill_(~attention_mask, least)
        weights_BHTT = nn.functional.dropout(weights_BHTT.softmax(-1), dropout)
        out_BHTD = weights_BHTT @ value_BHTD
    return out_BHTD.transpose(1, 2).contiguous(), None


AttentionInterface.register(PRODUCTS, product_attention)
AttentionMaskInterface.register(PRODUCTS, sdpa_mask)
