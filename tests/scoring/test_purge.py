"""Rows leave the scores for good; what is left is as it was, whole, and can be verified."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from corpus_lonely.cli.main import main
from corpus_lonely.errors import InputError, OutputError
from corpus_lonely.files import read_json
from corpus_lonely.ingest.authors import make_key, read_key
from corpus_lonely.ingest.purge import purge_posts
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.scoring.describe import inspect_scores
from corpus_lonely.scoring.purge import purge_scores
from corpus_lonely.scoring.verify import VerifySettings, verify_scores
from corpus_lonely.storage import about_place, place
from corpus_lonely.study.scores import is_unfinished, scan_scores
from corpus_lonely.tables import footer, sealed_bytes, with_footer
from tests.ingest.lines import comment, submission, tree, write_dump
from tests.scoring.test_job import contents, run


@pytest.fixture(scope="module")
def made(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 posts of two months and their scores in several parts."""
    home = tmp_path_factory.mktemp("purged")
    lines = [
        (comment if n % 2 else submission)(
            f"{n:x}", author=f"u{n % 40}", created_utc=1583020800 + n * 9000, **{"body" if n % 2 else "selftext": f"bara dosi {n}"}
        )
        for n in range(400)
    ]  # fmt: skip
    ingest_dumps([write_dump(home / "d.gz", lines)], home / "posts")
    run(home / "posts", model, home / "scores", shard_rows=60)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def frame(home: Path) -> pl.DataFrame:
    return pl.read_parquet(home / "scores" / "*.parquet", hive_partitioning=False)


def test_rows_go_and_the_rest_stays(home: Path, model: Path) -> None:
    before, parts = frame(home), contents(home / "scores")
    ids = [*before["post_id"].to_list()[3:40:5], before["post_id"][399]]
    author = before["author"][100]
    gone = pl.col("post_id").is_in(ids) | (pl.col("author") == author)
    done = purge_scores(home / "scores", ["t3_none", *ids], [author])
    assert (done.removed, done.bad, done.complete) == (before.filter(gone).height, {}, True)
    assert frame(home).equals(before.filter(~gone))
    description = inspect_scores(home / "scores").description
    assert (description.bad, description.complete) == ({}, True)
    assert (description.counts.rows, description.purged) == (400 - done.removed, done.removed)
    told = read_json(home / "scores.about" / "scores.json")
    assert (told["totals"]["rows"], told["purged"]) == (400 - done.removed, done.removed)
    assert not is_unfinished(home / "scores")
    assert scan_scores(home / "scores").collect().height == 400 - done.removed
    untouched = [
        name for name, content in contents(home / "scores").items() if content == parts[name]
    ]
    assert len(untouched) == len(parts) - done.parts
    whole = tree(home)
    assert purge_scores(home / "scores", ids, [author]).removed == 0
    assert tree(home) == whole
    # the same posts once more: nothing is left to do, and nothing comes back
    report = run(home / "posts", model, home / "scores", shard_rows=60)
    assert (report.shards_before, report.standing) == (report.shards, report.parts)
    assert tree(home) == whole


def test_posts_and_scores_by_one_command(home: Path, model: Path) -> None:
    before = frame(home)
    ids, hers = (
        before["post_id"].to_list()[::50],
        read_key(home / "posts.about/author.key").hash("u7"),
    )
    (home / "ids").write_text("\n".join(ids))
    (home / "authors").write_text("u/U7\n")
    command = [
        "purge",
        "--ids",
        home / "ids",
        "--authors",
        home / "authors",
        home / "scores",
        home / "posts",
    ]
    ran = CliRunner().invoke(main, list(map(str, command)))
    assert ran.exit_code == 0, ran.output
    gone = pl.col("post_id").is_in(ids) | (pl.col("author") == hers)
    assert frame(home).equals(before.filter(~gone))
    posts = pl.read_parquet(home / "posts/*/*.parquet", hive_partitioning=False)
    assert posts["post_id"].to_list() == frame(home)["post_id"].to_list()
    for folder in ("posts", "scores"):
        ran = CliRunner().invoke(main, ["describe", str(home / folder)])
        assert ran.exit_code == 0, ran.output
    assert "were purged" in ran.stdout
    with pytest.raises(
        OutputError, match=r"another input \(\d+ of its posts were purged since\)\. If"
    ):
        run(home / "posts", model, home / "scores", shard_rows=60)
    inspection = inspect_scores(home / "scores")
    found = verify_scores(
        home / "scores", inspection, VerifySettings(50, model, str(home / "posts"))
    )
    assert (found.rows, found.agrees) == (50, True)
    # against scores of posts that never held them
    run(home / "posts", model, home / "anew", shard_rows=60)
    anew = pl.read_parquet(home / "anew" / "*.parquet", hive_partitioning=False)
    assert (
        anew.drop("lonely")
        .select("post_id", "author")
        .equals(frame(home).select("post_id", "author"))
    )
    assert ((anew["lonely"] - frame(home)["lonely"]).abs() < 1e-5).all()


def test_authors_go_from_scores_that_do_not_name_them(home: Path, model: Path) -> None:
    before = pl.read_parquet(home / "posts/*/*.parquet", hive_partitioning=False)
    before.drop("author").write_parquet(home / "bare.parquet")
    run(home / "bare.parquet", model, home / "anew", shard_rows=200)
    key = home / "posts.about/author.key"
    (home / "ids").write_text(before["post_id"][0])
    (home / "authors").write_text("u7\n")
    lists = ["purge", "--ids", f"{home}/ids", "--authors", f"{home}/authors"]
    ran = CliRunner().invoke(main, [*lists, "--author-key", str(key), f"{home}/anew"])
    assert ran.exit_code == 1
    assert "has no column 'author'" in ran.output
    purge_posts(
        home / "posts", authors=["u7"]
    )  # as if the command had been stopped after the posts
    ran = CliRunner().invoke(main, [*lists, f"{home}/anew", f"{home}/posts"])
    assert ran.exit_code == 0, ran.output
    hers = pl.col("author") == read_key(key).hash("u7")
    left = before.filter(~hers)["post_id"].to_list()[1:]
    found = pl.read_parquet(home / "anew/*.parquet", hive_partitioning=False)
    assert (found["post_id"].to_list(), len(left)) == (left, 389)


def test_verify_where_the_scores_alone_are_purged(home: Path, model: Path) -> None:
    purge_scores(home / "scores", frame(home)["post_id"].to_list()[:70])
    inspection = inspect_scores(home / "scores")
    settings = VerifySettings(50, model, str(home / "posts"))
    assert verify_scores(home / "scores", inspection, settings).agrees
    purge_posts(home / "posts", frame(home)["post_id"].to_list())
    with pytest.raises(InputError):  # nothing is left of the posts
        verify_scores(home / "scores", inspection, settings)


class _Stop(BaseException):
    """What nothing in the package catches."""


def test_stopped_before_every_write(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = frame(home)["post_id"].to_list()[::45]
    whole, count, left = tree(home), 0, 10**9

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left, count
            left, count = left - 1, count + 1
            if left == 0:
                raise _Stop
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    purge_scores(home / "scores", ids)
    expected, events = tree(home), count
    for event in range(1, events, max(1, events // 12)):
        for path, content in whole.items():
            (home / path).write_bytes(content)
        left = event
        with pytest.raises(_Stop):
            purge_scores(home / "scores", ids)
        left = 10**9
        assert inspect_scores(home / "scores").description.bad == {}
        purge_scores(home / "scores", ids)
        assert tree(home) == expected


@pytest.fixture(scope="module")
def hidden(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores of 20 posts, by four authors, whose ids are hashed; and another key."""
    home = tmp_path_factory.mktemp("hidden")
    lines = [submission(f"{n}", author=f"u{n % 4}", selftext=f"bara dosi {n}") for n in range(20)]
    settings = IngestSettings(hash_ids=True)
    ingest_dumps([write_dump(home / "d.gz", lines)], home / "posts", settings)
    run(home / "posts", model, home / "scores")
    make_key(home / "other.key")
    (home / "ids").write_text("t3_7\nt3_8\n")
    (home / "authors").write_text("U3\n")
    return home


def purged(home: Path, *arguments: str) -> tuple[int, str]:
    ran = CliRunner().invoke(
        main, ["purge", *(one.replace("HOME", str(home)) for one in arguments)]
    )
    return ran.exit_code, ran.output


@pytest.mark.parametrize("told", [True, False])
def test_hashed_ids_want_their_key(hidden: Path, tmp_path: Path, told: bool) -> None:
    home = shutil.copytree(hidden, tmp_path / "copy")
    part = home / "scores" / "part-000000.parquet"
    facts = footer(part)
    assert facts["hash_ids"] is True
    if not told:  # as scores made before do not
        table = pq.read_table(part)
        bare = {name: value for name, value in facts.items() if name != "hash_ids"}
        schema = with_footer(table.schema.remove_metadata(), bare)
        part.write_bytes(sealed_bytes(table.replace_schema_metadata(schema.metadata)))
    before, key = frame(home), read_key(home / "posts.about" / "author.key")
    status, output = purged(home, "--ids", "HOME/ids", "HOME/scores")
    assert (status, len(frame(home))) == (1, 20)
    assert output == (
        f"Error: {home}/scores: has ids that are hashed with the key {key.fingerprint}, so that those of "
        "--ids cannot be found. Name the key with --author-key, or the posts that they are of\n"
    )
    for what in ("ids", "authors"):
        arguments = (f"--{what}", f"HOME/{what}", "--author-key", "HOME/other.key", "HOME/scores")
        status, output = purged(home, *arguments)
        assert (status, len(output.splitlines()), len(frame(home))) == (1, 1, 20)
        assert "is another author key" in output
    right = ("--author-key", "HOME/posts.about/author.key", "HOME/scores")
    status, output = purged(home, "--ids", "HOME/ids", *right)
    assert (status, "2 rows taken out of 1 parts" in output) == (0, True)
    gone = pl.col("post_id").is_in([key.hash_id("t3_7"), key.hash_id("t3_8")])
    assert frame(home).equals(before.filter(~gone))
    status, output = purged(home, "--ids", "HOME/ids", *right)
    assert (status, "No rows matched" in output) == (0, True)
    (home / "hashed").write_text(
        f"{frame(home)['post_id'][0]}\n"
    )  # as the column has it: no key is needed
    status, output = purged(home, "--ids", "HOME/hashed", "HOME/scores")
    assert (status, "1 rows taken out" in output, "No rows" in output) == (0, True, False)


def test_scores_beside_posts_of_another_key_are_refused(hidden: Path, tmp_path: Path) -> None:
    home = shutil.copytree(hidden, tmp_path / "copy")
    make_key(home / "new.key")
    ingest_dumps([home / "d.gz"], home / "anew", IngestSettings(author_key=home / "new.key"))
    for what in ("ids", "authors"):
        before = tree(home)
        status, output = purged(
            home, f"--{what}", f"HOME/{what}", "--author-key", "HOME/new.key", "HOME/anew", "HOME/scores"
        )  # fmt: skip
        assert (status, "is another author key" in output) == (1, True)
        assert tree(home) == before
    status, output = purged(home, "--ids", "HOME/ids", "HOME/scores", "HOME/posts")
    assert (status, "2 rows taken out of 1 parts" in output) == (0, True)
    status, output = purged(home, "--authors", "HOME/authors", "HOME/scores", "HOME/posts")
    assert (status, "4 rows taken out of 1 parts" in output) == (0, True)


def test_scores_with_plain_names_need_no_key(hidden: Path, model: Path, tmp_path: Path) -> None:
    settings = IngestSettings(keep_authors=True)
    ingest_dumps([hidden / "d.gz"], tmp_path / "posts", settings)
    run(tmp_path / "posts", model, tmp_path / "scores")
    status, output = purged(hidden, "--authors", "HOME/authors", f"{tmp_path}/scores")
    assert (status, "5 rows taken out of 1 parts" in output) == (0, True)


def test_in_a_store(home: Path) -> None:
    store = place(f"memory://purge-{home.name}/scores")
    for part in (home / "scores").iterdir():
        (store / part.name).write_bytes(part.read_bytes())
    about = home / "scores.about" / "scores.json"
    (about_place(store) / "scores.json").write_bytes(about.read_bytes())
    (home / "ids").write_text("\n".join(frame(home)["post_id"].to_list()[:3]))
    ran = CliRunner().invoke(main, ["purge", "--ids", str(home / "ids"), str(store)])
    assert ran.exit_code == 0, ran.output
    description = inspect_scores(store).description
    assert (description.bad, description.complete, description.purged) == ({}, True, 3)


def test_a_damaged_part_is_named_and_the_others_are_purged(home: Path) -> None:
    part = home / "scores" / "part-000001.parquet"
    ids = [
        name
        for number in range(3)
        for name in pq.read_table(home / "scores" / f"part-{number:06d}.parquet")[
            "post_id"
        ].to_pylist()[:2]
    ]
    content = bytearray(part.read_bytes())
    content[200] ^= 1
    part.write_bytes(content)
    (home / "ids").write_text("\n".join(ids))
    ran = CliRunner().invoke(main, ["purge", "--ids", str(home / "ids"), str(home / "scores")])
    assert ran.exit_code == 1
    assert "part-000001.parquet is damaged" in ran.output
    assert "4 rows taken out of 2 parts" in ran.stdout


def test_what_has_no_scores_or_no_ids(home: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no scores"):
        purge_scores(tmp_path / "nothing", ["t3_a"])
    (home / "authors").write_text("ann")
    ran = CliRunner().invoke(
        main, ["purge", "--authors", str(home / "authors"), str(home / "scores")]
    )
    assert ran.exit_code == 1
    assert "has authors that are hashed with the key" in ran.output
    part = home / "scores" / "part-000000.parquet"
    part.write_bytes(sealed_bytes(pq.read_table(part).replace_schema_metadata(None)))
    for other in list((home / "scores").glob("part-00000[1-9]*")):
        other.unlink()
    ran = CliRunner().invoke(
        main, ["purge", "--authors", str(home / "authors"), str(home / "scores")]
    )
    assert ran.exit_code == 2  # nobody tells how authors are hidden there
    assert "--authors needs" in ran.output
