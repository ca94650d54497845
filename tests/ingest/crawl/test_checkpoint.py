"""What a crawl leaves on disk between two runs, whole or damaged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus_lonely.errors import OutputError
from corpus_lonely.ingest.crawl.checkpoint import Checkpoint, CrawlFolder
from tests.ingest.crawl.reddit_server import comment, submission

SETTINGS: dict[str, Any] = {"--subreddit": ["lonely"], "--comments": False}


@pytest.fixture
def left(tmp_path: Path) -> CrawlFolder:
    """A folder with two posts that an interrupted run made last, and one that it did not."""
    folder = CrawlFolder(tmp_path)
    with folder.opened():
        checkpoint = folder.begin(SETTINGS, ["lonely"])
        folder.add([submission("a", num_comments=2), submission("b")])
        checkpoint.positions["lonely"].after = "t3_b"
        folder.save(checkpoint)
        folder.add([submission("c")])
    return CrawlFolder(tmp_path)


def resumed(folder: CrawlFolder, settings: dict[str, Any] = SETTINGS) -> Checkpoint | None:
    with folder.opened():
        return folder.interrupted(settings)


def raw(folder: CrawlFolder) -> Path:
    (path,) = folder.path.glob("reddit-*.jsonl")
    return path


@pytest.mark.parametrize("tail", [b"", b'{"name": "t3_d", "id'])
def test_goes_on_from_what_was_made_last(left: CrawlFolder, tail: bytes) -> None:
    with raw(left).open("ab") as file:
        file.write(tail)  # half a line, as a kill leaves it
    with left.opened():
        checkpoint = left.interrupted(SETTINGS)
        assert checkpoint
        assert checkpoint.positions["lonely"].after == "t3_b"
        assert left.count == 2
        assert left.found("lonely") == (2, 0)
        assert left.answered("lonely", 0, float("inf")) == ["a"]
        assert left.add([submission("b"), submission("c"), comment("b", "a")]) == 2
        left.save(checkpoint)
    names = [json.loads(line)["name"] for line in raw(left).read_text().splitlines()]
    assert names == ["t3_a", "t3_b", "t3_c", "t1_b"]


def test_nothing_is_left_of_a_crawl_that_was_cleared(left: CrawlFolder) -> None:
    with left.opened():
        left.clear()
        assert left.interrupted(SETTINGS) is None
    assert [path.name for path in left.path.iterdir()] == ["lock"]


def test_what_a_crawl_without_checkpoint_left_is_removed(left: CrawlFolder) -> None:
    (left.path / "checkpoint.json").unlink()
    (left.path / "reddit-2020-01-01T000000Z.jsonl").write_text("{}")
    with left.opened():
        left.begin(SETTINGS, ["lonely"])
        assert left.count == 0
    assert raw(left).read_bytes() == b""


def test_other_settings_are_told(left: CrawlFolder) -> None:
    with pytest.raises(OutputError, match=r"--comments off, now on\. .*--restart"):
        resumed(left, {**SETTINGS, "--comments": True})


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ({"raw_bytes": 10**6}, "has lost some of the posts"),
        ({"raw_bytes": "many"}, "is damaged"),
        ({"format": 99}, "another version"),
    ],
)
def test_damage_is_told(left: CrawlFolder, damage: dict[str, Any], told: str) -> None:
    path = left.path / "checkpoint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    with pytest.raises(OutputError, match=rf"{told}.*--restart"):
        resumed(left)


@pytest.mark.parametrize(
    ("name", "spoil", "told"),
    [
        ("checkpoint.json", lambda content: content[:50], "is not readable as JSON"),
        ("checkpoint.json", lambda content: b"\xff" + content, "is not readable as JSON"),
        ("checkpoint.json", lambda _: b"[]", "is damaged"),
        ("reddit", lambda content: content[:30] + bytes(9) + content[39:], "is damaged in line 1"),
        ("reddit", lambda content: content.replace(b"t3_b", b"t9_b"), "is damaged in line 2"),
        ("reddit", lambda content: b"[]\n" + content[3:], "is damaged in line 1"),
    ],
)
def test_damaged_files_are_told(
    left: CrawlFolder, name: str, spoil: Callable[[bytes], bytes], told: str
) -> None:
    path = raw(left) if name == "reddit" else left.path / name
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(OutputError, match=rf"{told}.*--restart") as refused:
        resumed(left)
    assert str(path) in str(refused.value)
    with left.opened():
        left.begin(SETTINGS, ["lonely"])  # as --restart does


def test_two_crawls_at_once_are_refused(left: CrawlFolder) -> None:
    with (
        left.opened(),
        pytest.raises(OutputError, match="another crawl"),
        CrawlFolder(left.path.parent).opened(),
    ):
        pass
