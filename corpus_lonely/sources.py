"""Parquet files behind a path, a glob or a URL: found, opened, and known by their footers."""

import glob
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.local_files import LinkedFiles, check_links, is_hidden
from corpus_lonely.parquet import open_parquet
from corpus_lonely.storage import Place, RemotePath, answering, patient
from corpus_lonely.store_errors import StoreTrouble

_SUFFIXES = (".parquet", ".pq")
_READ_BYTES = 1 << 20
"""Of a column at a time; without it a whole row group's column is held, compressed, in memory."""
_MAGIC = b"PAR1"


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
    """Offsets, sizes and statistics of all columns stand in the footer. Other data has another sum, unless a file
    that is not compressed was changed in place, for texts as long as those that were there."""
    rows: int

    @property
    def partitions(self) -> dict[str, str | None]:
        """What the folders of a hive-partitioned data set say: `subreddit=lonely/` and the like."""
        pairs = [part.split("=", 1) for part in self.name.split("/")[:-1] if "=" in part]
        return {
            key: None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
            for key, value in pairs
        }


@contextmanager
def open_binary(url: str) -> Iterator[Any]:
    """The file behind an absolute path or a URL, for reading; StorageError when its store is away."""
    if "://" not in url:  # fsspec would take `::` in a path for a chain of stores
        with Path(url).open("rb") as file:
            yield file
        return
    with answering(url), fsspec.open(url, "rb") as file:
        yield file


def find_files(
    source: str, hint: str = f"Files must end in {' or '.join(_SUFFIXES)}"
) -> list[tuple[str, str]]:
    """Relative names and absolute addresses of the Parquet files, sorted by name.

    source: a file, a folder, a glob, or a URL that fsspec knows, such as `s3://bucket/posts/`. Hidden files are
    found where it names them alone; links to folders are followed.
    hint: what to do where there is something, but no Parquet.
    Raises InputError where there is none.
    """
    try:
        system, path = _system_of(source)
        base, paths = _find(system, path.rstrip("/") or path)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"cannot be opened ({error})", where=source) from error
    except Exception as error:  # each store's library raises what it likes
        raise StoreTrouble(error).told(source, InputError, "cannot be read") from error
    if not paths:
        raise InputError(
            "holds no Parquet file" if system.exists(path) else "does not exist",
            where=source,
            hint=hint if system.exists(path) else None,
        )
    local = isinstance(system, LinkedFiles)
    named = [(found[len(base) :].lstrip("/"), found) for found in paths]
    return sorted((name, url if local else system.unstrip_protocol(url)) for name, url in named)


def _system_of(source: str) -> tuple[Any, str]:
    """The file system behind an address, and the path in it."""
    if "://" not in source:
        return LinkedFiles(), str(fsspec.core.strip_protocol(source))
    system, path = fsspec.core.url_to_fs(source)
    return LinkedFiles() if isinstance(system, LocalFileSystem) else system, path


def _find(system: Any, path: str) -> tuple[str, list[str]]:
    """The folder that names are relative to, and the paths of the files."""
    if system.isfile(path):
        return path.rpartition("/")[0], [path]
    if system.isdir(path):
        return path, _below(system, path)
    if not glob.has_magic(path):
        return path, []
    plain, pattern = _plain_part(path)
    matches = [
        found
        for match in system.glob(path)
        if not _is_left_out(found := str(match).rstrip("/"), plain, pattern)
    ]
    if isinstance(system, LinkedFiles):
        check_links(matches)
    folders = [match for match in matches if system.isdir(match)]
    files = {m for m in matches if m not in folders and m.endswith(_SUFFIXES)}
    return plain, sorted(files.union(*(_below(system, folder) for folder in folders)))


def _plain_part(path: str) -> tuple[str, str]:
    """What of a glob is no pattern, as a folder, and the pattern below it."""
    plain = path[: min(path.index(sign) for sign in "*?[" if sign in path)].rpartition("/")[0]
    return plain, path[len(plain) :].lstrip("/")


def _is_left_out(match: str, plain: str, pattern: str) -> bool:
    """Whether a match of a glob is hidden, and not by a name that the pattern tells: `.*` or `_old`."""
    told = [part for part in pattern.split("/") if is_hidden(part)]
    hidden = filter(is_hidden, match[len(plain) :].split("/"))
    return any(not any(fnmatchcase(part, named) for named in told) for part in hidden)


def _below(system: Any, folder: str) -> list[str]:
    """All Parquet files below a folder; hidden ones and `_SUCCESS`-like marks are no data."""
    every = system.below(folder) if isinstance(system, LinkedFiles) else system.find(folder)
    return [
        found
        for found in every
        if found.endswith(_SUFFIXES) and not any(map(is_hidden, found[len(folder) :].split("/")))
    ]


@patient
def read_footer(name: str, url: str) -> tuple[InputFile, pa.Schema]:
    """What a file's footer tells of it; InputError when it is no Parquet, or damaged."""
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


def is_inside(place: Place, source: str) -> bool:
    """Whether a later run would take what lies in `place` for input: it is in that folder, or fits the glob."""
    if isinstance(place, RemotePath):
        below = f"{place}/".startswith(f"{source.rstrip('/')}/")
        return "://" in source and (below or _fits(str(place), source))
    if "://" in source and not source.startswith(("file://", "local://")):
        return False
    folder = Path(fsspec.core.strip_protocol(source))
    if folder.exists():
        return folder.is_dir() and place.resolve().is_relative_to(folder.resolve())
    plain, pattern = _plain_part(str(folder)) if glob.has_magic(str(folder)) else ("", "")
    return bool(pattern) and _fits(str(place.resolve()), f"{Path(plain).resolve()}/{pattern}")


def _fits(place: str, source: str) -> bool:
    """Whether a glob finds files in a folder, or the folder itself, or one that it lies in."""
    if not glob.has_magic(source):
        return False
    plain, pattern = _plain_part(source)
    whole = re.compile(glob_translate(source))
    above = list(accumulate(place[len(plain) :].split("/"), "{}/{}".format))
    tried = [f"{place}/part-000000.parquet", *(plain + below for below in above)]
    return place.startswith(f"{plain}/") and any(
        whole.match(one)
        and not _is_left_out(one, plain, pattern)
        and not any(map(is_hidden, place[len(one) :].split("/")))
        for one in tried
    )


def contents_fingerprint(files: Iterable[InputFile]) -> str:
    """Changes when the footers or sizes of the files do (see `InputFile`), or their order; not with where they lie."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.size}\0{file.footer_sha256}\n".encode())
    return digest.hexdigest()


def read_batches(url: str, columns: Collection[str], rows: int) -> Iterator[pa.RecordBatch]:
    """So many rows of a file at a time, with those of the columns that it has; InputError when it is damaged."""
    try:
        with open_binary(url) as file:
            parquet = open_parquet(file, buffer_size=_READ_BYTES)
            there = parquet.schema_arrow.names
            yield from parquet.iter_batches(rows, columns=[n for n in columns if n in there])
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot be read ({first_line(error)})", where=url) from error


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of that type holds strings, however a writer stored them; of nulls alone, it may."""
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )
