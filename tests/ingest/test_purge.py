"""What is purged is gone, stays gone, and everything still adds up."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from corpus_lonely.cli.main import main
from corpus_lonely.errors import InputError, OutputError
from corpus_lonely.ingest.authors import make_key, read_key
from corpus_lonely.ingest.describe.inspect import inspect_posts
from corpus_lonely.ingest.purge import purge_posts
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings
from tests.ingest.lines import comment, submission, tree, write_dump
from tests.ingest.test_run import check_coverage, coverage, dirty, posts, record


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_key(tmp_path / "key")
    for number in range(3):
        write_dump(tmp_path / f"{number}.gz", dirty(number, 120))
    return tmp_path


def ingest(home: Path, out: Path, *numbers: int, **settings: Any) -> None:
    chosen = IngestSettings(author_key=home / "key", **settings)
    ingest_dumps([home / f"{number}.gz" for number in numbers], out, chosen)


def about(out: Path) -> Path:
    return out.with_name(f"{out.name}.about")


def test_it_is_as_if_they_had_never_been_there(home: Path) -> None:
    """Posts before and after the purge, later dumps included, against a folder of dumps without them."""
    out = home / "posts"
    ingest(home, out, 0, 1)
    ids = random.Random(4).sample(posts(out)["post_id"].to_list(), 30)
    never = ["t3_neverseen", "t1_neverseen"]
    before = posts(out)
    purge = purge_posts(out, [*ids, *never], author_key=home / "key")
    assert (purge.removed, purge.remembered) == (30, 32)
    expected = before.filter(~pl.col("post_id").is_in(ids))
    assert posts(out).equals(expected)
    assert inspect_posts(out).bad == {}
    check_coverage(out)
    assert sum(file["dropped"]["purged"] for file in record(out)["files"]) == 30
    assert coverage(out)["dropped_purged"].sum() == 30
    ingest(home, out, 0, 1, 2)
    ingest(home, home / "other", 0, 1, 2)
    other = posts(home / "other")
    assert len(set(other["post_id"]) & {*ids, *never}) > 10
    assert posts(out).equals(other.filter(~pl.col("post_id").is_in([*ids, *never])))
    assert inspect_posts(out).bad == {}
    check_coverage(out)


def test_made_anew_they_stay_away(home: Path) -> None:
    out = home / "posts"
    ingest(home, out, 0)
    ids = posts(out)["post_id"].to_list()[:5]
    purge_posts(out, ids)
    ingest(home, out, 0, 1, overwrite=True)
    assert not set(posts(out)["post_id"]) & set(ids)
    assert coverage(out)["dropped_purged"].sum() >= 5
    check_coverage(out)
    assert inspect_posts(out).bad == {}


def test_all_posts_of_an_author(home: Path) -> None:
    out = home / "posts"
    ingest(home, out, 0)
    ann = purge_posts(out, authors=["ANN"], author_key=home / "key").authors[0]
    ingest(home, out, 0, 1, 2)
    ingest(home, home / "other", 0, 1, 2)
    assert ann not in set(posts(out)["author"].drop_nulls())
    assert ann in set(posts(home / "other")["author"].drop_nulls())
    hers = pl.col("author") == ann
    there = posts(home / "other").filter(~hers.fill_null(False))["post_id"]
    # a copy that names her tells of those that name nobody, or another
    assert set(posts(out)["post_id"]) <= set(there)
    assert inspect_posts(out).bad == {}
    check_coverage(out)


def test_a_copy_without_a_name_goes_with_the_one_that_has_it(tmp_path: Path) -> None:
    out = tmp_path / "posts"
    other = submission("z")
    ingest_dumps([write_dump(tmp_path / "0.gz", [submission(author="[deleted]"), other])], out)
    purge_posts(out, authors=["ann"])
    assert len(posts(out)) == 2
    ingest_dumps([write_dump(tmp_path / "1.gz", [submission(author="Ann")])], out)
    assert posts(out)["post_id"].to_list() == ["t3_z"]
    ingest_dumps([write_dump(tmp_path / "2.gz", [submission(author="[deleted]", score=9)])], out)
    assert posts(out)["post_id"].to_list() == ["t3_z"]
    assert [file["dropped"] for file in record(out)["files"]] == [{"purged": 1}] * 3
    check_coverage(out)


def test_ids_that_are_hashed(home: Path) -> None:
    out = home / "posts"
    ingest(home, home / "plain", 0)
    ids = posts(home / "plain")["post_id"].to_list()[:9]
    ingest(home, out, 0, hash_ids=True)
    before = posts(out)
    assert purge_posts(out, ids, author_key=home / "key").removed == 9
    key = read_key(home / "key")
    gone = pl.col("post_id").is_in(list(map(key.hash_id, ids)))
    assert posts(out).equals(before.filter(~gone))
    ingest(home, out, 0, 1, hash_ids=True)
    assert posts(out).filter(gone).is_empty()
    make_key(home / "wrong")
    with pytest.raises(OutputError, match="remembers purged authors or ids"):
        ingest_dumps(
            [home / "0.gz"], out,
            IngestSettings(author_key=home / "wrong", hash_ids=True, overwrite=True),
        )  # fmt: skip


def test_made_anew_with_hashed_ids_they_stay_away(home: Path) -> None:
    out = home / "posts"
    ingest(home, out, 0)
    ids = posts(out)["post_id"].to_list()[:9]
    purge_posts(out, ids, author_key=home / "key")
    ingest(home, out, 0, hash_ids=True, overwrite=True)
    ingest(home, out, 1, hash_ids=True)
    ingest(home, home / "other", 0, 1, hash_ids=True)
    hidden = list(map(read_key(home / "key").hash_id, ids))
    gone = pl.col("post_id").is_in(hidden)
    assert posts(home / "other").filter(gone).height == 9
    assert posts(out).equals(posts(home / "other").filter(~gone))
    check_coverage(out)
    with pytest.raises(OutputError, match="remembers purged posts by their hashed ids"):
        ingest(home, out, 0, overwrite=True)
    assert posts(out).filter(gone).is_empty()


def test_plain_authors_and_the_last_post_of_a_month(tmp_path: Path) -> None:
    out = tmp_path / "posts"
    dump = write_dump(
        tmp_path / "d.gz", [submission(author="Ann"), comment(author="Ben", created_utc=1)]
    )
    ingest_dumps([dump], out, IngestSettings(keep_authors=True))
    assert purge_posts(out, authors=["aNN"]).removed == 1
    assert list(out.rglob("*.parquet")) == []
    assert inspect_posts(out).bad == {}


def test_the_list_of_those_purged_is_its_owners_alone(tmp_path: Path) -> None:
    out, dump = tmp_path / "posts", tmp_path / "d.gz"
    lines = [submission("a", author="Ann"), submission("b", author="Ben")]
    ingest_dumps([write_dump(dump, lines)], out, IngestSettings(keep_authors=True))
    told = about(out) / "purged.parquet"
    purge_posts(out, authors=["Ann"])
    assert told.stat().st_mode & 0o777 == 0o600
    told.chmod(0o644)  # as former versions left it
    purge_posts(out, authors=["Ben"])
    assert told.stat().st_mode & 0o777 == 0o600
    told.chmod(0o644)
    again = write_dump(tmp_path / "e.gz", [submission("c", author="Ann")])
    ingest_dumps([again], out, IngestSettings(keep_authors=True))  # remembers her post, too
    assert told.stat().st_mode & 0o777 == 0o600
    assert pl.read_parquet(told)["value"].to_list() == ["t3_a", "t3_b", "t3_c", "ann", "ben"]


def test_twice_changes_nothing(home: Path) -> None:
    out = home / "posts"
    ingest(home, out, 0)
    ids = posts(out)["post_id"].to_list()[:5]
    purge_posts(out, ids)
    before = tree(home)
    assert purge_posts(out, ids).removed == 0
    assert tree(home) == before


class _Stop(BaseException):
    """What nothing in the package catches."""


def test_stopped_before_every_write(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = home / "posts"
    ingest(home, out, 0, 1)
    ids = posts(out)["post_id"].to_list()[::7]
    whole, count = tree(home), 0
    left = 10**9

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left, count
            left, count = left - 1, count + 1
            if left == 0:
                raise _Stop
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", counted(os.fsync))
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        purge_posts(out, ids)
        expected, events = tree(home), count
        for event in range(1, events, max(1, events // 20)):
            for path, content in whole.items():
                (home / path).parent.mkdir(parents=True, exist_ok=True)
                (home / path).write_bytes(content)
            for path in tree(home).keys() - whole.keys():
                (home / path).unlink()
            left = event
            with pytest.raises(_Stop):
                purge_posts(out, ids)
            left = 10**9
            purge_posts(out, ids)
            assert tree(home) == expected


def test_refused_with_a_reason(home: Path) -> None:
    out = home / "posts"
    with pytest.raises(InputError, match="is no folder that"):
        purge_posts(out, ["t3_a"])
    ingest(home, out, 0)
    make_key(home / "wrong")
    with pytest.raises(InputError, match="is another author key"):
        purge_posts(out, authors=["ann"], author_key=home / "wrong")
    purge_posts(out, authors=["ann"], author_key=home / "key")
    with pytest.raises(OutputError, match="remembers purged authors"):
        ingest_dumps(
            [home / "0.gz"], out, IngestSettings(author_key=home / "wrong", overwrite=True)
        )
    (about(out) / "purged.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"purged\.parquet: is not readable"):
        ingest(home, out, 1)


def test_the_command(home: Path) -> None:
    out = home / "posts"
    ingest(home, out, 0)
    ids = posts(out)["post_id"].to_list()[:3]
    (home / "ids.txt").write_text("\n".join(ids))

    def run(*arguments: object) -> Any:
        return CliRunner().invoke(main, ["purge", *map(str, arguments)])

    ran = run("--ids", home / "ids.txt", out)
    assert ran.exit_code == 0, ran.output
    assert "3 posts taken out" in ran.stdout
    assert run(out).exit_code == 2
    (home / "folder").mkdir()
    ran = run("--ids", home / "ids.txt", home / "folder")
    assert (ran.exit_code, "is no folder of posts, marks or scores" in ran.output) == (1, True)
    told = json.loads((about(out) / "ingest.json").read_text())
    assert told["posts"] == len(posts(out))
