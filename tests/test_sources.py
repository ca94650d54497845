"""Which files are found behind an address: through links, hidden ones where they are named alone."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus_lonely.errors import InputError
from corpus_lonely.sources import find_files, open_binary


def write(path: Path) -> Path:
    """A small Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": ["x"]}), path)
    return path


def names(source: object) -> list[str]:
    """Of what is found, relative."""
    return [name for name, _ in find_files(str(source))]


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "big" / "2020-02" / "b.parquet")
    write(tmp_path / "in" / "2020-01" / "a.parquet")
    (tmp_path / "in" / "2020-02").symlink_to(tmp_path / "big" / "2020-02")
    (tmp_path / "in" / "c.parquet").symlink_to(tmp_path / "big" / "2020-02" / "b.parquet")
    found = ["2020-01/a.parquet", "2020-02/b.parquet", "c.parquet"]
    assert names(tmp_path / "in") == names(tmp_path / "in" / "**") == found
    assert names(f"file://{tmp_path}/in") == found
    assert names(tmp_path / "in" / "*" / "*.parquet") == found[:2]


def test_a_folder_that_a_link_leads_to_as_well_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "2020-01" / "a.parquet")
    (tmp_path / "0-latest").symlink_to("2020-01")
    assert names(tmp_path) == ["2020-01/a.parquet"]
    assert names(tmp_path / "0*") == ["0-latest/a.parquet"]
    (tmp_path.parent / "to").symlink_to(tmp_path)
    assert names(tmp_path.parent / "to") == ["2020-01/a.parquet"]


@pytest.mark.parametrize("pattern", ["", "**/*.parquet"])
def test_links_that_lead_in_a_circle_end(tmp_path: Path, pattern: str) -> None:
    write(tmp_path / "in" / "a" / "x.parquet")
    write(tmp_path / "other" / "y.parquet")
    (tmp_path / "in" / "a" / "up").symlink_to("..")
    (tmp_path / "in" / "other").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(tmp_path / "in" / "a")
    (tmp_path / "other" / "self").symlink_to(".")
    found = names(tmp_path / "in" / pattern)
    assert {"a/x.parquet", "other/y.parquet"} <= {*found}
    assert len(found) == (2 if not pattern else 3)  # the pattern fits other/back/x.parquet too


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet")
    (tmp_path / ".#lock").symlink_to("nowhere")
    assert names(tmp_path) == ["a.parquet"]
    (tmp_path / "2020-02").symlink_to(tmp_path / "gone")
    for source in (tmp_path, tmp_path / "*"):
        with pytest.raises(InputError, match="2020-02: is a link that leads nowhere"):
            find_files(str(source))
    assert names(tmp_path / "*.parquet") == ["a.parquet"]


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.parquet")
    (tmp_path / "b").mkdir()
    scan = os.scandir

    def denied(path: str) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("/b"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(InputError, match=r"/b: cannot be read \(Permission denied\)"):
        find_files(str(tmp_path))
    assert names(tmp_path / "*.parquet") == ["a.parquet"]


HIDDEN = ("._a.parquet", ".a.parquet", ".ipynb_checkpoints/a.parquet", "_temporary/0/a.parquet")


@pytest.mark.parametrize("where", ["here", "memory"])
@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.parquet", ["a.parquet"]),
        ("**/*.parquet", ["a.parquet", "b/a.parquet"]),
        ("*", ["a.parquet", "b/a.parquet"]),
        (".a*", [".a.parquet"]),
        ("_*/**/*.parquet", ["_temporary/0/a.parquet"]),
        ("_temporary/*", ["0/a.parquet"]),
        (".ipynb_checkpoints/*.parquet", ["a.parquet"]),
    ],
)
def test_a_glob_takes_hidden_files_where_it_names_them_alone(
    tmp_path: Path, where: str, pattern: str, found: list[str]
) -> None:
    base = str(tmp_path) if where == "here" else f"memory://{tmp_path}"
    content = write(tmp_path / "a.parquet").read_bytes()
    for name in ("a.parquet", "b/a.parquet", *HIDDEN):
        with fsspec.open(f"{base}/{name}", "wb", auto_mkdir=True) as file:
            file.write(content)
    assert names(f"{base}/{pattern}") == found


def test_names_that_mean_something_to_fsspec(tmp_path: Path) -> None:
    for name in ("a::b.parquet", "we ird #%20[x]*.parquet"):
        path = write(tmp_path / name)
        for source in (path, tmp_path):
            assert str(path) in [address for _, address in find_files(str(source))]
        with open_binary(str(path)) as file:
            assert file.read() == path.read_bytes()
