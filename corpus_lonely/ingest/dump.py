"""One dump file to blocks of whole lines, in bounded memory, and the check that it is a dump at all."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpus_lonely.errors import CorruptFileError, InputError, TruncatedFileError
from corpus_lonely.ingest.codecs import codec_of, decompress
from corpus_lonely.ingest.given import Given

MAX_LINE_BYTES = 64 << 20
"""A longer line is cut here (and then is no JSON): no post comes near, and memory stays bounded."""
BLOCK_BYTES = 1 << 20
_SCANNED_BYTES = 1 << 17
_SNIFFED_LINES = 100
_FINGERPRINT_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"
_WANTED = (
    "Give files of Reddit submissions or comments, one JSON object a line, plain or compressed "
    "with zstd, xz, bz2 or gzip"
)


@dataclass(frozen=True, slots=True)
class Dump:
    """A file that was found to be a dump."""

    path: Path
    size: int
    """Bytes on disk."""
    fingerprint: str
    """Tells files apart by content: SHA-256, shortened, of size, first and last MiB; of all of a
    file that is not compressed."""
    unreadable: InputError | None = None
    """Why not even one whole line can be had from it."""
    given: Given | None = None
    """The file that the lines were made from, where that is another."""

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.given.name if self.given else str(self.path)

    def whole_fingerprint(self) -> str:
        """With the SHA-256 of the whole file: a broken file and its repair may differ in a byte.

        For compressed files alone; of those that read to their end, all frames were checked.
        """
        if "." in self.fingerprint:
            return self.fingerprint
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return f"{self.fingerprint}.{digest[:24]}"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a line begins, in a way that reading can go on there without what stands before."""

    plain: int = 0
    """Byte of the plain content."""
    frame: int = 0
    """Byte of the file where the frame begins that holds it."""
    frame_plain: int = 0
    """Byte of the plain content where that frame begins."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a dump; the very last may lack its newline."""

    pieces: Sequence[bytes]
    """As they were unpacked: to join them is a copy more."""
    begin: int
    """Byte of the plain content where it begins."""
    end: Position
    """Where the next one begins."""
    consumed: int
    """Bytes of the file read so far, as they are on disk."""

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)

    def lines(self) -> list[bytes]:
        """The lines without their newlines; a line of white space alone is among them."""
        begins, ends = line_bounds(data := self.data)
        return [data[a:b] for a, b in zip(begins.tolist(), ends.tolist(), strict=True)]


def line_bounds(data: bytes | memoryview) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each line begins and ends, its newline not included."""
    content = np.frombuffer(data, np.uint8)
    # in pieces: what is compared stays in the processor's cache
    newlines = np.concatenate(
        [
            np.flatnonzero(content[at : at + _SCANNED_BYTES] == ord("\n")) + at
            for at in range(0, len(content) or 1, _SCANNED_BYTES)
        ]
    )
    begins = np.concatenate(([0], newlines + 1))
    ends = np.concatenate((newlines, [len(data)]))
    if begins[-1] == len(data):  # after the last newline begins no further line
        begins, ends = begins[:-1], ends[:-1]
    return begins, ends


def read_blocks(
    path: Path, start: Position | None = None, block_bytes: int = BLOCK_BYTES
) -> Iterator[Block]:
    """The lines of a dump from `start` on; raises what `codecs.decompress` does, after all that could
    be read.

    A block ends with the first line that makes it `block_bytes` long: where, depends on the plain
    content and on `start` alone, not on how the file is compressed.
    """
    start = start or Position()
    assembly = _Assembly(block_bytes, start.plain)
    at, frame, frame_plain = start.frame_plain, start.frame, start.frame_plain
    consumed, broken = start.frame, None
    try:
        for piece in decompress(path, start.frame):
            if piece.frame != frame:
                frame, frame_plain = piece.frame, at
            consumed, skipped = piece.consumed, max(0, start.plain - at)
            at += len(piece.data)
            for lines, begin, end in assembly.add(piece.data[skipped:]):
                yield Block(lines, begin, Position(end, frame, frame_plain), consumed)
    except InputError as error:
        broken = error
    for lines, begin, end in assembly.rest():
        yield Block(lines, begin, Position(end, frame, frame_plain), consumed)
    if broken is not None:
        raise broken


_Lines = tuple[list[bytes], int, int]
"""Whole lines in pieces, and the bytes of the plain content where they begin and end."""


class _Assembly:
    """Gathers pieces until a block of whole lines is there; multi-byte characters are never cut."""

    def __init__(self, wanted: int, begin: int) -> None:
        self._wanted = wanted
        self._pieces: list[bytes] = []
        self._size = 0
        self._begin = self._fed = begin
        self._cut: bytes | None = None
        """Lines up to one that was cut at MAX_LINE_BYTES and whose end has not come."""

    def add(self, piece: bytes) -> Iterator[_Lines]:
        """Takes a piece; returns the blocks that are whole by now."""
        self._fed += len(piece)
        if self._cut is not None:
            end = piece.find(b"\n") + 1
            if not end:
                return
            lines, self._cut, piece = [self._cut], None, piece[end:]
            yield self._block(lines, self._fed - len(piece))
        while piece:
            before = self._size
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size < self._wanted:
                return
            end = piece.find(b"\n", max(0, self._wanted - 1 - before)) + 1
            if not end:
                self._cut_overlong()
                return
            self._pieces[-1], piece = piece[:end], piece[end:]
            yield self._block(self._gathered(), self._fed - len(piece))

    def _gathered(self) -> list[bytes]:
        pieces, self._pieces, self._size = self._pieces, [], 0
        return pieces

    def _block(self, pieces: list[bytes], end: int) -> _Lines:
        begin, self._begin = self._begin, end
        return pieces if begin else [b"".join(pieces).removeprefix(_BOM)], begin, end

    def _cut_overlong(self) -> None:
        """Ends the last line here if it is over-long; the rest of it is to be skipped."""
        if self._size > self._wanted + MAX_LINE_BYTES:
            data = b"".join(self._gathered())
            self._cut = data[: data.rfind(b"\n") + 1 + MAX_LINE_BYTES] + b"\n"

    def rest(self) -> Iterator[_Lines]:
        """What is left when the file has ended."""
        if pieces := self._gathered() if self._cut is None else [self._cut]:
            yield self._block(pieces, self._fed)


def open_dump(path: Path) -> Dump:
    """Looks into a file before hours are spent on it; InputError when it is no Reddit dump.

    A break in the compressed data is no reason to refuse: what stands before it can be used. Nor is
    a compressed file of no line: some subreddit had no post that month.
    """
    size, codec = _size(path), codec_of(_head(path))
    blocks = read_blocks(path)
    unreadable = None
    try:
        first = next(blocks, None)
        nothing = codec is not None and first is None
        if not nothing and not _has_object(first) and not _has_object(next(blocks, None)):
            compression = "" if codec else "it is not compressed in a known way, and "
            raise InputError(
                f"is not a Reddit dump: {compression}its first lines hold no JSON object",
                where=path,
                hint=_WANTED,
            )
    except (TruncatedFileError, CorruptFileError) as error:
        unreadable = error
    return Dump(path, size, _fingerprint(path, size, compressed=codec is not None), unreadable)


def _size(path: Path) -> int:
    if not path.exists():
        raise InputError("does not exist", where=path)
    if not path.is_file():
        hint = f"Name the files in it, as in {path}/*.zst" if path.is_dir() else None
        raise InputError("is no file", where=path, hint=hint)
    return path.stat().st_size


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"cannot be read ({reason})", where=path) from error


def _has_object(block: Block | None) -> bool:
    lines = block.lines() if block else []
    filled = (line for line in lines if line and not line.isspace())
    return any(map(is_object, islice(filled, _SNIFFED_LINES)))


def is_object(line: bytes) -> bool:
    """Whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line.decode("utf-8")), dict)
    except (ValueError, RecursionError):
        return False


def _fingerprint(path: Path, size: int, *, compressed: bool) -> str:
    digest = hashlib.sha256(f"{size}\n".encode())
    if not size:  # each was to be another file
        digest.update(path.name.encode())
        return digest.hexdigest()[:24]
    with path.open("rb") as file:
        if not compressed:
            return hashlib.file_digest(file, "sha256").hexdigest()[:24]
        digest.update(file.read(_FINGERPRINT_BYTES))
        file.seek(max(0, size - _FINGERPRINT_BYTES))
        digest.update(file.read(_FINGERPRINT_BYTES))
    return digest.hexdigest()[:24]
