"""A crawl that is stopped at any moment and run again has each post once, as an undisturbed one has."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corpus_lonely.ingest.authors import make_key
from corpus_lonely.ingest.crawl.checkpoint import CrawlFolder
from corpus_lonely.ingest.crawl.client import RedditClient
from corpus_lonely.ingest.crawl.course import Course
from corpus_lonely.ingest.crawl.patience import Patience
from corpus_lonely.ingest.crawl.settings import CrawlSettings
from corpus_lonely.progress import Silent
from tests.ingest.crawl.reddit_server import DAY, NOW, Answer, Asked, Reddit, comment, submission

pytestmark = pytest.mark.usefixtures("credentials")


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


SETTINGS = CrawlSettings(("lonely", "private", "college"), comments=True, listings=("new", "top"))


@pytest.fixture
def small(reddit: Reddit) -> Reddit:
    reddit.submissions = [
        submission(
            f"{name}{n}", name, created_utc=float(NOW - n * DAY), score=n, num_comments=n % 2
        )
        for name in ("lonely", "college")
        for n in range(8)
    ]
    reddit.comments = [comment(f"c{x['id']}", x["id"]) for x in reddit.submissions[1::2]]
    reddit.states = {"private": "private"}
    return reddit


def fetched(home: Path) -> list[str]:
    """One run; the raw lines that it ends with, their time aside."""
    folder = CrawlFolder(home)
    with folder.opened():
        recorded = SETTINGS.recorded()
        checkpoint = folder.interrupted(recorded) or folder.begin(recorded, SETTINGS.subreddits)
        Course(RedditClient(None, Patience()), folder, checkpoint, SETTINGS, Silent()).run()
        assert checkpoint.positions["private"].refused == "is private"
        lines = folder.raw(checkpoint).read_text().splitlines()
    return [line.rpartition(',"retrieved_on"')[0] for line in lines]


@pytest.mark.usefixtures("small")
def test_stopped_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time that something reaches the disk, once before and once after."""
    undisturbed = fetched(tmp_path / "undisturbed")
    assert len(undisturbed) == len(set(undisturbed)) == 24
    left = [10**9]

    def counted(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            for moment in (lambda: None, lambda: function(*args, **kwargs)):
                result = moment()
                left[0] -= 1
                if left[0] == 0:
                    raise Killed
            return result

        return call

    monkeypatch.setattr(os, "fsync", counted(lambda _: None))  # disks are slow, and not in doubt
    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    fetched(tmp_path / "counted")
    moments = 10**9 - left[0]
    assert moments > 100
    # one in seven, to be quick: what follows on a page repeats, but not every seven moments
    for moment in range(1, moments, 7):
        left[0], home = moment, tmp_path / str(moment)
        with pytest.raises(Killed):
            fetched(home)
        left[0] = 10**9
        assert fetched(home) == undisturbed


def crawl(out: Path, key: Path) -> subprocess.Popen[str]:
    options = [
        x for name in ("lonely", "college", "hidden", "advice") for x in ("--subreddit", name)
    ]
    options += ["--listing", "new", "--listing", "top", "--out", str(out), "--author-key", str(key)]
    command = [sys.executable, "-m", "corpus_lonely", "ingest", "reddit", *options]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def posts(out: Path) -> pl.DataFrame:
    frame = pl.read_parquet(out / "*" / "*.parquet", hive_partitioning=False)
    return frame.drop("retrieved_at")


@pytest.mark.slow
@pytest.mark.long
def test_five_thousand_posts_two_kills_and_failures(reddit: Reddit, tmp_path: Path) -> None:
    """The command itself. `new` and `top` end at 1,000 each: of r/advice both ends are needed."""
    sizes = {"lonely": 1000, "college": 2000, "advice": 2000}
    reddit.submissions = [
        submission(f"{name}{n:05}", name, created_utc=float(NOW - n * DAY // 4), score=n)
        for name, size in sizes.items()
        for n in range(size)
    ]
    reddit.states = {"hidden": "private"}
    make_key(tmp_path / "key")
    undisturbed = crawl(tmp_path / "undisturbed", tmp_path / "key")
    told = undisturbed.communicate()
    assert undisturbed.returncode == 1, told
    assert "r/hidden is private" in told[1]
    chance, begun, kills = random.Random(5), len(reddit.asked), [14, 31]
    running: list[subprocess.Popen[str]] = []

    def trouble(asked: Asked) -> Answer | None:
        if kills and asked.number - begun >= kills[0]:
            kills.pop(0)
            running[-1].send_signal(signal.SIGKILL)
        chosen = chance.random()
        if chosen < 0.1:
            return Answer(
                {"message": "Too Many Requests", "error": 429}, 429, {"retry-after": "0.01"}
            )
        return Answer(b"<html>busy</html>", 503) if chosen < 0.25 else None

    reddit.trouble = trouble
    statuses = []
    for _ in range(3):
        running.append(crawl(tmp_path / "disturbed", tmp_path / "key"))
        told = running[-1].communicate()
        statuses.append(running[-1].returncode)
    assert statuses == [-signal.SIGKILL, -signal.SIGKILL, 1], told
    assert "Going on with the crawl begun at" in told[1]
    table = posts(tmp_path / "disturbed")
    assert table["post_id"].n_unique() == table.height == 5000
    assert table.equals(posts(tmp_path / "undisturbed"))
    coverage = [
        pl.read_parquet(tmp_path / f"{name}.about" / "coverage.parquet")
        for name in ("disturbed", "undisturbed")
    ]
    assert coverage[0].equals(coverage[1])
    assert coverage[0]["read"].sum() == 5000
    again = [
        a for a in reddit.asked[begun:] if a.path == "/r/lonely/new" and "after" not in a.query
    ]
    assert len(again) < 5  # what was read before the kills is not read again
