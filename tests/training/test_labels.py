"""Labelled posts from folders."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus_lonely.errors import LabelsError
from corpus_lonely.taxonomy import loneliness
from corpus_lonely.training.labels import load_labels
from tests.tiny import make_labels, save_rows, tiny_rows


def test_votes_become_distributions_and_non_lonely_posts_have_none(tmp_path: Path) -> None:
    rows = tiny_rows(2)
    rows[0]["context_pri"], rows[0]["text"] = [2, 0, 0, 1, 0], "a &amp; b\n c"
    save_rows(rows, tmp_path / "train_set")
    posts = load_labels(tmp_path, loneliness())["train"]
    context = loneliness().slices["context"]
    assert posts.targets.values_NL[0, context] == pytest.approx([2 / 3, 0, 0, 1 / 3, 0])
    assert posts.targets.values_NL[0, :2].tolist() == [0, 1]
    assert posts.targets.values_NL[1].tolist() == [1] + [0] * 20
    assert posts.texts[0] == "a & b c"


def test_votes_on_non_lonely_posts_are_masked(tmp_path: Path) -> None:
    rows = tiny_rows(2)
    rows[1]["temporal"] = [3, 0, 0, 0]
    save_rows(rows, tmp_path / "dev")
    posts = load_labels(tmp_path, loneliness())["dev"]
    assert posts.targets.values_NL[1, 2:].sum() == 0


def test_the_layouts_that_are_read(tmp_path: Path) -> None:
    make_labels(tmp_path / "splits", 6, 4)
    assert {k: len(v) for k, v in load_labels(tmp_path / "splits", loneliness()).items()} == {
        "train": 6,
        "dev": 4,
    }
    alone = load_labels(tmp_path / "splits" / "dev_set", loneliness())
    assert list(alone) == ["dev"]
    save_rows(tiny_rows(4), tmp_path / "as_validation" / "validation")
    assert list(load_labels(tmp_path / "as_validation", loneliness())) == ["dev"]


def test_a_hub_id_is_downloaded_and_read_as_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_labels(tmp_path, 6, 4)
    asked: list[Any] = []

    def download(hub_id: str, repo_type: str) -> str:
        asked.append((hub_id, repo_type))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert len(load_labels("someone/some-labels", loneliness())["train"]) == 6
    assert asked == [("someone/some-labels", "dataset")]


def test_parquet_of_the_same_columns_is_read_too(tmp_path: Path) -> None:
    import polars as pl  # noqa: PLC0415

    pl.DataFrame(tiny_rows(6)).write_parquet(tmp_path / "train-00000.parquet")
    assert len(load_labels(tmp_path, loneliness())["train"]) == 6


def broken(**change: Any) -> list[dict[str, Any]]:
    rows = tiny_rows(4)
    for row in rows:
        for key, value in change.items():
            if value is None:
                del row[key]
            else:
                row[key] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (broken(temporal=None), "has no column temporal; its columns are idx, unique_id, text"),
        (broken(temporal=[0, 0, 0, 0]), "column 'temporal' has no votes on any lonely post"),
        (broken(temporal=[1, 2]), "column 'temporal' must hold 4 vote counts a row, row 0 holds 2"),
        (broken(temporal=[-1, 2, 1, 1]), "column 'temporal' holds negative or missing votes"),
        (broken(lonely=[0, 0]), "column 'lonely' names neither non_lonely nor lonely in 4 rows"),
    ],
)
def test_labels_without_votes_get_one_line(
    tmp_path: Path, rows: list[dict[str, Any]], problem: str
) -> None:
    save_rows(rows, tmp_path / "train_set")
    with pytest.raises(LabelsError, match=problem) as caught:
        load_labels(tmp_path, loneliness())
    assert "(train)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="does not exist"):
        load_labels(tmp_path / "nowhere", loneliness())
    with pytest.raises(LabelsError, match="holds no labelled data set"):
        load_labels(tmp_path, loneliness())
    (tmp_path / "file.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LabelsError, match="is a file, not a folder"):
        load_labels(tmp_path / "file.csv", loneliness())
    with pytest.raises(LabelsError, match="neither a folder here nor to be had from the hub"):
        load_labels("someone/no-such-labels", loneliness())


@pytest.mark.parametrize("name", ["data-00000-of-00001.arrow", "dataset_info.json", "state.json"])
def test_a_damaged_folder_gets_one_line(tmp_path: Path, name: str) -> None:
    make_labels(tmp_path, 6, 4)
    damaged = tmp_path / "train_set" / name
    damaged.write_bytes(damaged.read_bytes()[:40])
    with pytest.raises(LabelsError, match="is damaged") as caught:
        load_labels(tmp_path, loneliness())
    assert "\n" not in str(caught.value)


def test_take_keeps_texts_and_targets_together(tiny_labels: Path) -> None:
    posts = load_labels(tiny_labels, loneliness())["train"]
    some = posts.take([3, 0])
    assert some.texts == [posts.texts[3], posts.texts[0]]
    assert np.array_equal(some.targets.values_NL, posts.targets.values_NL[[3, 0]])
    assert some.fingerprint != posts.fingerprint


def test_the_real_labels_are_as_measured(real_data: Path) -> None:
    splits = load_labels(real_data / "fig-loneliness", loneliness())
    assert {name: len(posts) for name, posts in splits.items()} == {"train": 3943, "dev": 1126}
    means = splits["train"].targets.values_NL
    lonely = means[:, 1] == 1
    assert lonely.sum() == 1840
    duration = means[lonely][:, loneliness().slices["duration"]].mean(axis=0)
    assert duration == pytest.approx([0.219, 0.303, 0.244, 0.234], abs=5e-4)
