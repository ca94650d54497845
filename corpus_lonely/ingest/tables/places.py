"""What readers of tables are asked and what they give: columns by our names, rows with their places."""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from corpus_lonely.errors import InputError

Place = tuple[int, dict[str, Any] | None]
"""Line (of Parquet: row) from 1, and its values by column; None where the line is no row."""
Find = Callable[[Iterable[str]], Mapping[str, str]]
"""Given the columns that are there, says which are read: ours to the table's."""


def flat(found: Mapping[str, str], there: Collection[str], path: Path) -> dict[str, str]:
    """The same where all are columns themselves; InputError where one lies within a column."""
    if deep := [(ours, theirs) for ours, theirs in found.items() if theirs not in there]:
        ours, theirs = deep[0]
        raise InputError(
            f"has no column {theirs!r} for {ours}: only in JSON lines is what lies deeper found",
            where=path,
        )
    return dict(found)
