"""Files that are whole or not there."""

import errno
import json
import math
import pickle
from pathlib import Path

import pytest

from corpus_lonely.errors import CorpusLonelyError, InputError, OutputError, TruncatedFileError
from corpus_lonely.files import (
    about_folder,
    atomic_path,
    create_json,
    finite,
    output_error,
    read_json,
    write_json,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_about_folder_stands_beside() -> None:
    assert about_folder("data/posts/") == Path.cwd() / "data" / "posts.about"
    assert about_folder("posts") == Path.cwd() / "posts.about"


def test_a_file_appears_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["file.txt"]


def test_two_writers_of_one_file_do_not_meet_though_they_have_the_same_process_id(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file.txt"  # as on two hosts that share a disk; here both are this process
    with atomic_path(path) as one:
        one.write_text("one")
        with atomic_path(path) as two:
            two.write_text("two")
    assert path.read_text() == "one"
    assert names(tmp_path) == ["file.txt"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text(str(1 / len(b"")))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no space left on the disk"), atomic_path(tmp_path / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == []


def test_a_path_within_the_reason_keeps_its_spelling() -> None:
    error = OSError("Cannot open '/Data/Posts'")
    assert str(output_error(error, "x")) == "x: cannot be written (cannot open '/Data/Posts')"


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="cannot be written"),
        atomic_path(tmp_path / "file" / "x"),
    ):
        pass


def test_json_round_trip_and_its_errors(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ü": [1, None]})
    assert read_json(tmp_path / "a.json") == {"ü": [1, None]}
    with pytest.raises(InputError, match="does not exist"):
        read_json(tmp_path / "b.json")
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(InputError, match="is not readable as JSON"):
        read_json(tmp_path / "c.json")


def test_json_is_created_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    assert create_json(path, {"by": 1})
    assert not create_json(path, {"by": 2})
    assert read_json(path) == {"by": 1}
    assert names(path.parent) == ["a.json"]
    with pytest.raises(OutputError, match="cannot be written"):
        create_json(path / "b.json", {})


def test_errors_survive_a_process_border() -> None:
    error = TruncatedFileError("ends early", where="a.zst", hint="Fetch it again")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is TruncatedFileError
    assert str(again) == str(error) == "a.zst: ends early. Fetch it again"
    assert isinstance(again, CorpusLonelyError)


def test_json_has_no_infinity() -> None:
    told = {
        "kl": math.inf,
        "rows": [1, 0.5, math.nan, "inf"],
        "flag": True,
        "pair": (-math.inf, None),
    }
    plain = finite(told)
    assert plain == {"kl": None, "rows": [1, 0.5, None, "inf"], "flag": True, "pair": [None, None]}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
