"""The lines of a table of text, compressed or not, and what to say of one that is coded otherwise."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from corpus_lonely.errors import InputError
from corpus_lonely.ingest.dump import read_blocks

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Lines:
    """Without their newlines, and without a byte-order mark of UTF-8; to be gone through once."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            what = "is a folder: name the files in it" if path.is_dir() else "does not exist"
            raise InputError(what, where=path)
        self.cut = False
        """Whether the line that was given last is the last one, and has no newline."""
        self._path = path

    def __iter__(self) -> Iterator[bytes]:
        before, ended = None, True
        for block in read_blocks(self._path):
            for line in block.lines():
                if before is not None:
                    yield before
                before = line
            ended = block.pieces[-1].endswith(b"\n")
        self.cut = not ended
        if before is not None:
            yield before

    def cut_within(self, error: UnicodeDecodeError) -> bool:
        """Whether the file ends within the very character that could not be read."""
        return self.cut and error.end == len(error.object)


def miscoded(path: Path, number: int, line: bytes, error: UnicodeDecodeError) -> InputError:
    """What to say of a line that is not coded as it should be."""
    if number == 1 and line.startswith(_UTF16):
        return InputError(
            "is coded as UTF-16",
            where=path,
            hint="Turn it into UTF-8 first, as with iconv -f UTF-16 -t UTF-8 FILE",
        )
    return InputError(
        f"line {number:,} is no {shown_encoding(error.encoding)} (byte {error.start + 1:,} of the line)",
        where=path,
        hint="--encoding tells how it is coded: cp1252 is what Excel writes on Windows unless 'CSV UTF-8' is chosen, "
        "mac-roman what it writes on a Mac",
    )


def shown_encoding(name: str) -> str:
    """As people write it."""
    return "UTF-8" if name == "utf-8" else name
