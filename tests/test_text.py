"""The normaliser."""

import html
import html.entities
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_lonely.text import _unescaped_at_once, join_post, normalise, unescaped


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


def by_rounds(text: str) -> str:
    """Entities read a round at a time until nothing changes: a plain way, slow where they are nested deep."""
    while True:
        plainer = re.sub(
            r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});",
            lambda found: (
                html.unescape(found[0])
                if found[1][0] == "#" or f"{found[1]};" in html.entities.html5
                else found[0]
            ),
            text,
        )
        if plainer == text:
            return text
        text = plainer


_PIECES = [
    "&",
    "amp;",
    "AMP;",
    "#38;",
    "#x26;",
    "lt;",
    "num;",
    "semi;",
    "&#5",
    "6",
    ";",
    "nosuch;",
    " ",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=40).map("".join))
def test_nested_entities_are_what_rounds_make_of_them(raw: str) -> None:
    assert unescaped(raw) == by_rounds(raw)
    assert _unescaped_at_once(raw) == by_rounds(raw)


@pytest.mark.parametrize("nested", ["amp;", "#38;", "#x000026;"])
def test_deep_nesting_takes_time_in_proportion(nested: str) -> None:
    begun = time.process_time()
    assert normalise("&" + nested * 160_000 + "lt;3") == "<3"
    assert time.process_time() - begun < 5  # a round for each took half a minute


def test_entities_within_entities_take_time_in_proportion() -> None:
    deep = "0"
    for _ in range(4_000):  # 0 makes 2 makes 4 makes 6 makes 8 makes 0
        for tens in "55554":
            deep = f"&#{tens}{deep};"
    begun = time.process_time()
    assert normalise(deep) == "0"
    assert time.process_time() - begun < 5


def test_join_post_as_the_labelled_set_joins() -> None:
    assert join_post("Title", "Body\nmore") == "Title Body more"
    assert join_post(None, "only body") == "only body"
    assert join_post("only title", "") == "only title"
    assert join_post(None, None) == ""
