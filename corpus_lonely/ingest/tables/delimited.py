"""Rows of CSV, whatever stands between its fields."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from corpus_lonely.errors import InputError
from corpus_lonely.ingest.tables.layout import CONTENT, NA, Layout
from corpus_lonely.ingest.tables.lines import Lines, miscoded
from corpus_lonely.ingest.tables.places import BadRow, Find, Place, flat
from corpus_lonely.ingest.tables.remarks import Remarks

_DELIMITERS = ",;\t|"
_MOST_FIELD_BYTES = 64 << 20


def read_delimited(
    path: Path, find: Find, delimiter: str, layout: Layout, remarks: Remarks
) -> Iterator[Place]:
    """The rows of CSV by our names; InputError when it is none, or not coded as `layout` says."""
    csv.field_size_limit(_MOST_FIELD_BYTES)
    texts = _Texts(path, layout.encoding)
    # strict: else the rest of a file goes into the one field that a stray quotation mark opens
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    try:
        head = _head(reader, path)
        found = _found(find, head, "".join(texts.row), delimiter, path)
        texts.row.clear()
    except csv.Error as error:
        raise _no_csv(path, 1, error) from error
    wanted = [(ours, head.index(theirs)) for ours, theirs in found.items()]
    cells, begin = _Cells(found, layout, remarks), reader.line_num
    try:
        for row in reader:
            line, begin = begin + 1, reader.line_num
            cut = texts.cut and (texts.within or len(row) < len(head))
            if len(row) == len(head) and not cut:
                yield line, cells({ours: row[place] for ours, place in wanted})
            elif row:
                yield line, BadRow(_why(len(row), len(head), cut=cut), "".join(texts.row))
            texts.row.clear()
            if cut:
                remarks.note_cut(line)
    except csv.Error as error:
        raise _no_csv(path, begin + 1, error, cut=texts.cut) from error


def _head(reader: Iterator[list[str]], path: Path) -> list[str]:
    head = next(reader, None)
    if not head:
        raise InputError("holds no row", where=path)
    if len(set(head)) < len(head):
        places = [number for number, name in enumerate(head, start=1) if head.count(name) > 1]
        told = f"columns {places[0]} and {places[1]} have the same name"
        raise InputError(told, where=path, hint="Its first line must be a head of names")
    return head


def _found(find: Find, head: list[str], line: str, delimiter: str, path: Path) -> dict[str, str]:
    """The columns that are read; says so where the head has another delimiter."""
    try:
        return flat(find(head), head, path)
    except InputError as error:
        other = max(_DELIMITERS, key=line.count)
        if line.count(other) <= line.count(delimiter):
            raise
        shown = "$'\\t'" if other == "\t" else f"'{other}'"
        raise InputError(
            f"has its head in {len(head):,} column{'s' * (len(head) != 1)} with {delimiter!r} between them, and "
            f"in {line.count(other) + 1:,} with {other!r}",
            where=path,
            hint=f"--delimiter {shown} reads it so",
        ) from error


def _why(fields: int, of_head: int, *, cut: bool) -> str:
    told = f"{fields:,} field{'s' * (fields != 1)}, where the head has {of_head:,}"
    return "the file ends within it" if cut else told


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


class _Texts:
    """The lines of a file as text."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path, self._encoding, self._lines = path, encoding, Lines(path)
        self.row: list[str] = []
        """The lines since this was cleared."""
        self.within = False
        """Whether the file ends within a character."""

    @property
    def cut(self) -> bool:
        """Whether the line that was given last is the last one, and has no newline."""
        return self._lines.cut

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self._lines, start=1):
            try:
                text = line.decode(self._encoding)
            except UnicodeDecodeError as error:
                if not self._lines.cut_within(error):
                    raise miscoded(self._path, number, line, error) from None
                self.within, text = True, line[: error.start].decode(self._encoding)
            self.row.append(text + "\n")
            yield self.row[-1]


def _no_csv(path: Path, line: int, error: csv.Error, *, cut: bool = False) -> InputError:
    """line: where the row begins that cannot be read; cut: the file may be cut short."""
    hint = (
        "Lines must end in \\n, and a field with a quotation mark or a line break must stand "
        "between quotation marks, those in it doubled"
    )
    return InputError(
        f"line {line:,} begins a row that is no CSV ({error})",
        where=path,
        hint=f"{hint}; if the file is cut short, get it again" if cut else hint,
    )
