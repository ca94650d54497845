"""A block's rows on their way to their months, with a checksum of all: Arrow's IPC, which is quicker than Parquet.

A stream of Arrow a month, one after the other; then the facts as JSON, their length and their checksum.
"""

import json
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from corpus_lonely.files import atomic_path

SUFFIX = ".staged"
_PACKED = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
_END = struct.Struct("<QQ")
"""Length and checksum of the facts before it."""
_DAMAGED = "its checksum is another"


class Extent(NamedTuple):
    """What is known of rows that are read at a time."""

    rows: int
    begin: int
    end: int
    """When the first and the last of them were made, in microseconds since 1970."""
    size: int
    """Bytes in memory, about."""


class Batch(NamedTuple):
    """Rows of one month in a staged file."""

    offset: int
    length: int
    """Its bytes in the file."""
    checksum: int
    """XXH3 of them, 64 bits."""
    extent: Extent

    @classmethod
    def from_json(cls, told: Sequence[Any]) -> Self:
        """As JSON gives it back: lists for tuples."""
        offset, length, checksum, extent = told
        return cls(offset, length, checksum, Extent(*extent))


def extent_of(table: pa.Table) -> Extent:
    """That of these rows; one at least."""
    times = pc.min_max(table.column("created_at").cast(pa.int64())).as_py()
    return Extent(table.num_rows, times["min"], times["max"], table.nbytes)


def write_staged(
    path: Path, rows: Mapping[str, pa.Table], facts: Mapping[str, Any]
) -> dict[str, Batch]:
    """Writes rows by month, and returns where each month stands.

    facts: what `staged_facts` gives back. OutputError when the disk is full.
    """
    months: dict[str, Batch] = {}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for month, table in rows.items():
            packed = memoryview(_packed(table))
            months[month] = Batch(
                file.tell(), packed.nbytes, xxhash.xxh3_64_intdigest(packed), extent_of(table)
            )
            file.write(packed)
        told = json.dumps({"facts": facts, "months": months}).encode()
        file.write(told + _END.pack(len(told), xxhash.xxh3_64_intdigest(told)))
    return months


def _packed(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    schema = pa.schema([field.remove_metadata() for field in table.schema])
    with pa.ipc.new_stream(sink, schema, options=_PACKED) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue()


def staged_facts(path: Path) -> tuple[dict[str, Any], dict[str, Batch]]:
    """What else was written into a staged file, and where its months stand. OSError when it is damaged."""
    with path.open("rb") as file:
        end = file.seek(-_END.size, os.SEEK_END)
        length, checksum = _END.unpack(file.read())
        file.seek(max(0, end - length))
        told = file.read()[: -_END.size]
    if xxhash.xxh3_64_intdigest(told) != checksum:
        raise OSError(_DAMAGED)
    content = json.loads(told)
    months = {month: Batch.from_json(batch) for month, batch in content["months"].items()}
    return content["facts"], months


def read_staged(path: Path, batch: Batch, columns: Sequence[str]) -> pa.Table:
    """Some columns of a month. OSError when the file is damaged, or is another."""
    # not mapped into memory: a disk that fails would end the process without a word
    with path.open("rb") as file:
        file.seek(batch.offset)
        packed = file.read(batch.length)
    if xxhash.xxh3_64_intdigest(packed) != batch.checksum:
        raise OSError(_DAMAGED)
    schema = pa.ipc.open_stream(packed).schema
    wanted = [schema.get_field_index(name) for name in columns]
    options = pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
    with pa.ipc.open_stream(packed, options=options) as reader:
        return reader.read_all().select(columns)
