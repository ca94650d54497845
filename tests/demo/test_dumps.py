"""The dumps: readable as Reddit's are, with every kind of drift and dirt."""

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard

from corpus_lonely.demo.corpus import make_posts
from corpus_lonely.demo.dirt import BROKEN_LINES
from corpus_lonely.demo.dumps import write_dumps
from tests.demo.conftest import SEED


def lines_of(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        return reader.read().split(b"\n")[:-1]


def objects(paths: list[Path], prefix: str) -> list[dict[str, Any]]:
    chosen = [path for path in paths if path.name.startswith(prefix)]
    return [json.loads(li) for path in chosen for li in lines_of(path) if li not in BROKEN_LINES]


@pytest.fixture(scope="module")
def submissions(dumps: list[Path]) -> list[dict[str, Any]]:
    return objects(dumps, "RS_")


@pytest.fixture(scope="module")
def comments(dumps: list[Path]) -> list[dict[str, Any]]:
    return objects(dumps, "RC_")


def month(raw: dict[str, Any]) -> str:
    return f"{datetime.fromtimestamp(float(raw['created_utc']), tz=UTC):%Y-%m}"


def test_a_file_a_month_and_kind_holds_that_months_posts(dumps: list[Path]) -> None:
    assert len(dumps) == 48
    for path in dumps:
        assert {month(raw) for raw in objects([path], "R")} == {path.name[3:10]}


def test_the_same_arguments_write_the_same_bytes(dumps: list[Path], tmp_path: Path) -> None:
    again = write_dumps(tmp_path, SEED, submissions=900, comments=450, authors=120)
    assert [path.name for path in again] == [path.name for path in dumps]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in dumps]
    other = write_dumps(tmp_path / "o", SEED + 1, submissions=900, comments=450, authors=120)
    assert other[0].read_bytes() != dumps[0].read_bytes()


def test_every_post_is_there(
    submissions: list[dict[str, Any]], comments: list[dict[str, Any]]
) -> None:
    posts = make_posts(SEED, submissions=900, comments=450, authors=120)
    for kind, raws in (("submission", submissions), ("comment", comments)):
        written = {raw["id"] for raw in raws if raw["author"] != "AutoModerator"}
        assert written == {post.base36 for post in posts if post.kind == kind}


def test_created_utc_changes_its_type(submissions: list[dict[str, Any]]) -> None:
    types = {type(raw["created_utc"]) for raw in submissions}
    assert types == {int, str, float}


def test_fields_come_and_go_with_the_months(
    submissions: list[dict[str, Any]], comments: list[dict[str, Any]]
) -> None:
    for raw in submissions:
        late = month(raw) >= "2020-05"
        assert ("retrieved_utc" in raw, "retrieved_on" in raw, "name" in raw) == (
            late,
            not late,
            late,
        )
        assert ("removed_by_category" in raw) == (month(raw) >= "2019-09")
    for raw in comments:
        assert ("retrieved_utc" in raw) == ("name" in raw) == (month(raw) >= "2021-02")
        assert raw["link_id"].startswith("t3_")


def test_edited_has_all_its_variants(submissions: list[dict[str, Any]]) -> None:
    variants = {type(raw["edited"]) for raw in submissions} | {
        raw["edited"] for raw in submissions if isinstance(raw["edited"], bool)
    }
    assert {bool, int, float, True, False} <= variants


@pytest.mark.parametrize("field", ["selftext", "body"])
def test_the_usual_dirt_is_there(
    field: str, submissions: list[dict[str, Any]], comments: list[dict[str, Any]]
) -> None:
    raws = submissions if field == "selftext" else comments
    texts = [raw[field] for raw in raws]
    authors = Counter(raw["author"] for raw in raws)
    assert authors["[deleted]"] > sum(text == "[deleted]" for text in texts) > 0
    assert authors["AutoModerator"] > 0
    assert "[removed]" in texts
    assert "" in texts
    for soil in ("&amp;", "&lt;3", "\u200b", "\x00"):
        assert any(soil in text for text in texts), soil
    assert any(raw["score"] is None for raw in raws)
    assert any("crosspost_parent" in raw for raw in submissions)


def test_second_copies_were_fetched_later(submissions: list[dict[str, Any]]) -> None:
    copies: dict[str, list[int]] = defaultdict(list)
    for raw in submissions:
        copies[raw["id"]].append(raw.get("retrieved_on") or raw["retrieved_utc"])
    twice = [moments for moments in copies.values() if len(moments) > 1]
    assert len(twice) >= 24
    assert all(len(moments) == 2 and moments[1] > moments[0] for moments in twice)


def test_every_sort_of_broken_line_is_there(dumps: list[Path]) -> None:
    lines = [line for path in dumps for line in lines_of(path)]
    for broken in BROKEN_LINES:
        assert broken in lines


def test_one_file_has_two_frames_and_a_reader_of_one_loses_half(dumps: list[Path]) -> None:
    halved = []
    for path in dumps:
        content = path.read_bytes()
        first = zstandard.ZstdDecompressor().decompressobj()
        first.decompress(content)
        if first.unused_data:
            halved.append(path)
    assert len(halved) == 1
    assert len(lines_of(halved[0])) == max(len(lines_of(path)) for path in dumps)
