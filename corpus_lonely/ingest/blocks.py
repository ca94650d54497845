"""One block of a dump to its staged file: done by whichever process is free, and done once."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus_lonely.ingest.authors import AuthorKey, author_writer, id_writer
from corpus_lonely.ingest.columns import ColumnNormaliser
from corpus_lonely.ingest.dump import Position, is_object
from corpus_lonely.ingest.lines import CountRow, LineTaker
from corpus_lonely.ingest.prefilter import Prefilter
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.ingest.staged_file import Batch, staged_facts, write_staged
from corpus_lonely.ingest.writer import PLACE, posts_schema, staged_schema


@dataclass(frozen=True)
class BlockTask:
    """Where a block stands and where its rows go."""

    path: Path
    """The staged file to be written."""
    begin: int
    """Byte of the plain content where it begins."""
    end: Position
    consumed: int
    """Bytes of the dump read so far."""


@dataclass(frozen=True)
class BlockDone:
    """What a staged file holds, as it tells itself."""

    name: str
    begin: int
    end: Position
    consumed: int
    lines: int
    blank: int
    months: dict[str, Batch]
    counts: list[CountRow]
    """Month, subreddit in lower case, kind, reason, lines."""
    bad: list[dict[str, Any]]
    """Entries of the quarantine; `line` counts from the beginning of the block."""
    cut: bool
    """Whether it ends within a line: without a newline, and with what is no JSON object."""


class BlockReader:
    """Blocks to staged files under one choice of settings."""

    def __init__(self, settings: IngestSettings, key: AuthorKey | None) -> None:
        wanted = settings.subreddits
        prefilter = Prefilter(wanted) if Prefilter.works_for(wanted) else None
        posts = posts_schema(settings.keep_permalinks, settings.columns)
        names = author_writer(key), id_writer(key, hashed=settings.hash_ids)
        normaliser = ColumnNormaliser(settings, staged_schema(posts), *names)
        self._take = LineTaker(normaliser, prefilter, settings.quarantine_text)

    def __call__(self, task: BlockTask, data: bytes | memoryview) -> BlockDone:
        """Writes the staged file, whole or not at all. OutputError when the disk is full."""
        taken = self._take(data)
        rows = {month: _placed(tables, task.begin) for month, tables in sorted(taken.rows.items())}
        facts: dict[str, Any] = {
            "begin": task.begin,
            "end": task.end,
            "consumed": task.consumed,
            "lines": taken.lines,
            "blank": taken.blank,
            "counts": [(*key, count) for key, count in taken.counts.items()],
            "bad": taken.bad,
            "cut": _is_cut(data),
        }
        months = write_staged(task.path, rows, {**facts, "end": asdict(task.end)})
        return BlockDone(task.path.name, months=months, **facts)


def staged_before(path: Path) -> BlockDone:
    """What a staged file of an earlier run holds. OSError when it is damaged."""
    facts, months = staged_facts(path)
    facts["end"] = Position(**facts["end"])
    facts["counts"] = [tuple(count) for count in facts["counts"]]
    return BlockDone(path.name, months=months, **facts)


def _is_cut(data: bytes | memoryview) -> bool:
    if not data or data[-1] == ord("\n"):  # as all blocks but a file's last
        return False
    last = bytes(data).rpartition(b"\n")[2]
    return bool(last.strip()) and not is_object(last)


def _placed(tables: list[pa.Table], begin: int) -> pa.Table:
    """One table, whose places grow from block to block: no line is shorter than a byte."""
    table = pa.concat_tables(tables)
    column = table.schema.get_field_index(PLACE)
    places = pc.add(table.column(column), begin)
    return table.set_column(column, table.schema.field(column), places)


def quarantined(file: str, before: int, done: BlockDone) -> str:
    """The bad lines of a block as lines of JSON; `before`: lines of the dump that stand before it."""
    return "".join(
        json.dumps({"file": file, **entry, "line": before + entry["line"]}) + "\n"
        for entry in done.bad
    )
