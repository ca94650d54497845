"""A file read in two ways is not mixed; another file, in another way, may join."""

import gzip
import json
from pathlib import Path

import pytest

from corpus_lonely.errors import OutputError
from corpus_lonely.ingest.report import IngestReport
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.ingest.tables.columns import Columns
from corpus_lonely.ingest.tables.run import ingest_tables
from corpus_lonely.ingest.tables.times import TimeReader
from tests.ingest.lines import submission, write_dump
from tests.ingest.test_run import posts, record

FORUM = Columns({"text": "body"}, {"subreddit": "forum"})
BERLIN = TimeReader("Europe/Berlin")


def table(path: Path, word: str = "text") -> Path:
    rows = [f"2020-03-{1 + n:02d} 00:30:00,{word} {n}\n" for n in range(6)]
    path.write_text("created_at,body\n" + "".join(rows))
    return path


def ingested(
    path: Path, columns: Columns = FORUM, times: TimeReader = BERLIN, *, overwrite: bool = False
) -> IngestReport:
    out = path.parent / "posts"
    return ingest_tables([path], out, columns, times, IngestSettings(overwrite=overwrite))


@pytest.mark.parametrize(
    ("columns", "times", "told"),
    [
        (FORUM, TimeReader("UTC"), r"--timezone Europe/Berlin, now UTC\. "),
        (
            Columns({"text": "body"}, {"subreddit": "board"}),
            BERLIN,
            r"--fill subreddit=forum, now subreddit=board\. ",
        ),
        (
            Columns({"text": "body", "title": "body"}, {"subreddit": "forum"}),
            BERLIN,
            r"--map text=body, now text=body,title=body\. ",
        ),
    ],
)
def test_a_file_is_not_read_again_in_another_way(
    tmp_path: Path, columns: Columns, times: TimeReader, told: str
) -> None:
    path = table(tmp_path / "n.csv")
    ingested(path)
    before = posts(tmp_path / "posts")
    packed = tmp_path / "again.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    for same in (path, packed):
        with pytest.raises(OutputError, match=told) as caught:
            ingested(same, columns, times)
        assert f"read from {same.name} in another way" in str(caught.value)
        assert "--overwrite" in str(caught.value)
    assert posts(tmp_path / "posts").equals(before)
    assert ingested(path, columns, times, overwrite=True).posts == 6


def test_what_makes_no_other_row_is_no_other_way(tmp_path: Path) -> None:
    path = table(tmp_path / "n.csv")
    ingested(path)
    named = Columns({"text": "body", "created_at": "created_at"}, {"subreddit": "forum"})
    report = ingested(path, named, TimeReader("Europe/Berlin", "ms"))
    assert (report.files[0].skipped, report.posts) == (True, 6)


def test_other_files_are_read_in_their_own_way(tmp_path: Path) -> None:
    ingested(table(tmp_path / "n.csv"))
    ingested(table(tmp_path / "m.csv", "other"), times=TimeReader("UTC"))
    dump = write_dump(tmp_path / "d.gz", [submission()])
    assert ingest_dumps([dump], tmp_path / "posts").posts == 13
    files = record(tmp_path / "posts")["files"]
    assert [file.get("reading", {}).get("timezone") for file in files] == [
        "Europe/Berlin",
        "UTC",
        None,
    ]
    assert "source" not in files[2]


def test_a_record_of_before_tells_no_way(tmp_path: Path) -> None:
    path = table(tmp_path / "n.csv")
    ingested(path)
    place = tmp_path / "posts.about" / "ingest.json"
    content = json.loads(place.read_text())
    for file in content["files"]:
        del file["source"], file["reading"]
    place.write_text(json.dumps(content))
    assert ingested(path).files[0].skipped
    assert ingested(table(tmp_path / "m.csv", "other")).posts == 12


def test_the_record_names_no_author(tmp_path: Path) -> None:
    path = table(tmp_path / "n.csv")
    ingested(path, Columns({"text": "body"}, {"subreddit": "forum", "author": "Ann_Example"}))
    told = (tmp_path / "posts.about" / "ingest.json").read_text()
    assert "Ann_Example" not in told
    with pytest.raises(OutputError, match="with a --fill that is not recorded") as caught:
        ingested(path, Columns({"text": "body"}, {"subreddit": "forum", "author": "Ben_Example"}))
    assert "Ben_Example" not in str(caught.value)
