"""Rows of CSV, whatever stands between its fields."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from corpus_lonely.errors import InputError
from corpus_lonely.ingest.tables.layout import CONTENT, NA, Layout
from corpus_lonely.ingest.tables.lines import miscoded, read_lines
from corpus_lonely.ingest.tables.places import Find, Place, flat
from corpus_lonely.ingest.tables.remarks import Remarks

_MOST_FIELD_BYTES = 64 << 20


def read_delimited(
    path: Path, find: Find, delimiter: str, layout: Layout, remarks: Remarks
) -> Iterator[Place]:
    """The rows of CSV by our names; InputError when it is none, or not coded as `layout` says."""
    csv.field_size_limit(_MOST_FIELD_BYTES)
    # strict: else the rest of a file goes into the one field that a stray quotation mark opens
    reader = csv.reader(_texts(path, layout.encoding), delimiter=delimiter, strict=True)
    try:
        head = next(reader, None)
    except csv.Error as error:
        raise _no_csv(path, 1, error) from error
    if not head:
        raise InputError("holds no row", where=path)
    if len(set(head)) < len(head):
        places = [number for number, name in enumerate(head, start=1) if head.count(name) > 1]
        told = f"columns {places[0]} and {places[1]} have the same name"
        raise InputError(told, where=path, hint="Its first line must be a head of names")
    found = flat(find(head), head, path)
    wanted = [(ours, head.index(theirs)) for ours, theirs in found.items()]
    cells, begin = _Cells(found, layout, remarks), reader.line_num
    try:
        for row in reader:
            line, begin = begin + 1, reader.line_num
            if len(row) == len(head):
                yield line, cells({ours: row[place] for ours, place in wanted})
            elif row:
                yield line, None
    except csv.Error as error:
        raise _no_csv(path, begin + 1, error) from error


class _Cells:
    """Cells of a row without those that mean nothing."""

    def __init__(self, columns: Iterable[str], layout: Layout, remarks: Remarks) -> None:
        self._nothing = {name: words for name in columns if (words := layout.nothing(name))}
        self._unclear = [name for name in columns if name in CONTENT and layout.na is None]
        self._remarks = remarks

    def __call__(self, row: dict[str, str]) -> dict[str, str | None]:
        for name in self._unclear:
            if row[name] == NA:
                self._remarks.unclear[name] += 1
        told: dict[str, str | None] = {**row}
        for name, words in self._nothing.items():
            if row[name] in words:
                told[name] = None
        return told


def _texts(path: Path, encoding: str) -> Iterator[str]:
    for number, line in enumerate(read_lines(path), start=1):
        try:
            yield line.decode(encoding) + "\n"
        except UnicodeDecodeError as error:
            raise miscoded(path, number, line, error) from None


def _no_csv(path: Path, line: int, error: csv.Error) -> InputError:
    """line: where the row begins that cannot be read."""
    return InputError(
        f"line {line:,} begins a row that is no CSV ({error})",
        where=path,
        hint="Lines must end in \\n, and a field with a quotation mark or a line break must stand "
        "between quotation marks, those in it doubled",
    )
