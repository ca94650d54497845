"""Characters arrive as they were written, or the file is refused by its line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from corpus_lonely.cli.main import main
from tests.ingest.test_run import posts

TEXT = "Einsam für Wörter, naïve €5 “so”"
HEAD = "created_at,text,subreddit,author\n"
ROW = "1583020800,{},x,Ann\n"


def ingest(path: Path, *options: str) -> Result:
    command = ["ingest", "table", str(path), "--out", str(path.parent / "posts"), *options]
    return CliRunner().invoke(main, command)


def csv_of(*texts: str) -> str:
    return HEAD + "".join(ROW.format(f'"{text}"') for text in texts)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "gb18030"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_characters_are_read_as_they_were_written(tmp_path: Path, encoding: str, form: str) -> None:
    row = {"created_at": 1583020800, "text": TEXT, "subreddit": "x"}
    content = csv_of(TEXT) if form == "csv" else json.dumps(row, ensure_ascii=False)
    path = tmp_path / f"p.{form}"
    path.write_bytes(content.encode(encoding))
    options = () if encoding.startswith("utf-8") else ("--encoding", encoding)
    ran = ingest(path, *options)
    assert ran.exit_code == 0, ran.output
    assert posts(tmp_path / "posts")["text"].to_list() == [TEXT]


def test_csv_of_another_coding_is_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(csv_of("plain", "two\nlines", "für").encode("cp1252"))
    ran = ingest(path)
    assert ran.exit_code == 1
    assert f"{path}: line 5 is no UTF-8 (byte 14 of the line). --encoding tells" in ran.stderr
    assert "cp1252" in ran.stderr
    assert "für" not in ran.output
    assert not (tmp_path / "posts").exists()


def test_utf_16_is_told(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(csv_of("plain").encode("utf-16"))
    ran = ingest(path)
    assert ran.exit_code == 1
    assert "is coded as UTF-16. Turn it into UTF-8 first" in ran.stderr


def test_lines_of_json_in_another_coding_are_named(tmp_path: Path) -> None:
    rows = [
        json.dumps(
            {"created_at": 1583020800, "text": text, "subreddit": "x"}, ensure_ascii=False
        ).encode("cp1252")
        for text in ("plain", "für", "wörtlich", "other")
    ]
    path = tmp_path / "p.jsonl"
    path.write_bytes(b"\n".join(rows))
    ran = ingest(path)
    assert ran.exit_code == 0
    assert "read 4 = kept 2 + dropped 2" in ran.stdout
    assert "2 lines were not taken for they are coded in another way, line 2 first" in ran.stderr
    path.write_bytes(b"\n".join(rows[1:3]))
    ran = ingest(path)
    assert ran.exit_code == 1
    assert "line 1 is no UTF-8" in ran.stderr


R_ROWS = (
    "post_id,created_at,text,title,subreddit,author,score,parent_id,flair\n"
    "a,1583020800,NA,NA,x,NA,NA,NA,NA\n"
    "b,1583020801,said,NA,x,Ann,3,NA,Advice\n"
    "c,NA,said,T,x,Ann,3,NA,Advice\n"
    "d,1583020803,said,T,x,-,3,-,-\n"
)


@pytest.mark.parametrize(
    ("options", "noted", "texts", "authors", "read"),
    [
        ((), ["text is 'NA' in 1 row,", "title is 'NA' in 2 rows,", "flair is 'NA' in 1 row,"], ["NA", "NA said", "said"], [None, "Ann", "-"], (4, 3)),
        (("--na", "NA"), [], ["said", "said"], ["Ann", "-"], (4, 2)),
        (("--na", "-", "--na", "NA"), [], ["said", "T said"], ["Ann", None], (4, 2)),
        (("--na", ""), [], ["NA", "said", "said"], ["NA", "Ann", "-"], (4, 3)),
    ],
)  # fmt: skip
def test_what_r_writes_for_nothing(
    tmp_path: Path,
    options: tuple[str, ...],
    noted: list[str],
    texts: list[str],
    authors: list[str | None],
    read: tuple[int, int],
) -> None:
    path = tmp_path / "p.csv"
    path.write_text(R_ROWS)
    ran = ingest(path, "--keep-authors", *options)
    assert ran.exit_code == 0, ran.output
    assert f"read {read[0]} = kept {read[1]} +" in ran.stdout
    found = posts(tmp_path / "posts").sort("created_at")
    assert (found["text"].to_list(), found["author"].to_list()) == (texts, authors)
    assert [note for note in noted if note in ran.stderr] == noted
    assert ran.stderr.count("which R writes for nothing") == len(noted)
    if not options:
        assert set(found["kind"]) == {"submission", "comment"}  # "-" answers something, NA does not
        assert found["score"].to_list() == [None, 3, 3]
