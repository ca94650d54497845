"""The rules of ingest a post at a time, the plain way: what `ingest.columns` must make of thousands at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from corpus_lonely.deletions import NOBODY
from corpus_lonely.ingest.normalize import (
    bare_id,
    deleted_later,
    edited,
    gone,
    integer,
    is_comment,
    month_of,
    removed,
    retrieved,
    seconds,
    span,
)
from corpus_lonely.ingest.raw import RawPost
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.text import normalise

_MICROSECONDS = 1_000_000


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
        return Row(
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


def _kind(raw: RawPost) -> str | None:
    """Told by content, for one file may hold both."""
    if is_comment(raw):
        return "comment"
    return "submission" if raw.title is not None else None


def _post_id(raw: RawPost) -> str:
    return bare_id(raw.id or raw.name or "")
