"""From dump files to a posts folder: what `corpus-lonely ingest dump` does, as a function."""

import os
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.ingest.authors import AuthorKey, make_key, read_key
from corpus_lonely.ingest.dump import Dump, open_dump
from corpus_lonely.ingest.folder import PostsFolder, Record, check_same
from corpus_lonely.ingest.pool import Blocks, block_pool
from corpus_lonely.ingest.prefilter import Prefilter
from corpus_lonely.ingest.report import IngestReport
from corpus_lonely.ingest.settings import IngestSettings, fingerprint
from corpus_lonely.ingest.stage import Staged, already_staged, stage
from corpus_lonely.ingest.writer import posts_schema
from corpus_lonely.progress import Progress, Silent

_MB = 1e6
_MERGING = "corpus_lonely.ingest.addition"
_BYTES_PER_PROCESS = 16 << 20


def ingest_dumps(
    files: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    settings: IngestSettings | None = None,
    progress: Progress | None = None,
    *,
    processes: int | None = 1,
    names: Mapping[Path, str] | None = None,
) -> IngestReport:
    """Reads dumps of Reddit into `out`, Parquet partitioned by month, and counts every line.

    processes: of those that read blocks of lines; None for one a core where the files are large
        enough. With more than one, a script must guard its entry: `if __name__ == "__main__":`.

    names: what reports and the quarantine call files that were made from others.

    Interrupted and run again, it gives the folder of an undisturbed run; files that the folder
    holds already are not read again. A file that breaks off is kept up to its break: look at
    `IngestReport.broken`.

    Raises InputError when a file is no dump, and OutputError when `out` is not ours or was made
    with other settings, all before anything is written; SettingsError when the author key lies
    among the posts; OutputError when the disk is full.
    """
    settings, progress = settings or IngestSettings(), progress or Silent()
    folder = PostsFolder(Path(os.path.abspath(out)))
    _check_author_key(settings.author_key, folder.out)
    folder.check()
    dumps, same = _opened(files)
    if names:
        dumps = [replace(dump, told=names.get(dump.path)) for dump in dumps]
        same = tuple((names[Path(left_out)], names[Path(taken)]) for left_out, taken in same)
    with folder.opened():
        record, key = _begin(folder, settings, progress)
        found = {dump.path: _known(record, dump) for dump in dumps}
        before = {fingerprint for fingerprint in found.values() if fingerprint}
        if new := [dump for dump in dumps if not found[dump.path]]:
            plan = _plan(processes, new, settings)
            staged = _Reading(folder, settings, key, progress).all(new, *plan)
            found |= {one.dump.path: one.fingerprint for one in staged}
            # imported here: with Polars behind it, it would keep reading from beginning
            from corpus_lonely.ingest.addition import Addition  # noqa: PLC0415

            schema = posts_schema(settings.keep_permalinks, settings.columns)
            of_ids = key if settings.hash_ids else None
            record = Addition(folder, record, staged, schema, of_ids).make(progress)
    files_by_content = {file.fingerprint: file for file in record.files}
    reports = [files_by_content[fingerprint] for fingerprint in found.values() if fingerprint]
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


def _plan(asked: int | None, dumps: list[Dump], settings: IngestSettings) -> tuple[int, int]:
    """Processes that read blocks, 0 for none but this one, and files that are unpacked at a time."""
    if asked is not None:
        processes = asked if asked > 1 else 0
        return processes, min(len(dumps), max(1, processes // 2))
    # to start a process takes half a second: that of 16 MB
    worth = sum(dump.size for dump in dumps) // _BYTES_PER_PROCESS
    processes = min(_cores(), worth)
    if processes <= 1:
        return 0, 1
    # one unpacks as fast as two can read, or one where most lines are passed over
    readers = min(len(dumps), processes // 2)
    return (processes // 2 if Prefilter.works_for(settings.subreddits) else processes), readers


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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


class _Reading:
    """Dump files to staged rows; several at once where there are processes enough."""

    def __init__(
        self,
        folder: PostsFolder,
        settings: IngestSettings,
        key: AuthorKey | None,
        progress: Progress,
    ) -> None:
        self._staging = folder.staging
        self._settings, self._key, self._progress = settings, key, progress
        self._rows_of = fingerprint(settings.recorded(), key.fingerprint if key else None)
        self._lines: dict[Path, int] = {}
        self._told = threading.Lock()
        self._stopped = threading.Event()

    def all(self, dumps: list[Dump], processes: int, readers: int) -> list[Staged]:
        """Each file in its folder below `staging`; what an interrupted run finished is taken."""
        self._progress.start("Reading dumps", sum(dump.size for dump in dumps) / _MB, "MB")
        with block_pool(self._settings, self._key, processes) as blocks:
            # meanwhile, for this process has little to do until the others have begun
            threading.Thread(target=import_module, args=(_MERGING,)).start()
            if readers == 1:
                staged = [self._one(dump, blocks) for dump in dumps]
            else:
                staged = self._at_once(dumps, blocks, readers)
        self._progress.finish()
        return staged

    def _at_once(self, dumps: list[Dump], blocks: Blocks, readers: int) -> list[Staged]:
        with ThreadPoolExecutor(readers) as threads:
            try:
                return list(threads.map(lambda dump: self._one(dump, blocks), dumps))
            except BaseException:
                self._stopped.set()
                threads.shutdown(cancel_futures=True)
                raise

    def _one(self, dump: Dump, blocks: Blocks) -> Staged:
        # the name holds the settings: what was staged with others is never taken
        text = ".text" if self._settings.quarantine_text else ""
        folder = self._staging / f"{dump.fingerprint}.{self._rows_of}{text}"
        staged = already_staged(dump, folder)
        if staged:
            self._progress.note(f"{dump.path}: already read by the run that was interrupted")
            self._advance(dump, dump.size, staged.read)
        else:
            advance = partial(self._advance, dump)
            staged = stage(dump, folder, blocks, advance, self._stopped.is_set)
        if staged.broken:
            self._progress.note(f"{dump.path}: {staged.broken}")
        return staged

    def _advance(self, dump: Dump, consumed: int, lines: int) -> None:
        with self._told:
            self._lines[dump.path] = lines
            self._progress.advance(consumed / _MB, f"{sum(self._lines.values()):,} lines")
