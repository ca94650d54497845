"""The posts that are to be marked, in order, some at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus_lonely.errors import InputError
from corpus_lonely.identities import Identities
from corpus_lonely.sources import (
    InputFile,
    contents_fingerprint,
    find_files,
    is_text,
    read_batches,
    read_footer,
)
from corpus_lonely.tables import schema_facts

_NEEDED = ("post_id", "text")
_TOLD = ("created_at", "author")
"""Where posts have them: who was first, and whether it was the same author."""
UNKNOWN = np.iinfo(np.int64).max
"""The moment of a post that tells none: later than all others."""
_BESIDE_TEXT = {
    "post_id": (pa.types.is_integer,),
    "author": (pa.types.is_integer,),
    "created_at": (pa.types.is_integer, pa.types.is_floating, pa.types.is_temporal),
}
"""Types that columns may be of that need not be text."""
_ROWS = 4096


@dataclass(frozen=True)
class Source:
    """Parquet files of posts, of which only the footers were read."""

    where: str
    files: Sequence[InputFile]
    columns: Sequence[str]
    """Those used that all files have."""
    identities: Identities = field(default_factory=Identities)
    """What is hashed in them."""

    @property
    def lacks(self) -> list[str]:
        """Columns that would tell more, and that some file has not."""
        return [name for name in _TOLD if name not in self.columns]

    @classmethod
    def open(cls, where: str) -> "Source":
        """Raises InputError when there are no posts, when a file lacks post_id or text, or for two author keys."""
        files, facts = list[InputFile](), list[tuple[str, dict[str, Any]]]()
        columns = [*_NEEDED, *_TOLD]
        for named in find_files(where):
            file, schema = read_footer(*named)
            for name in _NEEDED:
                _check_column(schema, name, file.url)
            columns = [name for name in columns if name in schema.names]
            for name in columns:
                _check_type(schema.field(name), file.url)
            files.append(file)
            facts.append((file.url, schema_facts(schema)))
        source = cls(where, files, columns, Identities.of(facts, columns))
        if not source.rows:
            raise InputError("holds no posts", where=where)
        return source

    @property
    def rows(self) -> int:
        """Posts."""
        return sum(file.rows for file in self.files)

    @property
    def fingerprint(self) -> str:
        """Changes when the files' contents do; not with the path."""
        return contents_fingerprint(self.files)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Some thousand posts at a time, with the columns that are used."""
        for file in self.files:
            yield from read_batches(file.url, self.columns, _ROWS)


def strings(batch: pa.RecordBatch, name: str) -> pa.StringArray:
    """A column as plain strings, however the file has it; nulls where there is no such column."""
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, pa.string())
    column = pc.cast(batch.column(name), pa.string())
    column.validate(full=True)  # ArrowInvalid where bytes are no UTF-8, without showing them
    return column


def moments(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """When posts were made, in microseconds or any unit that orders them; UNKNOWN where that is not told."""
    if "created_at" not in batch.schema.names:
        return np.full(batch.num_rows, UNKNOWN)
    told = pl.Series(batch.column("created_at"))
    if told.dtype == pl.String:
        told = told.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    if told.dtype.is_temporal():
        told = told.cast(pl.Datetime("us")).dt.epoch("us")
    elif told.dtype.is_float():
        told = told.fill_nan(None) * 1_000_000
    return told.cast(pl.Int64, strict=False).fill_null(UNKNOWN).to_numpy()


def _check_type(field: pa.Field, where: str) -> None:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    others = _BESIDE_TEXT.get(field.name, ())
    if not (is_text(kind) or any(is_kind(kind) for is_kind in others)):
        raise InputError(
            f"column {field.name!r} is of type {field.type}, not what it should be", where=where
        )


def _check_column(schema: pa.Schema, name: str, where: str) -> None:
    if name not in schema.names:
        raise InputError(
            f"has no column {name!r}; its columns are {', '.join(schema.names)}",
            where=where,
            hint="Give posts that `corpus-lonely ingest` made",
        )
