"""What was purged from a posts folder, remembered so that no later dump brings it back."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from corpus_lonely.deletions import HASHED_ID
from corpus_lonely.errors import InputError, OutputError, first_line
from corpus_lonely.ingest.authors import AuthorKey
from corpus_lonely.ingest.month_sources import DAMAGE
from corpus_lonely.parquet import open_parquet
from corpus_lonely.tables import footer, with_footer, write_parquet

_SCHEMA = pa.schema(
    [
        pa.field("what", pa.string(), nullable=False),
        pa.field("value", pa.string(), nullable=False),
    ]
)
_POST, _AUTHOR = "post", "author"
COUNTS = pl.DataFrame(
    schema={"month": pl.String, "subreddit": pl.String, "kind": pl.String, "purged": pl.Int64}
)
"""Purged posts, as the table of coverage counts them."""


@dataclass(frozen=True)
class Purged:
    """Ids of posts, and authors as the folder's column has them, in lower case."""

    posts: pl.Series
    authors: pl.Series
    author_key: str | None
    """Fingerprint of the key that the authors are hashed with."""
    hash_ids: bool = False
    """Whether the ids are hashed with it, too."""

    @classmethod
    def of(
        cls,
        posts: Iterable[str],
        authors: Iterable[str],
        author_key: str | None,
        *,
        hash_ids: bool = False,
    ) -> "Purged":
        """From values as the folder has them; each once."""
        told = [pl.Series(sorted(set(values)), dtype=pl.String) for values in (posts, authors)]
        return cls(told[0], told[1], author_key, hash_ids)

    def hashed_with(self, key: AuthorKey | None) -> "Purged":
        """The same for a folder whose ids are hashed; itself where they are, or without a key."""
        if self.hash_ids or key is None:
            return self
        ids = map(key.hash_id, self.posts)
        return Purged.of(ids, self.authors, key.fingerprint, hash_ids=True)

    def __len__(self) -> int:
        return len(self.posts) + len(self.authors)

    def __or__(self, other: "Purged") -> "Purged":
        return Purged.of(
            [*self.posts, *other.posts],
            [*self.authors, *other.authors],
            other.author_key,
            hash_ids=other.hash_ids,
        )

    @property
    def hashed(self) -> bool:
        """Whether it is of use with one key alone: it holds authors, or ids that are hashed."""
        return bool(len(self.authors) or (self.hash_ids and len(self.posts)))

    def columns(self) -> list[str]:
        """What must be read of a row to know whether it is purged."""
        return ["post_id", *(["author"] if len(self.authors) else [])]

    def hit(self) -> pl.Expr:
        """Whether a row of those columns is."""
        found = pl.col("post_id").is_in(self.posts.implode())
        if len(self.authors):
            author = pl.col("author").str.to_lowercase().is_in(self.authors.implode())
            found |= author.fill_null(False)
        return found

    def write(self, path: Path) -> None:
        """Whole or not at all; for its owner alone, as it may name those who asked to be deleted."""
        rows = [(_POST, value) for value in self.posts] + [(_AUTHOR, v) for v in self.authors]
        what, values = zip(*rows, strict=True) if rows else ((), ())
        facts = {"table": "purged", "author_key": self.author_key, "hash_ids": self.hash_ids}
        schema = with_footer(_SCHEMA, facts)
        write_parquet(pa.table([list(what), list(values)], schema=schema), path, private=True)


def read_purged(path: Path) -> Purged | None:
    """What was purged; None when nothing ever was. InputError when the list is damaged."""
    if not path.exists():
        return None
    try:
        table = pl.DataFrame(open_parquet(path).read())
    except DAMAGE as error:
        raise InputError(
            f"is not readable as Parquet ({first_line(error)})",
            where=path,
            hint="It remembers the posts that were purged: bring it back from a copy, or remove it "
            "and purge them again",
        ) from error
    posts, authors = (table.filter(what=what)["value"] for what in (_POST, _AUTHOR))
    facts = footer(path)
    # older lists do not say it
    hashed = facts.get("hash_ids", bool(posts.str.contains(HASHED_ID).any()))
    return Purged(posts, authors, facts.get("author_key"), hashed)


def check_key(
    purged: Purged | None, author_key: str | None, out: Path, *, hash_ids: bool = False
) -> None:
    """OutputError when posts to come could not be told from those that were purged: their ids or authors
    are hashed there, and would not be now, or with another key."""
    if purged and purged.hash_ids and len(purged.posts) and not hash_ids:
        raise OutputError(
            "remembers purged posts by their hashed ids, which plain ids could not be compared with",
            where=out,
            hint="Give --hash-ids, or choose another --out",
        )
    if purged and purged.hashed and purged.author_key != author_key:
        raise OutputError(
            f"remembers purged authors or ids, hashed with the key {purged.author_key}, now {author_key}",
            where=out,
            hint="Give that key with --author-key, or choose another --out",
        )
