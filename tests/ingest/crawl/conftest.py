"""Reddit on this machine, and credentials for it where PRAW looks for them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from praw.config import Config

from tests.ingest.crawl.reddit_server import CLIENT, Reddit, served


@pytest.fixture
def reddit() -> Reddit:
    """What the server of this test knows; fill it."""
    return Reddit()


@pytest.fixture
def address(reddit: Reddit) -> Iterator[str]:
    yield from served(reddit)


@pytest.fixture
def credentials(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """praw.ini of a user who talks to that server; waits are a thousandth of what they were."""
    for name in [name for name in os.environ if name.lower().startswith("praw")]:
        monkeypatch.delenv(name)
    ini = tmp_path / "config" / "praw.ini"
    ini.parent.mkdir()
    ini.write_text(
        f"[DEFAULT]\nclient_id={CLIENT[0]}\nclient_secret={CLIENT[1]}\n"
        f"user_agent=linux:a-test:1\nreddit_url={address}\noauth_url={address}\n"
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(ini.parent))
    monkeypatch.setenv("CORPUS_LONELY_BACKOFF_S", "0.001")
    monkeypatch.setattr(Config, "CONFIG", None)  # PRAW reads its files once a process
    return ini
