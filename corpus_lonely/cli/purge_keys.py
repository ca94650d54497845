"""What `purge` looks for in scores and marks that hide authors and ids, and whether the key at hand is theirs."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from corpus_lonely.deletions import HASHED_ID
from corpus_lonely.errors import CorpusLonelyError, InputError

if TYPE_CHECKING:
    from corpus_lonely.ingest.authors import AuthorKey
    from corpus_lonely.storage import Place

_MARKS = "marks.parquet"


@dataclass(frozen=True)
class Hidden:
    """How a folder of scores or marks hides authors and ids."""

    folder: "Place"
    kind: str
    author_key: str | None
    """See `identities.author_key_of`."""
    ids: bool
    """Whether ids of posts are hashed."""

    @property
    def authors(self) -> bool:
        """Whether authors are known to be hashed; marks name none."""
        return self.kind == "scores" and self._hashed

    def takes(self, key: "AuthorKey") -> bool:
        """Whether it was, or may have been, hashed with this key."""
        return not self._hashed or self.author_key == key.fingerprint

    @property
    def _hashed(self) -> bool:
        from corpus_lonely.identities import PLAIN_NAMES

        return self.author_key not in (None, PLAIN_NAMES)


@dataclass
class Wanted:
    """What is to go: as it was named, and as the folders have it."""

    named_ids: Sequence[str]
    named_authors: Sequence[str]
    ids: set[str] = field(default_factory=set)
    authors: set[str] = field(default_factory=set)
    """In lower case."""

    def __post_init__(self) -> None:
        self.ids |= set(self.named_ids)
        self.authors |= {name.lower() for name in self.named_authors}

    def hash_with(self, key: "AuthorKey") -> None:
        """Adds what this key makes of all."""
        self.ids |= set(map(key.hash_id, self.named_ids))
        self.authors |= set(map(key.hash, self.named_authors))

    def needs_key(self, hidden: Hidden) -> str | None:
        """What of it could not be found in the folder without its key."""
        if hidden.ids and not all(re.match(HASHED_ID, name) for name in self.named_ids):
            return "ids"
        return "authors" if hidden.authors and self.named_authors else None


def hide(
    wanted: Wanted, folders: Sequence["Place"], kinds: Sequence[str], author_key: Path | None
) -> None:
    """Adds to `wanted` what stands for it in the folders.

    author_key: the key's file; those beside the posts among the folders if None. InputError where a folder
    hides what is wanted and its key is not at hand, or where `author_key` is another one.
    """
    pairs = list(zip(folders, kinds, strict=True))
    hidden = [_hidden(folder, kind) for folder, kind in pairs if kind != "posts"]
    needed = [(one, what) for one in hidden if (what := wanted.needs_key(one))]
    if not author_key and not needed:
        _check_authors(wanted, hidden, kinds)
        return
    keys = list(_keys(pairs, author_key))
    for one in hidden:
        if author_key and not one.takes(keys[0]):
            raise InputError(
                f"is another author key (fingerprint {keys[0].fingerprint}) than that of {one.folder} "
                f"({one.author_key})",
                where=author_key,
                hint="Name theirs with --author-key",
            )
    beside = "" if "posts" in kinds else ", or the posts that they are of"
    for one, what in needed:
        if not any(map(one.takes, keys)):
            named = f" with the key {one.author_key}" if one.author_key else ""
            raise InputError(
                f"has {what} that are hashed{named}, so that those of --{what} cannot be found",
                where=one.folder,
                hint=f"Name the key with --author-key{beside}",
            )
    for key in keys:
        wanted.hash_with(key)


def _check_authors(wanted: Wanted, hidden: Iterable[Hidden], kinds: Sequence[str]) -> None:
    """UsageError where nobody tells what names were made into, and no posts are there to be asked."""
    unknown = any(one.author_key is None for one in hidden)
    if wanted.named_authors and unknown and "posts" not in kinds:
        raise click.UsageError("--authors needs the folder of posts, or its key with --author-key")


def _keys(folders: Iterable[tuple["Place", str]], author_key: Path | None) -> Iterator["AuthorKey"]:
    from corpus_lonely.ingest.authors import read_key
    from corpus_lonely.ingest.folder import PostsFolder

    if author_key:
        yield read_key(author_key)
        return
    for folder, kind in folders:
        if kind == "posts" and isinstance(folder, Path):
            path = PostsFolder(folder.absolute()).key
            if path.exists():
                yield read_key(path)


def _hidden(folder: "Place", kind: str) -> Hidden:
    """As the first file tells that can be read; those that cannot be are named when their turn comes."""
    from corpus_lonely.identities import author_key_of, hashed_ids_of
    from corpus_lonely.tables import footer

    key, ids = None, False
    for path in _files(folder, kind):
        try:
            facts: dict[str, Any] = footer(path)
            told = hashed_ids_of(facts)
            found = _look_hashed(path) if told is None else told
        except (CorpusLonelyError, OSError, ValueError):  # pyarrow's errors are ValueErrors, too
            continue
        key = author_key_of(facts)
        if found is not None:
            ids = found
            break
    return Hidden(folder, kind, key, ids)


def _files(folder: "Place", kind: str) -> Iterator["Place"]:
    from corpus_lonely.scoring.parts import is_part
    from corpus_lonely.storage import contents

    if kind == "marks":
        yield folder / _MARKS
        return
    yield from (entry for entry in contents(folder) if is_part(entry))


def _look_hashed(path: "Place") -> bool | None:
    """Whether ids look hashed, in a file that does not tell; None where it has none."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(path if isinstance(path, Path) else io.BytesIO(path.read_bytes())) as file:
        if "post_id" not in file.schema_arrow.names or not file.metadata.num_rows:
            return None
        ids = pc.cast(file.read_row_group(0, ["post_id"])["post_id"], pa.string())
    like: bool | None = pc.all(pc.match_substring_regex(ids, HASHED_ID)).as_py()
    return like
