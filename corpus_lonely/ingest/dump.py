"""One dump file to blocks of whole lines, in bounded memory, and the check that it is a dump at all."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from corpus_lonely.errors import CorruptFileError, InputError, TruncatedFileError
from corpus_lonely.ingest.codecs import codec_of, decompress

MAX_LINE_BYTES = 64 << 20
"""A longer line is cut here (and then is no JSON): no post comes near, and memory stays bounded."""
_BLOCK_BYTES = 1 << 20
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
class Block:
    """Whole lines of a dump, about a MiB of them; the very last may lack its newline."""

    data: bytes
    consumed: int
    """Bytes of the file read so far, as they are on disk."""

    def lines(self) -> list[bytes]:
        """The lines without their newlines; a line of white space alone is among them."""
        lines = self.data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        return lines


def read_blocks(path: Path) -> Iterator[Block]:
    """The lines of a dump; raises what `codecs.decompress` does, after what could be read."""
    assembly = _Assembly()
    consumed, broken = 0, None
    try:
        for piece, consumed in decompress(path):
            if data := assembly.add(piece):
                yield Block(data, consumed)
    except InputError as error:
        broken = error
    if data := assembly.rest():
        yield Block(data, consumed)
    if broken is not None:
        raise broken


class _Assembly:
    """Gathers pieces until a block of whole lines is there; multi-byte characters are never cut."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._first = True
        self._skipping = False
        """Within a line that was cut at MAX_LINE_BYTES."""

    def add(self, piece: bytes) -> bytes:
        """Takes a piece; returns whole lines when there are enough, else nothing."""
        if self._skipping:
            end = piece.find(b"\n") + 1
            if not end:
                return b""
            piece, self._skipping = piece[end:], False
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size < _BLOCK_BYTES:
            return b""
        return self._whole_lines(piece) if b"\n" in piece else self._cut()

    def _whole_lines(self, last: bytes) -> bytes:
        end = last.rindex(b"\n") + 1
        lines = self._joined(last[:end])
        self._pieces, self._size = [last[end:]], len(last) - end
        return lines

    def _joined(self, last: bytes) -> bytes:
        data = b"".join([*self._pieces[:-1], last])
        if self._first:
            self._first, data = False, data.removeprefix(_BOM)
        return data

    def _cut(self) -> bytes:
        """The over-long line, ended here; nothing while it is not over-long."""
        if self._size <= MAX_LINE_BYTES + _BLOCK_BYTES:
            return b""
        self._skipping = True
        return self.rest()[:MAX_LINE_BYTES] + b"\n"

    def rest(self) -> bytes:
        """What is left when the file has ended."""
        data = self._joined(self._pieces[-1]) if self._pieces else b""
        self._pieces, self._size = [], 0
        return data


def open_dump(path: Path) -> Dump:
    """Looks into a file before hours are spent on it; InputError when it is no Reddit dump.

    A break in the compressed data is no reason to refuse: what stands before it can be used.
    """
    size, codec = _size(path), codec_of(_head(path))
    blocks = read_blocks(path)
    unreadable = None
    try:
        if not _has_object(next(blocks, None)) and not _has_object(next(blocks, None)):
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
    if not (size := path.stat().st_size):
        raise InputError("is empty (0 bytes)", where=path, hint="Get the file again")
    return size


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
    return any(map(_is_object, islice(filled, _SNIFFED_LINES)))


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line.decode("utf-8")), dict)
    except (ValueError, RecursionError):
        return False


def _fingerprint(path: Path, size: int, *, compressed: bool) -> str:
    digest = hashlib.sha256(f"{size}\n".encode())
    with path.open("rb") as file:
        if not compressed:
            return hashlib.file_digest(file, "sha256").hexdigest()[:24]
        digest.update(file.read(_FINGERPRINT_BYTES))
        file.seek(max(0, size - _FINGERPRINT_BYTES))
        digest.update(file.read(_FINGERPRINT_BYTES))
    return digest.hexdigest()[:24]
