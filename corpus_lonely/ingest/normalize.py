"""Twenty years of raw posts to one kind of row, or to the reason why a post is dropped."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import NamedTuple

from corpus_lonely.ingest.raw import Number, RawPost
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.text import normalise

DROP_REASONS = (
    "bad_json",
    "not_a_post",
    "other_subreddit",
    "bad_date",
    "outside_dates",
    "deleted",
    "removed",
    "empty",
    "bot",
    "too_short",
    "duplicate",
    "purged",
)
"""In the order of the checks: a post is counted under the first that holds. `bad_json` is found when
a line is decoded, `duplicate` when months are merged, `purged` is what `corpus-lonely purge` took out, the
others are found here."""

STAGED = "staged"
"""The reason in counts of the posts that were not dropped (yet: duplicates show when months merge)."""
NOT_COVERED = ("bad_json", "not_a_post", "other_subreddit", "outside_dates")
"""Reasons that are counted for the file alone: what they drop is not what the folder is about."""

BEGIN = datetime(2005, 1, 1, tzinfo=UTC).timestamp()
END = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
"""Reddit's years, in seconds since 1970."""
NOBODY = frozenset({"[deleted]", "[removed]"})
"""Authors' names that are none."""
_MICROSECONDS = 1_000_000
_INT64 = range(-(2**63), 2**63)
_DAY_S = 86_400
_DELETED = {"[deleted]", "[deleted by user]"}
_REMOVED = {"[removed]", "[removed by reddit]"}
_REMOVED_BY_REDDIT = "[ removed by reddit"
"""A reason may follow before the closing bracket."""
_LONGEST_MARK = 200
"""Characters as the dump has them, entities and invisible ones included; longer text is no mark."""


class Row(NamedTuple):
    """One post as schemas/posts.json describes it, column by column; times in microseconds, UTC."""

    post_id: str
    kind: str
    subreddit: str
    author: str | None
    created_at: int
    text: str
    title: str | None
    score: int | None
    num_comments: int | None
    over_18: bool | None
    link_id: str | None
    parent_id: str | None
    edited_at: int | None
    edited: bool | None
    removed: str | None
    crosspost: str | None
    retrieved_at: int | None
    flair: str | None
    author_flair: str | None
    permalink: str | None


@dataclass(frozen=True, slots=True)
class Drop:
    """A post that is not kept."""

    reason: str
    """One of DROP_REASONS."""
    kind: str = ""
    subreddit: str = ""
    month: str | None = None
    """YYYY-MM (UTC); None where the date cannot be read."""
    trace: Row | None = None
    """What is left of a deleted or removed post: a row without text, which tells of it in `removed`."""


class Normaliser:
    """Raw posts to rows under one choice of settings."""

    def __init__(
        self,
        settings: IngestSettings,
        author: Callable[[str], str],
        name: Callable[[str], str] | None = None,
    ) -> None:
        """What stands for names of authors and of posts: see `authors`, `author_writer` and `id_writer`."""
        self._settings, self._author = settings, author
        self._name = name or str
        self._since, self._before = span(settings)

    def __call__(self, raw: RawPost) -> Row | Drop:
        kind, post_id = _kind(raw), _post_id(raw)
        if not (kind and post_id and raw.subreddit):
            return Drop("not_a_post")
        subreddit = raw.subreddit
        if self._settings.subreddits and subreddit.lower() not in self._settings.subreddits:
            return Drop("other_subreddit", kind, subreddit)
        created = seconds(raw.created_utc)
        if created is None:
            return Drop("bad_date", kind, subreddit)
        if not self._since <= created < self._before:
            return Drop("outside_dates", kind, subreddit, month_of(created))
        return self._written(raw, kind, post_id, created)

    def _written(self, raw: RawPost, kind: str, post_id: str, created: float) -> Row | Drop:
        """What was written, or why it is not kept."""
        subreddit = raw.subreddit or ""
        submission = kind == "submission"
        title = normalise(raw.title) if submission and raw.title else ""
        raw_body = raw.selftext if submission else raw.body
        body = normalise(raw_body) if raw_body else ""
        text = f"{title} {body}" if title and body else title or body
        told = body or normalise(raw.title or "")
        # a deletion speaks before a removal: older copies of the text go with it
        if way := deleted_later(raw) or gone(raw_body, told):
            trace = self._row(raw, submission, post_id, created, "", "")
            trace = trace._replace(
                author=None,
                title=None,
                flair=None,
                author_flair=None,
                permalink=None,
                removed=way,
            )
            return Drop(way, kind, subreddit, month_of(created), trace)
        if reason := self._unwanted(raw.author, text):
            return Drop(reason, kind, subreddit, month_of(created))
        return self._row(raw, submission, post_id, created, title, text)

    def _unwanted(self, author: str | None, text: str) -> str | None:
        if not text:
            return "empty"
        if author and author.lower() in self._settings.bots:
            return "bot"
        if self._settings.min_words and text.count(" ") + 1 < self._settings.min_words:
            return "too_short"
        return None

    def _row(
        self, raw: RawPost, submission: bool, post_id: str, created: float, title: str, text: str
    ) -> Row:
        told = raw.edited
        edited_at = None if told is None or told is False else seconds(told)
        fetched = retrieved(raw)
        author = raw.author
        return Row(  # by place: by name it takes twice the time, and there is a billion of them
            self._name(f"t3_{post_id}" if submission else f"t1_{post_id}"),
            "submission" if submission else "comment",
            raw.subreddit or "",
            self._author(author) if author and author not in NOBODY else None,
            round(created * _MICROSECONDS),
            text,
            title if submission else None,
            None if raw.score_hidden else integer(raw.score),
            integer(raw.num_comments) if submission else None,
            raw.over_18 if submission else None,
            None if submission else self._other(raw.link_id),
            None if submission else self._other(raw.parent_id),
            None if edited_at is None else round(edited_at * _MICROSECONDS),
            edited(raw, dated=edited_at is not None),
            removed(raw),
            self._other(raw.crosspost_parent) or None,
            None if fetched is None else round(fetched * _MICROSECONDS),
            (normalise(raw.link_flair_text or "") or None) if submission else None,
            normalise(raw.author_flair_text or "") or None,
            raw.permalink if self._settings.keep_permalinks else None,
        )

    def _other(self, name: str | None) -> str | None:
        return self._name(name) if name else name


def month_of(created: float) -> str:
    """YYYY-MM of seconds since 1970, UTC, within Reddit's years."""
    return _month_of_day(int(created // _DAY_S))


@cache
def _month_of_day(day: int) -> str:
    return f"{datetime.fromtimestamp(day * _DAY_S, UTC):%Y-%m}"


def seconds(value: Number) -> float | None:
    """Seconds since 1970, UTC, from a number or its text; None when it is no time in 2005 to 2099."""
    if value is None:
        return None
    try:
        number = value if type(value) is int else float(value)
    except (ValueError, OverflowError):
        return None
    return number if BEGIN <= number < END else None


def _kind(raw: RawPost) -> str | None:
    """Told by content, for one file may hold both."""
    if is_comment(raw):
        return "comment"
    return "submission" if raw.title is not None else None


def is_comment(raw: RawPost) -> bool:
    """What answers something is a comment, or is named as one where a table lacks what it answers."""
    return raw.body is not None and bool(
        raw.link_id or raw.parent_id or (raw.name or "").startswith("t1_")
    )


def _post_id(raw: RawPost) -> str:
    return bare_id(raw.id or raw.name or "")


def bare_id(name: str) -> str:
    """An id without the prefix of full names."""
    return name.removeprefix("t1_").removeprefix("t3_")


def gone(body: str | None, told: str) -> str | None:
    """`deleted` or `removed` when the text is gone; a title that is left does not make it whole.

    told: the body, normalised; the title, which Reddit overwrites as well, where that is empty.
    """
    if not told.startswith("[") or (body and len(body) > _LONGEST_MARK):
        return None
    told = told.lower()
    if told in _DELETED:
        return "deleted"
    by_reddit = told.startswith(_REMOVED_BY_REDDIT) and told.endswith("]")
    return "removed" if by_reddit or told in _REMOVED else None


def deleted_later(raw: RawPost) -> str | None:
    """`deleted` when the author deleted the post after its text was fetched: one rule, however we know."""
    return "deleted" if removed(raw) == "deleted" else None


def integer(value: Number) -> int | None:
    if type(value) is int:
        return value if value in _INT64 else None
    try:
        number = int(float(value)) if isinstance(value, str) else int(value or 0)
    except (ValueError, OverflowError):
        return None
    return number if value is not None and number in _INT64 else None


def edited(raw: RawPost, *, dated: bool) -> bool | None:
    """dated: the time of the edit is known."""
    if dated or (raw.meta and raw.meta.is_edited):
        return True
    return raw.edited if isinstance(raw.edited, bool) else None


def removed(raw: RawPost) -> str | None:
    # the author's deletion is told before a moderator's removal: who honours it must find it;
    # `was_deleted_later` tells of either, and `removal_type` of which
    later = raw.meta.removal_type if raw.meta else None
    if later == "deleted" or (raw.meta and raw.meta.was_deleted_later and not later):
        return "deleted"
    return raw.removed_by_category or later or None


def retrieved(raw: RawPost) -> float | None:
    """The latest of the times told, in seconds: a second retrieval refreshes score and removal in
    place."""
    told: tuple[Number, ...] = (raw.retrieved_on,)
    if raw.retrieved_utc is not None or raw.meta is not None:
        again = raw.meta.retrieved_2nd_on if raw.meta else None
        told = (raw.retrieved_on, raw.retrieved_utc, again)
    times = [time for value in told if (time := seconds(value)) is not None]
    return max(times, default=None)


def span(settings: IngestSettings) -> tuple[float, float]:
    """The first second that is asked for, and the first after all of them."""
    since, until = settings.since, settings.until
    return (
        _midnight(since) if since else -math.inf,
        _midnight(until + timedelta(days=1)) if until else math.inf,
    )


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
