import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_lonely.ingest.raw import BadLineError, RawPost
from corpus_lonely.ingest.raw import decode as decode_line
from tests.ingest.lines import submission


def decode(line: bytes) -> RawPost:
    post = decode_line(line)
    assert post is not None
    return post


def decoded(**fields: Any) -> RawPost:
    return decode(json.dumps(submission(**fields)).encode())


@pytest.mark.parametrize(
    "field", ["created_utc", "retrieved_on", "score", "edited", "num_comments"]
)
@pytest.mark.parametrize("value", ["1583020800", 1583020800, 1583020800.0, None, True])
def test_numbers_come_in_every_type(field: str, value: object) -> None:
    assert getattr(decoded(**{field: value}), field) == value


def test_types_that_no_month_has_become_none_or_text() -> None:
    post = decoded(
        id=17, over_18="yes", score=[1], title={"a": 1}, _meta="x", removed_by_category=3
    )
    assert (post.id, post.over_18, post.score, post.title) == ("17", None, None, None)
    assert (post.meta, post.removed_by_category, post.selftext) == (
        None,
        "3",
        "and a body of six words.",
    )


def test_meta_is_read_even_where_it_drifts() -> None:
    known = decoded(_meta={"retrieved_2nd_on": 1583030800, "removal_type": "deleted"}).meta
    assert known is not None
    assert (known.retrieved_2nd_on, known.removal_type) == (1583030800, "deleted")
    odd = decoded(
        _meta={"removal_type": 4, "was_deleted_later": "yes", "retrieved_2nd_on": {}}
    ).meta
    assert odd is not None
    assert (odd.removal_type, odd.was_deleted_later, odd.retrieved_2nd_on) == ("4", None, None)


def test_lone_surrogates_lose_nothing_else() -> None:
    post = decode(b'{"id":"a","title":"x\\ud83d y \\ud83d\\ude00","author":"n\\udc00"}')
    assert (post.title, post.author) == ("x\ufffd y \U0001f600", "n\ufffd")


@pytest.mark.parametrize("line", [b"", b" ", b"\r", b"\t \r"])
def test_blank_lines_are_none(line: bytes) -> None:
    assert decode_line(line) is None


def test_nul_is_a_character() -> None:
    assert decode(b'{"id":"a","title":"x\\u0000y"}').title == "x\0y"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"id":"a"', "no JSON"),
        (b'{"id":"a"} {"id":"b"}', "no JSON"),
        (b"\0\0\0", "no JSON"),
        (b'{"id":"\xff"}', "no UTF-8"),
        (b"[1]", "an array"),
        (b'"secret"', "a string"),
        (b"5", "a number"),
        (b"null", "null"),
        (b'{"x":' + b"[" * 200_000, "nested too deep"),
        (b'{"score":' + b"9" * 5000 + b"}", "huge number"),
    ],
)
def test_bad_lines_say_why_and_quote_nothing(line: bytes, why: str) -> None:
    with pytest.raises(BadLineError, match=why) as caught:
        decode(line)
    assert "secret" not in str(caught.value)


@given(st.text(), st.booleans())
def test_any_text_comes_back(text: str, ascii_only: bool) -> None:
    line = json.dumps({"title": text}, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert decode(line).title == text
