"""The posts to score: finds the Parquet files behind a path, a glob or a URL and checks them all."""

import glob
import hashlib
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from corpus_lonely.errors import InputError, SettingsError, first_line
from corpus_lonely.storage import Place, RemotePath
from corpus_lonely.store_errors import StoreTrouble
from corpus_lonely.tables import PASSED_THROUGH

_SUFFIXES = (".parquet", ".pq")
_MAGIC = b"PAR1"
_READERS = 16
_TEXTS = frozenset({"text", "title", "body", "selftext"})
"""Columns that hold what people wrote, under the names that posts and dumps give them."""


@dataclass(frozen=True)
class InputFile:
    """One Parquet file of posts, as its footer tells it."""

    name: str
    """Relative to the input, with `/`: what goes into fingerprints and footers."""
    url: str
    """Where to open it: an absolute path or a URL."""
    size: int
    """Bytes."""
    footer_sha256: str
    """Offsets, sizes and statistics of all columns stand in the footer: other data, another sum."""
    rows: int

    @property
    def partitions(self) -> dict[str, str | None]:
        """What the folders of a hive-partitioned data set say: `subreddit=lonely/` and the like."""
        pairs = [part.split("=", 1) for part in self.name.split("/")[:-1] if "=" in part]
        return {
            key: None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
            for key, value in pairs
        }


@dataclass(frozen=True)
class Posts:
    """The input of a run: files in order, and the columns to read."""

    files: tuple[InputFile, ...]
    text_column: str
    carried: pa.Schema
    """The columns that the scores carry along, in order."""

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
    named = _named_urls(source)
    with ThreadPoolExecutor(_READERS) as readers:
        opened = list(readers.map(lambda pair: _read_footer(*pair), named))
    files = tuple(file for file, _ in opened)
    carried = _carried(opened, text_column, keep)
    if not sum(file.rows for file in files):
        raise InputError("holds no rows", where=source)
    return Posts(files, text_column, carried)


@contextmanager
def open_binary(url: str) -> Iterator[Any]:
    """The file behind an absolute path or a URL, for reading."""
    with fsspec.open(url, "rb") as file:
        yield file


def _check_keep(text_column: str, keep: Sequence[str], taken: Collection[str]) -> None:
    for name in keep:
        if name == text_column or name in _TEXTS:
            raise SettingsError(
                f"--keep must not name a column of text, got {name!r}: scores hold none"
            )
        if name in taken:
            raise SettingsError(f"--keep must not name a column that scores have, got {name!r}")


def _named_urls(source: str) -> list[tuple[str, str]]:
    """Relative names and absolute addresses, sorted by name."""
    try:
        system, path = fsspec.core.url_to_fs(source)
        base, paths = _find(system, path.rstrip("/") or path)
    except ValueError as error:
        raise InputError(f"cannot be opened ({error})", where=source) from error
    except Exception as error:  # each store's library raises what it likes
        raise StoreTrouble(error).told(source, InputError, "cannot be read") from error
    if not paths:
        raise InputError(
            "holds no Parquet file" if system.exists(path) else "does not exist",
            where=source,
            hint=f"Files must end in {' or '.join(_SUFFIXES)}" if system.exists(path) else None,
        )
    local = "file" in (system.protocol if isinstance(system.protocol, tuple) else ())
    named = [(found[len(base) :].lstrip("/"), found) for found in paths]
    return sorted((name, url if local else system.unstrip_protocol(url)) for name, url in named)


def _find(system: Any, path: str) -> tuple[str, list[str]]:
    """The folder that names are relative to, and the paths of the files."""
    if system.isfile(path):
        return path.rpartition("/")[0], [path]
    if system.isdir(path):
        return path, _below(system, path)
    if not glob.has_magic(path):
        return path, []
    plain = path[: min(path.index(sign) for sign in "*?[" if sign in path)].rpartition("/")[0]
    matches = [str(match) for match in system.glob(path)]
    folders = [match for match in matches if system.isdir(match)]
    found = {m for m in matches if m not in folders and m.endswith(_SUFFIXES)}
    return plain, sorted(found.union(*(_below(system, folder) for folder in folders)))


def _below(system: Any, folder: str) -> list[str]:
    """All Parquet files below a folder; hidden ones and `_SUCCESS`-like marks are no data."""
    return [
        found
        for found in system.find(folder)
        if found.endswith(_SUFFIXES)
        and not any(part.startswith((".", "_")) for part in found[len(folder) :].split("/"))
    ]


def _read_footer(name: str, url: str) -> tuple[InputFile, pa.Schema]:
    try:
        with open_binary(url) as file:
            size, footer = _footer_bytes(file)
        parsed = pq.ParquetFile(pa.BufferReader(_MAGIC + footer))
        schema: pa.Schema = parsed.schema_arrow
    except (pa.ArrowException, OSError) as error:
        reason = first_line(error)
        raise InputError(f"is not readable as Parquet ({reason})", where=url) from error
    digest = hashlib.sha256(footer).hexdigest()
    return InputFile(name, url, size, digest, parsed.metadata.num_rows), schema


def _footer_bytes(file: Any) -> tuple[int, bytes]:
    """The size of a Parquet file, and its footer with length and magic number."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    tail = file.read(8)
    if size < 12 or tail[4:] != _MAGIC:
        raise pa.ArrowInvalid("its end is missing: cut short, or no Parquet file")
    length = int.from_bytes(tail[:4], "little") + 8
    if length > size - 4:
        raise pa.ArrowInvalid("its footer is damaged")
    file.seek(size - length)
    return size, file.read(length)


def verify_unchanged(file: InputFile) -> None:
    """InputError when the file is no longer the one that was planned with."""
    found, _ = _read_footer(file.name, file.url)
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
    if not _is_text(types[text_column]):
        raise InputError(
            f"column {text_column!r} is of type {types[text_column]}, not text",
            where=first_file.url,
        )
    return pa.schema([pa.field(name, types[name]) for name in names])


def _type_in(name: str, file: InputFile, schema: pa.Schema) -> pa.DataType:
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
    return pa.string() if _is_text(kind) and not pa.types.is_null(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )


def is_inside(place: Place, source: str) -> bool:
    """Whether `place` lies in the folder `source`, so that a later run would take it for input."""
    if isinstance(place, RemotePath):
        return f"{place}/".startswith(f"{source.rstrip('/')}/") and "://" in source
    if "://" in source:
        return False
    folder = Path(source).resolve()
    return folder.is_dir() and place.resolve().is_relative_to(folder)
