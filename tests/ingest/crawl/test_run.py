"""Crawls of a Reddit on this machine, with the real client over real HTTP."""

import json
import stat
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corpus_lonely.errors import CrawlError, OutputError, SettingsError
from corpus_lonely.ingest.authors import make_key
from corpus_lonely.ingest.crawl.checkpoint import CrawlFolder
from corpus_lonely.ingest.crawl.client import RedditClient
from corpus_lonely.ingest.crawl.patience import TRIES, NoAnswerError, Patience
from corpus_lonely.ingest.crawl.report import CrawlReport
from corpus_lonely.ingest.crawl.run import crawl_reddit
from corpus_lonely.ingest.crawl.settings import CrawlSettings
from corpus_lonely.ingest.crawl.things import read_tree
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings
from tests.ingest.crawl.reddit_server import DAY, NOW, Answer, Asked, Reddit, comment, submission
from tests.ingest.lines import write_dump

pytestmark = pytest.mark.usefixtures("credentials")


def crawl(out: Path, *subreddits: str, **choices: Any) -> CrawlReport:
    return crawl_reddit(CrawlSettings(subreddits or ("lonely",), **choices), out)


def posts(out: Path) -> pl.DataFrame:
    return pl.read_parquet(out / "*" / "*.parquet", hive_partitioning=False).sort("post_id")


def ids(out: Path) -> list[str]:
    return posts(out)["post_id"].to_list()


def aged(count: int, subreddit: str = "lonely", /, **fields: Any) -> list[dict[str, Any]]:
    """Submissions a day apart, the newest first; the older, the more votes."""
    return [
        submission(
            f"{subreddit}{n:04}", subreddit, **{"created_utc": NOW - n * DAY, "score": n, **fields}
        )
        for n in range(count)
    ]


def failing(
    *statuses: int, headers: dict[str, str] | None = None
) -> Callable[[Asked], Answer | None]:
    """The first requests fail so, one after the other."""
    left = list(statuses)

    def trouble(_: Asked) -> Answer | None:
        return Answer(b"<html>", left.pop(0), headers or {}) if left else None

    return trouble


def test_posts_as_dumps_would_have_made_them(reddit: Reddit, tmp_path: Path) -> None:
    """Against the same objects ingested from a file."""
    reddit.submissions = [
        submission("a", title="A &lt;3 &amp; more", selftext="literal &amp;lt; and <b>"),
        submission("b", author="[deleted]", selftext="[removed]"),
        submission("c", author="AutoModerator"),
        submission("d", author="[deleted]", edited=1.75e9, over_18=True),
        submission("e", subreddit="Lonely", selftext="", crosspost_parent="t3_x"),
    ]
    make_key(tmp_path / "key")
    rows = IngestSettings(author_key=tmp_path / "key")
    report = crawl(tmp_path / "posts", rows=rows)
    dump = write_dump(tmp_path / "dump.json", reddit.submissions)
    from_dump = ingest_dumps([dump], tmp_path / "from-dump", rows)
    made = posts(tmp_path / "posts")
    assert made.drop("retrieved_at").equals(posts(tmp_path / "from-dump").drop("retrieved_at"))
    assert made["retrieved_at"].null_count() == 0
    assert report.ingest
    assert report.ingest.dropped == from_dump.dropped == {"removed": 1, "bot": 1}
    assert (report.fetched, report.ingest.read, report.ingest.kept) == (5, 5, 3)
    coverage = [
        pl.read_parquet(f"{tmp_path}/{name}.about/coverage.parquet")
        for name in ("posts", "from-dump")
    ]
    assert coverage[0].equals(coverage[1])


def test_the_union_of_listings_passes_the_end_of_each(reddit: Reddit, tmp_path: Path) -> None:
    reddit.cap = 120
    reddit.submissions = aged(240)
    assert crawl(tmp_path / "one", listings=("new",)).fetched == 120
    report = crawl(tmp_path / "all")
    assert report.fetched == 240
    assert report.whole
    assert len(set(ids(tmp_path / "all"))) == 240
    assert report.ingest
    assert report.ingest.dropped == {}  # what several listings hold is fetched into one line
    paths = {(asked.path, asked.query.get("t"), asked.query.get("sort")) for asked in reddit.asked}
    assert ("/r/lonely/top", "hour", None) in paths
    assert ("/r/lonely/search", "all", "comments") in paths


def test_pages_are_of_a_hundred(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = aged(250)
    crawl(tmp_path / "posts", listings=("new",))
    pages = [asked.query for asked in reddit.asked if asked.path == "/r/lonely/new"]
    assert [page.get("after") for page in pages] == [None, "t3_lonely0099", "t3_lonely0199"]
    assert {page["limit"] for page in pages} == {"100"}


def test_since_stops_the_pages_and_spares_the_other_listings(
    reddit: Reddit, tmp_path: Path
) -> None:
    reddit.submissions = aged(350)
    since = datetime.fromtimestamp(NOW - 120 * DAY, UTC).date()
    report = crawl(tmp_path / "posts", rows=IngestSettings(since=since))
    assert [asked.path for asked in reddit.asked[1:]] == ["/r/lonely/new"] * 2
    assert posts(tmp_path / "posts")["created_at"].min().date() >= since  # type: ignore[union-attr]
    assert report.ingest
    assert report.ingest.kept + report.ingest.dropped["outside_dates"] == 200
    assert report.ingest.kept in (120, 121)


def test_pages_that_go_round_end(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = aged(5)
    following = {None: "t3_a", "t3_a": "t3_b", "t3_b": "t3_a"}

    def round_and_round(asked: Asked) -> Answer | None:
        if not asked.path.endswith("/new") or len(reddit.asked) > 50:
            return None
        child = {"kind": "t3", "data": reddit.submissions[0]}
        after = following[asked.query.get("after")]
        return Answer({"kind": "Listing", "data": {"after": after, "children": [child]}})

    reddit.trouble = round_and_round
    report = crawl(tmp_path / "posts", listings=("new", "hot"))
    assert (report.fetched, report.whole) == (5, True)
    assert [asked.path for asked in reddit.asked[1:]] == ["/r/lonely/new"] * 3 + ["/r/lonely/hot"]


def test_pages_without_end_are_set_aside(reddit: Reddit, tmp_path: Path) -> None:
    def endless(asked: Asked) -> Answer | None:
        if not asked.path.endswith("/new") or len(reddit.asked) > 150:
            return None
        children = [{"kind": "t3", "data": submission(f"{asked.number}")}]
        data = {"after": f"t3_{asked.number}", "children": children}
        return Answer({"kind": "Listing", "data": data})

    reddit.trouble = endless
    report = crawl(tmp_path / "posts", listings=("new",))
    assert report.set_aside == {"lonely": ["new has not ended after 100 pages"]}
    assert report.fetched == 101


def without(thing: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in thing.items() if key != name}


def test_items_that_are_no_posts_are_passed_over_and_told(reddit: Reddit, tmp_path: Path) -> None:
    whole, parent = submission("a", num_comments=9), {"parent_id": "t3_a"}
    things = [
        *(without(submission("b"), name) for name in ("name", "id", "created_utc")),
        {**submission("c"), "created_utc": None}, {**submission("c d")}, {**submission("e"), "id": "f"},
    ]  # fmt: skip
    children: list[Any] = [{"kind": "t3", "data": thing} for thing in [*things, whole]]
    children += ["x", None, {}, {"kind": "t3"}, {"kind": "t5", "data": {"name": "t5_x"}}]
    said = comment("k", "a")
    odd: list[Any] = [
        "x", None, {"kind": "t1"}, {"kind": "t1", "data": without(said, "created_utc")},
        {"kind": "more", "data": parent}, {"kind": "more", "data": {**parent, "children": [7]}},
        {"kind": "t1", "data": {**said, "replies": "gone"}},
    ]  # fmt: skip
    thread = [{"kind": "Listing", "data": {"children": each}} for each in ([], odd)]
    answers = {
        "/r/lonely/new": {"kind": "Listing", "data": {"after": 7, "children": children}},
        "/r/lonely/comments": {"kind": "Listing", "data": {"after": None, "children": []}},
        "/comments/a/": thread,
    }
    reddit.trouble = lambda asked: Answer(answers[asked.path]) if asked.path in answers else None
    report = crawl(tmp_path / "posts", listings=("new",), comments=True)
    assert ids(tmp_path / "posts") == ["t1_k", "t3_a"]
    assert report.passed_over == {"lonely": 17}
    assert report.whole


def forest() -> list[dict[str, Any]]:
    """A hundred and more comments, wide and deep."""
    wide = [comment(f"w{n}", "a") for n in range(130)]
    deep = [comment(f"d{n}", "a", f"d{n - 1}" if n else None) for n in range(12)]
    below = [comment(f"x{n}", "a", "w9") for n in range(5)]
    return [*deep, *wide, *below]


def test_all_comments_are_read(reddit: Reddit, tmp_path: Path) -> None:
    """`more` above and below a hundred, `more` within `more`, threads that continue elsewhere."""
    reddit.submissions = [
        submission("a", num_comments=147),
        submission("b"),
        submission("c", num_comments=3),
    ]
    reddit.comments = [*forest(), comment("c0", "c", author="[deleted]", body="[deleted]")]
    reddit.comments.append(comment("z", "gone"))  # under a submission that no listing has
    report = crawl(tmp_path / "posts", comments=True)
    table = posts(tmp_path / "posts")
    expected = {f"t1_{c['id']}" for c in [*forest(), comment("z", "gone")]} | {
        "t3_a",
        "t3_b",
        "t3_c",
    }
    assert set(table["post_id"]) == expected
    assert table.height == len(expected)
    assert report.ingest
    assert report.ingest.dropped == {"deleted": 1}
    kept = table.filter(pl.col("post_id") == "t1_d11").row(0, named=True)
    assert (kept["parent_id"], kept["link_id"], kept["edited"]) == ("t1_d10", "t3_a", True)
    asked = [a.path for a in reddit.asked if a.path.startswith("/comments/")]
    assert not any(path.startswith("/comments/b") for path in asked)  # it has none


def test_a_tree_is_whole_by_itself(reddit: Reddit) -> None:
    """Without the listing of comments, which here has all of them."""
    reddit.submissions, reddit.comments = [submission("a")], forest()
    comments = read_tree(RedditClient(None, Patience()), "a").posts
    found = [comment["id"] for comment in comments]
    assert sorted(found) == sorted(comment["id"] for comment in forest())
    paths = [asked.path for asked in reddit.asked]
    assert paths.count("/api/morechildren") >= 3
    assert "/comments/a/_/d2" in paths
    assert not any("replies" in comment for comment in comments)


def test_since_spares_no_comments(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = [*aged(50, num_comments=1), *aged(5, "college")]
    reddit.comments = [comment("x", "lonely0003"), comment("z", "gone")]
    since = datetime.fromtimestamp(NOW - 10 * DAY, UTC).date()
    crawl(tmp_path / "posts", comments=True, rows=IngestSettings(since=since))
    paths = [asked.path for asked in reddit.asked[1:]]
    assert paths[:2] == ["/r/lonely/new", "/r/lonely/comments"]
    assert 10 <= len(paths[2:]) <= 11  # under older submissions none are asked for
    assert {"t1_x", "t1_z"} < set(ids(tmp_path / "posts"))


def test_a_submission_deleted_since_is_no_failure(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = [submission("a", num_comments=1), submission("b", num_comments=1)]
    reddit.comments = [comment("bb", "b")]

    def deleted(asked: Asked) -> Answer | None:
        return Answer({"error": 404}, 404) if asked.path == "/comments/a/" else None

    reddit.trouble = deleted
    assert crawl(tmp_path / "posts", comments=True).whole
    assert ids(tmp_path / "posts") == ["t1_bb", "t3_a", "t3_b"]


def test_what_reddit_refuses_is_told_and_the_rest_is_crawled(
    reddit: Reddit, tmp_path: Path
) -> None:
    reddit.submissions = [submission("a"), submission("z", "college")]
    reddit.states = {"hidden": "private", "bad": "banned", "odd": "quarantined"}
    report = crawl(tmp_path / "posts", "lonely", "hidden", "bad", "odd", "lonley", "r/College")
    assert {name: why.split(":")[0].split(",")[0] for name, why in report.refused.items()} == {
        "hidden": "is private",
        "bad": "was banned by Reddit",
        "odd": "is quarantined",
        "lonley": "is not there",
    }
    assert not report.whole
    assert ids(tmp_path / "posts") == ["t3_a", "t3_z"]


def test_nothing_found_makes_nothing(reddit: Reddit, tmp_path: Path) -> None:
    report = crawl(tmp_path / "posts", "lonley")
    assert (report.ingest, report.fetched) == (None, 0)
    assert not (tmp_path / "posts").exists()


@pytest.mark.parametrize("status", [429, 503])
def test_failures_that_pass_are_outlasted(reddit: Reddit, tmp_path: Path, status: int) -> None:
    """Of the request for a token, and of pages."""
    reddit.submissions = aged(150)
    reddit.trouble = failing(*[status] * 5)
    report = crawl(tmp_path / "one", listings=("new",))
    assert (report.fetched, report.repeated, report.requests) == (150, 5, 8)
    left = failing(*[status] * 7)
    reddit.trouble = lambda asked: left(asked) if "after" in asked.query else None
    report = crawl(tmp_path / "two", listings=("new",))
    assert (report.fetched, report.repeated) == (150, 7)


def test_a_page_that_is_no_json_is_asked_for_again(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = aged(3)
    broken = failing(200, 200)
    reddit.trouble = lambda asked: broken(asked) if asked.method == "GET" else None
    report = crawl(tmp_path / "posts", listings=("new",))
    assert (report.fetched, report.repeated, report.whole) == (3, 2, True)


def test_retry_after_is_honoured(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = aged(3)
    reddit.trouble = failing(429, headers={"retry-after": "0.7"})
    began = time.monotonic()
    crawl(tmp_path / "posts", listings=("new",))
    assert time.monotonic() - began >= 0.7


def test_the_limit_that_headers_tell_is_kept_to(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = aged(200)
    moments: list[float] = []

    def used_up(asked: Asked) -> tuple[float, int, int]:
        moments.append(time.monotonic())
        return (0.0, 1000, 1) if "after" not in asked.query else (999.0, 1, 600)

    reddit.limit = used_up
    crawl(tmp_path / "posts", listings=("new",))
    assert len(moments) == 2
    assert moments[1] - moments[0] >= 1


def test_a_token_that_ends_is_renewed(
    reddit: Reddit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prawcore.sessions.FiniteRetryStrategy._sleep_seconds", lambda _: None)
    reddit.submissions = aged(500)
    reddit.token_lasts = 2
    assert crawl(tmp_path / "posts", listings=("new",)).fetched == 500
    assert list(reddit.tokens.values()) == [2, 2, 1]
    reddit.expires_in = -20  # by the client's own clock, before any request
    assert crawl(tmp_path / "again", listings=("new",)).fetched == 500
    assert list(reddit.tokens.values())[3:] == [1] * 5


def test_one_listing_that_fails_is_set_aside_and_told(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = aged(5)
    reddit.trouble = lambda asked: Answer({}, 500) if asked.path == "/r/lonely/hot" else None
    report = crawl(tmp_path / "posts")
    assert report.fetched == 5
    assert report.set_aside == {
        "lonely": [f"hot: Reddit answers 500 Internal Server Error, {TRIES} times in a row"]
    }
    reddit.trouble = lambda asked: Answer({}, 400) if asked.path == "/r/lonely/search" else None
    report = crawl(tmp_path / "posts")
    assert len(report.set_aside["lonely"]) == 8


def test_an_outage_ends_the_crawl_which_goes_on_later(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = aged(400)
    reddit.trouble = lambda asked: Answer({}, 503) if asked.number > 4 else None
    with pytest.raises(NoAnswerError, match="503"):
        crawl(tmp_path / "posts")
    crawled = tmp_path / "posts.about" / "crawl"
    assert not (tmp_path / "posts").exists()
    assert {stat.S_IMODE(path.stat().st_mode) for path in crawled.glob("reddit-*")} == {0o600}
    assert stat.S_IMODE(crawled.stat().st_mode) == 0o700
    reddit.trouble = lambda _: None
    reddit.asked.clear()
    report = crawl(tmp_path / "posts")
    assert (report.fetched, report.whole) == (400, True)  # the listing that failed first is read
    assert reddit.asked[1].query["after"] == "t3_lonely0299"
    assert list(crawled.glob("*")) == [crawled / "lock"]


def test_an_outage_loses_no_subreddit(reddit: Reddit, tmp_path: Path) -> None:
    """It begins with the last page of one, and is seen at the next: both are read later."""
    reddit.submissions = [*aged(150), *aged(3, "college"), *aged(3, "advice")]
    reddit.trouble = lambda asked: Answer({}, 503) if asked.number > 2 else None
    with pytest.raises(NoAnswerError):
        crawl(tmp_path / "posts", "lonely", "college", "advice", listings=("new",))
    reddit.trouble = lambda _: None
    report = crawl(tmp_path / "posts", "lonely", "college", "advice", listings=("new",))
    assert (report.fetched, report.whole) == (156, True)


def test_refusals_are_answers(reddit: Reddit, tmp_path: Path) -> None:
    """Two listings that fail, a refused one between them: no outage."""
    reddit.submissions = aged(3)

    def trouble(asked: Asked) -> Answer | None:
        statuses = {"new": 503, "hot": 403, "rising": 503}
        status = statuses.get(asked.path.rpartition("/")[2])
        return Answer({}, status) if status else None

    reddit.trouble = trouble
    report = crawl(tmp_path / "posts", listings=("new", "top", "hot", "rising"))
    assert report.fetched == 3
    assert [told[:4] for told in report.set_aside["lonely"]] == ["new:", "hot ", "risi"]


def test_a_later_crawl_adds_and_updates(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = [submission("a", score=1), submission("b", score=1)]
    crawl(tmp_path / "posts")
    time.sleep(1.1)  # retrieval is told in seconds
    reddit.submissions = [submission("a", score=50, edited=1.76e9), submission("c")]
    report = crawl(tmp_path / "posts")
    table = posts(tmp_path / "posts")
    assert table["post_id"].to_list() == ["t3_a", "t3_b", "t3_c"]
    assert table["score"].to_list() == [50, 1, 1]
    assert table["edited"].to_list() == [True, False, False]
    assert report.ingest
    assert report.ingest.posts == 3
    record = json.loads((tmp_path / "posts.about" / "ingest.json").read_text())
    assert [(file["read"], file["kept"]) for file in record["files"]] == [(2, 1), (2, 2)]


def test_stopped_between_commit_and_clearing_it_adds_nothing(
    reddit: Reddit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_: CrawlFolder) -> None:
        if (tmp_path / "posts").exists():
            raise KeyboardInterrupt

    reddit.submissions = aged(3)
    with monkeypatch.context() as patch:
        patch.setattr(CrawlFolder, "clear", stopped)
        with pytest.raises(KeyboardInterrupt):
            crawl(tmp_path / "posts")
    reddit.asked.clear()
    report = crawl(tmp_path / "posts")
    assert reddit.asked == []
    assert report.ingest
    assert (report.fetched, report.ingest.posts, len(report.ingest.files)) == (3, 3, 1)
    assert [path.name for path in (tmp_path / "posts.about" / "crawl").iterdir()] == ["lock"]


def test_no_name_is_left_behind(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = aged(3)
    crawl(tmp_path / "posts")
    for path in [*(tmp_path / "posts").rglob("*"), *(tmp_path / "posts.about").rglob("*")]:
        assert path.is_dir() or b"author_lonely" not in path.read_bytes().lower()


def test_other_settings_are_refused_before_anything_is_asked(
    reddit: Reddit, tmp_path: Path
) -> None:
    reddit.submissions = aged(3)
    out = tmp_path / "posts"
    crawl(out)
    reddit.asked.clear()
    with pytest.raises(OutputError, match="--since"):
        crawl(out, rows=IngestSettings(since=date(2020, 1, 1)))
    with pytest.raises(SettingsError, match="--author-key"):
        crawl(out, rows=IngestSettings(author_key=out / "key"))
    make_key(tmp_path / "other")
    with pytest.raises(OutputError, match="author key"):
        crawl(out, rows=IngestSettings(author_key=tmp_path / "other"))
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "thesis.tex").touch()
    with pytest.raises(OutputError, match="not empty"):
        crawl(tmp_path / "strange")
    assert reddit.asked == []


def test_a_later_crawl_may_ask_for_other_subreddits(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = [submission("a"), submission("b", "college")]
    crawl(tmp_path / "posts", "lonely", "colege")
    assert crawl(tmp_path / "posts", "college").whole
    assert ids(tmp_path / "posts") == ["t3_a", "t3_b"]


def test_a_crawl_into_a_folder_of_filtered_dumps(reddit: Reddit, tmp_path: Path) -> None:
    """Fits as long as it asks for what the filter let through."""
    reddit.submissions = [submission("a"), submission("b", "college")]
    dump = write_dump(tmp_path / "dump.json", [submission("c"), submission("d", "college")])
    ingest_dumps(
        [dump], tmp_path / "posts", IngestSettings(subreddits=frozenset({"lonely", "sad"}))
    )
    crawl(tmp_path / "posts", "Lonely")
    assert ids(tmp_path / "posts") == ["t3_a", "t3_c"]
    reddit.asked.clear()
    with pytest.raises(OutputError, match="--subreddit lonely, sad, now college, lonely"):
        crawl(tmp_path / "posts", "lonely", "college")
    assert reddit.asked == []


def test_another_crawl_is_not_mixed_in(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = aged(250)
    reddit.trouble = lambda asked: Answer({}, 503) if asked.number > 3 else None
    with pytest.raises(NoAnswerError):
        crawl(tmp_path / "posts", listings=("new", "top"))
    reddit.trouble = lambda _: None
    with pytest.raises(OutputError, match="--listing new, top, now new"):
        crawl(tmp_path / "posts", listings=("new",))
    reddit.submissions = aged(2)
    assert crawl(tmp_path / "posts", listings=("new",), restart=True).fetched == 2


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_credentials_are_told_as_such(reddit: Reddit, tmp_path: Path, status: int) -> None:
    reddit.trouble = lambda _: Answer({"message": "no", "error": status}, status)
    with pytest.raises(CrawlError, match=rf"refuses the credentials .*{status}.*approved"):
        crawl(tmp_path / "posts")


def test_a_token_that_never_holds_ends_the_crawl(
    reddit: Reddit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prawcore.sessions.FiniteRetryStrategy._sleep_seconds", lambda _: None)
    reddit.submissions = aged(1)
    reddit.token_lasts = 0
    with pytest.raises(CrawlError, match="refuses the credentials"):
        crawl(tmp_path / "posts")
