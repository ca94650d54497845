"""Files that break off: what is taken of them, and what is said."""

import bz2
import gzip
import json
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner, Result

from corpus_lonely.cli.main import main

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}  # fmt: skip


def ingest(path: Path, door: str = "table") -> Result:
    command = ["ingest", door, str(path), "--out", str(path.parent / "posts")]
    return CliRunner().invoke(main, command)


def rows(count: int) -> list[dict[str, object]]:
    draw = random.Random(3)
    return [
        {"created_at": 1583020800 + n, "text": draw.randbytes(20).hex(), "subreddit": "x"}
        for n in range(count)
    ]


def csv_of(count: int) -> str:
    lines = [",".join(map(str, row.values())) + "\n" for row in rows(count)]
    return "created_at,text,subreddit\n" + "".join(lines)


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_of_half_a_compressed_table_nothing_is_taken(tmp_path: Path, kind: str, form: str) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows(3_000))
    whole = PACKED[kind]((csv_of(3_000) if form == "csv" else lines).encode())
    path = tmp_path / f"p.{form}.{kind}"
    for content, what in (
        (whole[:-900], f"ends at byte {len(whole) - 900:,} within a"),
        (whole[: len(whole) // 2] + bytes(100) + whole[len(whole) // 2 + 100 :], ""),
    ):
        path.write_bytes(content)
        ran = ingest(path)
        assert ran.exit_code == 1
        assert f"{path}: {what}" in ran.stderr
        assert "Nothing of it was taken: get the file again" in ran.stderr
        assert "What stands before was read" not in ran.stderr
        assert not (tmp_path / "posts").exists()


def whole_rows(content: str, at: int) -> int:
    return content[:at].count("\n") - 1


@pytest.mark.parametrize("back", [3, 30, 47])
def test_csv_that_ends_within_a_row_is_named(tmp_path: Path, back: int) -> None:
    content = csv_of(50)
    path = tmp_path / "p.csv"
    path.write_text(content[:-back])
    count = whole_rows(content, -back)
    for _ in range(2):  # the second time it is in the folder already
        ran = ingest(path)
        assert ran.exit_code == 1
        assert f"read {count + 1} = kept {count} + dropped 1" in ran.stdout
        assert f"{path}: ends within the row of line {count + 2}, as if" in ran.stderr
    path.write_text(content)
    ran = ingest(path)
    assert ran.exit_code == 0, ran.output
    assert "holds 50 posts" in ran.stdout


@pytest.mark.parametrize("content", [csv_of(50)[:-1], csv_of(50), csv_of(50) + "  "])
def test_a_last_line_without_newline_is_a_row(tmp_path: Path, content: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(content.replace("  ", "\n"))
    assert ingest(path).exit_code == 0
    assert "read 50 = kept 50" in ingest(path).stdout


def test_csv_that_ends_within_a_character_is_named(tmp_path: Path) -> None:
    """In its last field: the count of fields tells nothing."""
    path = tmp_path / "p.csv"
    head = "created_at,subreddit,text\n1583020800,x,one\n"
    path.write_bytes((head + "1583020801,x,two ü").encode()[:-1])
    ran = ingest(path)
    assert ran.exit_code == 1
    assert "read 2 = kept 1 + dropped 1" in ran.stdout
    assert "ends within the row of line 3" in ran.stderr


@pytest.mark.parametrize("end", ['{"created_at": 15', '{"text": "ü', "  \n  ", ""])
def test_json_lines_that_end_within_one_are_named(tmp_path: Path, end: str) -> None:
    path = tmp_path / "p.jsonl"
    lines = "".join(json.dumps(row) + "\n" for row in rows(9))
    path.write_bytes((lines + end).encode()[: -1 if "ü" in end else None])
    ran = ingest(path)
    cut = bool(end.strip())
    assert ran.exit_code == int(cut)
    assert ("ends within the row of line 10" in ran.stderr) == cut
    assert f"kept 9 + dropped {int(cut)}" in ran.stdout
    assert "--encoding" not in ran.stderr


def test_a_quote_that_is_not_closed_at_a_cut_is_told(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('created_at,subreddit,text\n1583020800,x,one\n1583020801,x,"two\n\n')
    ran = ingest(path)
    assert "line 3 begins a row that is no CSV" in ran.stderr
    assert "get it again" not in ran.stderr
    path.write_text('created_at,subreddit,text\n1583020800,x,one\n1583020801,x,"tw')
    assert "if the file is cut short, get it again" in ingest(path).stderr
