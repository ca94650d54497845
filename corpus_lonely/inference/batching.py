"""Texts to token ids, and posts of like length to batches under a token budget."""

# N posts, B posts of a batch, T tokens

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding
from torch import Tensor
from transformers import PreTrainedTokenizerFast as Tokenizer

LENGTH_MULTIPLE = 16
"""Batches of training are padded to a multiple of this many tokens: fewer shapes to allocate for."""
_cutting = threading.Lock()
"""Where to cut is set in the tokenizer and not told in each call, so one thread at a time may use it."""
_HEAD_PART = 4
"""With `head-tail` the beginning has a quarter: 128 of 512 was best in Sun et al., CCL 2019."""
_TOKENISED_AT_ONCE = 4096
"""Texts handed to the tokenizer in one go; its own lists take ten times the memory of our arrays."""
_CHARACTERS_AT_ONCE = 4_000_000
"""Characters likewise, for it keeps what is cut: 30 bytes for each. So many ordinary posts have fewer."""


@dataclass(frozen=True)
class Tokens:
    """The token ids of N posts end to end, special tokens included."""

    ids: NDArray[np.int32]
    """All posts' ids, one post after the other."""
    bounds: NDArray[np.int64]
    """(N + 1): post i has ids[bounds[i] : bounds[i + 1]]."""
    truncated: NDArray[np.bool_]
    """(N): whether the post was longer than the limit and its rest was cut."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(N): tokens kept of each post."""
        return np.diff(self.bounds)

    def of(self, post: int) -> NDArray[np.int32]:
        """The ids of one post."""
        return self.ids[self.bounds[post] : self.bounds[post + 1]]


def tokenise(
    tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int, cut: str = "head"
) -> Tokens:
    """Cuts texts into tokens, in Rust threads, and keeps `max_tokens` of each, special ones included.

    cut: which of a longer text: the first (`head`), or the first quarter and the last (`head-tail`).
    """
    with _cutting:
        return _tokenise(tokenizer, texts, max_tokens, cut)


def _tokenise(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int, cut: str) -> Tokens:
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.enable_truncation(max_tokens)
    ids: list[NDArray[np.int32]] = []
    lengths: list[int] = []
    truncated: list[bool] = []
    for group in _groups(texts):
        encodings = backend.encode_batch_fast(group)
        lists = [_kept(encoding, cut) for encoding in encodings]
        lengths += map(len, lists)
        ids.append(np.fromiter(chain.from_iterable(lists), np.int32))
        truncated += [bool(encoding.overflowing) for encoding in encodings]
    backend.no_truncation()
    bounds = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(lengths, out=bounds[1:])
    joined = np.concatenate(ids) if ids else np.zeros(0, np.int32)
    return Tokens(joined, bounds, np.array(truncated, dtype=np.bool_))


def _groups(texts: Sequence[str]) -> Iterator[list[str]]:
    """As many texts as go to the tokenizer together, in order; one that is too long goes alone."""
    group: list[str] = []
    characters = 0
    for text in texts:
        full = len(group) == _TOKENISED_AT_ONCE or characters + len(text) > _CHARACTERS_AT_ONCE
        if group and full:
            yield group
            group, characters = [], 0
        group.append(text)
        characters += len(text)
    if group:
        yield group


def _kept(encoding: Encoding, cut: str) -> list[int]:
    """The ids of a text that stay; `encoding` is its beginning, and has the rest in pieces as long."""
    beginning: list[int] = encoding.ids
    if cut == "head" or not encoding.overflowing:
        return beginning
    special = encoding.special_tokens_mask
    first = special.index(0)
    last = len(special) - special[::-1].index(0)
    body = [token for piece in (encoding, *encoding.overflowing) for token in _body(piece)]
    room = last - first
    head = room // _HEAD_PART
    return [*beginning[:first], *body[:head], *body[head - room :], *beginning[last:]]


def _body(encoding: Encoding) -> Iterator[int]:
    """A piece's ids without the special tokens around them."""
    pairs = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
    return (token for token, special in pairs if not special)


def padded_length(length: int, max_tokens: int) -> int:
    """The length that a batch of training whose longest post has `length` tokens is padded to."""
    rounded = -(-length // LENGTH_MULTIPLE) * LENGTH_MULTIPLE
    return max(min(rounded, max_tokens), length)


def plan_batches(lengths: NDArray[np.int64], batch_tokens: int) -> Iterator[NDArray[np.int64]]:
    """Batches of posts of like length, longest first.

    A batch holds as many posts as fit `batch_tokens` when all are padded to its longest, and one at
    least. Longest first, so that memory that does not suffice is found out at once.
    """
    order_N = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order_N):
        posts = max(1, batch_tokens // max(1, int(lengths[order_N[start]])))
        yield order_N[start : start + posts]
        start += posts


def pad(
    ids: Sequence[list[int] | NDArray[np.int32]], padded: int, pad_id: int
) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both (B, T) int64."""
    ids_BT = np.full((len(ids), padded), pad_id, dtype=np.int64)
    mask_BT = np.zeros((len(ids), padded), dtype=np.int64)
    for row, post in enumerate(ids):
        length = len(post)
        ids_BT[row, :length] = post
        mask_BT[row, :length] = 1
    return torch.from_numpy(ids_BT), torch.from_numpy(mask_BT)
