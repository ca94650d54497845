"""What readers of tables are asked and what they give: columns by our names, rows with their places."""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from corpus_lonely.errors import InputError


class BadRow(NamedTuple):
    """What is in a place where no row is."""

    why: str
    """Without a word of it."""
    text: str
    """As it stands there."""
    reason: str = "bad_json"
    """Of DROP_REASONS."""


Place = tuple[int, dict[str, Any] | BadRow]
"""Line (of Parquet: row) from 1, and its values by column."""
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
