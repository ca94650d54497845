"""The posts to score: the files behind a path, a glob or a URL, and the columns that they share."""

import hashlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import fsspec
import pyarrow as pa

from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.identities import Identities
from corpus_lonely.sources import InputFile, find_files, is_text, read_footer
from corpus_lonely.tables import PASSED_THROUGH, schema_facts

_READERS = 16
_TEXTS = frozenset({"text", "title", "body", "selftext"})
"""Columns that hold what people wrote, under the names that posts and dumps give them."""


@dataclass(frozen=True)
class Posts:
    """The input of a run: files in order, and the columns to read."""

    files: tuple[InputFile, ...]
    text_column: str
    carried: pa.Schema
    """The columns that the scores carry along, in order."""
    identities: Identities = field(default_factory=Identities)
    """What is hashed in them."""

    @property
    def rows(self) -> int:
        """Posts in all files."""
        return sum(file.rows for file in self.files)

    @property
    def sha256(self) -> str:
        """Changes with any file's name, size or footer, and with their order."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.name}\0{file.size}\0{file.footer_sha256}\n".encode())
        return digest.hexdigest()


def find_posts(
    source: str, text_column: str = "text", keep: Sequence[str] = (), taken: Collection[str] = ()
) -> Posts:
    """The files behind `source`, sorted by relative path; reads their footers and nothing more.

    source: a file, a folder, a glob, or a URL that fsspec knows, such as `s3://bucket/posts/`.
    keep: columns to carry along besides `tables.PASSED_THROUGH`.
    taken: names of columns that the scores have already.
    Raises InputError naming the first file that cannot be used, and why; SettingsError.
    """
    _check_keep(text_column, keep, taken)
    named = find_files(source)
    with ThreadPoolExecutor(_READERS) as readers:
        opened = list(readers.map(lambda pair: read_footer(*pair), named))
    files = tuple(file for file, _ in opened)
    carried = _carried(opened, text_column, keep)
    if not sum(file.rows for file in files):
        raise InputError("holds no rows", where=source)
    facts = [(file.url, schema_facts(schema)) for file, schema in opened]
    return Posts(files, text_column, carried, Identities.of(facts, carried.names))


def whole_address(source: str) -> str:
    """What leads to the same posts from any folder: an absolute path or glob; a URL as it is."""
    # as fsspec reads a path, `~` and all
    return source if "://" in source else str(fsspec.core.strip_protocol(source))


def _check_keep(text_column: str, keep: Sequence[str], taken: Collection[str]) -> None:
    for name in keep:
        if name == text_column or name in _TEXTS:
            raise SettingsError(
                f"--keep must not name a column of text, got {name!r}: scores hold none"
            )
        if name in taken:
            raise SettingsError(f"--keep must not name a column that scores have, got {name!r}")


def verify_unchanged(file: InputFile) -> None:
    """InputError when the file is no longer the one that was planned with."""
    found, _ = read_footer(file.name, file.url)
    if found != file:
        raise InputError(
            "has changed since the run began", where=file.url, hint="Start the run again"
        )


def _carried(
    opened: Sequence[tuple[InputFile, pa.Schema]], text_column: str, keep: Sequence[str]
) -> pa.Schema:
    """The fields that go along; InputError where the files do not agree on them, or lack one."""
    first_file, first = opened[0]
    offered = {*first.names, *first_file.partitions}
    wanted = [name for name in (*PASSED_THROUGH, *keep) if name != text_column]
    names = [name for name in dict.fromkeys(wanted) if name in offered or name in keep]
    types: dict[str, pa.DataType] = {}
    for file, schema in opened:
        for name in (text_column, *names):
            _agree(types, name, _type_in(name, file, schema), file, first_file)
        if missing := [n for n in wanted if n not in names and n in schema.names]:
            raise InputError(
                f"has a column {missing[0]!r} that {first_file.url} has not", where=file.url
            )
    if not is_text(types[text_column]):
        raise InputError(
            f"column {text_column!r} is of type {types[text_column]}, not text",
            where=first_file.url,
        )
    return pa.schema([pa.field(name, types[name]) for name in names])


def _type_in(name: str, file: InputFile, schema: pa.Schema) -> pa.DataType:
    if (count := schema.names.count(name)) > 1:
        raise InputError(
            f"has {count} columns {name!r}, and nobody can tell which is meant",
            where=file.url,
            hint="Rename one",
        )
    if name in schema.names:
        return _plain(schema.field(name).type)
    if name in file.partitions:
        return pa.string()
    there = ", ".join([*schema.names, *file.partitions])
    raise InputError(f"has no column {name!r}; its columns are {there}", where=file.url)


def _agree(
    types: dict[str, pa.DataType],
    name: str,
    found: pa.DataType,
    file: InputFile,
    first: InputFile,
) -> None:
    known = types.setdefault(name, found)
    if pa.types.is_null(known):  # a file that has only nulls knows no type
        types[name] = found
    elif found != known and not pa.types.is_null(found):
        raise InputError(
            f"column {name!r} is of type {found}, but {known} in {first.url}", where=file.url
        )


def _plain(kind: pa.DataType) -> pa.DataType:
    """Strings are strings, however a writer stored them."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.string() if is_text(kind) and not pa.types.is_null(kind) else kind
