"""What a crawl asks Reddit for, and which listings that makes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

from corpus_lonely.errors import SettingsError
from corpus_lonely.ingest.settings import IngestSettings, subreddit_names

LISTINGS = ("new", "top", "hot", "rising", "controversial", "search")
"""Kinds of listings; Reddit ends each of them at 1,000 items, so their union is read."""
WINDOWS = ("all", "year", "month", "week", "day", "hour")
QUERIES = ("self:yes", "self:no")
"""Searches that between them match every submission: with and without a text of their own."""
_SEARCH_SORTS = ("new", "top", "comments", "relevance")
_NAME = re.compile(r"\w{2,24}", re.ASCII)
_MANY = frozenset({"all", "popular", "friends", "mod", "random", "randnsfw"})
"""Names that Reddit keeps for mixtures of subreddits."""


@dataclass(frozen=True)
class Listing:
    """One listing of a subreddit, to be read page by page."""

    name: str
    """As progress and reports tell it: `top/week`."""
    path: str
    params: dict[str, str | int] = field(default_factory=dict)

    @property
    def by_time(self) -> bool:
        """Whether the newest stand first, so that an old page means that only older ones follow."""
        return self.name in ("new", "comments")


@dataclass(frozen=True)
class CrawlSettings:
    """The choices of one crawl."""

    subreddits: tuple[str, ...]
    """Names, in any case, with r/ or without; crawled in this order."""
    listings: tuple[str, ...] = LISTINGS
    """Of LISTINGS, which kinds to read."""
    queries: tuple[str, ...] = QUERIES
    """What `search` searches for."""
    comments: bool = False
    """Read the comments as well: at least one request for each submission that has any."""
    rows: IngestSettings = field(default_factory=IngestSettings)
    """What becomes of the posts; its `subreddits` are not looked at."""
    site: str | None = None
    """The section of praw.ini; else what the variable praw_site names, else DEFAULT."""
    restart: bool = False
    """Begin anew: throw away what an interrupted crawl has fetched."""

    def __post_init__(self) -> None:
        names = tuple(dict.fromkeys(_single(name) for name in self.subreddits))
        if not names:
            raise SettingsError("name at least one --subreddit")
        if unknown := set(self.listings) - set(LISTINGS):
            raise SettingsError(f"--listing must be of {', '.join(LISTINGS)}, got {unknown.pop()}")
        if not all(query.strip() for query in self.queries):
            raise SettingsError("--search must not be empty")
        object.__setattr__(self, "subreddits", names)
        object.__setattr__(self, "listings", tuple(x for x in LISTINGS if x in self.listings))

    @property
    def since(self) -> float:
        """The first moment wanted, seconds since 1970, UTC; 0 without --since."""
        day = self.rows.since
        return datetime.combine(day, time(), UTC).timestamp() if day else 0.0

    @property
    def before(self) -> float:
        """The first moment after those wanted; infinite without --until."""
        day = self.rows.until
        if not day:
            return float("inf")
        return datetime.combine(day + timedelta(days=1), time(), UTC).timestamp()

    def recorded(self) -> dict[str, Any]:
        """What decides the requests, as JSON: a crawl goes on with the same ones alone."""
        return {
            "--subreddit": list(self.subreddits),
            "--listing": list(self.listings),
            "--search": list(self.queries) if "search" in self.listings else [],
            "--comments": self.comments,
            "--since": str(self.rows.since) if self.rows.since else None,
            "--until": str(self.rows.until) if self.rows.until else None,
        }

    def plan(self, subreddit: str) -> list[Listing]:
        """The listings of one subreddit, in the order they are read; that of comments is last."""
        listings = [
            listing for kind in self.listings for listing in _of_kind(kind, subreddit, self.queries)
        ]
        if self.comments:
            listings.append(Listing("comments", f"r/{subreddit}/comments"))
        return listings


def _single(name: str) -> str:
    (plain,) = subreddit_names([name])
    if plain in _MANY or not _NAME.fullmatch(plain):
        raise SettingsError(f"--subreddit must be the name of one subreddit, got {name}")
    return plain


def _of_kind(kind: str, subreddit: str, queries: Iterable[str]) -> list[Listing]:
    path = f"r/{subreddit}/{kind}"
    if kind in ("top", "controversial"):
        return [Listing(f"{kind}/{window}", path, {"t": window}) for window in WINDOWS]
    if kind == "search":
        return [
            Listing(f"search/{query}/{sort}", path, _searched(query, sort))
            for query in queries
            for sort in _SEARCH_SORTS
        ]
    return [Listing(kind, path)]


def _searched(query: str, sort: str) -> dict[str, str | int]:
    return {
        "q": query,
        "sort": sort,
        "t": "all",
        "type": "link",
        "syntax": "lucene",
        "restrict_sr": 1,
        "include_over_18": 1,  # else search alone leaves them out
    }
