"""The labelled set: its layout, its votes, and that it takes learning."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import load_from_disk
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from corpus_lonely.demo.labelled import SIZES, labelled_rows, write_labels
from corpus_lonely.demo.truth import planted
from corpus_lonely.tables import table_schema
from corpus_lonely.taxonomy import loneliness

SMALL = {"train": 40, "dev": 20, "test": 20}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """As many as the demo has, in its order: train, dev, test."""
    return list(labelled_rows(7, sum(SIZES.values())))


def test_the_layout_is_the_schemas(tmp_path: Path) -> None:
    write_labels(tmp_path, 1, SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev_set", "test_set", "train_set"]
    for split, size in SMALL.items():
        dataset = load_from_disk(str(tmp_path / f"{split}_set"))
        assert len(dataset) == size
        wanted = table_schema("labels")
        assert dataset.column_names == wanted.names
        assert dataset.data.schema.types == wanted.types


def test_the_splits_share_no_post(tmp_path: Path) -> None:
    write_labels(tmp_path, 1, SMALL)
    ids = [i for s in SMALL for i in load_from_disk(str(tmp_path / f"{s}_set"))["unique_id"]]
    assert len(set(ids)) == len(ids) == sum(SMALL.values())


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        folder = write_labels(tmp_path / name, seed, SMALL)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_three_votes_on_lonely_posts_and_none_on_others(rows: list[dict[str, Any]]) -> None:
    lonely = [row for row in rows if row["lonely"] == [0, 1]]
    others = [row for row in rows if row["lonely"] == [1, 0]]
    assert len(lonely) == len(others) == len(rows) / 2
    for category in loneliness().categories:
        assert {len(row[category.column]) for row in rows} == {len(category.labels)}
        assert {sum(row[category.column]) for row in lonely} == {3}
        assert {sum(row[category.column]) for row in others} == {0}


def test_raters_disagree_as_raters_do(rows: list[dict[str, Any]]) -> None:
    lonely = [row for row in rows if row["lonely"][1]]
    for category in loneliness().categories:
        agreed = np.mean([max(row[category.column]) == 3 for row in lonely])
        assert 0.3 < agreed < 0.8, category.name


def test_votes_have_the_mean_of_the_truth(rows: list[dict[str, Any]]) -> None:
    lonely = [row for row in rows if row["lonely"][1]]
    for category in loneliness().categories:
        shares = np.array([row[category.column] for row in lonely]) / 3
        truth = (
            planted().distribution(category, False) + planted().distribution(category, True)
        ) / 2
        error = shares.std(axis=0) / np.sqrt(len(lonely))
        assert (np.abs(shares.mean(axis=0) - truth) < 4 * error).all(), category.name


@pytest.mark.parametrize("longest", [1, 2], ids=["words", "word pairs"])
def test_a_linear_model_on_words_is_good_but_not_perfect(
    rows: list[dict[str, Any]], longest: int
) -> None:
    train, rest = rows[: SIZES["train"]], rows[SIZES["train"] :]
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, longest)), LogisticRegression(C=10, solver="liblinear")
    )
    model.fit([row["text"] for row in train], [row["lonely"][1] for row in train])
    accuracy = model.score([row["text"] for row in rest], [row["lonely"][1] for row in rest])
    assert 0.75 < accuracy < 0.97


def test_fine_grained_labels_can_be_learnt(rows: list[dict[str, Any]]) -> None:
    lonely = [row for row in rows if row["lonely"][1]]
    train, rest = lonely[: len(lonely) * 2 // 3], lonely[len(lonely) * 2 // 3 :]
    for category in loneliness().categories:
        column = category.column
        model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=500))
        model.fit([r["text"] for r in train], [int(np.argmax(r[column])) for r in train])
        guessed = model.predict([r["text"] for r in rest])
        hits = np.mean([r[column][g] == max(r[column]) for r, g in zip(rest, guessed, strict=True)])
        usual = int(np.sum([r[column] for r in train], axis=0).argmax())
        trivial = np.mean([r[column][usual] == max(r[column]) for r in rest])
        assert trivial + 0.05 < hits < 0.9, column
