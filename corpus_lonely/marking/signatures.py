"""MinHash signatures of texts, kept on disk: two texts share as many of their numbers as they share words in runs."""

# C texts that are compared, P permutations, B bands

import re
import tempfile
import unicodedata
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from corpus_lonely.errors import SettingsError
from corpus_lonely.marking.settings import BANDS, PERMUTATIONS
from corpus_lonely.text import text_hash

_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Thai, Japanese and Chinese put no spaces between words: each character counts as one."""
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_SEED = 1
_CHUNK = 1 << 15
"""Pairs compared at once: 32 MB of signatures."""
_MIX = np.uint64(0x9E3779B97F4A7C15)
"""Odd, with bits all over: the golden ratio's."""


class Signatures:
    """Signatures of texts in the order they came, in files without names: whatever ends the run, nothing is left."""

    def __init__(self, folder: Path, shingle_words: int, min_words: int) -> None:
        """folder: on the disk where there is room for them. Raises SettingsError when rensa is not installed."""
        try:
            import rensa  # noqa: PLC0415  (an extra)
        except ImportError:
            raise SettingsError(
                "--near-duplicates needs a package that is not installed",
                hint="Run: pip install 'corpus-lonely[marks]'",
            ) from None
        self._digests = rensa.RMinHash.digest_matrix_from_token_sets
        self._shingle_words, self._min_words = shingle_words, min_words
        self._count = 0
        self._closing = ExitStack()
        files: list[IO[bytes]] = [
            self._closing.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115  (it is one)
            for _ in range(1 + BANDS)
        ]
        self._numbers, self._bands = files[0], files[1:]
        self._texts: list[NDArray[np.uint64]] = []

    def __len__(self) -> int:
        return self._count

    def add(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which of the texts are long enough to be compared; these are taken up."""
        words = [_WORD.findall(unicodedata.normalize("NFKC", text).casefold()) for text in texts]
        long_enough = np.array([len(some) >= self._min_words for some in words], dtype=bool)
        compared = [some for some, long in zip(words, long_enough, strict=True) if long]
        if compared:
            rows = self._digests([self._shingles(some) for some in compared], PERMUTATIONS, _SEED)
            signatures_CP = np.array(rows.to_rows(), dtype=np.uint32)
            self._numbers.write(signatures_CP.tobytes())
            for file, band in zip(self._bands, _bands(signatures_CP), strict=True):
                file.write(band.tobytes())
            hashes = [text_hash(" ".join(some)) for some in compared]
            self._texts.append(np.array(hashes, dtype=np.int64).view(np.uint64))
            self._count += len(compared)
        return long_enough

    def finish(self) -> None:
        """No texts come any more: what was written can be read."""
        for file in (self._numbers, *self._bands):
            file.flush()

    def close(self) -> None:
        """Lets the files go."""
        self._closing.close()

    def texts(self) -> NDArray[np.uint64]:
        """(C,) the same for texts of the same words."""
        return np.concatenate(self._texts) if self._texts else np.zeros(0, np.uint64)

    def band(self, number: int) -> NDArray[np.uint64]:
        """(C,) equal for texts that agree in all numbers of that band."""
        self._bands[number].seek(0)
        return np.fromfile(self._bands[number], np.uint64)

    def similarity(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float32]:
        """Estimated Jaccard similarity of pairs of texts, told by their places."""
        found = np.empty(len(one), np.float32)
        if not len(one):
            return found
        all_CP = np.memmap(self._numbers, np.uint32, "r").reshape(-1, PERMUTATIONS)
        for start in range(0, len(one), _CHUNK):
            some = slice(start, start + _CHUNK)
            found[some] = (all_CP[one[some]] == all_CP[other[some]]).mean(1)
        return found

    def _shingles(self, words: list[str]) -> list[str]:
        size = self._shingle_words
        return [" ".join(words[at : at + size]) for at in range(len(words) - size + 1)]


def _bands(signatures_CP: NDArray[np.uint32]) -> list[NDArray[np.uint64]]:
    """(C,) for each band; numbers that collide by chance cost a comparison, and nothing else."""
    numbers_CBR = signatures_CP.reshape(len(signatures_CP), BANDS, -1).astype(np.uint64)
    mixed_CB = np.zeros(numbers_CBR.shape[:2], np.uint64)
    for place in range(numbers_CBR.shape[2]):
        mixed_CB = (mixed_CB ^ numbers_CBR[:, :, place]) * _MIX
        mixed_CB ^= mixed_CB >> np.uint64(29)
    return list(np.ascontiguousarray(mixed_CB.T))
