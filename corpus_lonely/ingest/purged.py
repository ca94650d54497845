"""What was purged from a posts folder, remembered so that no later dump brings it back."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus_lonely.errors import InputError, OutputError, first_line
from corpus_lonely.tables import footer, with_footer, write_parquet

_SCHEMA = pa.schema(
    [
        pa.field("what", pa.string(), nullable=False),
        pa.field("value", pa.string(), nullable=False),
    ]
)
_POST, _AUTHOR = "post", "author"
_HASHED_ID = r"^(t[13]_)?[0-9a-f]{32}$"
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

    @classmethod
    def of(cls, posts: Iterable[str], authors: Iterable[str], author_key: str | None) -> "Purged":
        """From plain values; each once."""
        told = [pl.Series(sorted(set(values)), dtype=pl.String) for values in (posts, authors)]
        return cls(told[0], told[1], author_key)

    def __len__(self) -> int:
        return len(self.posts) + len(self.authors)

    def __or__(self, other: "Purged") -> "Purged":
        return Purged.of(
            [*self.posts, *other.posts], [*self.authors, *other.authors], other.author_key
        )

    @property
    def hashed(self) -> bool:
        """Whether it is of use with one key alone: it holds authors, or ids that are hashed."""
        return bool(len(self.authors) or self.posts.str.contains(_HASHED_ID).any())

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
        """Whole or not at all."""
        rows = [(_POST, value) for value in self.posts] + [(_AUTHOR, v) for v in self.authors]
        what, values = zip(*rows, strict=True) if rows else ((), ())
        schema = with_footer(_SCHEMA, {"table": "purged", "author_key": self.author_key})
        write_parquet(pa.table([list(what), list(values)], schema=schema), path)


def read_purged(path: Path) -> Purged | None:
    """What was purged; None when nothing ever was. InputError when the list is damaged."""
    if not path.exists():
        return None
    try:
        table = pl.DataFrame(pq.ParquetFile(path).read())
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"is not readable as Parquet ({first_line(error)})",
            where=path,
            hint="It remembers the posts that were purged: bring it back from a copy, or remove it "
            "and purge them again",
        ) from error
    posts, authors = (table.filter(what=what)["value"] for what in (_POST, _AUTHOR))
    return Purged(posts, authors, footer(path).get("author_key"))


def check_key(purged: Purged | None, author_key: str | None, out: Path) -> None:
    """OutputError when authors or ids were purged whose hashes another key would not tell any more."""
    if purged and purged.hashed and purged.author_key != author_key:
        raise OutputError(
            f"remembers purged authors or ids, hashed with the key {purged.author_key}, now {author_key}",
            where=out,
            hint="Give that key with --author-key, or choose another --out",
        )
