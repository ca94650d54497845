"""Rows of a table, one after the other, each with its place in the file: CSV, JSON lines, Parquet."""

import csv
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.ingest.dump import read_blocks
from corpus_lonely.parquet import open_parquet

Place = tuple[int, dict[str, Any] | None]
"""Line (of Parquet: row) from 1, and its values by column; None where the line is no row."""
_MOST_FIELD_BYTES = 64 << 20
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_PACKED = (".gz", ".bz2", ".xz", ".zst")
_KINDS = "CSV (.csv, .tsv), JSON lines (.jsonl, .ndjson, .json) or Parquet (.parquet, .pq)"
_SNIFFED = 100
Find = Callable[[Iterable[str]], Mapping[str, str]]
"""Given the columns that are there, says which are read: ours to the table's."""


def read_table(
    path: Path, find: Find, delimiter: str | None = None, late: Iterable[str] = ()
) -> Iterator[Place]:
    """The rows of a file, by our names of columns, in bounded memory; compressed or not.

    late: of our names those that an object of JSON may have though none of the first ones has.
    Raises InputError when it is no table, and what `find` raises.
    """
    suffix = _suffix(path)
    if delimiter or suffix in _DELIMITERS:
        return _csv(path, find, delimiter or _DELIMITERS[suffix])
    if suffix in (".parquet", ".pq"):
        return _parquet(path, find)
    if suffix in (".jsonl", ".ndjson", ".json"):
        return _json_lines(path, find, late)
    raise InputError(
        f"is no table by its name: {_KINDS}, and all but Parquet may be compressed",
        where=path,
        hint="--delimiter reads it as CSV",
    )


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _lines(path: Path) -> Iterator[bytes]:
    if not path.is_file():
        what = "is a folder: name the files in it" if path.is_dir() else "does not exist"
        raise InputError(what, where=path)
    return (line for block in read_blocks(path) for line in block.lines())


def _csv(path: Path, find: Find, delimiter: str) -> Iterator[Place]:
    csv.field_size_limit(_MOST_FIELD_BYTES)
    texts = (line.decode("utf-8", "replace") + "\n" for line in _lines(path))
    # strict: else the rest of a file goes into the one field that a stray quotation mark opens
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
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
    found = _flat(find(head), head, path)
    wanted = [(ours, head.index(theirs)) for ours, theirs in found.items()]
    begin = reader.line_num
    try:
        for row in reader:
            line, begin = begin + 1, reader.line_num
            if len(row) == len(head):
                yield line, {ours: row[place] for ours, place in wanted}
            elif row:
                yield line, None
    except csv.Error as error:
        raise _no_csv(path, begin + 1, error) from error


def _no_csv(path: Path, line: int, error: csv.Error) -> InputError:
    """line: where the row begins that cannot be read."""
    return InputError(
        f"line {line:,} begins a row that is no CSV ({error})",
        where=path,
        hint="Lines must end in \\n, and a field with a quotation mark or a line break must stand "
        "between quotation marks, those in it doubled",
    )


def _flat(found: Mapping[str, str], there: Collection[str], path: Path) -> dict[str, str]:
    """The same where all are columns themselves; InputError where one lies within a column."""
    if deep := [(ours, theirs) for ours, theirs in found.items() if theirs not in there]:
        ours, theirs = deep[0]
        raise InputError(
            f"has no column {theirs!r} for {ours}: only in JSON lines is what lies deeper found",
            where=path,
        )
    return dict(found)


def _json_lines(path: Path, find: Find, late: Iterable[str]) -> Iterator[Place]:
    lines = _lines(path)
    first = [line for _, line in zip(range(_SNIFFED), lines, strict=False)]
    names = {name for line in first for name in (_object(line) or {})}
    if not names:
        raise InputError(
            "has no JSON object in its first lines: there must be one a line", where=path
        )
    wanted = {name: [name] for name in late}
    wanted |= {ours: theirs.split(".") for ours, theirs in find(names).items()}
    for number, line in enumerate(_chain(first, lines), start=1):
        if line and not line.isspace():
            content = _object(line)
            if content is None:
                yield number, None
            else:
                yield number, {ours: _deep(content, way) for ours, way in wanted.items()}


def _chain(first: Iterable[bytes], rest: Iterable[bytes]) -> Iterator[bytes]:
    yield from first
    yield from rest


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _deep(content: dict[str, Any], way: list[str]) -> Any:
    """What lies at `meta.score`, or under that very name."""
    if (whole := content.get(".".join(way))) is not None:
        return whole
    value: Any = content
    for name in way:
        value = value.get(name) if isinstance(value, dict) else None
    return None if isinstance(value, dict | list) else value


def _parquet(path: Path, find: Find) -> Iterator[Place]:
    try:
        with open_parquet(path) as file:
            names = file.schema_arrow.names
            wanted = _flat(find(names), names, path)
            number = 0
            for batch in file.iter_batches(8192, columns=sorted(set(wanted.values()))):
                columns = {ours: _plain(batch.column(theirs)) for ours, theirs in wanted.items()}
                for values in zip(*columns.values(), strict=True):
                    number += 1
                    yield number, dict(zip(columns, values, strict=True))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"is not readable as Parquet ({first_line(error)})", where=path) from error


def _plain(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type):  # nanoseconds would come as pandas' own kind
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return list(column.to_pylist())
