"""Unlabelled posts behind paths: what is read, what is refused."""

from pathlib import Path

import fsspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus_lonely.errors import InputError
from corpus_lonely.training.adaptation.posts import Posts, open_posts
from tests.tiny import make_labels, save_rows, tiny_rows
from tests.training.adaptation.made import write_posts


def read(posts: Posts) -> list[tuple[str | None, str]]:
    return [pair for ids, texts in posts.batches() for pair in zip(ids, texts, strict=True)]


def test_a_file_a_folder_a_glob_and_hive_parts(tmp_path: Path) -> None:
    one = write_posts(tmp_path / "posts" / "month=2020-01" / "a.parquet", ["one &amp; two", "b  c"])
    write_posts(tmp_path / "posts" / "month=2020-02" / "a.parquet", ["d"])
    write_posts(tmp_path / "posts" / "_kept" / "a.parquet", ["hidden"])
    write_posts(tmp_path / "posts" / ".a.parquet", ["hidden"])
    whole = [("t3_0", "one & two"), ("t3_1", "b c"), ("t3_0", "d")]
    assert read(open_posts(str(one))) == whole[:2]
    assert read(open_posts(str(tmp_path / "posts"))) == whole
    assert read(open_posts(str(tmp_path / "posts" / "month=*" / "*.parquet"))) == whole
    assert read(open_posts(str(tmp_path / "posts" / "month=2020-0[2]"))) == whole[2:]
    assert open_posts(str(tmp_path / "posts")).rows == 3


def test_nulls_other_string_types_and_files_without_ids(tmp_path: Path) -> None:
    table = pa.table({"body": pa.array(["a", None, "a"]).dictionary_encode()})
    pq.write_table(table, tmp_path / "p.parquet")
    assert read(open_posts(str(tmp_path / "p.parquet"), "body")) == [
        (None, "a"), (None, ""), (None, "a"),
    ]  # fmt: skip


def test_a_saved_data_set_gives_its_train_split(tmp_path: Path) -> None:
    make_labels(tmp_path, 6, 4)
    posts = open_posts(str(tmp_path))
    assert posts.rows == 6
    assert [i for i, _ in read(posts)] == [row["unique_id"] for row in tiny_rows(6)]
    assert open_posts(str(tmp_path), split="dev").rows == 4
    assert open_posts(str(tmp_path / "dev_set")).rows == 4  # the one split that is there
    save_rows(tiny_rows(3), tmp_path / "two" / "dev")
    save_rows(tiny_rows(3), tmp_path / "two" / "test")
    with pytest.raises(InputError, match="has no train split; it has dev, test"):
        open_posts(str(tmp_path / "two"))


def test_the_fingerprint_is_that_of_the_contents(tmp_path: Path) -> None:
    first = open_posts(str(write_posts(tmp_path / "a" / "p.parquet", ["one", "two"]))).fingerprint
    moved = write_posts(tmp_path / "b" / "q.parquet", ["one", "two"])
    assert open_posts(str(moved)).fingerprint == first
    assert open_posts(str(write_posts(moved, ["one", "tow"]))).fingerprint != first
    labels = make_labels(tmp_path / "labels", 6, 4)
    before = open_posts(str(labels)).fingerprint
    labels.rename(tmp_path / "elsewhere")
    assert open_posts(str(tmp_path / "elsewhere")).fingerprint == before


def test_what_cannot_be_used_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    write_posts(tmp_path / "none.parquet", [])
    pl.DataFrame({"text": [1, 2], "body": ["a", "b"]}).write_parquet(tmp_path / "numbers.parquet")
    for name, column, problem in [
        ("empty", "text", "holds no Parquet file. Give Parquet files"),
        ("nowhere", "text", "does not exist"),
        ("no*.pq", "text", "does not exist"),
        ("broken.parquet", "text", "is not readable as Parquet"),
        ("none.parquet", "text", "holds no rows"),
        ("numbers.parquet", "text", "column 'text' is of type int64, not text"),
        ("numbers.parquet", "selftext", "has no column 'selftext'; its columns are text, body"),
    ]:
        with pytest.raises(InputError) as caught:
            open_posts(str(tmp_path / name), column)
        assert problem in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_store_that_fsspec_knows(tmp_path: Path) -> None:
    local = write_posts(tmp_path / "a.parquet", ["one", "two"])
    with fsspec.open("memory://adapt/posts/month=1/a.parquet", "wb") as file:
        file.write(local.read_bytes())
    posts = open_posts("memory://adapt/posts")
    assert read(posts) == read(open_posts(str(local)))
    assert posts.fingerprint == open_posts(str(local)).fingerprint
    with pytest.raises(InputError, match="does not exist"):
        open_posts("memory://adapt/nothing")
