"""Raw posts to columns of rows, thousands at once.

A column at a time: its usual values all at once, the unusual ones by the functions of `normalize`.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus_lonely.ingest import normalize
from corpus_lonely.ingest.normalize import NOT_COVERED, STAGED
from corpus_lonely.ingest.raw import RawPost
from corpus_lonely.ingest.row_columns import COLUMNS, Rows, seconds
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.ingest.texts import normalise_all
from corpus_lonely.text import normalise

CountKey = tuple[str | None, str, str, str]
"""Month, subreddit in lower case, kind, reason."""
_Mask = npt.NDArray[np.bool_]
_DAY_S = 86_400
_NAMED = ("not_a_post", "bad_date")
"""Reasons that the quarantine names lines for."""
_LEFT = (STAGED, "deleted", "removed")
"""What is said of the posts that become rows, or traces."""
_NO_MARK = frozenset(chr(code) for code in range(33, 127)) - {"[", "&"}
"""First characters of raw text that cannot say that the text is gone."""


class Fate(NamedTuple):
    """What became of some posts."""

    rows: dict[str, pa.Table]
    """By month, YYYY-MM; traces of posts without text among them."""
    counts: Counter[CountKey]
    """All posts."""
    bad: list[tuple[int, str]]
    """Line and reason of what is no post, or of no time."""


class _Posts(NamedTuple):
    """Posts that nothing speaks against so far."""

    raw: Sequence[RawPost]
    places: npt.NDArray[np.int64]
    """The line of each."""
    comment: _Mask
    ids: Sequence[str]
    subreddits: Sequence[str]
    created: npt.NDArray[np.float64]
    """Seconds since 1970, UTC; NaN where not known (yet)."""

    def only(self, mask: _Mask) -> "_Posts":
        """Those that the mask is true of."""
        return _Posts(
            list(compress(self.raw, mask)),
            self.places[mask],
            self.comment[mask],
            list(compress(self.ids, mask)),
            list(compress(self.subreddits, mask)),
            self.created[mask],
        )

    @property
    def lower_case(self) -> Iterator[str]:
        """The subreddits."""
        return map(str.lower, self.subreddits)

    @property
    def kinds(self) -> Sequence[str]:
        kinds: list[str] = np.where(self.comment, "comment", "submission").tolist()
        return kinds


class ColumnNormaliser:
    """Raw posts to columns under one choice of settings."""

    def __init__(
        self,
        settings: IngestSettings,
        schema: pa.Schema,
        author: Callable[[str], str],
        name: Callable[[str], str] | None = None,
    ) -> None:
        """schema: of the rows, the columns of staged files included.

        author, name: what stands for names of authors and of posts: see `authors.author_writer`, `id_writer`.
        """
        self._settings, self._schema = settings, schema
        self._author, self._name = author, name
        self._since, self._before = normalize.span(settings)

    def __call__(self, raw: Sequence[RawPost], places: Sequence[int]) -> Fate:
        """places: for each post its line."""
        fate = Fate({}, Counter(), [])
        posts = self._wanted(_read(raw, places), fate)
        if posts.raw:
            self._written(posts, fate)
        return fate

    def _wanted(self, posts: _Posts, fate: Fate) -> _Posts:
        """The posts of the subreddits and days asked for."""
        named = [bool(name and of) for name, of in zip(posts.ids, posts.subreddits, strict=True)]
        posts = _kept(posts, named, "not_a_post", fate)
        if wanted := self._settings.subreddits:
            among = [name.lower() in wanted for name in posts.subreddits]
            posts = _kept(posts, among, "other_subreddit", fate)
        posts = posts._replace(created=seconds([post.created_utc for post in posts.raw]))
        posts = _kept(posts, ~np.isnan(posts.created), "bad_date", fate)
        within = (self._since <= posts.created) & (posts.created < self._before)
        return _kept(posts, within, "outside_dates", fate)

    def _written(self, posts: _Posts, fate: Fate) -> None:
        """What was written to rows, with the reasons of what is not kept counted."""
        months, month_of_row = _months(posts.created)
        gone = _gone(posts)
        text = normalise_all(map(_text, posts.raw, posts.comment.tolist()))
        reasons = self._reasons(posts, text, gone)
        of_rows = [months[number] for number in month_of_row.tolist()]
        fate.counts.update(zip(of_rows, posts.lower_case, posts.kinds, reasons, strict=True))
        left = np.array([reason in _LEFT for reason in reasons])
        if left.any():
            table = self._table(
                posts.only(left), text.filter(pa.array(left)), list(compress(gone, left))
            )
            _split(table, months, month_of_row[left], fate)

    def _reasons(
        self, posts: _Posts, text: pa.StringArray, gone: Sequence[str | None]
    ) -> list[str]:
        """For each post why it is not kept, or STAGED."""
        reasons = np.full(len(text), STAGED, dtype=object)
        if least := self._settings.min_words:
            words = pc.add(pc.count_substring(text, " "), 1)
            reasons[words.to_numpy() < least] = "too_short"
        bots = self._settings.bots
        authors = [post.author or "" for post in posts.raw]
        reasons[[name.lower() in bots for name in authors]] = "bot"
        reasons[pc.equal(pc.binary_length(text), 0).to_numpy(zero_copy_only=False)] = "empty"
        for place, reason in enumerate(gone):
            if reason:
                reasons[place] = reason
        return reasons.tolist()

    def _table(self, posts: _Posts, text: pa.StringArray, gone: Sequence[str | None]) -> pa.Table:
        rows = Rows(
            posts.raw,
            posts.places,
            posts.comment,
            posts.ids,
            posts.subreddits,
            posts.created,
            text,
            gone,
            self._author,
            self._name,
        )
        arrays = [COLUMNS[field.name](rows) for field in self._schema]
        return pa.Table.from_arrays(arrays, schema=self._schema)


def _read(raw: Sequence[RawPost], places: Sequence[int]) -> _Posts:
    """Kind and id of each; the id is empty where there is none or no kind."""
    comment = [normalize.is_comment(post) for post in raw]
    ids = [
        (post.id or post.name or "") if answers or post.title is not None else ""
        for post, answers in zip(raw, comment, strict=True)
    ]
    return _Posts(
        raw=raw,
        places=np.array(places, np.int64),
        comment=np.array(comment, bool),
        ids=[normalize.bare_id(name) if "_" in name else name for name in ids],
        subreddits=[post.subreddit or "" for post in raw],
        created=np.full(len(raw), math.nan),
    )


def _kept(posts: _Posts, which: Any, reason: str, fate: Fate) -> _Posts:
    """The posts for which `which` holds; the others are counted under the reason."""
    mask: _Mask = np.array(which, dtype=bool)
    if mask.all():
        return posts
    dropped = posts.only(~mask)
    if reason in NOT_COVERED:
        fate.counts[None, "", "", reason] += len(dropped.raw)
    else:
        for subreddit, kind in zip(dropped.lower_case, dropped.kinds, strict=True):
            fate.counts[None, subreddit, kind, reason] += 1
    if reason in _NAMED:
        fate.bad.extend((place, reason) for place in dropped.places.tolist())
    return posts.only(mask)


def _months(created: npt.NDArray[np.float64]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The months that occur, and for each post which of them is its own."""
    days, which = np.unique(created // _DAY_S, return_inverse=True)
    names = [normalize.month_of(day * _DAY_S) for day in days.tolist()]
    months = sorted(set(names))
    return months, np.array([months.index(name) for name in names])[which]


def _gone(posts: _Posts) -> list[str | None]:
    """For each post `deleted` or `removed` where its text is gone, or should be."""
    gone: list[str | None] = [None] * len(posts.raw)
    for place, (post, comment) in enumerate(zip(posts.raw, posts.comment.tolist(), strict=True)):
        if post.meta is not None or post.removed_by_category is not None:
            gone[place] = normalize.deleted_later(post)
            if gone[place]:
                continue
        body = post.body if comment else post.selftext
        if (body or post.title or "")[:1] not in _NO_MARK:  # a few
            told = normalise(body) if body else ""
            gone[place] = normalize.gone(body, told or normalise(post.title or ""))
    return gone


def _text(post: RawPost, comment: bool) -> str:
    if comment:
        return post.body or ""
    return f"{post.title} {post.selftext}" if post.selftext else post.title or ""


def _split(
    table: pa.Table, months: list[str], month_of_row: npt.NDArray[np.int64], fate: Fate
) -> None:
    for number in np.unique(month_of_row).tolist():
        mine = month_of_row == number
        fate.rows[months[number]] = table if mine.all() else table.filter(pa.array(mine))
