"""Exchanges recorded from Reddit itself: what it sent goes through, and nothing of it is quoted."""

import json
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import polars as pl
import pytest
import requests
from praw import Reddit
from praw.models import Comment
from requests.adapters import BaseAdapter

from corpus_lonely.errors import CrawlError
from corpus_lonely.ingest.crawl.checkpoint import CrawlFolder
from corpus_lonely.ingest.crawl.client import RedditClient, RefusedError
from corpus_lonely.ingest.crawl.patience import NoAnswerError, Patience, asked_to_wait
from corpus_lonely.ingest.crawl.settings import Listing
from corpus_lonely.ingest.crawl.things import read_page, read_tree
from corpus_lonely.ingest.run import ingest_dumps

pytestmark = [pytest.mark.real_data, pytest.mark.usefixtures("credentials")]


class Recorded(BaseAdapter):
    """Sends what was recorded: for the same path and ids, else the next of that path."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.left = json.loads(file.read_text("utf-8"))["interactions"]
        self.sent: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        self.sent.append(request)
        same = [x for x in self.left if _path(x["request"]["uri"]) == _path(request.url or "")]
        ids = _ids(request.body)
        exact = [x for x in same if _ids(x["request"]["body"]) == ids]
        interaction = (exact or same)[0]
        self.left.remove(interaction)
        recorded, answer = interaction["response"], requests.Response()
        answer.status_code, answer.reason = (
            recorded["status"]["code"],
            recorded["status"]["message"],
        )
        answer.headers.update({name: values[0] for name, values in recorded["headers"].items()})
        answer.headers.pop("content-encoding", None)
        answer._content = recorded["body"]["string"].encode()
        answer.request, answer.url = request, request.url or ""
        return answer

    def close(self) -> None:
        """Has nothing open."""


def _path(url: str) -> str:
    return urlsplit(url).path.strip("/")


def _ids(body: Any) -> frozenset[str]:
    text = body.get("string", "") if isinstance(body, dict) else body or ""
    text = text.decode() if isinstance(text, bytes) else text
    return frozenset(dict(parse_qsl(text)).get("children", "").split(","))


@pytest.fixture
def api(credentials: Path) -> RedditClient:
    """The client as it is, with its words told to nobody."""
    content = credentials.read_text()
    (url,) = {line.split("=")[1] for line in content.splitlines() if "_url" in line}
    credentials.write_text(content.replace(url, "https://oauth.reddit.com"))
    return RedditClient(None, Patience())


def play(api: RedditClient, file: Path) -> Recorded:
    recorded, core = Recorded(file), cast("Any", api._reddit._core)
    core.requestor._http.mount("https://", recorded)
    return recorded


@pytest.mark.parametrize(
    ("name", "listing", "count"),
    [
        ("new", Listing("new", "r/askreddit/new"), 100),
        ("hot", Listing("hot", "r/askreddit/hot"), 102),
        ("top", Listing("top/all", "r/askreddit/top", {"t": "all"}), 100),
        ("comments", Listing("comments", "r/askreddit/comments"), 100),
    ],
)
def test_a_page_becomes_rows(
    api: RedditClient, real_data: Path, tmp_path: Path, name: str, listing: Listing, count: int
) -> None:
    file = real_data / "reddit-api" / "praw" / f"TestSubredditListings.test_{name}.json"
    recorded = play(api, file)
    page = read_page(api, listing, None)
    assert len(page.posts) == count
    assert page.after == page.posts[-1]["name"]
    assert recorded.left == []
    folder = CrawlFolder(tmp_path / "about")
    with folder.opened():
        checkpoint = folder.begin({}, ["askreddit"])
        assert folder.add([*page.posts, *page.posts]) == count
        folder.save(checkpoint)
        report = ingest_dumps([folder.raw(checkpoint)], tmp_path / "posts")
    assert (report.read, report.kept + sum(report.dropped.values())) == (count, count)
    assert not report.dropped.keys() & {"bad_json", "not_a_post", "bad_date"}
    rows = pl.read_parquet(tmp_path / "posts" / "*" / "*.parquet", hive_partitioning=False)
    by_id = {post["name"]: post for post in page.posts}
    for row in rows.iter_rows(named=True):
        post = by_id[row["post_id"]]
        assert row["created_at"].timestamp() == post["created_utc"]
        assert row["kind"] == ("comment" if name == "comments" else "submission")
        assert row["score"] == (None if post.get("score_hidden") else post["score"])
        assert row["author"] != post["author"]


def test_the_tree_is_that_of_praw(api: RedditClient, real_data: Path) -> None:
    """The comments that PRAW's own `replace_more` ends with."""
    file = real_data / "reddit-api" / "praw" / "TestCommentForest.test_replace__all.json"
    play(api, file)
    ours = {comment["id"] for comment in read_tree(api, "3hahrw").posts}
    play(api, file)
    theirs = _by_praw(api._reddit, "3hahrw")
    assert len(theirs) > 500
    assert ours == theirs


def _by_praw(reddit: Reddit, submission: str) -> set[str]:
    comments = reddit.submission(submission).comments
    comments.replace_more(limit=None)
    return {comment.id for comment in comments.list() if isinstance(comment, Comment)}


@pytest.mark.parametrize(
    "name",
    [
        "bad_gateway",
        "gateway_timeout",
        "internal_server_error",
        "service_unavailable",
        "cloudflare_connection_timed_out",
        "cloudflare_unknown_error",
    ],
)
def test_failures_are_outlasted(api: RedditClient, real_data: Path, name: str) -> None:
    """Three of them are recorded; then the recording is at its end, as if nothing were sent."""
    recorded = play(
        api, real_data / "reddit-api" / "prawcore" / f"TestSession.test_request__{name}.json"
    )
    recorded.left.append(_moved(recorded.left[0], "https://oauth.reddit.com/"))
    assert "access_token" in api.get("", {})
    assert api.patience.repeated == 3


def _moved(interaction: dict[str, Any], url: str) -> dict[str, Any]:
    return {"request": {**interaction["request"], "uri": url}, "response": interaction["response"]}


def test_the_seconds_of_a_recorded_429(real_data: Path) -> None:
    name = "TestSession.test_request__too__many_requests__with_retry_headers.json"
    content = json.loads((real_data / "reddit-api" / "prawcore" / name).read_text("utf-8"))
    recorded = content["interactions"][1]["response"]
    answer = requests.Response()
    answer.status_code = recorded["status"]["code"]
    answer.headers.update({key: values[0] for key, values in recorded["headers"].items()})
    assert answer.status_code == 429
    assert asked_to_wait(answer, 0) == float(recorded["headers"]["retry-after"][0]) > 0


@pytest.mark.parametrize(
    ("file", "path", "error", "told"),
    [
        ("prawcore/TestSession.test_request__redirect", "r/random", RefusedError, "is not there"),
        ("prawcore/TestSession.test_request__redirect_301", "t/bird", RefusedError, "is not there"),
        ("prawcore/TestSession.test_request__forbidden", "user/spez/gilded/given", RefusedError, "403"),
        ("prawcore/TestSession.test_request__not_found", "r/reddit_api_test/wiki/invalid", RefusedError, "404"),
        ("praw/TestSubredditQuarantine.test_opt_in", "r/ferguson/hot", RefusedError, "quarantined, or"),
        ("prawcore/TestSession.test_request__with_insufficient_scope", "api/v1/me", CrawlError, "credentials"),
    ],
)  # fmt: skip
def test_refusals(
    api: RedditClient, real_data: Path, file: str, path: str, error: type[Exception], told: str
) -> None:
    play(api, real_data / "reddit-api" / f"{file}.json")
    with pytest.raises(error, match=told) as raised:
        api.get(path, {})
    assert not isinstance(raised.value, NoAnswerError)
