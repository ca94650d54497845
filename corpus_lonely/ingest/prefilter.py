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
"""

import re
from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from corpus_lonely.ingest.dump import line_bounds

_NAMES = re.compile(r"[a-z0-9_-]+")
_SUBREDDIT = re.compile(rb'"subreddit"(?:[ \t\r]*:[ \t\r]*"([^"\\\n]*)")?')
_ESCAPED = re.compile(rb"u00(?:2[dD]|3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aA])")
_OPEN, _CLOSE, _BACKSLASH, _U = b"{}\\u"
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
    """Passes over lines of other subreddits; remembers the spellings it has met."""

    def __init__(self, subreddits: Iterable[str]) -> None:
        """subreddits: in lower case."""
        self._wanted = frozenset(subreddits)
        self._others: set[bytes] = set()

    @staticmethod
    def works_for(subreddits: Iterable[str]) -> bool:
        """Whether all names are such as Reddit has; of others nothing is proven."""
        names = list(subreddits)
        return bool(names) and all(_NAMES.fullmatch(name) for name in names)

    def __call__(self, data: bytes | memoryview) -> Lines:
        begins, ends = line_bounds(data)
        chosen = self._suspects(data, begins, ends)
        return Lines(chosen, begins[chosen], ends[chosen], len(begins))

    def _suspects(self, data: bytes | memoryview, begins: _Numbers, ends: _Numbers) -> _Numbers:
        content = np.frombuffer(data, np.uint8)
        known, named = [], []
        others = self._others
        for match in _SUBREDDIT.finditer(data):
            known.append(match.start())
            value = match[1]
            if value not in others and (value is None or self._is_wanted(value)):
                named.append(match.start())
        escaped = _escaped(data, content)
        passed = np.zeros(len(begins), dtype=bool)
        passed[_lines_at(known, begins)] = True
        passed &= _braced(content, begins, ends)
        passed[_lines_at(named, begins)] = False
        passed[_lines_at(escaped, begins)] = False
        return np.flatnonzero(~passed)

    def _is_wanted(self, value: bytes) -> bool:
        wanted = value.decode("utf-8", "replace").lower() in self._wanted
        if not wanted:
            self._others.add(value)
        return wanted


def _escaped(data: bytes | memoryview, content: npt.NDArray[np.uint8]) -> list[int]:
    """Where letters, digits, underscores and hyphens are escaped."""
    backslashes = np.flatnonzero(content[:-1] == _BACKSLASH)
    before_u = backslashes[content[backslashes + 1] == _U]
    return [place for place in before_u.tolist() if _ESCAPED.match(data, place + 1)]


def _lines_at(places: list[int], begins: _Numbers) -> _Numbers:
    return np.searchsorted(begins, np.array(places, dtype=np.int64), side="right") - 1
