"""Compressed bytes to plain bytes: kinds told apart by their first bytes, the end of every frame checked."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import zstandard

from corpus_lonely.errors import CorruptFileError, InputError, TruncatedFileError

READ_BYTES = 1 << 20
_SLICE_BYTES = 4096
"""Compressed bytes fed at a time: a hostile zstd block grows 32,768-fold, so this bounds memory."""
_ZSTD_WINDOW_BYTES = 1 << 31
_AGAIN = "What stands before was read; get the file again to have the rest"


class _Frame(Protocol):
    """Decompresses one frame (zstd's word; a stream or a member elsewhere)."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


@dataclass(frozen=True)
class Codec:
    """A kind of compression."""

    name: str
    frames: Callable[[], Callable[[], _Frame]]
    """Makes, for one file, what makes a decompressor for each frame."""
    failure: type[Exception]
    """What its decompressor raises on bytes that it cannot read."""
    padded: bool = True
    """Whether zero bytes may stand after a frame."""


def _zstd_frames() -> Callable[[], _Frame]:
    # one context for all frames of a file: its window of up to 2 GiB is allocated once
    make: Callable[[], _Frame] = zstandard.ZstdDecompressor(
        max_window_size=_ZSTD_WINDOW_BYTES
    ).decompressobj
    return make


# zero bytes after a zstd frame are not in its format: they are what a broken download leaves
_ZSTD = Codec("zstd", _zstd_frames, zstandard.ZstdError, padded=False)
_XZ = Codec("xz", lambda: partial(lzma.LZMADecompressor, lzma.FORMAT_XZ), lzma.LZMAError)
_BZ2 = Codec("bz2", lambda: bz2.BZ2Decompressor, OSError)
_GZIP = Codec("gzip", lambda: partial(zlib.decompressobj, 31), zlib.error)
_MAGIC = {
    b"\x28\xb5\x2f\xfd": _ZSTD,
    # frames that hold no data, and may come first
    **{bytes([0x50 + n, 0x2A, 0x4D, 0x18]): _ZSTD for n in range(16)},
    b"\xfd7zXZ\x00": _XZ,
    b"BZh": _BZ2,
    b"\x1f\x8b": _GZIP,
}


def codec_of(head: bytes) -> Codec | None:
    """The compression that a file's first bytes tell; None when there is none."""
    return next((codec for magic, codec in _MAGIC.items() if head.startswith(magic)), None)


class Piece(NamedTuple):
    """Some of the plain content of a file."""

    data: bytes
    consumed: int
    """Bytes of the file read so far, as they are on disk."""
    frame: int
    """The byte of the file where the frame begins that it came from: reading can begin there."""


def decompress(path: Path, begin: int = 0) -> Iterator[Piece]:
    """The plain content in pieces, from a byte on where a frame begins (see `Piece.frame`).

    Raises, after everything readable was yielded: TruncatedFileError when the file is empty or ends
    within a frame, CorruptFileError on bytes that its format does not allow, both naming the byte;
    InputError when the disk cannot read it.
    """
    try:
        with path.open("rb") as file:
            if not (head := file.read(8)):
                raise TruncatedFileError("is empty (0 bytes)", where=path, hint=_AGAIN)
            codec = codec_of(head)
            file.seek(begin)
            if codec is None:
                yield from _plain(file, begin)
            else:
                yield from _Unpacking(path, codec, begin).pieces(file)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"cannot be read ({reason})", where=path) from error


def _plain(file: BinaryIO, begin: int) -> Iterator[Piece]:
    while data := file.read(READ_BYTES):
        yield Piece(data, begin + len(data), begin)
        begin += len(data)


class _Unpacking:
    """One compressed file on its way through its frames."""

    def __init__(self, path: Path, codec: Codec, begin: int) -> None:
        self._path, self._codec = path, codec
        self._new_frame = codec.frames()
        self._frame: _Frame | None = None
        self._frame_began = self._offset = begin

    def pieces(self, file: BinaryIO) -> Iterator[Piece]:
        while chunk := file.read(READ_BYTES):
            for start in range(0, len(chunk), _SLICE_BYTES):
                yield from self._feed(chunk[start : start + _SLICE_BYTES])
        if self._frame is not None:
            raise TruncatedFileError(
                f"ends at byte {self._offset:,} within a {self._codec.name} frame that begins at "
                f"byte {self._frame_began:,}",
                where=self._path,
                hint=_AGAIN,
            )

    def _feed(self, data: bytes) -> Iterator[Piece]:
        """Every byte of `data` through this frame and those that follow in it."""
        while data:
            if self._frame is None:
                data = self._begin(data)
                continue
            plain = self._plain(self._frame, data)
            rest = self._frame.unused_data if self._frame.eof else b""
            self._offset += len(data) - len(rest)
            data = rest
            if self._frame.eof:
                self._frame = None
            if plain:
                yield Piece(plain, self._offset, self._frame_began)

    def _begin(self, data: bytes) -> bytes:
        """Opens the next frame, if anything but padding is left of `data`, which is returned."""
        begin = data.lstrip(b"\0") if self._codec.padded else data
        self._offset += len(data) - len(begin)
        if begin:
            self._frame, self._frame_began = self._new_frame(), self._offset
        return begin

    def _plain(self, frame: _Frame, data: bytes) -> bytes:
        try:
            return frame.decompress(data)
        except self._codec.failure as error:
            raise CorruptFileError(
                f"is corrupt: seen at byte {self._offset:,}, in a {self._codec.name} frame that begins "
                f"at byte {self._frame_began:,}, from where on lines may be altered",
                where=self._path,
                hint="Get the file again",
            ) from error
