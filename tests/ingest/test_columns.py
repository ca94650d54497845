"""Whole columns make of any lines what one line at a time makes of them."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_lonely.ingest import lines as module
from corpus_lonely.ingest.columns import ColumnNormaliser, CountKey
from corpus_lonely.ingest.lines import LineTaker
from corpus_lonely.ingest.normalize import NOT_COVERED, STAGED, month_of
from corpus_lonely.ingest.raw import BadLineError, decode
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.ingest.texts import normalise_all
from corpus_lonely.ingest.writer import posts_schema, staged_schema
from corpus_lonely.text import normalise
from tests.ingest.lines import DAY, MARCH, comment, submission
from tests.ingest.row_by_row import Normaliser, Row

_SETTINGS = [
    IngestSettings(keep_permalinks=True),
    IngestSettings(subreddits=frozenset({"lonely"}), min_words=3, bots=frozenset({"ann"})),
    IngestSettings(since=date(2020, 3, 2), until=date(2020, 3, 31), columns=frozenset({"flair"})),
    IngestSettings(hash_ids=True),
]
_pieces = st.sampled_from(
    [
        *" \n\t\r\x00\x1c\x85\xa0\u200b\u3000\ufeff\ud800\x7faZé😔&;[]",
        *["&amp;", "&amp;lt;", "&#91;", "&#x200B;", "[deleted]", "[removed]"],
        *["[ Removed by Reddit on account of ]", "word", "x" * 200],
    ]
)
_texts = st.lists(_pieces, max_size=6).map("".join)
_numbers = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(MARCH - 3 * DAY, MARCH + 60 * DAY),
    st.integers(MARCH, MARCH + DAY).map(str),
    st.floats(MARCH, MARCH + DAY),
    st.integers(-3, 9),
    st.sampled_from([2**63 - 1, 2**63, -(2**70), 10**400, 1e300, "nan", "x", "", "1.5", [], {}]),
)
_odd = st.one_of(_texts, _numbers)
_meta = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "removal_type": st.sampled_from([None, "deleted", "moderator", ""]),
        "was_deleted_later": st.sampled_from([None, True, False]),
        "is_edited": st.sampled_from([None, True, False, "yes"]),
        "retrieved_2nd_on": _numbers,
    },
)
_fields = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a1", "t1_b2", "t3_t1_c", "", 12, None]),
        "name": st.sampled_from(["t3_zz", None]),
        "author": st.sampled_from(["Ann", "ben", "[deleted]", "", None]),
        "subreddit": st.sampled_from(["lonely", "Lonely", "pics", "", None]),
        "created_utc": _numbers,
        "title": _odd,
        "selftext": _odd,
        "body": _odd,
        "link_id": st.sampled_from(["t3_x", "", None]),
        "score": _numbers,
        "score_hidden": st.sampled_from([True, False, None, "x"]),
        "num_comments": _numbers,
        "over_18": st.sampled_from([True, False, None, 1]),
        "edited": _numbers,
        "removed_by_category": st.sampled_from([None, "moderator", "", "deleted"]),
        "crosspost_parent": st.sampled_from([None, "t3_y", ""]),
        "retrieved_on": _numbers,
        "retrieved_utc": _numbers,
        "permalink": st.sampled_from([None, "/r/x/"]),
        "link_flair_text": st.none() | _texts,
        "author_flair_text": st.none() | _texts,
        "_meta": _meta,
    },
)
_lines = st.one_of(
    st.builds(lambda make, fields: make(**fields), st.sampled_from([comment, submission]), _fields)
    .map(lambda post: json.dumps(post).encode()),
    st.builds(lambda make, name: json.dumps(make(name)).encode(), st.sampled_from([comment, submission]), st.sampled_from("abc")),
    st.sampled_from([b"", b" ", b"{}", b"[]", b"{", b'{"id":"a"}{"id":"b"}', b'{"id":', b'"a"}', b"{}\r"]),
)  # fmt: skip


def author(name: str) -> str:
    return f"<{name}>"


def id_of(choice: IngestSettings) -> Callable[[str], str] | None:
    return str.upper if choice.hash_ids else None


def one_by_one(
    data: bytes, choice: IngestSettings
) -> tuple[dict[str, list[Row]], Counter[CountKey], list[tuple[int, str]], int]:
    """Rows by month, counts, bad lines and blank ones: the plain way."""
    normaliser = Normaliser(choice, author, id_of(choice))
    rows: dict[str, list[Row]] = {}
    counts: Counter[CountKey] = Counter()
    bad, blank = [], 0
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            raw = decode(line)
        except BadLineError:
            counts[None, "", "", "bad_json"] += 1
            bad.append((number, "bad_json"))
            continue
        if raw is None:
            blank += 1
            continue
        post = normaliser(raw)
        if isinstance(post, Row):
            month = month_of(post.created_at / 10**6)
            counts[month, post.subreddit.lower(), post.kind, STAGED] += 1
            rows.setdefault(month, []).append(post)
            continue
        covered = post.reason not in NOT_COVERED
        key = (post.month, post.subreddit.lower(), post.kind) if covered else (None, "", "")
        counts[(*key, post.reason)] += 1
        if post.trace and post.month:
            rows.setdefault(post.month, []).append(post.trace)
        if post.reason in ("not_a_post", "bad_date"):
            bad.append((number, post.reason))
    return rows, counts, bad, blank


@pytest.mark.parametrize("choice", _SETTINGS)
@settings(max_examples=60, deadline=None)
@given(several=st.lists(_lines, min_size=1, max_size=8), group=st.integers(1, 9))
def test_columns_are_the_rows_one_by_one(
    choice: IngestSettings, several: list[bytes], group: int
) -> None:
    data = b"\n".join(several)
    if not data.split(b"\n")[-1]:
        data += b"{}"
    names = posts_schema(choice.keep_permalinks, choice.columns).names
    schema = staged_schema(posts_schema(choice.keep_permalinks, choice.columns))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_GROUP_LINES", group)
        taken = LineTaker(ColumnNormaliser(choice, schema, author, id_of(choice)), None, False)(
            data
        )
    rows, counts, bad, blank = one_by_one(data, choice)
    got = {
        month: [
            {name: _plain(entry[name]) for name in names}
            for table in tables
            for entry in table.to_pylist()
        ]
        for month, tables in taken.rows.items()
    }
    assert got == {
        month: [{name: getattr(row, name) for name in names} for row in kept]
        for month, kept in rows.items()
    }
    assert taken.counts == counts
    assert [(entry["line"], entry["reason"]) for entry in taken.bad] == bad
    assert (taken.lines, taken.blank) == (len(data.split(b"\n")), blank)


def _plain(value: Any) -> Any:
    """A time as whole microseconds."""
    if not hasattr(value, "timestamp"):
        return value
    return round(value.replace(microsecond=0).timestamp()) * 10**6 + value.microsecond


def test_places_and_traces() -> None:
    posts = [comment("a"), comment("b", body="[deleted]"), comment("c", created_utc=MARCH - 1)]
    data = b"\n".join(json.dumps(post).encode() for post in posts)
    schema = staged_schema(posts_schema(keep_permalinks=False))
    taken = LineTaker(ColumnNormaliser(IngestSettings(), schema, author), None, False)(data)
    told = {
        month: [(entry["place"], entry["gone"]) for entry in tables[0].to_pylist()]
        for month, tables in taken.rows.items()
    }
    assert told == {"2020-03": [(0, False), (1, True)], "2020-02": [(2, False)]}


@given(st.lists(st.none() | _texts | st.text(max_size=12), max_size=6))
def test_texts_at_once_are_normalised_as_one_is(texts: list[str | None]) -> None:
    expected = [None if text is None else normalise(text) for text in texts]
    assert normalise_all(texts).to_pylist() == expected


def test_lines_that_only_together_are_json_are_no_posts() -> None:
    """Two objects on one line and one over two lines: as many objects as lines."""
    data = b'{"id":"a"}{"id":"b"}\n{"id":\n{}}'
    schema = staged_schema(posts_schema(keep_permalinks=False))
    taken = LineTaker(ColumnNormaliser(IngestSettings(), schema, author), None, False)(data)
    assert taken.counts == {(None, "", "", "bad_json"): 3}
