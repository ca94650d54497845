"""Posts as token ids on disk, cut into pieces: written once, then mapped into memory by every process."""

# N posts, P pieces, K token ids of all pieces

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast as Tokenizer

from corpus_lonely.errors import SettingsError
from corpus_lonely.files import output_error, read_json, sync, write_json

_RECORD = "tokens.json"
_ENOUGH = "one two three"


@dataclass(frozen=True)
class Frame:
    """The special tokens around each piece."""

    before: tuple[int, ...]
    after: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Self:
        """What the tokenizer puts around a text."""
        encoding = tokenizer.backend_tokenizer.encode("a")
        inside = [
            place for place, special in enumerate(encoding.special_tokens_mask) if not special
        ]
        return cls(tuple(encoding.ids[: inside[0]]), tuple(encoding.ids[inside[-1] + 1 :]))

    def __len__(self) -> int:
        return len(self.before) + len(self.after)


@dataclass(frozen=True)
class Pieces:
    """P pieces without their special tokens, mapped from disk."""

    ids_K: NDArray[np.int32]
    """A token that goes on with the word of the one before stands as its complement, below 0."""
    bounds: NDArray[np.int64]
    """(P + 1): piece i has ids_K[bounds[i] : bounds[i + 1]]."""

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def of(self, piece: int) -> NDArray[np.int32]:
        """The ids of one piece, as stored."""
        return self.ids_K[self.bounds[piece] : self.bounds[piece + 1]]

    def lengths(self, pieces: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of some pieces; only those bounds are read."""
        return self.bounds[pieces + 1] - self.bounds[pieces]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Those that a `PiecesWriter` left there."""
        ids_K: NDArray[np.int32] = np.memmap(folder / "ids.bin", np.int32, "r")
        return cls(ids_K, np.memmap(folder / "bounds.bin", np.int64, "r"))


class PiecesWriter:
    """Appends posts to the two files of `Pieces`."""

    def __init__(self, folder: Path, room: int) -> None:
        folder.mkdir()
        self._room = room
        self._ids = (folder / "ids.bin").open("wb")
        self._bounds = (folder / "bounds.bin").open("wb")
        self._bounds.write(np.zeros(1, np.int64).tobytes())
        self.tokens = self.pieces = self.posts = 0

    def add(self, ids_T: NDArray[np.int32]) -> None:
        """One post, cut into as few pieces as it needs, all of about one length."""
        ends = cuts(len(ids_T), self._room)[1:]
        self._ids.write(ids_T.tobytes())
        self._bounds.write((self.tokens + ends).tobytes())
        self.tokens += len(ids_T)
        self.pieces += len(ends)
        self.posts += 1

    def sync(self) -> None:
        """All is on the disk when this returns."""
        self.close()
        for file in (self._ids, self._bounds):
            sync(Path(file.name))

    def close(self) -> None:
        """No more is added."""
        self._ids.close()
        self._bounds.close()


def cuts(length: int, room: int) -> NDArray[np.int64]:
    """Where a post of `length` tokens is cut into pieces of at most `room`: from 0 to `length`."""
    count = -(-length // room)
    return np.arange(count + 1, dtype=np.int64) * length // count


def room_in(frame: Frame, max_tokens: int) -> int:
    """Tokens of a post that a piece has room for; SettingsError when that is none."""
    if max_tokens <= len(frame):
        raise SettingsError(f"--max-tokens must be above {len(frame)}, got {max_tokens}")
    return max_tokens - len(frame)


def token_ids(
    tokenizer: Tokenizer, texts: Sequence[str], words: bool
) -> Iterator[NDArray[np.int32]]:
    """The ids of each text, uncut, without special tokens.

    words: mark tokens that go on with a word (see `Pieces`). The tokenizer's quick way knows no words.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    encode = backend.encode_batch if words else backend.encode_batch_fast
    for encoding in encode(list(texts), add_special_tokens=False):
        ids_T = np.array(encoding.ids, np.int32)
        yield _marked(ids_T, encoding.word_ids) if words else ids_T


def _marked(ids_T: NDArray[np.int32], words: Sequence[int | None]) -> NDArray[np.int32]:
    # a special token written out in a post belongs to no word
    words_T = np.array([-1 if word is None else word for word in words], np.int64)
    goes_on_T = np.zeros(len(ids_T), np.bool_)
    goes_on_T[1:] = (words_T[1:] == words_T[:-1]) & (words_T[1:] >= 0)
    return np.where(goes_on_T, ~ids_T, ids_T)


def check_words(tokenizer: Tokenizer) -> None:
    """SettingsError when the tokenizer does not tell one word from the next."""
    (ids_T,) = token_ids(tokenizer, [_ENOUGH], words=True)
    if (ids_T >= 0).sum() < len(_ENOUGH.split()):
        raise SettingsError(
            "--whole-word-masking needs a tokenizer that tells words apart, and this encoder's does not"
        )


@dataclass(frozen=True)
class TokenStore:
    """The pieces to learn from, those to measure on, and what the posts came to."""

    train: Pieces
    held_out: Pieces
    facts: dict[str, Any]
    """Counts of posts, pieces and tokens."""

    @classmethod
    def open(cls, folder: Path) -> Self | None:
        """The finished store in a folder; None when there is none."""
        if not (folder / _RECORD).is_file():
            return None
        facts = read_json(folder / _RECORD)
        return cls(Pieces.open(folder / "train"), Pieces.open(folder / "held_out"), facts)

    @classmethod
    def wait(cls, folder: Path, seconds: float = 0.2) -> Self:
        """The store, as soon as the main process has made it; should that fail, their starter ends all."""
        while (store := cls.open(folder)) is None:
            time.sleep(seconds)
        return store


class StoreWriter:
    """Makes a store beside its place; `finish` moves it there, so that it is whole or not there.

    A context manager: what was not finished goes, for token ids are as good as text.
    """

    def __init__(self, folder: Path, room: int) -> None:
        self._folder = folder
        self._draft = folder.with_name(f".{folder.name}.tmp")
        try:
            shutil.rmtree(self._draft, ignore_errors=True)
            self._draft.mkdir(
                parents=True, mode=0o700
            )  # ids are as good as text: for the owner alone
            self.train = PiecesWriter(self._draft / "train", room)
            self.held_out = PiecesWriter(self._draft / "held_out", room)
        except OSError as error:
            raise output_error(error, folder) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.train.close()
        self.held_out.close()
        shutil.rmtree(self._draft, ignore_errors=True)

    def finish(self, facts: dict[str, Any]) -> TokenStore:
        """The finished store. There must be a piece on either side."""
        try:
            self.train.sync()
            self.held_out.sync()
            write_json(self._draft / _RECORD, facts)
            os.replace(self._draft, self._folder)  # noqa: PTH105  (a folder)
            sync(self._folder.parent)
        except OSError as error:
            raise output_error(error, self._folder) from error
        store = TokenStore.open(self._folder)
        assert store is not None  # noqa: S101  (it was made above)
        return store
