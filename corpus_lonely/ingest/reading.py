"""Dump files to staged rows: on how many processes, and what an interrupted run had read already."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path

from corpus_lonely.ingest.authors import AuthorKey
from corpus_lonely.ingest.dump import Dump
from corpus_lonely.ingest.folder import PostsFolder
from corpus_lonely.ingest.pool import Blocks, block_pool
from corpus_lonely.ingest.prefilter import Prefilter
from corpus_lonely.ingest.settings import IngestSettings, fingerprint
from corpus_lonely.ingest.stage import Staged, already_staged, stage
from corpus_lonely.memory import keep_freed_memory
from corpus_lonely.progress import Progress

_MB = 1e6
_FORM = 4
"""Of what is staged: one more whenever files there, or what is told of them, change."""
_MERGING = "corpus_lonely.ingest.addition"
_BYTES_PER_PROCESS = 16 << 20


class Reading:
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

    def all(self, dumps: list[Dump], processes: int | None) -> list[Staged]:
        """Each file in its folder below `staging`; what an interrupted run finished is taken.

        processes: of those that read blocks; None for as many as the files are worth.
        """
        keep_freed_memory()
        processes, readers = _plan(processes, dumps, self._settings)
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
        # the name holds settings and form: what was staged with others is never taken
        text = ".text" if self._settings.quarantine_text else ""
        folder = self._staging / f"{dump.fingerprint}.{self._rows_of}{text}.{_FORM}"
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
