"""What a month is merged from: row groups of staged files, and the partition as the folder has it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from corpus_lonely.errors import InputError, first_line

ORIGIN = "file"
ORIGINS = pa.schema([pa.field(ORIGIN, pa.int32(), nullable=False)])
"""Beside each month: the file, by its place in the record, that each row came from."""
TRACES = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("retrieved_at", pa.timestamp("us", "UTC")),
        pa.field("removed", pa.string(), nullable=False),
    ]
)
"""Posts whose latest copy has no text: `deleted` or `removed`. Text that is read later must know."""


@dataclass(frozen=True)
class Source:
    """Rows of the month: a row group of a staged file, or the partition as it is."""

    path: Path
    origin: int | Path
    """The file that all rows came from, by its place in the record, or the ORIGINS of each row."""
    group: int | None = None
    """The row group; None for the whole file."""

    @property
    def staged(self) -> bool:
        """Whether it was read from a dump in this run, and is not of the folder yet."""
        return isinstance(self.origin, int)


def metadata_of(source: Source) -> pq.FileMetaData:
    """Of the whole file; InputError when it is damaged."""
    with reading(source.path, staged=source.staged):
        return pq.read_metadata(source.path)


def rows_of(source: Source) -> int:
    """How many rows the source has."""
    metadata = metadata_of(source)
    whole = metadata if source.group is None else metadata.row_group(source.group)
    return int(whole.num_rows)


def read_rows(source: Source, group: int | None, columns: list[str]) -> pa.Table:
    """Some columns of a row group of its file, or of all; InputError when it is damaged."""
    with (
        reading(source.path, staged=source.staged),
        pq.ParquetFile(source.path) as file,
    ):
        return file.read(columns) if group is None else file.read_row_group(group, columns)


@contextmanager
def reading(path: Path, *, staged: bool) -> Iterator[None]:
    """Names the file that turns out to be damaged, and what to do about it."""
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        if staged:
            hint = f"Remove {path.parent} and run the same command again"
        else:
            hint = "Bring it back from a copy, or --overwrite to make the folder anew"
        raise InputError(
            f"is not readable as Parquet ({first_line(error)})", where=path, hint=hint
        ) from error
