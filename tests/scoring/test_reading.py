"""Rows of shards: the right ones in whatever order they are asked for, and each decoded once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus_lonely.errors import InputError
from corpus_lonely.scoring import reading
from corpus_lonely.scoring.inputs import find_posts
from corpus_lonely.scoring.plan import Shard, cut_shards
from corpus_lonely.scoring.reading import read_rows
from corpus_lonely.sources import open_binary

COLUMNS = ["text", "post_id"]


def shards_of(path: Path, rows: int, group_rows: int, shard_rows: int) -> tuple[Any, list[Shard]]:
    table = pa.table(
        {
            "post_id": [f"t3_{row}" for row in range(rows)],
            "text": [f"x{row}" for row in range(rows)],
        }
    )
    pq.write_table(table, path, row_group_size=group_rows)
    return table, list(cut_shards(find_posts(str(path)), shard_rows))


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files opened for rows, in order; and no cursor of another test."""
    names: list[str] = []

    @contextmanager
    def counted(url: str) -> Iterator[Any]:
        names.append(url)
        with open_binary(url) as file:
            yield file

    monkeypatch.setattr(reading, "open_binary", counted)
    monkeypatch.setattr(reading, "_cursors", [])
    return names


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_shards_in_any_order_are_their_rows(tmp_path: Path, data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 60))
    table, shards = shards_of(
        tmp_path / "posts.parquet",
        rows,
        data.draw(st.integers(1, 60)),
        data.draw(st.integers(1, 20)),
    )
    for shard in data.draw(st.lists(st.sampled_from(shards), min_size=1, max_size=12)):
        expected = table.slice(shard.start, shard.rows)
        assert read_rows(shard, COLUMNS).select(["post_id", "text"]).equals(expected)


def test_a_row_group_is_decoded_once_for_all_its_shards(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_READ_ROWS", 64)
    _, shards = shards_of(tmp_path / "posts.parquet", 10_000, 10_000, 100)
    decoded = 0
    batches = pq.ParquetFile.iter_batches

    def counted(self: Any, *arguments: Any, **named: Any) -> Iterator[pa.RecordBatch]:
        nonlocal decoded
        for batch in batches(self, *arguments, **named):
            decoded += batch.num_rows
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    for shard in shards[::2]:  # as one of two workers gets them
        read_rows(shard, COLUMNS)
    assert len(opened) == 1
    assert decoded <= 10_000


def test_another_row_group_is_gone_to_directly(tmp_path: Path, opened: list[str]) -> None:
    _, shards = shards_of(tmp_path / "posts.parquet", 300, 100, 50)
    read_rows(shards[0], COLUMNS)
    read_rows(shards[4], COLUMNS)  # in the third row group: the second is not decoded on the way
    assert len(opened) == 2
    read_rows(shards[1], COLUMNS)
    read_rows(shards[5], COLUMNS)
    assert len(opened) == 2


def test_threads_do_not_share_a_place(tmp_path: Path) -> None:
    table, shards = shards_of(tmp_path / "posts.parquet", 5_000, 5_000, 50)
    start = threading.Barrier(4)

    def read(mine: list[Shard]) -> list[pa.Table]:
        start.wait()
        return [read_rows(shard, COLUMNS) for shard in mine]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(read, [shards[first::4] for first in range(4)]))
    for first in range(4):
        for shard, rows in zip(shards[first::4], found[first], strict=True):
            assert (
                rows.column("text").to_pylist()
                == table.column("text").slice(shard.start, shard.rows).to_pylist()
            )


def test_few_files_stay_open(tmp_path: Path) -> None:
    for number in range(8):
        _, shards = shards_of(tmp_path / f"posts-{number}.parquet", 100, 100, 50)
        read_rows(shards[0], COLUMNS)
    assert len(reading._cursors) == reading._CURSORS


def test_a_file_that_has_gone_bad_is_named_and_let_go(tmp_path: Path) -> None:
    path = tmp_path / "posts.parquet"
    _, shards = shards_of(path, 20_000, 20_000, 10_000)
    content = bytearray(path.read_bytes())
    content[200:2000] = bytes(1800)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"posts\.parquet: cannot be read"):
        read_rows(shards[0], COLUMNS)
    assert not reading._cursors
