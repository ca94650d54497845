"""From tables to a posts folder: what `ingest table` and `ingest convokit` do, as functions."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from corpus_lonely.errors import (
    CorruptFileError,
    InputError,
    OutputError,
    SettingsError,
    TruncatedFileError,
)
from corpus_lonely.files import open_private, output_error
from corpus_lonely.ingest.folder import PostsFolder
from corpus_lonely.ingest.given import Given, content_fingerprint
from corpus_lonely.ingest.normalize import seconds
from corpus_lonely.ingest.raw import bad_line
from corpus_lonely.ingest.report import IngestReport
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.ingest.tables.columns import Columns, UnknownKindError, as_dumped
from corpus_lonely.ingest.tables.convokit import read_corpus
from corpus_lonely.ingest.tables.layout import Layout
from corpus_lonely.ingest.tables.places import BadRow, Place
from corpus_lonely.ingest.tables.reading import read_table
from corpus_lonely.ingest.tables.remarks import Remarks
from corpus_lonely.ingest.tables.times import NoZoneError, TimeReader
from corpus_lonely.progress import Progress, Silent

_LOOKED_AT = 1_000
"""Rows that show whether times and subreddits can be read at all, before the rest is."""
_NOTHING_TAKEN = "Nothing of it was taken: get the file again"
_Dumped = Iterator[Place]
"""The values as a dump has them."""


def ingest_tables(
    files: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    columns: Columns,
    times: TimeReader | None = None,
    settings: IngestSettings | None = None,
    progress: Progress | None = None,
    *,
    layout: Layout | None = None,
    processes: int | None = 1,
) -> IngestReport:
    """Reads CSV, JSON lines or Parquet into `out` as dumps are read: same rows, same rules, same counts.

    Each file is first written as lines of a dump into the about folder, readable by its owner alone, and
    removed at the end. Bad rows are named with their lines in the file that was given (rows, of Parquet).

    Raises InputError when a file is no table, has not the columns, or no time in it can be read; else what
    `ingest_dumps` raises.
    """
    times, layout = times or TimeReader(), layout or Layout()
    found = {path: _of_table(path, columns, times, layout) for path in map(Path, files)}
    reading = {**columns.recorded, **times.recorded, **layout.recorded}
    return _ingest(
        found, reading, out, settings or IngestSettings(), progress or Silent(), processes
    )


def ingest_convokit(
    corpora: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    settings: IngestSettings | None = None,
    progress: Progress | None = None,
    *,
    processes: int | None = 1,
) -> IngestReport:
    """The same for ConvoKit's subreddit corpora: folders with `utterances.jsonl`."""
    found = {path: _of_corpus(path) for path in map(Path, corpora)}
    return _ingest(found, None, out, settings or IngestSettings(), progress or Silent(), processes)


class _Table(NamedTuple):
    """A file that is about to be read."""

    posts: _Dumped
    remarks: Remarks


def _of_corpus(path: Path) -> _Table:
    remarks = Remarks()
    return _Table(_checked(path, read_corpus(path, remarks)), remarks)


def _of_table(path: Path, columns: Columns, times: TimeReader, layout: Layout) -> _Table:
    remarks = Remarks()
    rows = read_table(
        path, lambda there: columns.found_in(list(there), path), layout, columns.unnamed, remarks
    )

    def dumped() -> _Dumped:
        for line, row in rows:
            try:
                told = row if isinstance(row, BadRow) else as_dumped({**row, **columns.fill}, times)
            except UnknownKindError:
                why = "its kind is neither submission nor comment"
                told = BadRow(why, json.dumps(row, default=str), "not_a_post")
            except NoZoneError:
                raise InputError(
                    f"line {line:,} has a time that does not tell its zone",
                    where=path,
                    hint="Say which it is with --timezone UTC, or another",
                ) from None
            yield line, told

    return _Table(_checked(path, dumped()), remarks)


def _checked(path: Path, posts: _Dumped) -> _Dumped:
    """The same, once the first ones have shown that they can be used."""
    first = list(islice(posts, _LOOKED_AT))
    seen = [post for _, post in first if not isinstance(post, BadRow)]
    if not seen:
        told = [f": line {line:,}: {post.why}" for line, post in first if isinstance(post, BadRow)]
        raise InputError("".join(["holds no row that can be used", *told[:1]]), where=path)
    if all(seconds(post.get("created_utc")) is None for post in seen):
        raise InputError(
            f"no time of 2005 to 2099 can be read in its first {len(seen):,} rows, line {first[0][0]:,} among them",
            where=path,
            hint="--time-format tells how they are written, as '%d.%m.%Y %H:%M'; numbers count seconds from 1970, or "
            "what --time-unit says",
        )
    if not any(post.get("subreddit") for post in seen):
        raise InputError(f"no subreddit is told in its first {len(seen):,} rows", where=path)
    yield from first
    yield from posts


def _ingest(
    found: dict[Path, _Table],
    reading: dict[str, Any] | None,
    out: str | os.PathLike[str],
    settings: IngestSettings,
    progress: Progress,
    processes: int | None,
) -> IngestReport:
    if not found:
        raise SettingsError("name at least one file")
    folder = PostsFolder(Path(os.path.abspath(out)))
    folder.check()
    with _drafts(folder.drafts, folder.out) as drafts:
        progress.start("Reading tables", len(found), "files")
        given: dict[Path, Given] = {}
        for number, (path, table) in enumerate(found.items()):
            draft = drafts / f"{number}.jsonl"
            _write(draft, table.posts)
            for line in table.remarks.lines():
                progress.note(f"{path}: {line}")
            source = None if reading is None else content_fingerprint(path)
            given[draft] = Given(str(path), source, reading, table.remarks.broken)
            progress.advance(1, path.name)
        progress.finish()
        return ingest_dumps(given, out, settings, progress, processes=processes, given=given)


@contextmanager
def _drafts(place: Path, out: Path) -> Iterator[Path]:
    """A folder for its owner alone, empty at first and gone at the end."""
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (place / "lock").open("w")
    except OSError as error:
        raise output_error(error, place) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError("another run is writing into it just now", where=out) from None
        try:
            for left in place.glob("*.jsonl"):  # of a run that was killed
                left.unlink()
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _write(draft: Path, posts: _Dumped) -> None:
    """Each post on the line that it has in its own file, so that bad ones are named by it.

    Raises InputError when the file breaks off: of half a table nothing is taken.
    """
    written = 0
    try:
        with open_private(draft) as file:
            for line, post in posts:
                file.write(b"\n" * (line - written - 1))
                bad = isinstance(post, BadRow)
                file.write(bad_line(*post) if bad else json.dumps(post, default=str).encode())
                file.write(b"\n")
                written = line
    except (TruncatedFileError, CorruptFileError) as error:
        raise type(error)(error.what, where=error.where, hint=_NOTHING_TAKEN) from error
    except OSError as error:
        raise output_error(error, draft) from error
