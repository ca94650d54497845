"""Scores of posts that were deleted, taken out of their parts; the parts stay whole, and say so."""

import io
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus_lonely import tables
from corpus_lonely.errors import CorpusLonelyError, InputError
from corpus_lonely.files import read_json
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.scoring.checks import count_rows
from corpus_lonely.scoring.parts import Counts, Output, is_part, total
from corpus_lonely.seal import is_whole
from corpus_lonely.storage import Place, contents, put_json


@dataclass
class ScoresPurge:
    """What one run of `purge_scores` did."""

    removed: int = 0
    parts: int = 0
    """Rewritten."""
    bad: dict[str, str] = field(default_factory=dict)
    """Parts that are damaged, so that nothing could be taken out of them, with the reason."""
    complete: bool = True
    """Whether all parts of the run stand."""


@dataclass(frozen=True)
class _Wanted:
    """What is to go, as `purge_scores` is told it."""

    ids: Collection[str]
    authors: Collection[str]
    ids_of_authors: Collection[str] | None

    def by_column(self, there: Collection[str]) -> dict[str, pa.Array]:
        """Values for each column that is asked for, in a part with the columns `there`."""
        ids, authors = self.ids, self.authors
        if authors and "author" not in there and self.ids_of_authors is not None:
            ids, authors = {*ids, *self.ids_of_authors}, ()
        return {
            name: pa.array(sorted(values), pa.string())
            for name, values in (("post_id", ids), ("author", authors))
            if values
        }


def purge_scores(
    folder: Place,
    ids: Collection[str] = (),
    authors: Collection[str] = (),
    progress: Progress | None = None,
    ids_of_authors: Collection[str] | None = None,
) -> ScoresPurge:
    """Takes the rows of posts out of a folder of scores, part by part.

    ids: of posts, as the column `post_id` has them.
    authors: as the column `author` has them, in lower case.
    ids_of_authors: of these authors' posts, for scores without that column; None where nobody knows them.

    Each part is replaced whole; interrupted and run again, it ends the same. The rest of the part is as
    it was. Raises InputError when there are no scores, or no column to tell by; what `score` raises
    when the folder is another's or in use.
    """
    output, progress = Output(folder), progress or Silent()
    parts = [entry for entry in contents(folder) if is_part(entry)]
    if not parts:
        raise InputError("holds no scores", where=folder)
    done = ScoresPurge()
    wanted = _Wanted(ids, authors, ids_of_authors)
    with output.locked():
        progress.start("Reading parts", len(parts), "parts")
        for part in parts:
            _purge_part(output, part, wanted, done)
            progress.advance(1, part.name)
        progress.finish()
        _settle(output, done)
    return done


def _purge_part(output: Output, part: Place, wanted: _Wanted, done: ScoresPurge) -> None:
    try:
        content = part.read_bytes()
        if not is_whole(content):
            done.bad[part.name] = "is damaged: its content is not what was written"
            return
        source = pq.ParquetFile(io.BytesIO(content))
        mask = _mask(source, wanted, part)
        count = pc.sum(mask).as_py() or 0 if mask is not None else 0
        if not count:
            return
        rest = source.read().filter(pc.invert(mask))
        facts = tables.footer(part)
        facts["counts"] = asdict(count_rows(rest))
        facts["purged"] = facts.get("purged", 0) + count
    except (pa.ArrowException, KeyError, TypeError) as error:
        done.bad[part.name] = f"cannot be read ({type(error).__name__})"
        return
    if not done.parts:
        _unsettle(output)
    output.put(part.name, tables.sealed_bytes(_with_facts(rest, facts)))
    done.removed += count
    done.parts += 1


def _mask(source: pq.ParquetFile, wanted: _Wanted, part: Place) -> pa.ChunkedArray | None:
    """Which rows are to go; None where nothing is asked for."""
    there = source.schema_arrow.names
    values = wanted.by_column(there)
    if missing := [name for name in values if name not in there]:
        raise InputError(
            f"has no column {missing[0]!r}, so nobody can tell whose rows these are",
            where=part,
            hint="Name the posts beside it, which tell the ids of these authors' posts"
            if missing == ["author"]
            else "Score the posts that are left into another folder, and remove this one",
        )
    rows = source.read(list(values))
    masks = [pc.is_in(_folded(name, rows), value_set=values[name]) for name in values]
    return reduce(pc.or_, masks) if masks else None


def _folded(name: str, rows: pa.Table) -> pa.ChunkedArray:
    """Authors in lower case: where they are not hashed, people write them as they like."""
    return pc.utf8_lower(rows.column(name)) if name == "author" else rows.column(name)


def _with_facts(rows: pa.Table, facts: dict[str, Any]) -> pa.Table:
    # the old seal would be found before the new one
    schema = tables.with_footer(rows.schema.remove_metadata(), facts)
    return rows.replace_schema_metadata(schema.metadata)


def _unsettle(output: Output) -> None:
    """Takes the totals off, for they will not hold until all is done."""
    if described := _described(output):
        put_json(output.description, {**described, "totals": None})


def _settle(output: Output, done: ScoresPurge) -> None:
    """Tells the totals of what is left, once all parts stand."""
    described = _described(output)
    if described is None:
        return
    found = [_counts(part) for part in contents(output.folder) if is_part(part)]
    good = [pair for pair in found if pair]
    done.complete = len(good) == described.get("shards")
    totals = asdict(total(counts for counts, _ in good)) if done.complete else None
    purged = sum(count for _, count in good)
    content = {**described, "totals": totals} | ({"purged": purged} if purged else {})
    if content != described:
        put_json(output.description, content)


def _described(output: Output) -> dict[str, Any] | None:
    try:
        content = read_json(output.description)
    except InputError:
        return None
    return content if isinstance(content, dict) else None


def _counts(part: Place) -> tuple[Counts, int] | None:
    try:
        facts = tables.footer(part)
        return Counts(**facts["counts"]), facts.get("purged", 0)
    except (CorpusLonelyError, KeyError, TypeError):
        return None
