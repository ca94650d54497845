"""`corpus-lonely ingest reddit` as its user meets it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from corpus_lonely.cli.main import main
from tests.ingest.crawl.reddit_server import Answer, Reddit, submission

pytestmark = pytest.mark.usefixtures("credentials")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["ingest", "reddit", *map(str, arguments)])


def test_subreddits_in_posts_out(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = [submission("a"), submission("b", selftext="[removed]")]
    reddit.states = {"hidden": "private"}
    out, report = tmp_path / "posts", tmp_path / "report.json"
    done = run("--subreddit", "r/Lonely", "--subreddit", "hidden", "--out", out, "--report", report)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Reddit gave 2 posts in ")
    assert "read 2 = kept 1 + dropped 1" in lines
    assert "keep it private" in done.stdout
    assert lines[-1].endswith(f"corpus-lonely score --input {out} --model model/ --out scores/")
    assert done.stderr.splitlines()[-1] == "Error: r/hidden is private"
    assert "r/lonely: 2 submissions, 0 comments" in done.stderr
    content = json.loads(report.read_text())
    assert content["refused"] == {"hidden": "is private"}
    assert content["ingest"]["totals"]["read"] == 2
    assert "Author_a" not in done.output + report.read_text()


def test_all_well_is_status_0(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = [submission("a")]
    done = run("--subreddit", "lonely", "--listing", "new", "--out", tmp_path / "posts")
    assert done.exit_code == 0, done.output


def test_items_passed_over_are_told(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = [submission("a"), submission("b", created_utc=float("inf"))]
    report = tmp_path / "report.json"
    choices = ("--listing", "new", "--out", tmp_path / "posts", "--report", report)
    done = run("--subreddit", "lonely", *choices)
    assert done.exit_code == 0, done.output
    assert "Note: r/lonely: 1 items were passed over" in done.stderr
    assert json.loads(report.read_text())["passed_over"] == {"lonely": 1}


def test_settings_from_toml(reddit: Reddit, tmp_path: Path) -> None:
    reddit.submissions = [submission("a")]
    config = tmp_path / "crawl.toml"
    config.write_text(
        f'[reddit]\nout = "{tmp_path}/posts"\nsubreddit = ["lonely"]\nlisting = ["new"]\n'
        "since = 2020-01-01\n"
    )
    done = run("--config", config)
    assert done.exit_code == 0, done.output
    assert [asked.path for asked in reddit.asked[1:]] == ["/r/lonely/new"]


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        (["--subreddit", "lonely+sad"], 2, "--subreddit must be the name of one subreddit"),
        (["--subreddit", "../api"], 2, "--subreddit must be the name of one subreddit"),
        (["--subreddit", "all"], 2, "--subreddit must be the name of one subreddit, got all"),
        (["--subreddit", " "], 2, "got an empty one"),
        ([], 2, "Missing option '--subreddit'"),
        (["--subreddit", "lonely", "--listing", "best"], 2, "'best' is not one of"),
        (["--subreddit", "lonely", "--search", " "], 2, "--search must not be empty"),
        (["--subreddit", "lonely", "--since", "2021-01-01", "--until", "2020-01-01"], 2, "--since"),
        (["--subreddit", "lonely", "--site", "other"], 1, "praw.ini has no section [other]"),
        (["--subreddit", "lonely", "--bots", "nowhere.txt"], 1, "nowhere.txt: does not exist"),
    ],
)
def test_bad_input_gets_one_line(
    reddit: Reddit, tmp_path: Path, options: list[str], status: int, told: str
) -> None:
    done = run("--out", tmp_path / "posts", *options)
    assert done.exit_code == status
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.output
    assert reddit.asked == []
    assert not (tmp_path / "posts.about").exists()


def test_wrong_credentials_are_one_line(reddit: Reddit, tmp_path: Path) -> None:
    reddit.trouble = lambda _: Answer({"message": "Unauthorized", "error": 401}, 401)
    done = run("--subreddit", "lonely", "--out", tmp_path / "posts")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("Error: Reddit refuses the credentials")


def test_help_says_what_it_takes() -> None:
    told = " ".join(run("--help").stdout.split())
    assert "API access that Reddit has approved" in told
    assert "Arctic Shift and Academic Torrents" in told
