"""Unlabelled posts behind an address, streamed: Parquet, or a data set that `save_to_disk` wrote."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus_lonely.errors import InputError
from corpus_lonely.files import files_sha256
from corpus_lonely.sources import (
    contents_fingerprint,
    find_files,
    is_text,
    read_batches,
    read_footer,
)
from corpus_lonely.text import normalise
from corpus_lonely.training.labels import SPLITS, open_splits

ID_COLUMNS = ("post_id", "unique_id", "id")
"""Where a post's id may stand, in the order of trust: posts/, FIG-Loneliness, others."""
_ROWS = 1024
"""Held at once."""


@dataclass(frozen=True)
class Posts:
    """Posts of one address, in order."""

    where: str
    rows: int
    fingerprint: str
    """Changes when the files' contents do; not with the path."""
    read: Callable[[], Iterator[pa.RecordBatch]]
    """A pass over the columns that are needed."""
    text_column: str

    def batches(self) -> Iterator[tuple[list[str | None], list[str]]]:
        """Ids and normalised texts of some hundred rows at a time; an absent text is empty."""
        for batch in self.read():
            named = [name for name in ID_COLUMNS if name in batch.schema.names]
            ids = batch.column(named[0]).to_pylist() if named else [None] * batch.num_rows
            texts = batch.column(self.text_column).to_pylist()
            yield [None if i is None else str(i) for i in ids], [normalise(t or "") for t in texts]


def open_posts(address: str, text_column: str = "text", split: str = "train") -> Posts:
    """The posts behind an address; footers are read, and no text.

    address: a Parquet file, a folder of them at any depth, a glob, a URL that fsspec knows, or a folder
    that `save_to_disk` wrote, of which `split` is taken.
    Raises InputError in one line when nothing there can be used.
    """
    folder = Path(address).expanduser()
    if is_saved_dataset(folder):
        return _saved(folder, text_column, split)
    files = []
    for named in find_files(address, "Give Parquet files, or a folder that `save_to_disk` wrote"):
        file, schema = read_footer(*named)
        _check_column(schema, text_column, file.url)
        files.append(file)

    def read() -> Iterator[pa.RecordBatch]:
        for file in files:
            yield from read_batches(file.url, (*ID_COLUMNS, text_column), _ROWS)

    rows = sum(file.rows for file in files)
    return _with_rows(Posts(address, rows, contents_fingerprint(files), read, text_column))


def is_saved_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` wrote the folder: one split, or a folder of splits."""
    names = ["", *(alias for aliases in SPLITS.values() for alias in aliases)]
    return any((folder / name / "state.json").is_file() for name in names)


def _saved(folder: Path, text_column: str, split: str) -> Posts:
    splits = open_splits(folder)
    table = splits.get(split) or (next(iter(splits.values())) if len(splits) == 1 else None)
    if table is None:
        raise InputError(f"has no {split} split; it has {', '.join(splits)}", where=folder)
    _check_column(table.data.schema, text_column, str(folder))
    used = [*(name for name in ID_COLUMNS if name in table.column_names), text_column]

    def read() -> Iterator[pa.RecordBatch]:
        for some in table.select_columns(used).with_format("arrow").iter(_ROWS):
            yield from some.to_batches()

    files = sorted({Path(entry["filename"]) for entry in table.cache_files})
    return _with_rows(Posts(str(folder), len(table), files_sha256(files), read, text_column))


def _with_rows(posts: Posts) -> Posts:
    if not posts.rows:
        raise InputError("holds no rows", where=posts.where)
    return posts


def _check_column(schema: Any, text_column: str, where: str) -> None:
    if text_column not in schema.names:
        raise InputError(
            f"has no column {text_column!r}; its columns are {', '.join(schema.names)}",
            where=where,
            hint="Name the column of text with --text-column",
        )
    kind = schema.field(text_column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not is_text(kind):
        raise InputError(f"column {text_column!r} is of type {kind}, not text", where=where)
