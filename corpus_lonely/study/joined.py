"""Columns that scores lack, looked up in the posts by id: any column of posts can be a filter or a group."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus_lonely.errors import InputError, SettingsError, first_line
from corpus_lonely.identities import PLAIN_NAMES, author_key_of, hashed_ids_of
from corpus_lonely.study.pieces import frames
from corpus_lonely.study.scores import scan_posts, score_facts
from corpus_lonely.study.selection import IN_POSTS

MOST_VALUES = 100_000
"""Different values of a column that is a group: beyond, it is no group."""
_NONE = -1


@dataclass(frozen=True)
class Lookup:
    """Values of N posts by id: 8 bytes of a post's id, and 4 of each column, stay in memory.

    Making it takes up to about 26 bytes a post, and 5 for each column after the first: docs/log.md, 2026-11-26.
    """

    ids_N: npt.NDArray[np.uint64]
    """Hashes, in order."""
    codes: dict[str, npt.NDArray[np.int32]]
    values: dict[str, pl.Series]
    """Of each column: what its codes stand for."""

    def joined(self, piece: pl.DataFrame) -> pl.DataFrame:
        """With each column as text, null where the post is unknown or holds no value; `IN_POSTS` says which.

        In a piece that was joined before, a post must be known in both.
        """
        wanted = piece["post_id"].cast(pl.String).hash(seed=0).to_numpy()
        place = np.minimum(np.searchsorted(self.ids_N, wanted), len(self.ids_N) - 1)
        there = (self.ids_N[place] == wanted) & piece["post_id"].is_not_null().to_numpy()
        known_before = piece[IN_POSTS] if IN_POSTS in piece.columns else True
        columns = [pl.Series(IN_POSTS, there) & known_before]
        for name, codes in self.codes.items():
            found = np.where(there, codes[place], _NONE)
            known = pl.Series(found).replace(_NONE, None)
            columns.append(self.values[name].gather(known).alias(name))
        return piece.with_columns(columns)


def check_ids_join(scores: str, other: str, option: str) -> None:
    """InputError where ids are hashed with another key than those of the scores, or only on one side.

    other: posts or marks, as `option` names them.
    """
    facts = [score_facts(path) for path in (other, scores)]
    (hashed, scored), keys = map(hashed_ids_of, facts), [author_key_of(one) for one in facts]
    if not (hashed or scored):
        return
    if (None not in keys and keys[0] != keys[1]) or {hashed, scored} == {True, False}:
        raise InputError(
            f"has {_ids_told(hashed, keys[0])}, the scores have {_ids_told(scored, keys[1])}, so that no "
            "post would be found",
            where=other,
            hint=f"{option} must be of the posts that were scored",
        )


def _ids_told(hashed: bool | None, key: str | None) -> str:
    if hashed is False or key == PLAIN_NAMES:  # names in the plain go with ids in the plain alone
        return "plain ids"
    return "hashed ids" if key is None else f"ids hashed with the key {key}"


def look_up(
    posts: str,
    columns: Sequence[str],
    where: Iterable[tuple[str, str]],
    groups: Iterable[str],
    scan: Callable[[str], pl.LazyFrame] = scan_posts,
) -> Lookup:
    """Reads `columns` of the posts, a piece at a time.

    scan: opens them, be they posts or marks.

    where: of columns that filter alone, only these values are told apart. groups: columns whose every value
    is. Raises InputError for a column that is not there and for two values of one post, SettingsError for a
    column with too many values.
    """
    frame = scan(posts)
    types = frame.collect_schema()
    for name in columns:
        if name not in types:
            raise InputError(
                f"has no column {name!r}; its columns are {', '.join(types)}", where=posts
            )
    kept = {
        name: None if name in groups else {v.lower() for n, v in where if n == name}
        for name in columns
    }
    coders = {name: _Codes(name, wanted) for name, wanted in kept.items()}
    ids: list[npt.NDArray[np.uint64]] = []
    try:
        for part in frames(posts, frame, ["post_id", *columns]):
            rows = part.filter(pl.col("post_id").is_not_null()).collect()
            ids.append(rows["post_id"].cast(pl.String).hash(seed=0).to_numpy())
            for name, coder in coders.items():
                coder.add(rows[name])
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"cannot be read ({first_line(error)})", where=posts) from error
    every = np.concatenate(ids)
    ids.clear()  # what is not needed goes at once: there may be very many posts
    if not len(every):
        raise InputError("holds no post", where=posts)
    order = np.argsort(every, kind="stable")
    every = every[order]
    codes = {name: coder.taken(order) for name, coder in coders.items()}
    twice = every[1:] == every[:-1]
    for name, own in codes.items():
        if (twice & (own[1:] != own[:-1])).any():
            raise InputError(
                f"holds a post_id twice with different values of {name!r}",
                where=posts,
                hint="Give a table in which each is there once",
            )
    return Lookup(every, codes, {name: coder.values() for name, coder in coders.items()})


class _Codes:
    """One column's values as numbers."""

    def __init__(self, name: str, wanted: set[str] | None) -> None:
        self._name, self._wanted = name, wanted
        self._places: dict[str, int] = {}
        self._parts: list[npt.NDArray[np.int32]] = []

    def add(self, values: pl.Series) -> None:
        """In the order of rows."""
        text = values.cast(pl.String).str.to_lowercase()
        if self._wanted is not None:
            told = pl.when(pl.first().is_in(self._wanted)).then(pl.first())
            text = text.to_frame().select(told).to_series()
        for value in text.unique(maintain_order=True).drop_nulls():
            self._places.setdefault(value, len(self._places))
        if len(self._places) > MOST_VALUES:
            raise SettingsError(
                f"{self._name!r} has more than {MOST_VALUES:,} different values: it is no group"
            )
        coded = text.replace_strict(self._places, default=_NONE, return_dtype=pl.Int32)
        self._parts.append(coded.fill_null(_NONE).to_numpy())

    def taken(self, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """Of all rows so far, in another order; they are not kept here."""
        codes = np.concatenate(self._parts)
        self._parts.clear()
        return codes[order]

    def values(self) -> pl.Series:
        """By code."""
        return pl.Series(self._name, list(self._places), dtype=pl.String)
