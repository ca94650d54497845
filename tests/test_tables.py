"""Schemas as data, and tables brought into their form."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus_lonely.errors import InputError
from corpus_lonely.tables import (
    PASSED_THROUGH,
    SCORE_FACTS,
    conform,
    footer,
    scores_schema,
    table_schema,
    with_footer,
    write_parquet,
)
from corpus_lonely.taxonomy import Taxonomy, loneliness, schema_file


def test_the_declared_scores_are_those_of_the_taxonomy() -> None:
    columns = (*PASSED_THROUGH, *loneliness().score_columns, *SCORE_FACTS)
    assert tuple(table_schema("scores").names) == columns
    carried = [table_schema("scores").field(name) for name in PASSED_THROUGH]
    assert scores_schema(loneliness(), carried).equals(table_schema("scores"))


@pytest.mark.parametrize("name", ["posts", "scores", "labels", "coverage"])
def test_every_field_says_what_it_is(name: str) -> None:
    content = json.loads(schema_file(f"{name}.json").read_text("utf-8"))
    for field in content["fields"]:
        assert field["description"].endswith("."), field["name"]
        assert {"name", "type", "arrowType"} <= set(field)


def test_another_taxonomy_gets_its_own_columns() -> None:
    content = loneliness().to_dict()
    content["categories"] = [{"name": "mood", "labels": ["low", "high"]}]
    names = scores_schema(Taxonomy.from_dict(content)).names
    assert names == ["lonely", "mood_low", "mood_high", *SCORE_FACTS]


def test_conform_orders_casts_and_fills() -> None:
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False), pa.field("b", pa.string())])
    table = pa.table({"z": [1], "a": pa.array([2], pa.int8())})
    assert conform(table, schema, "here").to_pydict() == {"a": [2], "b": [None]}


def test_conform_names_what_is_missing_or_does_not_fit() -> None:
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    with pytest.raises(InputError, match=r"file: has no column 'a'; its columns are b, c"):
        conform(pa.table({"b": [1], "c": [2]}), schema, "file")
    with pytest.raises(InputError, match="column 'a' does not fit int64"):
        conform(pa.table({"a": ["x"]}), schema, "file")


def test_the_footer_travels_with_the_file(tmp_path: Path) -> None:
    table = pa.table({"a": [1]})
    path = tmp_path / "x.parquet"
    write_parquet(table.cast(with_footer(table.schema, {"model": "é", "n": 1})), path)
    assert footer(path) == {"model": "é", "n": 1}
    pq.write_table(table, tmp_path / "plain.parquet")
    assert footer(tmp_path / "plain.parquet") == {}
    (tmp_path / "none.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="is not readable as Parquet"):
        footer(tmp_path / "none.parquet")
