"""What an ingest keeps and how it writes it: the choices, and which of them a folder must share."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

from corpus_lonely.errors import InputError, SettingsError

ROWS_VERSION = 3
"""Raised when the same dump and settings make other rows than before."""


OPTIONAL_COLUMNS = (
    "title",
    "score",
    "num_comments",
    "over_18",
    "link_id",
    "parent_id",
    "edited_at",
    "edited",
    "crosspost",
    "flair",
    "author_flair",
)
ALWAYS_WRITTEN = (
    "post_id",
    "kind",
    "subreddit",
    "author",
    "created_at",
    "text",
    "removed",
    "retrieved_at",
)
"""Columns of posts that no later stage needs, and that merging can do without."""


def _names(text: str, prefix: str) -> frozenset[str]:
    lines = (line.split("#", 1)[0].strip().lower() for line in text.splitlines())
    return frozenset(line.removeprefix("/").removeprefix(prefix) for line in lines if line)


def shipped_bots() -> frozenset[str]:
    """The accounts in `bots.txt`, in lower case."""
    return _names(files("corpus_lonely.ingest").joinpath("bots.txt").read_text("utf-8"), "u/")


def read_bots(path: Path) -> frozenset[str]:
    """A list of accounts, one a line, `#` for comments, u/ or not; InputError if it is no text."""
    try:
        return _names(path.read_text("utf-8-sig"), "u/")
    except FileNotFoundError:
        raise InputError("does not exist", where=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"is not readable as a list of names ({error})", where=path) from error


def subreddit_names(names: Iterable[str]) -> frozenset[str]:
    """Subreddits in lower case, without r/; SettingsError for an empty name."""
    plain = frozenset(
        name.strip().lstrip("/").lower().removeprefix("r/").strip("/") for name in names
    )
    if "" in plain:
        raise SettingsError("--subreddit must be a name like lonely or r/lonely, got an empty one")
    return plain


@dataclass(frozen=True)
class IngestSettings:
    """The choices of one ingest; those in `recorded` hold for all files of a folder."""

    subreddits: frozenset[str] = frozenset()
    """Keep these alone, in any case, with r/ or without; all when empty."""
    since: date | None = None
    """Keep posts made on this day (UTC) or later."""
    until: date | None = None
    """Keep posts made on this day (UTC) or before: the whole day is in."""
    min_words: int = 0
    """Keep posts of at least so many words, title and body together."""
    bots: frozenset[str] = field(default_factory=shipped_bots)
    """Drop the posts of these accounts; in any case."""
    keep_authors: bool = False
    """Write authors' names as they are, where otherwise their keyed hash stands."""
    author_key: Path | None = None
    """A file with the key of that hash, made when it is not there; in the about folder if None."""
    keep_permalinks: bool = False
    """Write the column `permalink`, which leads straight to the author."""
    columns: frozenset[str] | None = None
    """Those of OPTIONAL_COLUMNS to write; all when None."""
    hash_ids: bool = False
    """Write keyed hashes for the ids of posts: they join as before, and lead to no post."""
    quarantine_text: bool = False
    """Put the lines themselves into the quarantine file, too: people's posts in plain text."""
    overwrite: bool = False
    """Make the folder anew; what was in it stays until the new one is whole."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "subreddits", subreddit_names(self.subreddits))
        object.__setattr__(self, "bots", frozenset(name.lower() for name in self.bots))
        if self.since and self.until and self.since > self.until:
            raise SettingsError(f"--since {self.since} must not be after --until {self.until}")
        if self.min_words < 0:
            raise SettingsError(f"--min-words must be at least 0, got {self.min_words}")
        if self.keep_authors and self.author_key:
            raise SettingsError("--author-key has no use with --keep-authors: give one of the two")
        for leads, option in (
            (self.keep_permalinks, "--keep-permalinks"),
            (self.keep_authors, "--keep-authors"),
        ):
            if self.hash_ids and leads:
                raise SettingsError(f"{option} leads to what --hash-ids hides: give one of the two")
        if unknown := sorted((self.columns or frozenset()) - set(OPTIONAL_COLUMNS)):
            why = ", which is always written" if unknown[0] in ALWAYS_WRITTEN else ""
            raise SettingsError(
                f"--columns must name some of {', '.join(OPTIONAL_COLUMNS)}, got {unknown[0]!r}{why}"
            )

    def recorded(self) -> dict[str, Any]:
        """What decides the rows, as JSON: two runs into one folder must agree in it."""
        return {
            "subreddits": sorted(self.subreddits),
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
            "min_words": self.min_words,
            "bots": _digest(sorted(self.bots)),
            "keep_authors": self.keep_authors,
            "keep_permalinks": self.keep_permalinks,
            "columns": None if self.columns is None else sorted(self.columns),
            "hash_ids": self.hash_ids,
            "rows_version": ROWS_VERSION,
        }


def fingerprint(recorded: dict[str, Any], author_key: str | None) -> str:
    """Tells apart settings and author keys that make different rows."""
    return _digest([recorded, author_key])


def _digest(content: Any) -> str:
    packed = json.dumps(content, sort_keys=True).encode()
    return hashlib.sha256(packed).hexdigest()[:16]
