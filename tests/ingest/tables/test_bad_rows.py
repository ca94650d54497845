"""Rows that are no post are set aside with what is wrong with them, and shown as they stand."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from corpus_lonely.cli.main import main
from corpus_lonely.ingest.raw import BadLineError, bad_line, decode
from tests.ingest.test_run import posts


def ingest(path: Path, *options: str, door: str = "table") -> Result:
    command = ["ingest", door, str(path), "--out", str(path.parent / "posts"), *options]
    return CliRunner().invoke(main, command)


def set_aside(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "posts.about" / "quarantine.jsonl").read_text().splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if key != "file"} for line in lines
    ]


CSV = 'created_at,subreddit,text\n1583020800,x,one\na,"b\n\nc"\n1583020801,x,two,3\n'
JSONL = '{"created_at": 1583020800, "subreddit": "x", "text": "one"}\n[1]\n{"a": }\n'


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("p.csv", CSV, [
            (3, "2 fields, where the head has 3", 'a,"b\n\nc"\n'), (6, "4 fields, where the head has 3", "1583020801,x,two,3\n")]),
        ("p.jsonl", JSONL, [(2, "no JSON object", "[1]"), (3, "no JSON: expecting value (column 7)", '{"a": }')]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shown", [True, False])
def test_a_bad_row_is_told_and_shown_on_request(
    tmp_path: Path, name: str, content: str, told: list[tuple[int, str, str]], shown: bool
) -> None:
    path = tmp_path / name
    path.write_text(content)
    ran = ingest(path, *["--quarantine-text"] * shown)
    assert "read 3 = kept 1 + dropped 2" in ran.stdout
    expected = [
        {"line": line, "reason": "bad_json", "why": why, **({"text": text} if shown else {})}
        for line, why, text in told
    ]
    assert set_aside(tmp_path) == expected
    again = ingest(path)  # to show them or not is no other way of reading
    assert "in the folder already" in again.stdout


def test_a_kind_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    rows = [f"p{n},1583020800,text {n},x,{kind}\n" for n, kind in enumerate(["reply", "", " Comment", "POST"])]  # fmt: skip
    path.write_text("post_id,created_at,text,subreddit,kind\n" + "".join(rows))
    ran = ingest(path)
    assert "read 4 = kept 3 + dropped 1" in ran.stdout
    assert sorted(posts(tmp_path / "posts")["post_id"]) == ["t1_p2", "t3_p1", "t3_p3"]
    why = "its kind is neither submission nor comment"
    assert set_aside(tmp_path) == [{"line": 2, "reason": "not_a_post", "why": why}]
    path.write_text("post_id,created_at,text,subreddit,kind\n" + rows[0])
    assert f"holds no row that can be used: line 2: {why}" in ingest(path).stderr


@pytest.mark.parametrize(
    ("delimiter", "shown"), [(";", "--delimiter ';'"), ("\t", "--delimiter $'\\t'")]
)
def test_another_delimiter_is_told(tmp_path: Path, delimiter: str, shown: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text("created_at,subreddit,text\n1583020800,x,one\n".replace(",", delimiter))
    ran = ingest(path)
    assert ran.exit_code == 1
    assert f"and in 3 with {delimiter!r}. {shown} reads it so" in ran.stderr
    assert ingest(path, "--delimiter", delimiter).exit_code == 0


def test_a_line_of_a_dump_is_a_bad_row_only_when_made_so() -> None:
    with pytest.raises(BadLineError) as caught:
        decode(bad_line("why", 'the "row"\n', "not_a_post"))
    assert (str(caught.value), caught.value.text, caught.value.reason) == (
        "why",
        'the "row"\n',
        "not_a_post",
    )
    for other in (bad_line("why", "row", "another reason"), b'["a", "b", "c", "bad_json"]'):
        with pytest.raises(BadLineError, match="no JSON object but an array"):
            decode(other)


def corpus(folder: Path) -> Path:
    folder.mkdir()
    meta = {"score": 1, "subreddit": "lonely", "author_flair_text": "a flair"}
    lines = [
        {"id": "s1", "speaker": "Ann", "conversation_id": "s1", "timestamp": 1583020800, "text": "a body", "meta": meta},
        {"id": "c1", "speaker": "Ben", "conversation_id": "s1", "timestamp": 1583020801, "text": "an answer",
         "meta": {**meta, "author_flair_text": None}},
    ]  # fmt: skip
    (folder / "utterances.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_convokit_without_conversations_says_what_is_missing(tmp_path: Path) -> None:
    path = corpus(tmp_path / "corpus")
    ran = ingest(path, door="convokit")
    assert ran.exit_code == 0
    assert (
        "has no conversations.json beside it: its submissions are without their titles"
        in ran.stderr
    )
    (path / "conversations.json").write_text('{"s1": {"title": "A title"}}')
    ran = ingest(path, "--overwrite", door="convokit")
    assert "conversations.json" not in ran.stderr
    assert sorted(posts(tmp_path / "posts")["text"]) == ["A title a body", "an answer"]


def test_convokit_tells_flair_of_authors(tmp_path: Path) -> None:
    ingest(corpus(tmp_path / "corpus"), door="convokit")
    found = posts(tmp_path / "posts").sort("created_at")
    assert found["author_flair"].to_list() == ["a flair", None]


def test_convokit_that_ends_within_a_line_is_named(tmp_path: Path) -> None:
    path = corpus(tmp_path / "corpus")
    with (path / "utterances.jsonl").open("a") as file:
        file.write('{"id": "c2", "speak')
    ran = ingest(path, "--quarantine-text", door="convokit")
    assert ran.exit_code == 1
    assert "ends within the row of line 3" in ran.stderr
    (told,) = set_aside(tmp_path)
    assert (told["line"], told["text"]) == (3, '{"id": "c2", "speak')
    assert told["why"].startswith("no utterance of ConvoKit (")
