"""The normaliser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_lonely.text import join_post, normalise


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a &amp; b &lt;3", "a & b <3"),
        ("twice &amp;amp; once", "twice & once"),
        ("&#x200B;\n\n&nbsp;x", "x"),
        ("tab\tand\r\nline", "tab and line"),
        ("nul\x00here", "nul here"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("see /?a=1&copy=2&lt=3", "see /?a=1&copy=2&lt=3"),
        ("&nosuchthing; stays", "&nosuchthing; stays"),
        ("👩‍👩‍👧 family", "👩‍👩‍👧 family"),
    ],
)
def test_normalise(raw: str, clean: str) -> None:
    assert normalise(raw) == clean


@given(st.text() | st.text("&amp;lt#x0123456789; \u200b\x00"))
def test_twice_is_once_and_can_be_encoded(raw: str) -> None:
    once = normalise(raw)
    assert normalise(once) == once
    once.encode("utf-8")


def test_join_post_as_the_labelled_set_joins() -> None:
    assert join_post("Title", "Body\nmore") == "Title Body more"
    assert join_post(None, "only body") == "only body"
    assert join_post("only title", "") == "only title"
    assert join_post(None, None) == ""
