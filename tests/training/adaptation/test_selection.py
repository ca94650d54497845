"""Which posts are learnt from: exclusions, duplicates, samples, held-out posts."""

from collections import Counter
from pathlib import Path

import datasets
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from corpus_lonely.errors import LabelsError
from corpus_lonely.progress import Silent
from corpus_lonely.text import text_hash
from corpus_lonely.training.adaptation.posts import open_posts
from corpus_lonely.training.adaptation.selection import (
    MOST_HELD_OUT,
    KnownPosts,
    Role,
    Selection,
    held_out_count,
    labelled_posts,
    plain_id,
    posts_of,
    select,
    select_dev,
    told_apart,
)
from tests.tiny import save_rows, tiny_rows
from tests.training.adaptation.made import made_texts, write_posts

NOBODY = KnownPosts()


def known(ids: list[str], texts: list[str]) -> KnownPosts:
    return KnownPosts(frozenset(ids), frozenset(map(text_hash, texts)), len(ids) + len(texts))


def chosen(
    path: Path,
    excluded: KnownPosts = NOBODY,
    dev: KnownPosts = NOBODY,
    held_out: float | None = None,
    most: int | None = None,
) -> Selection:
    return select([open_posts(str(path))], excluded, dev, held_out, most, Silent())


def test_every_post_has_one_role_and_reasons_are_counted(tmp_path: Path) -> None:
    texts = ["one", "two", " ", "two", "three", "t&amp;c", "four"]
    ids = ["t3_A1", "t3_b", "t3_c", "t3_d", "t1_a1", "t3_e", "t3_f"]
    path = write_posts(tmp_path / "p.parquet", texts)
    path = write_posts(path, texts, post_id=ids)
    found = chosen(path, known(["a1"], ["t&c"]), known([], ["four"]))
    assert [Role(role).name for role in found.roles_N] == [
        "EXCLUDED_BY_ID",
        "TRAINED_ON",
        "EMPTY",
        "DUPLICATE",
        "TRAINED_ON",
        "EXCLUDED_BY_TEXT",
        "IN_DEV",
    ]  # fmt: skip  (a comment of the same digits is another post)
    assert found.counts == {
        "read": 7, "trained_on": 2, "held_out": 0, "empty": 1, "excluded_by_id": 1,
        "excluded_by_text": 1, "in_dev": 1, "duplicate": 1, "not_sampled": 0,
    }  # fmt: skip


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    texts=st.lists(st.sampled_from([*"abcdefgh", "", " "]), min_size=1, max_size=40),
    held_out=st.sampled_from([None, 0.01, 0.3, 0.9]),
    most=st.sampled_from([None, 2, 5]),
)
def test_texts_never_stand_on_both_sides(
    tmp_path: Path, texts: list[str], held_out: float | None, most: int | None
) -> None:
    found = chosen(write_posts(tmp_path / "p.parquet", texts), held_out=held_out, most=most)
    sides = [
        [text.strip() for text, role in zip(texts, found.roles_N, strict=True) if role == wanted]
        for wanted in (Role.TRAINED_ON, Role.HELD_OUT)
    ]
    taken = sides[0] + sides[1]
    distinct = {text.strip() for text in texts} - {""}
    assert max(Counter(taken).values(), default=1) == 1
    assert len(taken) == min(len(distinct), most or 99)
    assert sum(found.counts.values()) == 2 * found.counts["read"] == 2 * len(texts)
    if distinct:
        assert len(sides[1]) == (0 if held_out is None else held_out_count(len(taken), held_out))


def test_a_greater_sample_holds_the_smaller_one(tmp_path: Path) -> None:
    texts = made_texts(60)
    path = write_posts(tmp_path / "p.parquet", texts)
    taken = [chosen(path, most=most).roles_N == Role.TRAINED_ON for most in (10, 40)]
    assert (int(taken[0].sum()), int(taken[1].sum())) == (10, 40)
    assert not (taken[0] & ~taken[1]).any()
    assert 5 < taken[1][:30].sum() < 30  # not the first ones
    turned = write_posts(tmp_path / "q.parquet", texts[::-1])
    assert (chosen(turned, most=10).roles_N[::-1] == chosen(path, most=10).roles_N).all()


@pytest.mark.parametrize(("posts", "share", "count"), [(3, 0.02, 1), (1000, 0.02, 20), (10**6, 0.02, MOST_HELD_OUT)])  # fmt: skip
def test_how_many_are_held_out(posts: int, share: float, count: int) -> None:
    assert held_out_count(posts, share) == count


def test_labelled_sets_give_all_their_splits_but_train(tmp_path: Path) -> None:
    for split, seed in (("train_set", 0), ("dev_set", 1), ("test_set", 2)):
        save_rows(tiny_rows(4, seed), tmp_path / split)
    found = labelled_posts(str(tmp_path))
    rows = [*tiny_rows(4, 1), *tiny_rows(4, 2)]
    assert found.ids == {row["unique_id"] for row in rows}
    assert found.texts == {text_hash(row["text"]) for row in rows}
    assert found.posts == 8
    assert labelled_posts(str(tmp_path / "dev_set")).posts == 4
    assert labelled_posts(str(tmp_path / "train_set")).posts == 0
    datasets.Dataset.from_dict({"body": ["a"]}).save_to_disk(str(tmp_path / "other" / "dev"))
    with pytest.raises(LabelsError, match=r"\(dev\): has no column text; its columns are body"):
        labelled_posts(str(tmp_path / "other"))


def test_numbers_of_rows_are_no_ids(tmp_path: Path) -> None:
    rows = [{"id": str(n), "text": f"labelled {n}"} for n in range(3)]
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "labels" / "dev_set"))
    excluded = labelled_posts(str(tmp_path / "labels"))
    assert (excluded.ids, excluded.posts) == (frozenset(), 3)
    texts = [
        "another post",
        "labelled  2",
        "labelled 1.",
    ]  # white space is made alike, a full stop is not
    path = write_posts(tmp_path / "p.parquet", texts, post_id=["0", "1", "2"])
    assert [Role(role).name for role in chosen(path, excluded).roles_N] == [
        "TRAINED_ON",
        "EXCLUDED_BY_TEXT",
        "TRAINED_ON",
    ]
    assert posts_of(open_posts(str(path))).ids == frozenset()
    assert told_apart(["123456", "9lek1h"]) == {
        "123456",
        "9lek1h",
    }  # one of Reddit's may be all digits


def test_ids_are_those_of_submissions() -> None:
    assert [plain_id(i) for i in ("t3_Abc", "abc ", "t1_abc")] == ["abc", "abc", "t1_abc"]


def test_posts_to_measure_on_are_each_counted_once(tmp_path: Path) -> None:
    path = write_posts(tmp_path / "p.parquet", ["a", "b", "", "a"])
    roles = [Role(role).name for role in select_dev(open_posts(str(path))).roles_N]
    assert roles == ["HELD_OUT", "HELD_OUT", "EMPTY", "DUPLICATE"]
