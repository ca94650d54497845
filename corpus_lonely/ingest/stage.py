"""One dump file to staged runs of rows, its counts and its bad lines; finished once, it is not read again."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from corpus_lonely.errors import InputError, OutputError
from corpus_lonely.files import output_error, read_json, sync, write_json
from corpus_lonely.ingest.dump import Block, Dump, read_blocks
from corpus_lonely.ingest.normalize import Drop, Normaliser
from corpus_lonely.ingest.raw import BadLineError, decode
from corpus_lonely.ingest.writer import StagingWriter

STAGED = "staged"
"""The reason in counts of the posts that were not dropped (yet: duplicates show when months merge)."""
NOT_COVERED = ("bad_json", "not_a_post", "other_subreddit", "outside_dates")
"""Reasons that are counted for the file alone: what they drop is not what the folder is about."""
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
_CountKey = tuple[str | None, str, str, str]
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
    staged = Staged(dump, folder, **read_json(folder / _DONE))
    # the file may have been fetched again since it was found to be broken
    repaired = staged.broken and staged.fingerprint != dump.whole_fingerprint()
    return None if repaired else staged


def stage(
    dump: Dump,
    folder: Path,
    normaliser: Normaliser,
    schema: pa.Schema,
    advance: Advance,
    *,
    quarantine_text: bool = False,
) -> Staged:
    """Reads one file into `folder`, from its beginning; a break is reported, not raised.

    Raises OutputError when the disk is full; then nothing is left of the attempt.
    """
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with _owners_file(folder / _QUARANTINE_FILE) as quarantine:
            staging = _Staging(
                dump, StagingWriter(folder, schema), normaliser, quarantine, quarantine_text
            )
            broken = staging.read(advance)
        return staging.finish(folder, broken)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise output_error(error, folder) from error
    except OutputError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _owners_file(path: Path) -> TextIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8")


class _Staging:
    """The lines of one file on their way."""

    def __init__(
        self,
        dump: Dump,
        writer: StagingWriter,
        normaliser: Normaliser,
        quarantine: TextIO,
        quarantine_text: bool,
    ) -> None:
        self._dump, self._writer, self._normaliser = dump, writer, normaliser
        self._quarantine, self._quarantine_text = quarantine, quarantine_text
        self._line = self._blank = 0
        self._counts: Counter[_CountKey] = Counter()

    def read(self, advance: Advance) -> str | None:
        """Takes every line; returns how the file breaks off, if it does."""
        consumed = 0
        broken = None
        try:
            for block in read_blocks(self._dump.path):
                self._take(block)
                advance(block.consumed - consumed, self._line - self._blank)
                consumed = block.consumed
        except InputError as error:
            broken = error.what
        self._writer.close()
        advance(self._dump.size - consumed, self._line - self._blank)
        return broken

    def _take(self, block: Block) -> None:
        # a filter on raw bytes, which spares the decoding of what --subreddit leaves out, has its
        # place here: all that follows sees one line at a time
        for line in block.lines():
            self._line += 1
            if not line or line.isspace():
                self._blank += 1
            else:
                self._take_line(line)

    def _take_line(self, line: bytes) -> None:
        try:
            post = self._normaliser(decode(line))
        except BadLineError as error:
            self._counts[None, "", "", "bad_json"] += 1
            self._set_aside(line, "bad_json", str(error))
            return
        if not isinstance(post, Drop):
            month = self._writer.add(post, self._line)
            self._counts[month, post.subreddit.lower(), post.kind, STAGED] += 1
        elif post.reason in NOT_COVERED:
            self._counts[None, "", "", post.reason] += 1
        else:
            self._counts[post.month, post.subreddit.lower(), post.kind, post.reason] += 1
        if isinstance(post, Drop) and post.reason in ("not_a_post", "bad_date"):
            self._set_aside(line, post.reason, _WHY[post.reason])

    def _set_aside(self, line: bytes, reason: str, why: str) -> None:
        entry: dict[str, Any] = {
            "file": str(self._dump.path),
            "line": self._line,
            "reason": reason,
            "why": why,
        }
        if self._quarantine_text:
            entry["text"] = line.decode("utf-8", "replace")
        self._quarantine.write(json.dumps(entry) + "\n")

    def finish(self, folder: Path, broken: str | None) -> Staged:
        """Writes the counts, then the mark that the file is done."""
        sums: Counter[str] = Counter()
        for (*_, reason), count in self._counts.items():
            sums[reason] += count
        pq.write_table(self._covered(), folder / _COUNTS_FILE)
        for path in folder.iterdir():
            sync(path)
        content: dict[str, Any] = {
            "fingerprint": self._dump.whole_fingerprint() if broken else self._dump.fingerprint,
            "read": self._line - self._blank,
            "staged": sums.pop(STAGED, 0),
            "dropped": dict(sums),
            "broken": broken,
        }
        write_json(folder / _DONE, content)
        return Staged(self._dump, folder, **content)

    def _covered(self) -> pa.Table:
        rows = [(*key, count) for key, count in self._counts.items() if key[3] not in NOT_COVERED]
        rows.sort(key=lambda row: (row[0] or "", *row[1:]))
        return pa.Table.from_pylist(
            [dict(zip(COUNTS.names, row, strict=True)) for row in rows], schema=COUNTS
        )


_WHY = {
    "not_a_post": "neither a submission nor a comment, or without id or subreddit",
    "bad_date": "created_utc is no time from 2005 to 2099",
}
