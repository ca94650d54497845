"""Sums a piece at a time: how rows are cut must not be seen in any number."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from corpus_lonely.errors import InputError
from corpus_lonely.study import pieces, reading, running, second_pass
from corpus_lonely.study.pieces import cut_up, frames
from corpus_lonely.study.reading import read_sums
from corpus_lonely.study.running import Distinct, together
from corpus_lonely.study.scores import scan_scores
from corpus_lonely.study.second_pass import Sums
from corpus_lonely.study.settings import StudySettings
from corpus_lonely.study.usable_rows import MOST_CLUSTERS


def shared_out(table: pl.DataFrame, folder: Path, rows: int) -> Path:
    """The table in files of so many rows, in row groups of 70."""
    folder.mkdir()
    for number, part in enumerate(table.iter_slices(rows)):
        part.write_parquet(folder / f"part-{number:06d}.parquet", row_group_size=70)
    return folder


def sums_of(scores: Path, **asked: str) -> Sums:
    return read_sums(StudySettings(str(scores), date(2020, 3, 11), Path("nowhere"), **asked))  # type: ignore[arg-type]


@pytest.mark.parametrize("most_clusters", [MOST_CLUSTERS, 50])
def test_how_rows_are_cut_changes_nothing(
    table: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_clusters: int
) -> None:
    monkeypatch.setattr(reading, "MOST_CLUSTERS", most_clusters)
    monkeypatch.setattr(running, "_WAITING", 300)
    expected = sums_of(shared_out(table, tmp_path / "whole", len(table)), standardise="kind")
    for number, (rows, most) in enumerate(((len(table), 100), (130, 100), (37, 200))):
        monkeypatch.setattr(pieces.cut_up, "__defaults__", (most,))
        scores = shared_out(table, tmp_path / f"scores{number}", rows)
        assert len(cut_up(str(scores))) > 10
        found = sums_of(scores, standardise="kind")
        for name in ("counted", "months", "periods", "clusters", "kinds", "strata", "authors"):
            assert_frame_equal(getattr(found, name), getattr(expected, name), rel_tol=1e-12)
        assert found.authors_known == expected.authors_known


@pytest.mark.parametrize(("rows", "most"), [(3000, 100), (130, 100), (37, 100), (37, 5000)])
def test_pieces_hold_each_row_once(
    table: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, most: int
) -> None:
    monkeypatch.setattr(pieces.cut_up, "__defaults__", (most,))
    scores = str(shared_out(table, tmp_path / "scores", rows))
    parts = [part.collect() for part in frames(scores, scan_scores(scores), ["post_id"])]
    assert pl.concat(parts)["post_id"].to_list() == table["post_id"].to_list()
    assert max(map(len, parts)) <= most


def test_partitions_stay_columns_of_one_type(table: pl.DataFrame, tmp_path: Path) -> None:
    for name, part in (("7", table[:100]), ("lonely", table[100:])):
        folder = tmp_path / f"subreddit={name}"
        folder.mkdir()
        part.write_parquet(folder / "part.parquet")
    parts = list(frames(str(tmp_path), scan_scores(tmp_path), ["subreddit"]))
    told = pl.concat([part.collect() for part in parts])["subreddit"].value_counts(sort=True)
    assert dict(told.iter_rows()) == {"lonely": len(table) - 100, "7": 100}


def test_a_file_of_another_form_is_named(
    table: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces.cut_up, "__defaults__", (1000,))
    table[:1500].write_parquet(tmp_path / "a.parquet")
    table[1500:].drop("author").write_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match="'author' as no column") as told:
        sums_of(tmp_path)
    assert "b.parquet" in str(told.value)


def test_few_are_counted_and_many_estimated() -> None:
    hashes = pl.int_range(200_000, eager=True).hash(seed=0).to_numpy()
    exact, near = Distinct(1 << 18), Distinct(1 << 12)
    for part in np.array_split(np.tile(hashes, 2), 7):
        exact.add(part)
        near.add(part)
    assert exact.count() == 200_000
    assert near.count() == pytest.approx(200_000, rel=4 / 64)  # four standard errors
    assert near.count() != 200_000


def test_sketches_of_parts_are_the_sketch_of_the_whole() -> None:
    hashes = pl.int_range(30_000, eager=True).hash(seed=0).to_numpy()
    whole, parts = Distinct(1000), [Distinct(1000) for _ in range(3)]
    whole.add(hashes)
    for number, part in enumerate(parts):
        part.add(hashes[number * 9000 : number * 9000 + 12_000])
    assert (together(parts, 1000).smallest == whole.smallest).all()


def test_small_strata_are_pooled(
    table: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_pass, "MOST_STRATA", 1)
    scores = shared_out(table, tmp_path / "scores", 500)
    strata = sums_of(scores, standardise="kind").strata
    assert strata is not None
    assert set(strata["stratum"]) == {"submission", "(others)"}
    assert strata["posts"].sum() == table.filter(pl.col("status") == "ok").height


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ((("kind", "Comment"),), ["comment"]),
        ((("kind", "comment"), ("kind", "submission")), ["comment", "submission"]),
    ],
)
def test_only_wanted_rows_are_counted(
    table: pl.DataFrame, scores: Path, where: tuple[tuple[str, str], ...], kept: list[str]
) -> None:
    asked = StudySettings(str(scores), date(2020, 3, 11), Path("nowhere"), where=where)
    found = read_sums(asked).counted
    wanted = table.filter(pl.col("kind").is_in(kept), pl.col("status") == "ok")
    assert found.filter(pl.col("reason") == "kept")["rows"].sum() == len(wanted)
    left = table.filter(~pl.col("kind").is_in(kept))
    assert found.filter(pl.col("reason") == "filtered")["rows"].sum() == len(left)


def test_a_filter_by_a_column_that_is_not_there(scores: Path) -> None:
    asked = StudySettings(
        str(scores), date(2020, 3, 11), Path("nowhere"), where=(("flair", "vent"),)
    )
    with pytest.raises(InputError, match="has no column 'flair'"):
        read_sums(asked)
