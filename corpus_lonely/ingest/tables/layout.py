"""How a table of text is written: what stands between its fields, and how its characters are coded."""

import codecs
from dataclasses import dataclass
from typing import Any

from corpus_lonely.errors import SettingsError

NA = "NA"
"""What R writes for nothing."""
CONTENT = ("text", "title", "subreddit", "flair", "author_flair")
"""Our columns in which somebody may have written just that; no account has so short a name."""


@dataclass(frozen=True)
class Layout:
    """The choices of one table that is no Parquet."""

    delimiter: str | None = None
    """Between the fields of CSV; a comma, or what the file's name tells, if None."""
    encoding: str = "utf-8"
    """A name that Python knows, of a coding in which ASCII is as it is: lines end where its do."""
    na: tuple[str, ...] | None = None
    """Cells of CSV that mean nothing, as empty ones do; R's if None, where it can be no content."""

    def __post_init__(self) -> None:
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise SettingsError(f"--delimiter must be one character, got {self.delimiter!r}")
        object.__setattr__(self, "encoding", _known(self.encoding))

    @property
    def recorded(self) -> dict[str, Any]:
        """As JSON for the folder's record."""
        told = None if self.na is None else sorted(set(self.na))
        return {"delimiter": self.delimiter, "encoding": self.encoding, "na": told}

    def nothing(self, column: str) -> frozenset[str]:
        """What means nothing in one of our columns."""
        if self.na is None:
            return frozenset() if column in CONTENT else frozenset({NA})
        return frozenset(self.na)


def _known(encoding: str) -> str:
    """The name that Python has for it; SettingsError when it cannot be read line by line."""
    try:
        as_ascii = "\n,".encode(encoding) == b"\n,"
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):
        raise SettingsError(
            f"--encoding must be a name like utf-8, cp1252 or latin-1, got {encoding!r}"
        ) from None
    if not as_ascii:
        raise SettingsError(
            f"--encoding must be one in which ASCII is as it is, like utf-8 or cp1252, got {encoding!r}: "
            f"turn the file into UTF-8 first, as with iconv -f {encoding} -t UTF-8 FILE"
        )
    return name
