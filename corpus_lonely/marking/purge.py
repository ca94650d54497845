"""Marks of posts that were deleted, taken out of their table."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.files import about_folder
from corpus_lonely.marking.marks import MARKS, MarkReport, write_marks


@dataclass(frozen=True)
class MarksPurge:
    """What one run of `purge_marks` did."""

    removed: int
    """Rows taken out."""
    unnamed: int
    """Rows that no longer say of which post they are a near-duplicate."""


def purge_marks(folder: Path, ids: Collection[str]) -> MarksPurge:
    """Takes the rows of posts out of the marks of a folder, and their ids out of the others' rows.

    ids: of posts, as the column `post_id` has them. That a post repeats an earlier one stays true,
    so `near_duplicate` does. The table is replaced whole. Raises InputError for a folder without marks.
    """
    path = folder / MARKS
    facts = dict(MarkReport.read(folder).facts)
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot be read ({first_line(error)})", where=path) from error
    gone = pa.array(sorted(ids), pa.string())
    rest = table.filter(pc.invert(pc.is_in(table["post_id"], value_set=gone)))
    removed, unnamed = table.num_rows - rest.num_rows, 0
    if "near_duplicate_of" in rest.schema.names:
        hit = pc.is_in(rest["near_duplicate_of"], value_set=gone)
        unnamed = pc.sum(hit).as_py() or 0
        at = rest.schema.get_field_index("near_duplicate_of")
        named = pc.if_else(hit, pa.scalar(None, pa.string()), rest["near_duplicate_of"])
        rest = rest.set_column(at, rest.schema.field(at), named)
    if removed or unnamed:
        facts["purged"] = facts.get("purged", 0) + removed
        # what was found stays told as it was: groups that lost posts cannot be counted anew
        facts["counts"] = {**facts["counts"], "posts": rest.num_rows}
        write_marks(rest, facts, folder)
        with suppress(OSError):
            about_folder(folder).rmdir()
    return MarksPurge(removed, unnamed)
