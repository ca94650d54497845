"""From dump files to a posts folder: what `corpus-lonely ingest dump` does, as a function."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.ingest.authors import AuthorKey, make_key, read_key
from corpus_lonely.ingest.dump import Dump, open_dump
from corpus_lonely.ingest.folder import PostsFolder
from corpus_lonely.ingest.given import Given
from corpus_lonely.ingest.reading import Reading
from corpus_lonely.ingest.record import Record, check_readings, check_same
from corpus_lonely.ingest.report import IngestReport
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.ingest.stage import Staged
from corpus_lonely.ingest.writer import posts_schema
from corpus_lonely.progress import Progress, Silent


def ingest_dumps(
    files: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    settings: IngestSettings | None = None,
    progress: Progress | None = None,
    *,
    processes: int | None = 1,
    given: Mapping[Path, Given] | None = None,
) -> IngestReport:
    """Reads dumps of Reddit into `out`, Parquet partitioned by month, and counts every line.

    processes: of those that read blocks of lines; None for one a core where the files are large
        enough. With more than one, a script must guard its entry: `if __name__ == "__main__":`.

    given: the files that `files` were made from, where those are others.

    Interrupted and run again, it gives the folder of an undisturbed run; files that the folder
    holds already are not read again. A file that breaks off is kept up to its break: look at
    `IngestReport.broken`.

    Raises InputError when a file is no dump, and OutputError when `out` is not ours, was made
    with other settings, or holds a given file as it was read in another way, all before anything
    is written; SettingsError when the author key lies among the posts; OutputError when the disk
    is full.
    """
    settings, progress = settings or IngestSettings(), progress or Silent()
    folder = PostsFolder(Path(os.path.abspath(out)))
    _check_author_key(settings.author_key, folder.out)
    folder.check()
    dumps, same = _opened(files)
    if given:
        dumps = [replace(dump, given=given.get(dump.path)) for dump in dumps]
        same = tuple((given[Path(left)].name, given[Path(taken)].name) for left, taken in same)
    with folder.opened():
        record, key = _begin(folder, settings, progress)
        found = {dump.path: _known(record, dump) for dump in dumps}
        before = {fingerprint for fingerprint in found.values() if fingerprint}
        if new := [dump for dump in dumps if not found[dump.path]]:
            check_readings(record, new, folder.out)
            staged = Reading(folder, settings, key, progress).all(new, processes)
            found |= {one.dump.path: one.fingerprint for one in staged}
            record = _added(folder, record, staged, settings, key, progress)
    by_content = {file.fingerprint: file for file in record.files}
    reports = [by_content[fingerprint] for fingerprint in found.values() if fingerprint]
    return IngestReport(
        out=os.fspath(out),
        files=tuple(replace(file, skipped=file.fingerprint in before) for file in reports),
        posts=record.posts,
        months=tuple(record.months),
        settings=record.settings,
        author_key=record.author_key,
        author_key_file=str(settings.author_key or folder.key) if key else None,
        same_content=same,
    )


def _added(
    folder: PostsFolder,
    record: Record,
    staged: list[Staged],
    settings: IngestSettings,
    key: AuthorKey | None,
    progress: Progress,
) -> Record:
    """The folder's record, with what was staged merged into its months."""
    # imported here: with Polars behind it, it would keep reading from beginning
    from corpus_lonely.ingest.addition import Addition  # noqa: PLC0415

    schema = posts_schema(settings.keep_permalinks, settings.columns)
    of_ids = key if settings.hash_ids else None
    return Addition(folder, record, staged, schema, of_ids).make(progress)


def _check_author_key(key: Path | None, out: Path) -> None:
    if key and key.resolve().is_relative_to(out.resolve()):
        raise SettingsError(
            "--author-key must lie outside --out, which holds posts alone and may be shared",
            where=key,
        )


def _opened(
    files: Iterable[str | os.PathLike[str]],
) -> tuple[list[Dump], tuple[tuple[str, str], ...]]:
    """The dumps, each content once, and (left out, taken) for the rest.

    Raises InputError when one is no dump, or when nothing can be read of any.
    """
    dumps: dict[str, Dump] = {}
    same = []
    for path in map(Path, files):
        dump = open_dump(path)
        taken = dumps.get(dump.fingerprint)
        if taken and taken.whole_fingerprint() != dump.whole_fingerprint():
            dump = replace(dump, fingerprint=dump.whole_fingerprint())
            taken = dumps.get(dump.fingerprint)
        if taken:
            same.append((str(path), str(taken.path)))
        else:
            dumps[dump.fingerprint] = dump
    if not dumps:
        raise SettingsError("name at least one dump file")
    unreadable = [dump.unreadable for dump in dumps.values() if dump.unreadable]
    if len(unreadable) == len(dumps):
        raise unreadable[0]
    return list(dumps.values()), tuple(same)


def _known(record: Record, dump: Dump) -> str | None:
    """The fingerprint under which the record has this very file."""
    there = {file.fingerprint for file in record.files}
    if dump.fingerprint in there:
        return dump.fingerprint
    if any(fingerprint.startswith(f"{dump.fingerprint}.") for fingerprint in there):
        whole = dump.whole_fingerprint()
        return whole if whole in there else None
    return None


def _begin(
    folder: PostsFolder, settings: IngestSettings, progress: Progress
) -> tuple[Record, AuthorKey | None]:
    """What the folder holds, and the key; after the check that folder and settings fit together."""
    record, recorded = None if settings.overwrite else folder.record(), settings.recorded()
    if record:  # before a key is made for nothing
        check_same(record, recorded, record.author_key, folder.out)
    key = None if settings.keep_authors else _author_key(folder, settings, record, progress)
    told = key.fingerprint if key else None
    if record:
        check_same(record, recorded, told, folder.out)
    if folder.purged.exists():
        from corpus_lonely.ingest.purged import (  # noqa: PLC0415  (Polars is not needed otherwise)
            check_key,
            read_purged,
        )

        remembered = read_purged(folder.purged)
        check_key(remembered, told, folder.out, hash_ids=settings.hash_ids)
    return record or Record(recorded, told), key


def _author_key(
    folder: PostsFolder, settings: IngestSettings, record: Record | None, progress: Progress
) -> AuthorKey:
    path = settings.author_key or folder.key
    if path.exists():
        if path.stat().st_mode & 0o077:
            progress.note(f"{path}: others on this machine may read this key; chmod 600 mends that")
        return read_key(path)
    if record and record.author_key:
        raise InputError(
            "is not there, and holds the key that this folder's authors were hashed with",
            where=path,
            hint="Bring it back, name it with --author-key, or --overwrite to make the folder anew",
        )
    key = make_key(path)
    progress.note(f"Made a new author key: {path}")
    return key
