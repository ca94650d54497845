"""One block of a dump to its staged file: done by whichever process is free, and done once."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus_lonely.ingest.authors import AuthorKey, author_writer, id_writer
from corpus_lonely.ingest.columns import ColumnNormaliser
from corpus_lonely.ingest.dump import Position
from corpus_lonely.ingest.lines import CountRow, LineTaker
from corpus_lonely.ingest.prefilter import Prefilter
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.ingest.staged_file import Extent, extent_of, staged_facts, write_staged
from corpus_lonely.ingest.writer import PLACE, posts_schema, staged_schema

MISTOLD = (KeyError, TypeError, ValueError, AttributeError)
"""What comes of facts that are not those that were written."""


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
    months: dict[str, Extent]
    """Its record batches, in the order of months, which is theirs in the file."""
    counts: list[CountRow]
    """Month, subreddit in lower case, kind, reason, lines."""
    bad: list[dict[str, Any]]
    """Entries of the quarantine; `line` counts from the beginning of the block."""


class BlockReader:
    """Blocks to staged files under one choice of settings."""

    def __init__(self, settings: IngestSettings, key: AuthorKey | None) -> None:
        wanted = settings.subreddits
        prefilter = Prefilter(wanted) if Prefilter.works_for(wanted) else None
        posts = posts_schema(settings.keep_permalinks, settings.columns)
        self._schema: pa.Schema = staged_schema(posts)
        names = author_writer(key), id_writer(key, hashed=settings.hash_ids)
        normaliser = ColumnNormaliser(settings, self._schema, *names)
        self._take = LineTaker(normaliser, prefilter, settings.quarantine_text)

    def __call__(self, task: BlockTask, data: bytes | memoryview) -> BlockDone:
        """Writes the staged file, whole or not at all. OutputError when the disk is full."""
        taken = self._take(data)
        rows = {month: _placed(tables, task.begin) for month, tables in sorted(taken.rows.items())}
        done = BlockDone(
            name=task.path.name,
            begin=task.begin,
            end=task.end,
            consumed=task.consumed,
            lines=taken.lines,
            blank=taken.blank,
            months={month: extent_of(table) for month, table in rows.items()},
            counts=[(*key, count) for key, count in taken.counts.items()],
            bad=taken.bad,
        )
        # not `asdict` of it all: that would copy every count
        facts = {**vars(done), "end": asdict(done.end)}
        write_staged(task.path, self._schema, rows, facts)
        return done


def staged_before(path: Path) -> BlockDone:
    """What a staged file of an earlier run holds. Raises what pyarrow does when it is damaged, one of
    MISTOLD when it tells other things."""
    facts = staged_facts(path)
    facts["end"] = Position(**facts["end"])
    facts["months"] = {month: Extent(*told) for month, told in facts["months"].items()}
    facts["counts"] = [tuple(count) for count in facts["counts"]]
    return BlockDone(**facts)


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
