"""The 58 real lines of dumps from 2005 to 2024: counts and types alone, nothing is quoted."""

import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings

pytestmark = pytest.mark.real_data


def test_every_real_line_is_accounted_for(real_data: Path, tmp_path: Path) -> None:
    files = [
        real_data / "reddit-dumps" / f"test_{kind}.json" for kind in ("submissions", "comments")
    ]
    raw = {
        ("t3_" if "title" in post else "t1_") + post["id"]: post
        for file in files
        for post in map(json.loads, file.read_text("utf-8").splitlines())
    }
    report = ingest_dumps(files, tmp_path / "posts", IngestSettings(keep_authors=True))
    assert [file.read for file in report.files] == [31, 27]
    assert (report.read, report.kept + sum(report.dropped.values())) == (58, 58)
    assert set(report.dropped) == {"deleted", "removed"} | set(report.dropped) & {"bot"}
    posts = pl.read_parquet(tmp_path / "posts" / "*" / "*.parquet", hive_partitioning=False)
    assert posts.height == report.kept
    assert posts["created_at"].dt.year().min() == 2005
    assert posts["created_at"].dt.year().max() == 2024
    for row in posts.iter_rows(named=True):
        post = raw.pop(row["post_id"])
        assert row["created_at"].timestamp() == float(post["created_utc"])
        assert row["kind"] == ("submission" if "title" in post else "comment")
        assert row["subreddit"] == post["subreddit"]
        assert row["author"] == (None if post["author"] == "[deleted]" else post["author"])
        assert row["score"] == post["score"]
        assert row["link_id"] == post.get("link_id")
        assert row["num_comments"] == post.get("num_comments")
        assert row["edited"] is bool(post["edited"])
        assert row["removed"] == post.get("_meta", {}).get("removal_type")
        assert row["crosspost"] == post.get("crosspost_parent")
        assert row["text"]
    gone = Counter(
        "deleted"
        if post.get("_meta", {}).get("removal_type") == "deleted"
        else str(post.get("body", post.get("selftext"))).strip("[]")
        for post in raw.values()
    )
    reasons = dict(report.dropped)
    assert gone == Counter(reasons), "reasons differ"
