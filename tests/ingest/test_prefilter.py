"""No post of the subreddits asked for is passed over, whatever its line looks like."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_lonely.ingest.columns import ColumnNormaliser
from corpus_lonely.ingest.lines import LineTaker
from corpus_lonely.ingest.prefilter import Prefilter
from corpus_lonely.ingest.raw import BadLineError, decode
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.ingest.writer import posts_schema, staged_schema
from tests.ingest.lines import comment, submission
from tests.ingest.row_by_row import Drop, Normaliser

WANTED = frozenset({"lonely", "a_b", "k", "12", "x-y"})
NORMALISER = Normaliser(IngestSettings(subreddits=WANTED), str)


def outcome(line: bytes) -> str:
    """`kept`, or the reason of the drop, without any filter on bytes."""
    try:
        raw = decode(line)
    except BadLineError:
        return "bad_json"
    if raw is None:
        return "blank"
    post = NORMALISER(raw)
    return post.reason if isinstance(post, Drop) else "kept"


def check(data: bytes) -> list[int]:
    """The places of the lines that are parsed, after the check of those that are not."""
    chosen = Prefilter(WANTED)(data)
    lines = data.split(b"\n")
    lines = lines if lines[-1] else lines[:-1]
    assert chosen.total == len(lines)
    parsed: list[int] = chosen.places.tolist()
    bounds = zip(chosen.begins.tolist(), chosen.ends.tolist(), strict=True)
    assert [lines[place] for place in parsed] == [data[begin:end] for begin, end in bounds]
    for place in set(range(chosen.total)) - set(parsed):
        assert outcome(lines[place]) in ("other_subreddit", "not_a_post", "bad_json"), lines[place]
        assert lines[place].startswith(b"{")
        assert lines[place].endswith(b"}")
        assert b'"subreddit"' in lines[place]
    return parsed


_names = st.sampled_from(
    ["lonely", "Lonely", "LONELY", "a_b", "A_B", "K", "\u212a", "12", "x-y", "pics", "lonely2", ""]
)
_texts = st.text(max_size=8) | st.sampled_from(
    [
        '"subreddit":"lonely"',
        '","subreddit":"lonely',
        '\\"subreddit\\":',
        "subreddit",
        "\\",
        '"',
        "{",
    ]
)


def _escapes(text: str, escaped: list[bool]) -> str:
    """The text as a JSON string with some characters as escapes."""
    parts = []
    for place, character in enumerate(text):
        if escaped[place % len(escaped)] and ord(character) < 65536:
            code = f"\\u{ord(character):04x}"
            parts.append(code if place % 2 else code.upper().replace("\\U", "\\u"))
        else:
            parts.append(json.dumps(character, ensure_ascii=place % 3 == 0)[1:-1])
    return '"' + "".join(parts) + '"'


@st.composite
def _lines(draw: st.DrawFn) -> bytes:
    """An object with the keys of a post, each spelt in any way that JSON has; or rubbish."""
    escaped = draw(st.sampled_from([[False]]) | st.lists(st.booleans(), min_size=1, max_size=7))
    space = draw(st.sampled_from(["", " ", "\t", " \r"]))

    def packed(value: Any) -> str:
        if isinstance(value, str):
            return _escapes(value, escaped)
        if isinstance(value, list):
            return f"[{','.join(map(packed, value))}]"
        if isinstance(value, dict):
            return packed_object(list(value.items()))
        return json.dumps(value)

    def packed_object(pairs: list[tuple[str, Any]]) -> str:
        # every other key is spelt plainly: an escaped one may stand beside a plain one of its name
        inner = f"{space},".join(
            f"{_escapes(key, escaped if place % 2 else [False])}{space}:{space}{packed(value)}"
            for place, (key, value) in enumerate(pairs)
        )
        return "{" + inner + "}"

    post = draw(st.sampled_from([comment(), submission()]))
    key = st.sampled_from(["subreddit", "Subreddit", "sub", 'x"subreddit', "crosspost_parent_list"])
    value = st.one_of(
        _names,
        _texts,
        st.integers(-3, 20),
        st.none(),
        st.lists(st.fixed_dictionaries({"subreddit": _names})),
    )
    pairs = [(name, old) for name, old in post.items() if name != "subreddit"]
    pairs += draw(st.lists(st.tuples(key, value), max_size=3))
    pairs.append(("author_flair_text", draw(_texts)))
    pairs.append(("subreddit", draw(st.sampled_from(["lonely", "K", "A_B", "x-y", 12, "pics"]))))
    line = packed_object(draw(st.permutations(pairs)))
    damage = draw(st.sampled_from(["", "", "", "", "}", " ", "\r", '"']))
    return (line + damage).replace("\n", " ").encode("utf-8", "surrogatepass")


@settings(max_examples=150, deadline=None)
@given(st.lists(_lines() | st.binary(max_size=20), max_size=3), st.booleans())
def test_what_is_passed_over_is_no_post_that_was_asked_for(lines: list[bytes], end: bool) -> None:
    check(b"\n".join(lines) + b"\n" * end)


_OTHER = b'{"list":[{"subreddit":"pics"}],'


@pytest.mark.parametrize(
    ("change", "parsed"),
    [
        (lambda line: line, True),
        (lambda line: line.replace(b'"lonely"', b'"LoNeLy"'), True),
        (lambda line: line.replace(b'"lonely"', b'"\\u006conely"'), True),
        (lambda line: line.replace(b'"subreddit"', b'"subredd\\u0069t"'), True),
        (lambda line: line.replace(b"subreddit", b"subredd\\u0069t").replace(b"{", _OTHER), True),
        (lambda line: line.replace(b'"subreddit": "lonely"', b'"subreddit" :\t"lonely"'), True),
        (lambda line: line.replace(b'"lonely"', b"12"), True),
        (lambda line: line.replace(b'"lonely"', b'"pics"'), False),
        (lambda line: line.replace(b'"lonely"', b'"pics","x":"\\u00e9 \\u003c"'), False),
        (lambda line: line.replace(b'"lonely"', b'"pics"') + b"\r", True),
        (lambda line: line.replace(b'"subreddit"', b'"other"'), True),
        (lambda line: b'{"subreddit":"pics"', True),
        (lambda line: b"", True),
    ],
)
def test_lines_that_are_parsed(change: Callable[[bytes], bytes], parsed: bool) -> None:
    line = change(json.dumps(comment()).encode())
    other = json.dumps(comment(subreddit="pics")).encode()
    assert check(b"\n".join([other, line, other]) + b"\n") == ([1] if parsed else [])


def test_a_crosspost_into_the_subreddit_is_found_by_either_name() -> None:
    for outer, inner in (("lonely", "pics"), ("pics", "lonely")):
        post = submission(subreddit=outer, crosspost_parent_list=[submission(subreddit=inner)])
        assert check(json.dumps(post).encode()) == [0]


def test_names_that_reddit_does_not_have_are_not_filtered_on_bytes() -> None:
    assert Prefilter.works_for({"lonely", "u_some-one"})
    assert not Prefilter.works_for({"lonely", "caf\u00e9"})
    assert not Prefilter.works_for(set())


def test_thousands_of_names_are_looked_for_as_few_are() -> None:
    # of k and s alone: ignoring case, a pattern of many such names would be too large
    names = {f"{n:016b}".replace("0", "k").replace("1", "s") for n in range(20_000)}
    posts = [comment(subreddit="k" * 15 + "S"), comment(subreddit="pics")]
    data = b"\n".join(json.dumps(post).encode() for post in posts)
    assert Prefilter.works_for(names)
    assert Prefilter(names)(data).places.tolist() == [0]


def test_with_the_filter_the_rows_are_those_without(tmp_path: Any) -> None:
    names = ["lonely", "pics", "LONELY", "a_b", "funny"]
    posts = [comment(f"{n:x}", subreddit=names[n % 5], body=f"words {n}") for n in range(60)]
    data = b"".join(json.dumps(post).encode() + b"\n" for post in posts)
    schema = staged_schema(posts_schema(keep_permalinks=False))
    columns = ColumnNormaliser(IngestSettings(subreddits=WANTED), schema, str)
    results = [
        LineTaker(columns, prefilter, quarantine_text=False)(data)
        for prefilter in (Prefilter(WANTED), None)
    ]
    assert results[0] == results[1]
    assert sum(table.num_rows for table in results[0].rows["2020-03"]) == 36
