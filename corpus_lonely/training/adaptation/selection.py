"""Which posts are learnt from, which are held out, which are left out and why."""

# N posts of all inputs, in order

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus_lonely.errors import InputError, LabelsError
from corpus_lonely.progress import Progress
from corpus_lonely.text import normalise, text_hash
from corpus_lonely.training.adaptation.posts import ID_COLUMNS, Posts
from corpus_lonely.training.labels import open_splits

MOST_HELD_OUT = 2000
"""Posts: perplexity is then known to a few per cent, and measuring it costs little."""


class Role(IntEnum):
    """What becomes of a post; names are those of the counts."""

    TRAINED_ON = 0
    HELD_OUT = 1
    EMPTY = 2
    EXCLUDED_BY_ID = 3
    EXCLUDED_BY_TEXT = 4
    IN_DEV = 5
    """Of the posts that perplexity is measured on (`--dev`)."""
    DUPLICATE = 6
    """Its text, exactly, came before."""
    NOT_SAMPLED = 7


@dataclass(frozen=True)
class KnownPosts:
    """Posts by which others are told, by id or text: those of an evaluation, that none may learn from."""

    ids: frozenset[str] = frozenset()
    texts: frozenset[int] = frozenset()
    """Hashes, as `text_hash` makes them."""
    posts: int = 0

    @property
    def fingerprint(self) -> str:
        """Changes with any id or text, and not with their order."""
        told = [*sorted(self.ids), *map(str, sorted(self.texts))]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()

    def __or__(self, other: "KnownPosts") -> "KnownPosts":
        posts = self.posts + other.posts
        return KnownPosts(self.ids | other.ids, self.texts | other.texts, posts)


def plain_id(post_id: str) -> str:
    """A submission's id as Reddit counts it: `t3_abc` is `abc`. A comment keeps its `t1_`: another post."""
    return post_id.strip().lower().removeprefix("t3_")


def told_apart(plain_ids: Iterable[str]) -> frozenset[str]:
    """The ids that posts can be told by: none where all are plain numbers, which are those of rows.

    Reddit's are in base 36, where a set of any size has letters.
    """
    ids = frozenset(plain_ids)
    return frozenset() if all(map(str.isdigit, ids)) else ids


def labelled_posts(source: str) -> KnownPosts:
    """The posts of all splits but train of a labelled set, a folder or a hub id.

    Raises LabelsError when they have no texts.
    """
    known = KnownPosts()
    for name, table in open_splits(source).items():
        if name != "train":
            known |= _of_split(table, f"{source} ({name})")
    return known


def _of_split(table: Any, where: str) -> KnownPosts:
    if "text" not in table.column_names:
        raise LabelsError(
            f"has no column text; its columns are {', '.join(table.column_names)}", where=where
        )
    named = [name for name in ID_COLUMNS if name in table.column_names]
    ids = table[named[0]] if named else []
    texts = (normalise(text or "") for text in table["text"])
    return KnownPosts(
        told_apart(plain_id(str(i)) for i in ids if i is not None),
        frozenset(text_hash(text) for text in texts if text),
        len(table),
    )


def posts_of(posts: Posts) -> KnownPosts:
    """All posts of an input, as known ones."""
    ids: set[str] = set()
    texts: set[int] = set()
    for some_ids, some_texts in posts.batches():
        ids.update(plain_id(i) for i in some_ids if i is not None)
        texts.update(text_hash(text) for text in some_texts if text)
    return KnownPosts(told_apart(ids), frozenset(texts), posts.rows)


@dataclass(frozen=True)
class Selection:
    """A role for each post of all inputs."""

    roles_N: NDArray[np.uint8]
    counts: dict[str, int] = field(default_factory=dict)
    """Posts read, and of each role, by name in small letters: read = all others together."""


def select(
    inputs: Sequence[Posts],
    excluded: KnownPosts,
    dev: KnownPosts,
    held_out: float | None,
    max_posts: int | None,
    progress: Progress,
) -> Selection:
    """Reads all inputs once. Memory: some 50 bytes a post while it chooses, whatever the post's length.

    held_out: share of the posts to hold out; None: none.
    """
    rows = sum(posts.rows for posts in inputs)
    roles_N = np.zeros(rows, np.uint8)
    hashes_N = np.zeros(rows, np.int64)
    position = 0
    progress.start("Reading posts", rows, "posts")
    for ids, texts in chain.from_iterable(posts.batches() for posts in inputs):
        check_rows(position + len(texts), rows)
        for post_id, text in zip(ids, texts, strict=True):
            hashes_N[position] = hashed = text_hash(text)
            roles_N[position] = _left_out(post_id, text, hashed, excluded, dev)
            position += 1
        progress.advance(len(texts))
    progress.finish()
    _choose(hashes_N, roles_N, held_out, max_posts)
    found = np.bincount(roles_N, minlength=len(Role)).tolist()
    counts = {"read": rows} | {role.name.lower(): found[role] for role in Role}
    return Selection(roles_N, counts)


def check_rows(position: int, rows: int) -> None:
    """InputError when more rows come than the footers told."""
    if position > rows:
        raise InputError("the input has changed since the run began", hint="Start the run again")


def _left_out(
    post_id: str | None, text: str, hashed: int, excluded: KnownPosts, dev: KnownPosts
) -> Role:
    if not text:
        return Role.EMPTY
    told = plain_id(post_id) if post_id is not None else None
    if told in excluded.ids:
        return Role.EXCLUDED_BY_ID
    if hashed in excluded.texts:
        return Role.EXCLUDED_BY_TEXT
    return Role.IN_DEV if told in dev.ids or hashed in dev.texts else Role.TRAINED_ON


def _choose(
    hashes_N: NDArray[np.int64],
    roles_N: NDArray[np.uint8],
    held_out: float | None,
    max_posts: int | None,
) -> None:
    """Marks duplicates, then takes posts in the order of their hashes.

    The order is that of chance but for ever the same: a greater sample holds the smaller one, and every
    seed holds out the same posts, so perplexities can be compared.
    """
    candidates = np.flatnonzero(roles_N == Role.TRAINED_ON)
    _, first = np.unique(hashes_N[candidates], return_index=True)  # sorted by hash
    roles_N[candidates] = Role.DUPLICATE
    ordered = candidates[first]
    roles_N[ordered] = Role.NOT_SAMPLED
    taken = ordered[:max_posts]
    roles_N[taken] = Role.TRAINED_ON
    if held_out is not None:
        roles_N[taken[: held_out_count(len(taken), held_out)]] = Role.HELD_OUT


def held_out_count(posts: int, share: float) -> int:
    """Posts to hold out of so many."""
    return max(1, min(round(share * posts), MOST_HELD_OUT))


def select_dev(posts: Posts) -> Selection:
    """The posts to measure on: all that differ, or as many as are enough."""
    roles_N = np.zeros(posts.rows, np.uint8)
    hashes_N = np.fromiter(_hashes(posts), np.int64, posts.rows)
    roles_N[hashes_N == text_hash("")] = Role.EMPTY
    _choose(hashes_N, roles_N, None, MOST_HELD_OUT)
    roles_N[roles_N == Role.TRAINED_ON] = Role.HELD_OUT
    return Selection(roles_N)


def _hashes(posts: Posts) -> Iterable[int]:
    return (text_hash(text) for _ids, texts in posts.batches() for text in texts)
