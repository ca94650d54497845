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


@given(st.text("ab \n\t\r\x0b\x1c\x1f\x85\xa0\u2003\u2028\u3000\u200b\ufeff\u200d\x00\ud800\u00e9"))
def test_white_space_is_folded_as_a_plain_loop_does(raw: str) -> None:
    words, word = [], ""
    for character in raw + " ":
        if character.isspace() or character in "\x00\u200b\ufeff":
            words += [word] if word else []
            word = ""
        else:
            word += "\ufffd" if character == "\ud800" else character
    assert normalise(raw) == " ".join(words)


def test_join_post_as_the_labelled_set_joins() -> None:
    assert join_post("Title", "Body\nmore") == "Title Body more"
    assert join_post(None, "only body") == "only body"
    assert join_post("only title", "") == "only title"
    assert join_post(None, None) == ""
