"""A report's folder is put in place so that a mixture shows, and a full disk is one line."""

import errno
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from corpus_lonely.errors import OutputError
from corpus_lonely.study.folder import whole_folder, write_table

NAMES = ("monthly.csv", "study.json", "trends.png")


def write(out: Path, text: str) -> None:
    with whole_folder(out) as staging:
        for name in NAMES:
            (staging / name).write_text(text)


def test_a_folder_in_the_way_leaves_the_earlier_report_whole(tmp_path: Path) -> None:
    out = tmp_path / "report"
    write(out, "old")
    (out / "trends.png").unlink()
    (out / "trends.png").mkdir()
    with pytest.raises(OutputError, match=r"trends\.png: is a folder"):
        write(out, "new")
    assert [(out / name).read_text() for name in NAMES[:2]] == ["old", "old"]
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_mixture_has_no_study_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, replace = tmp_path / "report", Path.replace
    write(out, "old")

    def failing(path: Path, target: Path) -> Path:
        if path.name == "trends.png":
            raise OSError(errno.EIO, "Input/output error")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OutputError, match="input/output error"):
        write(out, "new")
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        "monthly.csv": "new",
        "trends.png": "old",
    }


def test_leftovers_of_dead_studies_go_and_others_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    names = {
        number: tmp_path / f".report.{host}-{number}.abc.tmp" for number in (dead.pid, os.getppid())
    }
    elsewhere = tmp_path / f".report.another-{host}-{dead.pid}.abc.tmp"
    for folder in (*names.values(), elsewhere):
        folder.mkdir()
        (folder / "monthly.csv").write_text("half")
    write(tmp_path / "report", "new")
    assert not names[dead.pid].exists()
    assert names[os.getppid()].is_dir()
    assert elsewhere.is_dir()


@pytest.mark.parametrize(
    "table",
    [
        # so short as CSV that Parquet, with its footer, is the first to fail
        pl.DataFrame({f"{column}": [None] * 2 for column in range(400)}),
        pl.DataFrame({"a": range(3000)}),
    ],
    ids=["parquet", "csv"],
)
def test_what_polars_cannot_write_is_one_line(tmp_path: Path, table: pl.DataFrame) -> None:
    # a limit on the size of files fails as a full disk does
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with (
            pytest.raises(OutputError, match="cannot be written") as caught,
            whole_folder(tmp_path / "report") as staging,
        ):
            write_table(table, staging, "monthly")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise pl.exceptions.ComputeError("underlying IO error: No space left (os error 28)")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with (
        pytest.raises(OutputError, match="no space left on the disk"),
        whole_folder(tmp_path / "report") as staging,
    ):
        write_table(pl.DataFrame({"a": [1]}), staging, "monthly")
