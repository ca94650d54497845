"""Texts to token ids, and posts of like length to batches under a token budget."""

# B posts, T tokens

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast as Tokenizer

LENGTH_MULTIPLE = 16
"""Batches are padded to a multiple of this many tokens: fewer shapes, so fewer compiled kernels."""


@dataclass(frozen=True)
class Tokens:
    """The token ids of some posts, special tokens included."""

    ids: list[list[int]]
    truncated: list[bool]
    """Whether the post was longer than the limit and its rest was cut."""

    @property
    def lengths(self) -> list[int]:
        """Tokens kept of each post."""
        return [len(ids) for ids in self.ids]


def tokenise(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> Tokens:
    """Cuts texts into tokens, in Rust threads, and keeps the first `max_tokens` of each."""
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.enable_truncation(max_tokens)
    encodings = backend.encode_batch_fast(list(texts))
    backend.no_truncation()
    return Tokens(
        [encoding.ids for encoding in encodings],
        [bool(encoding.overflowing) for encoding in encodings],
    )


def padded_length(length: int, max_tokens: int) -> int:
    """The length that a batch whose longest post has `length` tokens is padded to."""
    rounded = -(-length // LENGTH_MULTIPLE) * LENGTH_MULTIPLE
    return max(min(rounded, max_tokens), length)


def plan_batches(
    lengths: Sequence[int], batch_tokens: int, max_tokens: int
) -> Iterator[tuple[list[int], int]]:
    """Batches of posts of like length, longest first, each with its padded length.

    A batch holds as many posts as fit `batch_tokens` padded tokens, and one at least. Longest first,
    so that memory that does not suffice is found out at once.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable").tolist()
    start = 0
    while start < len(order):
        padded = padded_length(lengths[order[start]], max_tokens)
        posts = order[start : start + max(1, batch_tokens // padded)]
        yield posts, padded
        start += len(posts)


def pad(
    ids: Sequence[Sequence[int]], padded: int, pad_id: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both (B, T) int64, on the device."""
    ids_BT = np.full((len(ids), padded), pad_id, dtype=np.int64)
    mask_BT = np.zeros((len(ids), padded), dtype=np.int64)
    for row, post in enumerate(ids):
        ids_BT[row, : len(post)] = post
        mask_BT[row, : len(post)] = 1
    return torch.from_numpy(ids_BT).to(device), torch.from_numpy(mask_BT).to(device)
