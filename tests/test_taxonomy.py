"""The label hierarchy and its file."""

from pathlib import Path

import pytest

from corpus_lonely.errors import InputError
from corpus_lonely.taxonomy import Taxonomy, loneliness


def test_loneliness_is_that_of_the_paper() -> None:
    taxonomy = loneliness()
    assert taxonomy.num_outputs == 21
    assert [len(group.labels) for group in taxonomy.groups] == [2, 4, 5, 5, 5]
    assert [group.column for group in taxonomy.groups] == [
        "lonely", "temporal", "context_pri", "interpersonal_pri", "interaction",
    ]  # fmt: skip
    assert len(taxonomy.score_columns) == 20
    assert taxonomy.score_columns[:2] == ("lonely", "duration_transient")
    assert taxonomy.score_columns[-1] == "interaction_non_directed"


def test_slices_cover_every_output_once() -> None:
    taxonomy = loneliness()
    covered = [i for part in taxonomy.slices.values() for i in range(part.start, part.stop)]
    assert covered == list(range(21))


def test_a_round_trip_through_a_dict_changes_nothing() -> None:
    taxonomy = loneliness()
    again = Taxonomy.from_dict(taxonomy.to_dict())
    assert again == taxonomy
    assert again.fingerprint == taxonomy.fingerprint


def test_the_fingerprint_sees_the_order_of_labels() -> None:
    content = loneliness().to_dict()
    content["categories"][0]["labels"].reverse()
    assert Taxonomy.from_dict(content).fingerprint != loneliness().fingerprint


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("name = 'x'", "key 'votes_per_post' is missing"),
        ("not toml at all", "is no taxonomy"),
        (
            "name='x'\nvotes_per_post=1\ncategories=[]\n[root]\nname='r'\nlabels=['a','b','c']",
            "the root must have 2 labels, got 3",
        ),
        (
            "name='x'\nvotes_per_post=1\n[root]\nname='r'\nlabels=['a','b']\n"
            "[[categories]]\nname='r'\nlabels=['p']",
            "the name 'r' is used twice",
        ),
        (
            "name='x'\nvotes_per_post=1\n[root]\nname='r'\nlabels=['a','b']\n"
            "[[categories]]\nname='c'\nlabels=['p','p']",
            "c has the label 'p' twice",
        ),
    ],
)
def test_a_bad_file_gets_one_line(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "taxonomy.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=problem) as caught:
        Taxonomy.from_toml(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_category_names_those_that_exist() -> None:
    assert loneliness().category_of("context").title == "Context"
    with pytest.raises(KeyError, match="duration, context"):
        loneliness().category_of("kontext")
