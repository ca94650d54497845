"""Which lines of a block can hold a post of the subreddits asked for: told from their bytes, without parsing.

A line is passed over if
1. it begins with `{` and ends with `}`,
2. it holds `"subreddit"`, and each time as a key whose value is a string without a backslash,
3. none of these values is a name asked for, and
4. it holds no escape of a letter, digit, underscore or hyphen (`\\u0061`).

No post of these subreddits is passed over. Its line is a JSON object with the key `subreddit`, spelt without
escapes by 4, so `"subreddit"` stands there, and the pattern matches at it: a match that began before and
reached over it would end within a string at its first quotation mark, which is the string's own end by 2. The
value that counts is therefore among those looked at, escapes are excluded by 2 and 4, and by 3 it is not
asked for. Objects within the line (`crosspost_parent_list`) only add values, and so lines that are parsed.

What 2 to 4 look at is one regular expression, searched for by Polars, whose engine uses vector instructions.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus_lonely.ingest.dump import line_bounds

_NAMES = re.compile(r"[a-z0-9_-]+")
_KEY = '"subreddit"'
_LOOKED_AT = (
    _KEY + r'(?:[ \t\r]*:[ \t\r]*"[^"\\\n]*")?'
    r"|\\u00(?:2[dD]|3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aA])"
)
_OPEN, _CLOSE = b"{}"
_SPELLINGS = 1 << 16
"""Of subreddits that are remembered: there are millions, for each user's page is one."""
_Numbers = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


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


def _braced(content: npt.NDArray[np.uint8], begins: _Numbers, ends: _Numbers) -> _Mask:
    # an empty line ends where it begins: its bounds are looked at, and are no braces
    first = content[np.minimum(begins, len(content) - 1)]
    last = content[np.maximum(ends - 1, 0)]
    braced: _Mask = (first == _OPEN) & (last == _CLOSE)
    return braced


class Prefilter:
    """Passes over lines of other subreddits; remembers the spellings it has met."""

    def __init__(self, subreddits: Iterable[str]) -> None:
        """subreddits: in lower case."""
        self._wanted = frozenset(subreddits)
        self._is_harmless = lru_cache(_SPELLINGS)(self._judged)

    @staticmethod
    def works_for(subreddits: Iterable[str]) -> bool:
        """Whether all names are such as Reddit has; of others nothing is proven."""
        names = list(subreddits)
        return bool(names) and all(_NAMES.fullmatch(name) for name in names)

    def __call__(self, data: bytes | memoryview) -> Lines:
        begins, ends = line_bounds(data)
        passed = self._harmless(_texts(data, begins, ends))
        passed &= _braced(np.frombuffer(data, np.uint8), begins, ends)
        chosen = np.flatnonzero(~passed)
        return Lines(chosen, begins[chosen], ends[chosen], len(begins))

    def _harmless(self, lines: pa.LargeStringArray) -> _Mask:
        """For each line whether 2 to 4 hold."""
        import polars as pl  # noqa: PLC0415  # here, so that the process that unpacks begins sooner

        found = pl.Series(lines).str.extract_all(_LOOKED_AT)
        counts = found.list.len().to_numpy().astype(np.int64)
        harmless: _Mask = counts > 0
        if harmless.any():
            each = found.filter(pl.Series(harmless)).explode()
            fine = list(filter(self._is_harmless, each.unique().to_list()))
            firsts = np.cumsum(counts[harmless]) - counts[harmless]
            harmless[harmless] = np.logical_and.reduceat(each.is_in(fine).to_numpy(), firsts)
        return harmless

    def _judged(self, found: str) -> bool:
        """Whether it is the key with a plain value that nobody asked for: not the bare key, no escape."""
        _, is_value, name = found[len(_KEY) : -1].rpartition('"')
        return bool(is_value) and name.lower() not in self._wanted


def _texts(data: bytes | memoryview, begins: _Numbers, ends: _Numbers) -> pa.LargeStringArray:
    """The lines, where they stand; copies, what is no UTF-8 replaced, where some of it is none."""
    # each with its newline, so that one ends where the next begins
    bounds = np.append(begins, len(data))
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(data)]
    try:
        # all of it as one text: by itself each line would do, as no character goes over a newline
        whole = [None, pa.py_buffer(bounds[[0, -1]]), buffers[2]]
        pa.Array.from_buffers(pa.large_string(), 1, whole).validate(full=True)
    except pa.ArrowInvalid:
        pairs = zip(begins.tolist(), ends.tolist(), strict=True)
        lines = [bytes(data[a:b]).decode("utf-8", "replace") for a, b in pairs]
        return pa.array(lines, pa.large_string())
    return pa.Array.from_buffers(pa.large_string(), len(begins), buffers)
