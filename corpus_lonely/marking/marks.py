"""The table of marks: written whole, counted, and known by its footer."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.files import about_folder, atomic_path
from corpus_lonely.tables import footer, with_footer

MARKS = "marks.parquet"
_ROW_GROUP = 1 << 17


@dataclass(frozen=True)
class MarkReport:
    """What a table of marks tells."""

    out: Path
    facts: Mapping[str, Any]
    """Of the footer: settings, input, versions, counts."""
    already_there: bool = False

    @classmethod
    def read(cls, folder: Path) -> "MarkReport":
        """Of a folder that `mark` made; InputError when it has no marks."""
        facts = footer(folder / MARKS)
        if facts.get("table") != "marks":
            raise InputError("holds no marks of `corpus-lonely mark`", where=folder / MARKS)
        return cls(folder, facts)

    def check(self) -> None:
        """Reads every byte; InputError when some are not what was written."""
        try:
            pq.read_table(self.out / MARKS, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"is damaged ({first_line(error)})", where=self.out / MARKS) from error

    @property
    def posts(self) -> int:
        """Rows of the table."""
        return int(self.facts["counts"]["posts"])

    @property
    def near_duplicates(self) -> Mapping[str, int] | None:
        """Posts `compared`, those `later` than one they are alike to, `groups`, the `largest`; None if not marked."""
        counts: Mapping[str, int] | None = self.facts["counts"].get("near_duplicates")
        return counts

    @property
    def languages(self) -> list[tuple[str, int]] | None:
        """Posts by language, most frequent first; posts without a letter are in none. None if not marked."""
        counts = self.facts["counts"].get("languages")
        if counts is None:
            return None
        return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def write_marks(table: pa.Table, facts: Mapping[str, Any], folder: Path) -> MarkReport:
    """Writes the table, whole or not at all, with facts in its footer, and counts where `facts` has none."""
    told = {"counts": _counts(table), **facts, "table": "marks"}
    schema = with_footer(table.schema.remove_metadata(), told)
    # beside the folder: what a kill leaves there is nobody's data
    with atomic_path(folder / MARKS, about_folder(folder)) as temporary:
        pq.write_table(
            table.replace_schema_metadata(schema.metadata),
            temporary,
            compression="zstd",
            row_group_size=_ROW_GROUP,
            write_page_checksum=True,
        )
    return MarkReport(folder, told)


def _counts(table: pa.Table) -> dict[str, Any]:
    counts: dict[str, Any] = {"posts": table.num_rows}
    if "near_duplicates" in table.schema.names:
        sizes = table["near_duplicates"]
        later = pc.sum(table["near_duplicate"]).as_py() or 0
        counts["near_duplicates"] = {
            "compared": len(sizes) - sizes.null_count,
            "later": later,
            "groups": (pc.sum(pc.greater(sizes, 1)).as_py() or 0) - later,
            "largest": pc.max(sizes).as_py() or 0,
        }
    if "language" in table.schema.names:
        counts["languages"] = dict(Counter(table["language"].drop_null().to_pylist()))
    return counts
