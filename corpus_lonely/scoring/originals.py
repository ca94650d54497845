"""The rows of the input that a sample of scores was made from."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from corpus_lonely.errors import InputError
from corpus_lonely.parquet import open_parquet
from corpus_lonely.scoring.inputs import Posts
from corpus_lonely.scoring.plan import Run, Shard
from corpus_lonely.scoring.reading import carried_columns, read_rows, read_texts
from corpus_lonely.sources import InputFile, open_binary
from corpus_lonely.storage import Place

Sample = Sequence[tuple[Shard, list[int]]]
"""Shards, and of each the rows drawn, in order."""
_ID = "post_id"


def rows_at(sample: Sample, posts: Posts, run: Run) -> pa.Table:
    """The text column and those carried along, at the places that the shards tell."""
    wanted, found = [run.text_column, *run.carried], []
    for shard, rows in sample:
        first, last = shard.start + rows[0], shard.start + rows[-1]
        table = read_rows(replace(shard, start=first, stop=last + 1), wanted)
        found.append(_whole(table.take([row - rows[0] for row in rows]), shard.file, posts, run))
    return pa.concat_tables(found)


def rows_by_id(
    ids: Sequence[str], sample: Sample, posts: Posts, run: Run, folder: Place
) -> pa.Table:
    """The same where posts were purged: whole columns of the files that the sample is from are read.

    ids: of the rows drawn, as the scores tell them; `folder` is where they stand.
    """
    wanted, files = pa.array(ids), {shard.file.name for shard, _ in sample}
    found = []
    for file in posts.files:
        if file.name not in files:
            continue
        with open_binary(file.url) as opened:
            parquet = open_parquet(opened)
            asked = [run.text_column, *run.carried]
            there = [name for name in asked if name in parquet.schema_arrow.names]
            for batch in parquet.iter_batches(columns=there):
                hits = batch.filter(pc.is_in(batch.column(_ID), value_set=wanted))
                found.append(_whole(pa.Table.from_batches([hits]), file, posts, run))
    rows = pa.concat_tables(found)
    places = {name: place for place, name in enumerate(rows[_ID].to_pylist())}
    if missing := sum(name not in places for name in ids):
        raise InputError(
            f"{missing:,} of the posts drawn are not in the input any more",
            where=folder,
            hint="Purge the scores with the same list as the posts, or name the posts with --input",
        )
    return rows.take([places[name] for name in ids])


def _whole(rows: pa.Table, file: InputFile, posts: Posts, run: Run) -> pa.Table:
    """With the columns that the names of folders tell, in the types that scores have."""
    texts = pa.array(read_texts(rows[run.text_column]), pa.string())
    carried = zip(posts.carried.names, carried_columns(rows, file, posts.carried), strict=True)
    return pa.table({run.text_column: texts, **dict(carried)})


def differing_rows(left: pa.Table, right: pa.Table, columns: Sequence[str]) -> int:
    """In how many rows any of these columns has another value."""
    pairs = [zip(_values(left[name]), _values(right[name]), strict=True) for name in columns]
    return sum(not all(_same(*pair) for pair in row) for row in zip(*pairs, strict=True))


def _values(column: pa.ChunkedArray) -> list[object]:
    # what is no UTF-8 goes along as it is, and would be no string of Python's
    plain = column.cast(pa.binary()) if pa.types.is_string(column.type) else column
    values: list[object] = plain.to_pylist()
    return values


def _same(left: object, right: object) -> bool:
    return left == right or (left != left and right != right)  # noqa: PLR0124  (NaN is not itself)
