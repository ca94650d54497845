"""What twenty years of raw posts mean, field by field; `ingest.columns` makes rows by it."""

import math
from datetime import UTC, date, datetime, timedelta
from functools import cache

from corpus_lonely.ingest.raw import Number, RawPost
from corpus_lonely.ingest.settings import IngestSettings

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
a line is decoded, `duplicate` when months are merged, `purged` is what `corpus-lonely purge` took out."""

STAGED = "staged"
"""The reason in counts of the posts that were not dropped (yet: duplicates show when months merge)."""
NOT_COVERED = ("bad_json", "not_a_post", "other_subreddit", "outside_dates")
"""Reasons that are counted for the file alone: what they drop is not what the folder is about."""

BEGIN = datetime(2005, 1, 1, tzinfo=UTC).timestamp()
END = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
"""Reddit's years, in seconds since 1970."""
_DAY_S = 86_400
_INT64 = range(-(2**63), 2**63)
_DELETED = {"[deleted]", "[deleted by user]"}
_REMOVED = {"[removed]", "[removed by reddit]"}
_REMOVED_BY_REDDIT = "[ removed by reddit"
"""A reason may follow before the closing bracket."""
_LONGEST_MARK = 200
"""Characters as the dump has them, entities and invisible ones included; longer text is no mark."""


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


def is_comment(raw: RawPost) -> bool:
    """What answers something is a comment, or is named as one where a table lacks what it answers."""
    return raw.body is not None and bool(
        raw.link_id or raw.parent_id or (raw.name or "").startswith("t1_")
    )


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
