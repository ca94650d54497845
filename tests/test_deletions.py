"""Lists of what is to be deleted: read as they come from people, refused by line."""

from pathlib import Path

import pytest

from corpus_lonely.deletions import read_authors, read_ids
from corpus_lonely.errors import InputError


def listed(folder: Path, content: str) -> Path:
    path = folder / "list.txt"
    path.write_bytes(content.encode("utf-8-sig"))
    return path


def test_ids_as_people_write_them(tmp_path: Path) -> None:
    path = listed(tmp_path, "t3_abc\r\n\n  t1_9z  # a comment\n# all of it\nt3_abc\nt3_abd")
    assert read_ids(path) == ["t3_abc", "t1_9z", "t3_abd"]
    assert read_ids(listed(tmp_path, "t3_a#1 # one\n")) == ["t3_a#1"]


def test_bare_ids_need_a_prefix(tmp_path: Path) -> None:
    path = listed(tmp_path, "t1_x\nabc\n")
    with pytest.raises(InputError, match=r"line 2 is no id .* --prefix t3 or --prefix t1"):
        read_ids(path)
    assert read_ids(path, "t3") == ["t1_x", "t3_abc"]


@pytest.mark.parametrize("line", ["t3_", "t5_abc", "t3_a b", "two words"])
def test_what_is_no_id_is_refused_and_not_quoted(tmp_path: Path, line: str) -> None:
    for prefix in (None, "t3"):
        with pytest.raises(InputError, match="line 2 is no id") as caught:
            read_ids(listed(tmp_path, f"t3_ok\n{line}\n"), prefix)
        assert line not in str(caught.value).replace("t3_ (a", "")


def test_names(tmp_path: Path) -> None:
    assert read_authors(listed(tmp_path, "/u/Ann\nu/ben\nAnn\n-x_\n")) == ["Ann", "ben", "-x_"]
    others = "two words\nc# fan # said so\na/b\nmu/nu\n#none\n  # none\nu/\nx#y"
    assert read_authors(listed(tmp_path, others)) == [
        "two words", "c# fan", "a/b", "mu/nu", "u/", "x#y",
    ]  # fmt: skip
    with pytest.raises(InputError, match="does not exist"):
        read_authors(tmp_path / "no")
