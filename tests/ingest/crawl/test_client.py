"""Credentials as PRAW finds them, and what each refusal is told as."""

import logging
import socket
from pathlib import Path
from typing import Any

import pytest
from praw.config import Config

from corpus_lonely.errors import CrawlError
from corpus_lonely.ingest.crawl.client import RedditClient, RefusedError
from corpus_lonely.ingest.crawl.patience import TRIES, NoAnswerError, Patience
from tests.ingest.crawl.reddit_server import Answer, Reddit, submission


def client(site: str | None = None) -> RedditClient:
    return RedditClient(site, Patience())


def rewrite(ini: Path, old: str, new: str) -> None:
    content = ini.read_text()
    assert old in content
    ini.write_text(content.replace(old, new))


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("status", [408, 429, 500, 502, 504, 520, 522, 529])
def test_failures_that_pass_are_outlasted(reddit: Reddit, status: int) -> None:
    reddit.submissions = [submission("a")]
    reddit.trouble = lambda asked: Answer(b"<html>", status) if asked.number in (1, 3) else None
    api = client()
    answer = api.get("r/lonely/new", {})
    assert [child["data"]["id"] for child in answer["data"]["children"]] == ["a"]
    assert (api.patience.requests, api.patience.repeated) == (4, 2)


def test_environment_wins_over_praw_ini(
    credentials: Path, reddit: Reddit, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(credentials, "a-secret", "stale")
    monkeypatch.setenv("praw_client_secret", "a-secret")
    reddit.submissions = [submission("a")]
    assert client().get("r/lonely/new", {})["kind"] == "Listing"


def test_a_section_of_its_own(credentials: Path, reddit: Reddit) -> None:
    rewrite(credentials, "client_secret=a-secret", "client_secret=stale")
    credentials.write_text(f"{credentials.read_text()}[crawl]\nclient_secret=a-secret\n")
    reddit.submissions = [submission("a")]
    assert client("crawl").get("r/lonely/new", {})["kind"] == "Listing"
    with pytest.raises(CrawlError, match=r"praw.ini has no section \[other\]"):
        client("other")


def test_passwords_are_not_used(credentials: Path, reddit: Reddit) -> None:
    """A script's account could write; the token that is asked for cannot."""
    rewrite(credentials, "user_agent", "username=me\npassword=mine\nuser_agent")
    bodies: list[str] = []
    reddit.submissions = [submission("a")]
    api = client()
    core: Any = api._reddit._core
    core.requestor._http.hooks["response"].append(
        lambda answer, **_: bodies.append(str(answer.request.body))
    )
    api.get("r/lonely/new", {})
    assert bodies[0] == "grant_type=client_credentials"


@pytest.mark.parametrize("missing", ["client_id", "client_secret", "user_agent"])
def test_missing_credentials_are_one_line(credentials: Path, missing: str) -> None:
    lines = credentials.read_text().splitlines()
    credentials.write_text("\n".join(line for line in lines if not line.startswith(missing)))
    with pytest.raises(CrawlError) as error:
        client()
    told = str(error.value)
    assert told.startswith(f"Reddit's credentials lack {missing}. Give them in praw.ini")
    assert "approval" in told
    assert "corpus-lonely ingest dump" in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("client_id=x", "praw.ini is not readable"),
        ("[DEFAULT]\ntimeout=soon", "praw.ini is not readable"),
    ],
)
def test_a_bad_praw_ini_is_one_line(credentials: Path, content: str, told: str) -> None:
    credentials.write_text(content)
    with pytest.raises(CrawlError, match=told) as error:
        client()
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer({"reason": "private", "error": 403}, 403), "is private"),
        (Answer({"reason": "quarantined", "error": 403}, 403), "is quarantined"),
        (Answer({"message": "Forbidden", "error": 403}, 403), "your access does not cover it"),
        (Answer(b"<html>blocked", 403), "your access does not cover it"),
        (Answer({"reason": "banned", "error": 404}, 404), "was banned by Reddit"),
        (Answer({"message": "Not Found", "error": 404}, 404), "is not there"),
        (Answer("", 301, {"location": "/r/other"}), "is not there"),
        (Answer({"message": "Bad Request", "error": 400}, 400), "bad request"),
        (Answer({}, 400), "bad request"),
        (Answer({"reason": "BAD_SR", "explanation": "no"}, 400), "BAD_SR"),
        (Answer({"reason": "geo"}, 451), "legal reasons"),
        (Answer([], 418), "418"),
    ],
)
def test_refusals(reddit: Reddit, answer: Answer, told: str) -> None:
    reddit.trouble = lambda asked: answer if asked.method == "GET" else None
    with pytest.raises(RefusedError, match=told):
        client().get("r/lonely/new", {})


@pytest.mark.usefixtures("credentials")
def test_a_401_that_tells_nothing_is_of_the_credentials(
    reddit: Reddit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """prawcore looks for a header that is not there."""
    monkeypatch.setattr("prawcore.sessions.FiniteRetryStrategy._sleep_seconds", lambda _: None)
    reddit.trouble = lambda asked: Answer({}, 401) if asked.method == "GET" else None
    with pytest.raises(CrawlError, match=r"refuses the credentials \(it answers 401\)"):
        client().get("r/lonely/new", {})


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("content", [b"<html>log in to this network", {}, [], {"error": "no"}])
def test_a_token_that_is_none(reddit: Reddit, content: object) -> None:
    reddit.trouble = lambda _: Answer(content)
    with pytest.raises(CrawlError, match=r"no token|refuses the credentials \(no error"):
        client().get("r/lonely/new", {})


def test_nobody_there(credentials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = [line.partition("=") for line in credentials.read_text().splitlines()]
    told = {"reddit_url", "oauth_url"}
    ini = [
        f"{key}=http://127.0.0.1:{port}" if key in told else f"{key}{is_}{value}"
        for key, is_, value in lines
    ]
    credentials.write_text("\n".join(ini))
    monkeypatch.setattr(Config, "CONFIG", None)
    with pytest.raises(NoAnswerError, match=f"cannot be reached .ConnectionError., {TRIES} times"):
        client().get("r/lonely/new", {})


@pytest.mark.usefixtures("credentials")
def test_prawcore_prints_no_warnings(
    reddit: Reddit, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It logs each token that has ended, and Python prints warnings that no handler takes."""
    monkeypatch.setattr("prawcore.sessions.FiniteRetryStrategy._sleep_seconds", lambda _: None)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # those of pytest
    reddit.submissions, reddit.token_lasts = [submission("a")], 1
    api = client()
    for _ in range(2):
        api.get("r/lonely/new", {})
    assert len(reddit.tokens) == 2
    assert capfd.readouterr().err == ""
