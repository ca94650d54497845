"""Scores and posts are found wherever they lie, and what is none is told so."""

import json
from pathlib import Path

import polars as pl
import pytest

import corpus_lonely
from corpus_lonely.errors import InputError
from corpus_lonely.study.scores import (
    data_places,
    is_unfinished,
    scan_posts,
    scan_scores,
    score_facts,
    taxonomy_of,
)
from corpus_lonely.tables import with_footer, write_parquet
from corpus_lonely.taxonomy import Taxonomy, loneliness


def test_the_public_names_are_these() -> None:
    assert corpus_lonely.scan_scores is scan_scores
    assert corpus_lonely.scan_posts is scan_posts


@pytest.mark.parametrize("where", ["", "*.parquet", "part-00000[01].parquet"])
def test_a_folder_and_a_glob_hold_all_rows(scores: Path, table: pl.DataFrame, where: str) -> None:
    frame = scan_scores(scores / where if where else scores)
    assert isinstance(frame, pl.LazyFrame)
    assert frame.select("post_id").collect()["post_id"].sort().equals(table["post_id"].sort())


def test_one_file_holds_its_rows(scores: Path, table: pl.DataFrame) -> None:
    frame = scan_scores(str(scores / "part-000000.parquet"))
    assert frame.collect().equals(table[: len(table) // 2])


def test_a_folder_named_like_a_pattern_is_a_folder(tmp_path: Path, table: pl.DataFrame) -> None:
    folder = tmp_path / "scores [old]"
    folder.mkdir()
    table.write_parquet(folder / "part-000000.parquet")
    assert scan_scores(folder).select(pl.len()).collect().item() == len(table)


def test_hive_partitions_become_columns(tmp_path: Path) -> None:
    for month in ("2020-03", "2020-04"):
        folder = tmp_path / "posts" / f"month={month}"
        folder.mkdir(parents=True)
        row = {"post_id": ["t3_a"], "created_at": [None], "text": ["words"]}
        pl.DataFrame(row).write_parquet(folder / "part-0.parquet")
    for where in (tmp_path / "posts", tmp_path / "posts" / "*" / "*.parquet"):
        assert scan_posts(where).collect()["month"].to_list() == ["2020-03", "2020-04"]


@pytest.mark.parametrize(
    ("name", "said"), [("nowhere", "does not exist"), ("empty", "holds no Parquet file")]
)
def test_nothing_there_is_said(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=said) as caught:
        scan_scores(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_pattern_that_matches_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        scan_scores(tmp_path / "*.parquet")


def test_a_file_that_is_no_parquet_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("words\nand words")
    with pytest.raises(InputError, match="not readable as Parquet") as caught:
        scan_scores(tmp_path / "a.parquet")
    assert "\n" not in str(caught.value)


def test_posts_are_no_scores_and_scores_no_posts(tmp_path: Path, scores: Path) -> None:
    posts = pl.DataFrame({"post_id": ["t3_a"], "created_at": [None], "text": ["words"]})
    posts.write_parquet(tmp_path / "posts.parquet")
    with pytest.raises(InputError, match="no column 'lonely'; its columns are post_id, created_at"):
        scan_scores(tmp_path / "posts.parquet")
    with pytest.raises(InputError, match=r"no column 'text'.*corpus-lonely ingest"):
        scan_posts(scores)


def test_the_taxonomy_is_the_footers(tmp_path: Path, scores: Path) -> None:
    assert taxonomy_of(scores) is loneliness()
    other = {**loneliness().to_dict(), "name": "other"}
    frame = pl.DataFrame({"lonely": [0.5], "status": ["ok"]}).to_arrow()
    schema = with_footer(frame.schema, {"taxonomy": other, "run": {"model": "m"}})
    write_parquet(frame.cast(schema), tmp_path / "s" / "part-000000.parquet")
    assert taxonomy_of(tmp_path / "s") == Taxonomy.from_dict(other)
    assert score_facts(tmp_path / "s")["run"] == {"model": "m"}


def test_scoring_that_has_not_ended_is_known(tmp_path: Path) -> None:
    about = tmp_path / "scores.about"
    about.mkdir()
    assert not is_unfinished(tmp_path / "scores")
    for totals, unfinished in ((None, True), ({"rows": 3}, False)):
        (about / "scores.json").write_text(json.dumps({"totals": totals}))
        assert is_unfinished(tmp_path / "scores") is unfinished


def part(path: Path, run: dict[str, object] | None) -> None:
    frame = pl.DataFrame({"lonely": [0.5], "status": ["ok"]}).to_arrow()
    facts = {} if run is None else {"taxonomy": loneliness().to_dict(), "run": run}
    write_parquet(frame.cast(with_footer(frame.schema, facts)), path)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"model": "b", "input": "1", "precision": "fp32"}, "differ in model\\."),
        ({"model": "a", "input": "1", "precision": "bf16"}, "differ in precision"),
        (None, "differ in model, precision, labels"),
    ],
)
def test_scores_of_different_models_are_refused(
    tmp_path: Path, other: dict[str, object] | None, said: str
) -> None:
    part(tmp_path / "s1" / "part-000000.parquet", {"model": "a", "input": "1", "precision": "fp32"})
    part(tmp_path / "s2" / "part-000000.parquet", other)
    with pytest.raises(InputError, match=said) as caught:
        scan_scores(tmp_path / "s*" / "*.parquet")
    assert "\n" not in str(caught.value)


def test_scores_of_one_model_on_two_inputs_go_together(tmp_path: Path) -> None:
    for number in ("1", "2"):
        run: dict[str, object] = {"model": "a", "input": number, "shard_rows": int(number)}
        part(tmp_path / f"s{number}" / "part-000000.parquet", run)
    assert len(scan_scores(tmp_path / "**" / "*.parquet").collect()) == 2


def test_where_only_data_may_lie(tmp_path: Path, scores: Path) -> None:
    file = scores / "part-000000.parquet"
    assert data_places(scores) == data_places(scores / "*.parquet") == {scores.resolve()}
    assert data_places(file) == {file.resolve()}
    assert data_places("s3://bucket/scores") == set()
