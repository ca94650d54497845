"""Shards cover the input once and in order, and fingerprints tell what decides a part."""

from dataclasses import fields, replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_lonely.scoring.inputs import Posts
from corpus_lonely.scoring.plan import Run, Shard, cut_shards, default_shard_rows
from corpus_lonely.sources import InputFile

RUN = Run(
    model="m",
    tokenizer="k",
    taxonomy="t",
    input="i",
    text_column="text",
    carried=("post_id",),
    max_tokens=512,
    batch_tokens=8192,
    precision="bf16",
    shard_rows=4096,
    numerics_version=1,
)


def _file(rows: int, name: str = "a.parquet") -> InputFile:
    return InputFile(name, f"/somewhere/{name}", size=100, footer_sha256="f", rows=rows)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(1, 60))
def test_every_row_is_in_one_shard_and_in_order(sizes: list[int], shard_rows: int) -> None:
    files = tuple(_file(rows, f"{i}.parquet") for i, rows in enumerate(sizes))
    shards = list(cut_shards(Posts(files, "text", pa.schema([])), shard_rows))
    covered = [(s.file.name, row) for s in shards for row in range(s.start, s.stop)]
    assert covered == [(file.name, row) for file in files for row in range(file.rows)]
    assert [shard.index for shard in shards] == list(range(len(shards)))
    assert all(0 < shard.rows <= shard_rows for shard in shards)


def test_parts_sort_like_their_shards() -> None:
    names = [Shard(i, _file(9), 0, 1).part for i in (0, 9, 10, 99_999, 100_000, 999_999)]
    assert names == sorted(names)
    assert names[0] == "part-000000.parquet"


_OTHER: dict[str, Any] = {
    "model": "m2",
    "tokenizer": "k2",
    "taxonomy": "t2",
    "text_column": "body",
    "carried": ("post_id", "kind"),
    "max_tokens": 128,
    "batch_tokens": 4096,
    "precision": "fp32",
    "numerics_version": 2,
}


@pytest.mark.parametrize("name", sorted(_OTHER))
def test_a_parts_fingerprint_changes_with_all_that_decides_it(name: str) -> None:
    shard = Shard(0, _file(10), 0, 10)
    assert RUN.fingerprint(shard) != replace(RUN, **{name: _OTHER[name]}).fingerprint(shard)


def test_every_field_of_a_run_is_accounted_for() -> None:
    assert {field.name for field in fields(Run)} == {*_OTHER, "input", "shard_rows"}


def test_a_parts_fingerprint_depends_on_its_rows_and_file_not_on_its_place() -> None:
    shard = Shard(3, _file(10), 0, 10)
    moved = replace(shard, index=7, file=replace(shard.file, url="s3://elsewhere/a.parquet"))
    assert RUN.fingerprint(shard) == RUN.fingerprint(moved)
    for other in (
        replace(shard, stop=9),
        replace(shard, start=1),
        replace(shard, file=_file(10, "b.parquet")),
        replace(shard, file=replace(shard.file, footer_sha256="g")),
        replace(shard, file=replace(shard.file, size=101)),
    ):
        assert RUN.fingerprint(shard) != RUN.fingerprint(other)


def test_differences_are_told_in_the_words_of_the_options() -> None:
    wanted = replace(RUN, model="m2", precision="fp32", shard_rows=100)
    assert wanted.differences(RUN) == [
        "another model",
        "--precision bf16, not fp32",
        "--shard-rows 4096, not 100",
    ]
    assert RUN.differences(RUN) == []


def test_a_run_survives_json() -> None:
    assert Run.from_dict(RUN.to_dict()) == RUN
    with pytest.raises(TypeError):
        Run.from_dict({"carried": []})


@pytest.mark.parametrize(
    ("rows", "gpus", "expected"),
    [(10, 0, 512), (16_000, 0, 1000), (10**9, 0, 4096), (10**9, 8, 65536), (16_000, 8, 1000)],
)
def test_default_shard_rows(rows: int, gpus: int, expected: int) -> None:
    assert default_shard_rows(rows, gpus) == expected
