"""One dump file to staged files of rows, its counts and its bad lines; what is done is not read again."""

import json
import shutil
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus_lonely.errors import InputError
from corpus_lonely.files import atomic_path, json_bytes, open_private, output_error, sync
from corpus_lonely.ingest.blocks import BlockDone, BlockTask, quarantined, staged_before
from corpus_lonely.ingest.columns import CountKey
from corpus_lonely.ingest.dump import Dump, Position, read_blocks
from corpus_lonely.ingest.lines import in_order
from corpus_lonely.ingest.normalize import NOT_COVERED, STAGED
from corpus_lonely.ingest.pool import STAGED_BYTES, Blocks, worker_died
from corpus_lonely.ingest.staged_file import SUFFIX, Batch
from corpus_lonely.seal import BLANK_SEAL, is_whole, seal

COUNTS = pa.schema(
    [
        pa.field("month", pa.string()),
        pa.field("subreddit", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)
_DONE, _COUNTS_FILE, _QUARANTINE_FILE = "done.json", "counts.parquet", "quarantine.jsonl"
Advance = Callable[[int, int], None]
"""Told of each block: bytes of the file that it took, lines read so far."""


@dataclass(frozen=True)
class Staged:
    """A dump file that was read to its end or to its break."""

    dump: Dump
    folder: Path
    fingerprint: str
    """Of the dump; the whole one where it is broken."""
    read: int
    staged: int
    """Lines that became rows."""
    dropped: dict[str, int]
    broken: str | None
    months: dict[str, list[tuple[str, Batch]]]
    """For each month its staged files and the rows there, in the order of the dump."""

    @property
    def counts(self) -> Path:
        return self.folder / _COUNTS_FILE

    @property
    def quarantine(self) -> Path:
        return self.folder / _QUARANTINE_FILE


def already_staged(dump: Dump, folder: Path) -> Staged | None:
    """What an interrupted run staged in `folder`, if it finished, and if that was this very file."""
    if not (folder / _DONE).exists():
        return None
    content = (folder / _DONE).read_bytes()
    if not is_whole(content):  # damaged: what was staged is read again
        return None
    told = json.loads(content)["told"]
    told["months"] = {
        month: [(name, Batch.from_json(batch)) for name, batch in places]
        for month, places in told["months"].items()
    }
    staged = Staged(dump, folder, **told)
    # the file may have been fetched again since it was found to be broken
    repaired = staged.broken and staged.fingerprint != dump.whole_fingerprint()
    return None if repaired else staged


def stage(
    dump: Dump,
    folder: Path,
    blocks: Blocks,
    advance: Advance,
    stopped: Callable[[], bool] = lambda: False,
) -> Staged:
    """Reads one file into `folder`, from where an interrupted run left off; a break is told, not raised.

    stopped: asked before each block; when true, CancelledError is raised.

    Raises OutputError when the disk is full; what is staged by then is kept for the next run.
    """
    try:
        if (folder / _DONE).exists():  # of a broken file that has been repaired
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        staging = _Staging(dump, folder, advance)
        broken = staging.read(blocks, stopped)
        return staging.finish(broken)
    except OSError as error:
        raise output_error(error, folder) from error


class _Staging:
    """One file on its way."""

    def __init__(self, dump: Dump, folder: Path, advance: Advance) -> None:
        self._dump, self._folder, self._advance = dump, folder, advance
        self._done: list[BlockDone] = []
        self._consumed = self._lines = 0
        self._under_way: deque[tuple[BlockTask, Future[BlockDone]]] = deque()

    def read(self, blocks: Blocks, stopped: Callable[[], bool]) -> str | None:
        """Has every line taken; returns how the file breaks off, if it does."""
        self._take_up()
        broken = None
        try:
            for block in read_blocks(self._dump.path, self._end, STAGED_BYTES):
                if stopped():
                    raise CancelledError
                path = self._folder / f"{block.begin:016d}{SUFFIX}"
                task = BlockTask(path, block.begin, block.end, block.consumed)
                self._under_way.append((task, blocks.submit(task, block.pieces)))
                self._gather(wait=False)
        except InputError as error:
            broken = error.what
        self._gather(wait=True)
        self._advance(self._dump.size - self._consumed, self._lines)
        return broken

    @property
    def _end(self) -> Position:
        return self._done[-1].end if self._done else Position()

    def _take_up(self) -> None:
        """What an interrupted run staged without a gap from the beginning; removes the rest."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                done = staged_before(path)
            except OSError:
                break
            if done.begin != self._end.plain:
                break
            self._note(done)
        kept = {done.name for done in self._done}
        for path in self._folder.iterdir():
            if path.name not in kept:
                path.unlink()

    def _gather(self, *, wait: bool) -> None:
        while self._under_way and (wait or self._under_way[0][1].done()):
            task, future = self._under_way.popleft()
            try:
                self._note(future.result())
            except BrokenProcessPool as error:
                raise worker_died(task) from error

    def _note(self, done: BlockDone) -> None:
        self._done.append(done)
        self._lines += done.lines - done.blank
        self._advance(done.consumed - self._consumed, self._lines)
        self._consumed = done.consumed

    def finish(self, broken: str | None) -> Staged:
        """Writes counts and bad lines, then the mark that the file is done."""
        if not broken and self._done and self._done[-1].cut:
            broken = f"ends at byte {self._done[-1].consumed:,} within a line"
        counts = self._counts()
        sums: Counter[str] = Counter()
        for (*_, reason), count in counts.items():
            sums[reason] += count
        pq.write_table(_covered(counts), self._folder / _COUNTS_FILE, write_page_checksum=True)
        self._write_quarantine()
        for name in (_COUNTS_FILE, _QUARANTINE_FILE):
            sync(self._folder / name)
        content: dict[str, Any] = {
            "fingerprint": self._dump.whole_fingerprint() if broken else self._dump.fingerprint,
            "read": self._lines,
            "staged": sums.pop(STAGED, 0),
            "dropped": dict(sums),
            "broken": broken,
            "months": self._months(),
        }
        with atomic_path(self._folder / _DONE) as temporary:
            temporary.write_bytes(seal(json_bytes({"told": content, "seal": BLANK_SEAL})))
        return Staged(self._dump, self._folder, **content)

    def _counts(self) -> Counter[CountKey]:
        counts: Counter[CountKey] = Counter()
        for done in self._done:
            for month, subreddit, kind, reason, count in done.counts:
                counts[month, subreddit, kind, reason] += count
        return counts

    def _months(self) -> dict[str, list[tuple[str, Batch]]]:
        months: dict[str, list[tuple[str, Batch]]] = {}
        for done in self._done:
            for month, batch in done.months.items():
                months.setdefault(month, []).append((done.name, batch))
        return months

    def _write_quarantine(self) -> None:
        before = 0
        with open_private(self._folder / _QUARANTINE_FILE, "w") as file:
            for done in self._done:
                file.write(quarantined(self._dump.name, before, done))
                before += done.lines


def _covered(counts: Counter[CountKey]) -> pa.Table:
    rows = [row for row in in_order(counts) if row[3] not in NOT_COVERED]
    return pa.Table.from_pylist(
        [dict(zip(COUNTS.names, row, strict=True)) for row in rows], schema=COUNTS
    )
