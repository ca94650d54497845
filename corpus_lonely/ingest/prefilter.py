"""Which lines of a block can hold a post of the subreddits asked for: told from their bytes, without parsing.

A line is passed over if
1. it begins with `{` and ends with `}`,
2. it holds `"subreddit"`, and each time as a key whose value is a string without a backslash,
3. none of these values is a name asked for, and
4. it holds no escape of a letter, digit, underscore or hyphen (`\\u0061`).

No post of these subreddits is passed over. Its line is a JSON object with the key `subreddit`, spelt without
escapes by 4, so `"subreddit"` stands there; by 2 what follows it is the value that counts, escapes are excluded by
2 and 4, and by 3 it is not asked for. Objects within the line (`crosspost_parent_list`) only add values, and so
lines that are parsed.

2 to 4 are one regular expression for what speaks against passing over, searched for by Polars, whose engine finds
where one may begin with vector instructions. Case is ignored as Unicode has it, which is never less than `str.lower`.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus_lonely.ingest.dump import line_bounds

if TYPE_CHECKING:
    import polars as pl

_NAMES = re.compile(r"[a-z0-9_-]+")
_ESCAPED = r"\\u00(?:2[dD]|3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aA])"
_SPACE = r"[ \t\r]*"
_OPEN, _CLOSE = b"{}"
_MOST_LETTERS = 80_000
"""Of all names together: twice as many are more than the engine takes."""
_Numbers = npt.NDArray[np.int64]


class Lines(NamedTuple):
    """Lines of a block that are to be parsed."""

    places: _Numbers
    """Which line of the block each is, from 0."""
    begins: _Numbers
    ends: _Numbers
    """Its first byte, and the one after its last."""
    total: int
    """All lines of the block."""

    def part(self, which: slice) -> Self:
        """Some of them."""
        return self._replace(
            places=self.places[which], begins=self.begins[which], ends=self.ends[which]
        )

    @property
    def in_a_row(self) -> bool:
        """Whether no line is missing among them."""
        return bool(self.places[-1] - self.places[0] + 1 == len(self.places))

    def are_objects(self, data: bytes | memoryview) -> bool:
        """Whether each begins with `{` and ends with `}`."""
        return bool(_braced(np.frombuffer(data, np.uint8), self.begins, self.ends).all())


def every_line(data: bytes | memoryview) -> Lines:
    """All lines of a block."""
    begins, ends = line_bounds(data)
    return Lines(np.arange(len(begins)), begins, ends, len(begins))


def _braced(
    content: npt.NDArray[np.uint8], begins: _Numbers, ends: _Numbers
) -> npt.NDArray[np.bool_]:
    # an empty line ends where it begins: its bounds are looked at, and are no braces
    first = content[np.minimum(begins, len(content) - 1)]
    last = content[np.maximum(ends - 1, 0)]
    braced: npt.NDArray[np.bool_] = (first == _OPEN) & (last == _CLOSE)
    return braced


class Prefilter:
    """Passes over lines of other subreddits."""

    def __init__(self, subreddits: Iterable[str]) -> None:
        """subreddits: in lower case."""
        names = "|".join(sorted(subreddits))
        value = rf'[^"\\]*(?:\\|$)|(?i:{names})"'
        # the key, and then not what 2 and 3 ask for: no colon, no string, or not such a string
        key = rf'"subreddit"{_SPACE}(?:[^ \t\r:]|$|:{_SPACE}(?:[^ \t\r"]|$|"(?:{value})))'
        self._against = f"{key}|{_ESCAPED}"

    @staticmethod
    def works_for(subreddits: Iterable[str]) -> bool:
        """Whether all names are such as Reddit has, for of others nothing is proven, and not thousands."""
        names = list(subreddits)
        reddits = all(_NAMES.fullmatch(name) for name in names)
        return reddits and 0 < sum(map(len, names)) <= _MOST_LETTERS

    def __call__(self, data: bytes | memoryview) -> Lines:
        begins, ends = line_bounds(data)
        lines = _texts(data, begins, ends)
        passed = lines.str.contains('"subreddit"', literal=True).to_numpy(allow_copy=True)
        passed = passed & ~lines.str.contains(self._against).to_numpy(allow_copy=True)
        passed &= _braced(np.frombuffer(data, np.uint8), begins, ends)
        chosen = np.flatnonzero(~passed)
        return Lines(chosen, begins[chosen], ends[chosen], len(begins))


def _texts(data: bytes | memoryview, begins: _Numbers, ends: _Numbers) -> "pl.Series":
    """The lines, where they stand; copies, what is no UTF-8 replaced, where some of it is none."""
    import polars as pl  # noqa: PLC0415  # only where lines are read: the unpacking process begins sooner

    # each with its newline, so that one ends where the next begins
    bounds = np.append(begins, len(data))
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(data)]
    try:
        # all of it as one text: by itself each line would do, as no character goes over a newline
        whole = [None, pa.py_buffer(bounds[[0, -1]]), buffers[2]]
        pa.Array.from_buffers(pa.large_string(), 1, whole).validate(full=True)
    except pa.ArrowInvalid:
        pairs = zip(begins.tolist(), ends.tolist(), strict=True)
        return pl.Series(
            [bytes(data[a:b]).decode("utf-8", "replace") for a, b in pairs], dtype=pl.String
        )
    return pl.Series(pa.Array.from_buffers(pa.large_string(), len(begins), buffers))
