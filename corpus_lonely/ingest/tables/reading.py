"""Rows of a table, one after the other, each with its place in the file: CSV, JSON lines, Parquet."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.ingest.tables.delimited import read_delimited
from corpus_lonely.ingest.tables.layout import Layout
from corpus_lonely.ingest.tables.lines import Lines, miscoded, shown_encoding
from corpus_lonely.ingest.tables.places import BadRow, Find, Place, flat
from corpus_lonely.ingest.tables.remarks import Remarks
from corpus_lonely.parquet import open_parquet

_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_PACKED = (".gz", ".bz2", ".xz", ".zst")
_KINDS = "CSV (.csv, .tsv), JSON lines (.jsonl, .ndjson, .json) or Parquet (.parquet, .pq)"
_SNIFFED = 100


def read_table(
    path: Path,
    find: Find,
    layout: Layout | None = None,
    late: Iterable[str] = (),
    remarks: Remarks | None = None,
) -> Iterator[Place]:
    """The rows of a file, by our names of columns, in bounded memory; compressed or not.

    late: of our names those that an object of JSON may have though none of the first ones has.
    remarks: filled in, with what is to be said of the file.
    Raises InputError when it is no table, and what `find` raises.
    """
    layout, remarks, suffix = layout or Layout(), remarks or Remarks(), _suffix(path)
    if layout.delimiter or suffix in _DELIMITERS:
        delimiter = layout.delimiter or _DELIMITERS[suffix]
        return read_delimited(path, find, delimiter, layout, remarks)
    if suffix in (".parquet", ".pq"):
        return _parquet(path, find)
    if suffix in (".jsonl", ".ndjson", ".json"):
        return _json_lines(path, find, late, layout.encoding, remarks)
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


def _json_lines(
    path: Path, find: Find, late: Iterable[str], encoding: str, remarks: Remarks
) -> Iterator[Place]:
    objects = _objects(Lines(path), encoding, remarks)
    first = list(islice(objects, _SNIFFED))
    names = {name for _, content in first if isinstance(content, dict) for name in content}
    if not names:
        raise _no_json(path, encoding)
    wanted = {name: [name] for name in late}
    wanted |= {ours: theirs.split(".") for ours, theirs in find(names).items()}
    for number, content in chain(first, objects):
        if isinstance(content, BadRow):
            yield number, content
        else:
            yield number, {ours: _deep(content, way) for ours, way in wanted.items()}


def _no_json(path: Path, encoding: str) -> InputError:
    for number, line in enumerate(islice(Lines(path), _SNIFFED), start=1):
        try:
            line.decode(encoding)
        except UnicodeDecodeError as error:
            return miscoded(path, number, line, error)
    return InputError("has no JSON object in its first lines: there must be one a line", where=path)


def _objects(lines: Lines, encoding: str, remarks: Remarks) -> Iterator[Place]:
    """Each line that is not blank with its number, by the names of its own."""
    for number, line in enumerate(lines, start=1):
        if not line or line.isspace():
            continue
        try:
            content = json.loads(line.decode(encoding))
            why = None if isinstance(content, dict) else "no JSON object"
        except json.JSONDecodeError as error:
            why = f"no JSON: {error.msg.lower()} (column {error.colno:,})"
        except UnicodeDecodeError as error:
            why = f"no {shown_encoding(encoding)} (byte {error.start + 1:,} of the line)"
            if not lines.cut_within(error):
                remarks.note_miscoded(number)
        except (ValueError, RecursionError):
            why = "no JSON that can be read: nested too deep, or a huge number"
        if why and lines.cut:
            remarks.note_cut(number)
        yield number, BadRow(why, line.decode(encoding, "replace")) if why else content


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
            wanted = flat(find(names), names, path)
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
