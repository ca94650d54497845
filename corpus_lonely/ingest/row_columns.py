"""The columns of rows, each made of many raw posts: their values as schemas/posts.json describes them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus_lonely.deletions import NOBODY
from corpus_lonely.ingest import normalize
from corpus_lonely.ingest.raw import Number, RawPost
from corpus_lonely.ingest.texts import normalise_all
from corpus_lonely.ingest.writer import GONE, PLACE

_MICROSECONDS = 1_000_000
_TIME = pa.timestamp("us", "UTC")
_Floats = npt.NDArray[np.float64]


class Rows(NamedTuple):
    """Posts that are kept, and traces of posts that are gone."""

    raw: Sequence[RawPost]
    places: npt.NDArray[np.int64]
    comment: npt.NDArray[np.bool_]
    ids: Sequence[str]
    subreddits: Sequence[str]
    created: _Floats
    text: pa.StringArray
    gone: Sequence[str | None]
    """`deleted` or `removed` for a trace."""
    author: Callable[[str], str]
    name: Callable[[str], str] | None
    """What stands for names of authors and of posts; None where that is the post's name itself."""


def seconds(values: Sequence[Number]) -> _Floats:
    """`normalize.seconds` of each; NaN where that is None."""
    usual = {int, float, type(None)}
    try:
        times = np.array(values if usual.issuperset(map(type, values)) else _slow(values), float)
    except OverflowError:  # a whole number beyond all floats
        times = np.array(_slow(values), float)
    times[~((times >= normalize.BEGIN) & (times < normalize.END))] = np.nan
    return times


def _slow(values: Sequence[Number]) -> list[float | None]:
    return [normalize.seconds(value) for value in values]


def _times(times: _Floats) -> pa.Array:
    unknown = np.isnan(times)
    whole = np.rint(np.where(unknown, 0, times) * _MICROSECONDS).astype(np.int64)
    return pa.array(whole, mask=unknown if unknown.any() else None).view(_TIME)


def _integers(values: Sequence[Number]) -> pa.Array:
    try:
        if {int, type(None)}.issuperset(map(type, values)):
            return pa.array(values, pa.int64())
    except OverflowError:
        pass
    return pa.array([normalize.integer(value) for value in values], pa.int64())


def _of_submissions(rows: Rows, kind: pa.DataType, make: Callable[[Rows], pa.Array]) -> pa.Array:
    """A column that is null for comments."""
    if rows.comment.all():
        return pa.nulls(len(rows.raw), kind)
    made = make(rows)
    return pc.if_else(pa.array(~rows.comment), made, None) if rows.comment.any() else made


def _of_comments(rows: Rows, make: Callable[[Rows], pa.Array]) -> pa.Array:
    if not rows.comment.any():
        return pa.nulls(len(rows.raw), pa.string())
    made = make(rows)
    return made if rows.comment.all() else pc.if_else(pa.array(rows.comment), made, None)


def _strings(values: Sequence[str | None]) -> pa.Array:
    return pa.array(values, pa.string())


def _post_id(rows: Rows) -> pa.Array:
    pairs = zip(rows.ids, rows.comment.tolist(), strict=True)
    names = [f"t1_{name}" if comment else f"t3_{name}" for name, comment in pairs]
    return _names(rows, names)


def _names(rows: Rows, names: Sequence[str | None]) -> pa.Array:
    """Names of posts as they are written."""
    if rows.name:
        names = [rows.name(name) if name else name for name in names]
    return _strings(names)


def _author(rows: Rows) -> pa.Array:
    write, nobody = rows.author, NOBODY
    return _strings(
        [
            write(post.author) if post.author and not gone and post.author not in nobody else None
            for post, gone in zip(rows.raw, rows.gone, strict=True)
        ]
    )


def _title(rows: Rows) -> pa.Array:
    pairs = zip(rows.raw, rows.gone, strict=True)
    return normalise_all([None if gone else post.title for post, gone in pairs])


def _edited_seconds(rows: Rows) -> _Floats:
    told = (post.edited for post in rows.raw)
    return seconds([None if type(edited) is bool else edited for edited in told])


def _edited(rows: Rows) -> pa.Array:
    known = (~np.isnan(_edited_seconds(rows))).tolist()
    return pa.array(
        [
            False
            if post.edited is False and post.meta is None
            else normalize.edited(post, dated=dated)
            for post, dated in zip(rows.raw, known, strict=True)
        ],
        pa.bool_(),
    )


def _removed(rows: Rows) -> pa.Array:
    return _strings(
        [
            gone or (normalize.removed(post) if post.meta else post.removed_by_category or None)
            for post, gone in zip(rows.raw, rows.gone, strict=True)
        ]
    )


def _retrieved_at(rows: Rows) -> pa.Array:
    return _times(
        seconds(
            [
                post.retrieved_on
                if post.meta is None and post.retrieved_utc is None
                else normalize.retrieved(post)
                for post in rows.raw
            ]
        )
    )


def _flairs(rows: Rows, told: Sequence[str | None]) -> pa.Array:
    pairs = zip(told, rows.gone, strict=True)
    flairs = normalise_all([None if gone else flair for flair, gone in pairs])
    return pc.if_else(pc.equal(flairs, ""), None, flairs)


def _permalink(rows: Rows) -> pa.Array:
    pairs = zip(rows.raw, rows.gone, strict=True)
    return _strings([None if gone else post.permalink for post, gone in pairs])


COLUMNS: dict[str, Callable[[Rows], pa.Array]] = {
    "post_id": _post_id,
    "kind": lambda rows: pc.if_else(pa.array(rows.comment), "comment", "submission"),
    "subreddit": lambda rows: _strings(rows.subreddits),
    "author": _author,
    "created_at": lambda rows: _times(rows.created),
    "text": lambda rows: pc.if_else(pa.array(rows.gone, pa.string()).is_null(), rows.text, ""),
    "title": lambda rows: _of_submissions(rows, pa.string(), _title),
    "score": lambda rows: _integers(
        [None if post.score_hidden else post.score for post in rows.raw]
    ),
    "num_comments": lambda rows: _of_submissions(
        rows, pa.int64(), lambda rows: _integers([post.num_comments for post in rows.raw])
    ),
    "over_18": lambda rows: _of_submissions(
        rows, pa.bool_(), lambda rows: pa.array([post.over_18 for post in rows.raw], pa.bool_())
    ),
    "link_id": lambda rows: _of_comments(
        rows, lambda rows: _names(rows, [post.link_id for post in rows.raw])
    ),
    "parent_id": lambda rows: _of_comments(
        rows, lambda rows: _names(rows, [post.parent_id for post in rows.raw])
    ),
    "edited_at": lambda rows: _times(_edited_seconds(rows)),
    "edited": _edited,
    "removed": _removed,
    "crosspost": lambda rows: _names(rows, [post.crosspost_parent or None for post in rows.raw]),
    "retrieved_at": _retrieved_at,
    "flair": lambda rows: _of_submissions(
        rows, pa.string(), lambda rows: _flairs(rows, [post.link_flair_text for post in rows.raw])
    ),
    "author_flair": lambda rows: _flairs(rows, [post.author_flair_text for post in rows.raw]),
    "permalink": _permalink,
    PLACE: lambda rows: pa.array(rows.places),
    GONE: lambda rows: pa.array(rows.gone, pa.string()).is_valid(),
}
"""By name; the last two are of staged files alone."""
