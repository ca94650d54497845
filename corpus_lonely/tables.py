"""Arrow schemas read from schemas/, tables brought into their form, and Parquet with metadata in its footer."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus_lonely.errors import InputError
from corpus_lonely.files import atomic_path, open_private
from corpus_lonely.seal import BLANK_SEAL, seal
from corpus_lonely.storage import Place, RemotePath
from corpus_lonely.taxonomy import Taxonomy, schema_file

_ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "bool": pa.bool_(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float": pa.float32(),
    "timestamp[us, tz=UTC]": pa.timestamp("us", tz="UTC"),
    "list<int32>": pa.list_(pa.int32()),
}
_FOOTER_KEY = b"corpus_lonely"
_SEAL_KEY = "corpus_lonely_seal"
_MAGIC = b"PAR1"
_PART = re.compile(r"part-\d{6,}\.parquet")
_COMPRESSION = "zstd"
_FOOTER_BYTES = 1 << 16
"""Several times the footer of a part of scores."""
PASSED_THROUGH = ("post_id", "kind", "subreddit", "author", "created_at")
"""Columns of the input that scores carry along, where the input has them."""
SCORE_FACTS = ("status", "num_tokens", "truncated")
"""Columns of scores that tell how each row was scored."""


def part_name(index: int) -> str:
    """The name of the part of the shard with this index; names sort like their shards."""
    return f"part-{index:06d}.parquet"


def is_part_name(name: str) -> bool:
    """Whether a file is called as `part_name` calls parts of scores."""
    return bool(_PART.fullmatch(name))


@cache
def table_schema(name: str) -> pa.Schema:
    """The Arrow schema of `posts`, `scores`, `labels` or `coverage`, with descriptions as metadata."""
    content = json.loads(schema_file(f"{name}.json").read_text("utf-8"))
    return pa.schema([_field(entry) for entry in content["fields"]])


def _field(entry: dict[str, Any]) -> pa.Field:
    required = entry.get("constraints", {}).get("required", False)
    told = {key: entry[key] for key in ("description", "unit") if key in entry}
    return pa.field(
        entry["name"], _ARROW_TYPES[entry["arrowType"]], nullable=not required, metadata=told
    )


def scores_schema(taxonomy: Taxonomy, carried: Iterable[pa.Field] = ()) -> pa.Schema:
    """The schema of scores under a taxonomy: carried columns, one float32 a label, then the facts.

    carried: the fields that the input passes through, as the input has them.
    """
    declared = table_schema("scores")
    names = set(declared.names)
    labels = [
        declared.field(column) if column in names else pa.field(column, pa.float32())
        for column in taxonomy.score_columns
    ]
    return pa.schema([*carried, *labels, *(declared.field(name) for name in SCORE_FACTS)])


def conform(table: pa.Table, schema: pa.Schema, where: str | Path) -> pa.Table:
    """The table with exactly the schema's columns, in order and type.

    A missing column becomes null if the schema allows it; InputError names what cannot be made to fit.
    """
    columns = []
    for field in schema:
        if field.name in table.column_names:
            column = table.column(field.name)
        elif field.nullable:
            column = pa.nulls(table.num_rows, field.type)
        else:
            raise InputError(
                f"has no column {field.name!r}; its columns are {', '.join(table.column_names)}",
                where=where,
            )
        try:
            columns.append(column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"column {field.name!r} does not fit {field.type} ({error})", where=where
            ) from error
    return pa.Table.from_arrays(columns, schema=schema)


def with_footer(schema: pa.Schema, facts: Mapping[str, Any]) -> pa.Schema:
    """The schema with `facts` in its metadata, which Parquet keeps in the footer."""
    packed = json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()
    return schema.with_metadata({**(schema.metadata or {}), _FOOTER_KEY: packed})


def footer(path: str | Place) -> dict[str, Any]:
    """The facts in a Parquet file's footer, empty when it was not written by this package."""
    return footer_and_rows(path)[0]


def footer_and_rows(path: str | Place) -> tuple[dict[str, Any], int]:
    """The facts in a Parquet file's footer, and its number of rows; nothing else of it is read."""
    with _opened(path) as file:
        return schema_facts(file.schema_arrow), file.metadata.num_rows


def schema_facts(schema: pa.Schema) -> dict[str, Any]:
    """What `footer` tells, from a schema that was read already; ArrowInvalid when it is damaged."""
    try:
        facts: dict[str, Any] = json.loads((schema.metadata or {}).get(_FOOTER_KEY, b"{}"))
    except ValueError as error:
        raise pa.ArrowInvalid("its metadata is damaged") from error
    return facts


def row_groups(path: str | Place) -> list[int]:
    """How many rows each row group of a Parquet file has; nothing but its footer is read."""
    with _opened(path) as file:
        told = file.metadata
        return [told.row_group(number).num_rows for number in range(told.num_row_groups)]


@contextmanager
def _opened(path: str | Place) -> Iterator[pq.ParquetFile]:
    try:
        source = _end_of(path) if isinstance(path, RemotePath) else path
        with pq.ParquetFile(source) as file:
            yield file
    except (ValueError, OSError) as error:  # of Arrow, or of JSON that is damaged
        raise InputError(f"is not readable as Parquet ({error})", where=path) from error


def _end_of(path: RemotePath) -> pa.BufferReader:
    """As much of a Parquet file as its footer can be read from, nearly always by one request."""
    end = path.tail(_FOOTER_BYTES)
    if len(end) < 12 or end[-4:] != _MAGIC:
        raise pa.ArrowInvalid("its end is missing: cut short, or no Parquet file")
    length = int.from_bytes(end[-8:-4], "little") + 8
    if length > len(end):
        end = path.tail(length)
    return pa.BufferReader(_MAGIC + end[-length:])


def sealed_bytes(table: pa.Table) -> bytes:
    """A Parquet file with a seal in its footer, by which `seal.is_whole` tells any damage.

    Parquet has sums of its own for pages, but none for the footer and its statistics.
    """
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, compression=_COMPRESSION) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_SEAL_KEY: BLANK_SEAL})
    return seal(sink.getvalue().to_pybytes())


def write_parquet(table: pa.Table, path: Path, *, private: bool = False) -> None:
    """Writes one Parquet file, whole or not at all (see `files.atomic_path`).

    private: readable by its owner alone, from its first byte on.
    """
    with atomic_path(path) as temporary:
        if private:
            open_private(temporary, new=True).close()
        pq.write_table(table, temporary, compression=_COMPRESSION, write_page_checksum=True)
