"""Attention over posts laid end to end: nothing is padded, and no post sees another."""

# N tokens of all posts of a batch, H heads, D units of a head, P posts, T tokens of each of some posts

from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

PACKED = "corpus_lonely_packed"
"""The name under which transformers finds it."""
_NOT_OURS = ("sliding_window", "softcap", "s_aux", "position_bias")
"""What some encoders ask of attention, and would not get."""
_TILE = 16
"""Keys in a tile of a CPU's bfloat16 units: with a part of one, torch's kernel takes up to 2.4 times as long."""
_LONGEST_PADDED = 384
"""Beyond, the mask that hides the padding costs what whole tiles save."""


def packed_attention(
    module: nn.Module,
    query_1HND: Tensor,
    key_1HND: Tensor,
    value_1HND: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """What transformers' attention functions do, for a batch of one row that holds P posts.

    cu_seq_lens_q: (P + 1) int32, where each post begins, and where the last one ends.
    max_length_q: tokens of the longest post.
    Returns (1, N, H, D). `attention_mask` is not read: the bounds say all. Positions alone would
    not: packed by `position_ids` under sdpa, posts would see each other in silence.
    """
    if getattr(module, "is_causal", False) or attention_mask is not None:
        raise ValueError("packed attention is neither causal nor masked")
    if asked := [name for name in _NOT_OURS if others.get(name) is not None]:
        raise ValueError(f"packed attention knows no {asked[0]}")
    attend = _by_kernel if query_1HND.is_cuda else _by_length
    # (1, H, N, D) to (N, H, D)
    query_NHD, key_NHD, value_NHD = (
        x_1HND[0].transpose(0, 1) for x_1HND in (query_1HND, key_1HND, value_1HND)
    )
    out_NHD = attend(query_NHD, key_NHD, value_NHD, cu_seq_lens_q, max_length_q, scaling)
    return out_NHD[None], None


def _by_kernel(
    query_NHD: Tensor,
    key_NHD: Tensor,
    value_NHD: Tensor,
    bounds_P: Tensor,
    longest: int,
    scaling: float | None,
) -> Tensor:
    from torch.nn.attention.varlen import (  # noqa: PLC0415  (not in every torch that we allow)
        varlen_attn,
    )

    out_NHD = varlen_attn(
        query_NHD, key_NHD, value_NHD, bounds_P, bounds_P, longest, longest, scale=scaling
    )
    assert isinstance(out_NHD, Tensor)  # noqa: S101  (narrows the type: no auxiliaries were asked for)
    return out_NHD


def _by_length(
    query_NHD: Tensor,
    key_NHD: Tensor,
    value_NHD: Tensor,
    bounds_P: Tensor,
    _longest: int,
    scaling: float | None,
) -> Tensor:
    """What the kernel computes, where there is none: posts of one length that follow each other at once.

    Batches are sorted by length, so there are few turns. In bfloat16 keys and values are filled up to
    whole tiles, behind a mask.
    """
    attended = []
    for posts, run in _runs(bounds_P.tolist()):
        query_PTHD, key_PTHD, value_PTHD = (
            x_NHD[run].view(posts, -1, *x_NHD.shape[1:])
            for x_NHD in (query_NHD, key_NHD, value_NHD)
        )
        tokens = query_PTHD.shape[1]
        fill, mask_T = -tokens % _TILE, None
        if fill and query_NHD.dtype == torch.bfloat16 and tokens <= _LONGEST_PADDED:
            key_PTHD, value_PTHD = (
                nn.functional.pad(x_PTHD, (0, 0, 0, 0, 0, fill))
                for x_PTHD in (key_PTHD, value_PTHD)
            )
            mask_T = key_PTHD.new_zeros(tokens + fill)
            mask_T[tokens:] = -torch.inf
        out_PHTD = nn.functional.scaled_dot_product_attention(
            query_PTHD.transpose(1, 2),
            key_PTHD.transpose(1, 2),
            value_PTHD.transpose(1, 2),
            attn_mask=None if mask_T is None else mask_T.view(1, 1, 1, -1),
            scale=scaling,
        )
        attended.append(out_PHTD.transpose(1, 2).flatten(0, 1))
    return attended[0] if len(attended) == 1 else torch.cat(attended)


def _runs(bounds_P: list[int]) -> Iterator[tuple[int, slice]]:
    """Posts of equal length in a row: how many, and where their tokens stand."""
    start = 0
    for length, posts in groupby(stop - begin for begin, stop in pairwise(bounds_P)):
        count = len(list(posts))
        yield count, slice(start, start + count * length)
        start += count * length


AttentionInterface.register(PACKED, packed_attention)
# no mask is built for it: one of N x N tokens would fill the memory
AttentionMaskInterface.register(PACKED, lambda *_arguments, **_named: None)
