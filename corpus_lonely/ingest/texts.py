"""Texts by the thousand: what `text.normalise` makes of each, most of it on whole columns of bytes."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus_lonely.text import eased

_SPACE = ord(" ")
_WHITE = np.zeros(256, dtype=bool)
"""The ASCII characters that `normalise` folds: what `str.split` splits at, and NUL."""
_WHITE[[code for code in range(128) if code == 0 or chr(code).isspace()]] = True
_Bytes = npt.NDArray[np.uint8]
_Numbers = npt.NDArray[np.int32]


def normalise_all(texts: Iterable[str | None]) -> pa.StringArray:
    """`text.normalise` of each; null stays null."""
    return fold(pa.array([text and eased(text) for text in texts], pa.string()))


def fold(texts: pa.StringArray) -> pa.StringArray:
    """White space of ASCII, and NUL, to single spaces, and none at the ends; for a whole array."""
    valid, begins, content = texts.buffers()
    if content is None or texts.offset:
        return texts if content is None else fold(pa.concat_arrays([texts]))
    bounds = np.frombuffer(begins, np.int32, len(texts) + 1)
    plain = np.frombuffer(content, np.uint8, bounds[-1])
    low = np.flatnonzero(plain < _SPACE)
    white = plain <= _SPACE
    white[low] = _WHITE[plain[low]]
    filled = bounds[1:] > bounds[:-1]
    first = bounds[:-1][filled]
    again = white.copy()
    again[1:] &= white[:-1]
    again[first] = white[first]
    spaced = plain.copy()
    spaced[low[white[low]]] = _SPACE
    folded, bounds = _without(spaced, bounds, np.flatnonzero(again))
    last = bounds[1:][bounds[1:] > bounds[:-1]] - 1
    folded, bounds = _without(folded, bounds, last[folded[last] == _SPACE])
    buffers = [valid, pa.py_buffer(bounds), pa.py_buffer(folded)]
    return pa.Array.from_buffers(pa.string(), len(texts), buffers)


def _without(
    content: _Bytes, bounds: _Numbers, places: npt.NDArray[np.int64]
) -> tuple[_Bytes, _Numbers]:
    """Texts without NUL, less the bytes at some places; `content` is written over."""
    if not places.size:
        return content, bounds
    fewer = bounds - np.searchsorted(places, bounds).astype(np.int32)
    # to take one value out of bytes is five times as quick as `np.delete`
    content[places] = 0
    left = bytearray(content).replace(b"\0", b"")
    return np.frombuffer(left, np.uint8), fewer
