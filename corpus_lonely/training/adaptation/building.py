"""From posts to the token store of a run: read twice, once to choose and once to cut."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast as Tokenizer

from corpus_lonely.errors import InputError
from corpus_lonely.progress import Progress
from corpus_lonely.training.adaptation.posts import Posts, open_posts
from corpus_lonely.training.adaptation.selection import (
    KnownPosts,
    Role,
    check_rows,
    labelled_posts,
    posts_of,
    select,
    select_dev,
)
from corpus_lonely.training.adaptation.settings import AdaptSettings
from corpus_lonely.training.adaptation.tokens import (
    Frame,
    StoreWriter,
    TokenStore,
    room_in,
    token_ids,
)


@dataclass(frozen=True)
class Sources:
    """All that a run reads, opened and not yet read through."""

    inputs: tuple[Posts, ...]
    dev: Posts | None
    excluded: KnownPosts
    in_dev: KnownPosts

    @classmethod
    def open(cls, settings: AdaptSettings) -> Self:
        """Raises InputError or LabelsError for the first that cannot be used."""
        inputs = tuple(open_posts(address, settings.text_column) for address in settings.inputs)
        excluded = KnownPosts()
        for labels in settings.exclude:
            excluded |= labelled_posts(labels)
        dev = None
        if settings.dev is not None:
            dev = open_posts(settings.dev, settings.text_column, split="dev")
        return cls(inputs, dev, excluded, posts_of(dev) if dev else KnownPosts())

    def fingerprint(self, settings: AdaptSettings, encoder: str) -> str:
        """Sixteen hex digits over what decides the tokens; `encoder` tells the tokenizer."""
        told = [
            [posts.fingerprint for posts in self.inputs],
            self.dev and self.dev.fingerprint,
            self.excluded.fingerprint,
            [settings.text_column, settings.held_out, settings.max_posts, settings.max_tokens],
            settings.whole_word_masking,
            encoder,
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def build_store(
    folder: Path,
    sources: Sources,
    settings: AdaptSettings,
    tokenizer: Tokenizer,
    progress: Progress,
) -> TokenStore:
    """The store in that folder, as an earlier run left it or made now.

    Raises InputError when no post is left to learn from or to measure on.
    """
    store = TokenStore.open(folder)
    if store is not None:
        return store
    share = None if sources.dev else settings.held_out
    selection = select(
        sources.inputs, sources.excluded, sources.in_dev, share, settings.max_posts, progress
    )
    with StoreWriter(folder, room_in(Frame.of(tokenizer), settings.max_tokens)) as writer:
        cutting = _Cutting(writer, tokenizer, settings.whole_word_masking)
        progress.start("Cutting posts into tokens", selection.counts["read"], "posts")
        cutting.add(sources.inputs, selection.roles_N, progress)
        if sources.dev:
            cutting.add([sources.dev], select_dev(sources.dev).roles_N, progress)
        progress.finish()
        _check(writer, selection.counts, sources)
        return writer.finish({"posts": selection.counts, **_facts(writer, cutting.without_tokens)})


class _Cutting:
    """Cuts chosen posts into tokens, on either side of a store."""

    def __init__(self, writer: StoreWriter, tokenizer: Tokenizer, words: bool) -> None:
        self._writer, self._tokenizer, self._words = writer, tokenizer, words
        self.without_tokens = 0

    def add(self, inputs: Iterable[Posts], roles_N: NDArray[np.uint8], progress: Progress) -> None:
        """All posts of the inputs that have a role in the run; `roles_N` is in their order."""
        position = 0
        for posts in inputs:
            for _ids, texts in posts.batches():
                check_rows(position + len(texts), len(roles_N))
                roles = roles_N[position : position + len(texts)]
                self._add_some(texts, roles)
                position += len(texts)
                progress.advance(len(texts))

    def _add_some(self, texts: Sequence[str], roles: NDArray[np.uint8]) -> None:
        wanted = np.flatnonzero((roles == Role.TRAINED_ON) | (roles == Role.HELD_OUT)).tolist()
        cut = token_ids(self._tokenizer, [texts[place] for place in wanted], self._words)
        for place, ids_T in zip(wanted, cut, strict=True):
            held_out = roles[place] == Role.HELD_OUT
            if len(ids_T):
                (self._writer.held_out if held_out else self._writer.train).add(ids_T)
            else:
                self.without_tokens += 1


def _check(writer: StoreWriter, counts: dict[str, int], sources: Sources) -> None:
    if writer.train.pieces and writer.held_out.pieces:
        return
    side = "measure perplexity on" if writer.train.pieces else "learn from"
    reasons = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    where = sources.dev.where if writer.train.pieces and sources.dev else sources.inputs[0].where
    raise InputError(f"holds no post to {side} ({reasons.replace('_', ' ')})", where=where)


def _facts(writer: StoreWriter, without_tokens: int) -> dict[str, Any]:
    sides = {"train": writer.train, "held_out": writer.held_out}
    told = {
        name: {"posts": side.posts, "pieces": side.pieces, "tokens": side.tokens}
        for name, side in sides.items()
    }
    return {**told, "posts_without_tokens": without_tokens}
