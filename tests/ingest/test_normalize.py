import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_lonely.ingest.normalize import DROP_REASONS, month_of, seconds
from corpus_lonely.ingest.raw import decode
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.tables import table_schema
from corpus_lonely.text import join_post
from tests.ingest.lines import DAY, MARCH, comment, submission
from tests.ingest.row_by_row import Drop, Normaliser, Row


def result(post: dict[str, Any], **settings: Any) -> Row | Drop:
    normaliser = Normaliser(IngestSettings(**settings), lambda name: f"<{name}>")
    raw = decode(json.dumps(post).encode())
    assert raw is not None
    return normaliser(raw)


def row(post: dict[str, Any], **settings: Any) -> Row:
    got = result(post, **settings)
    assert isinstance(got, Row)
    return got


def reason(post: dict[str, Any], **settings: Any) -> str:
    got = result(post, **settings)
    assert isinstance(got, Drop)
    assert got.reason in DROP_REASONS
    return got.reason


def test_rows_have_the_columns_of_the_contract() -> None:
    assert list(Row._fields) == table_schema("posts").names


def test_a_submission() -> None:
    post = submission(
        title="Tea &amp;  cake",
        selftext="one\n\ntwo &lt;3",
        edited=1583021000.0,
        retrieved_on=1583100000,
        removed_by_category="moderator",
        crosspost_parent="t3_zzz",
        link_flair_text="Tea &amp; more ",
        author_flair_text="",
    )
    assert row(post)._asdict() == {
        "post_id": "t3_aaa",
        "kind": "submission",
        "subreddit": "lonely",
        "author": "<Somebody>",
        "created_at": MARCH * 10**6,
        "text": "Tea & cake one two <3",
        "title": "Tea & cake",
        "score": 3,
        "num_comments": 2,
        "over_18": False,
        "link_id": None,
        "parent_id": None,
        "edited_at": 1583021000 * 10**6,
        "edited": True,
        "removed": "moderator",
        "crosspost": "t3_zzz",
        "retrieved_at": 1583100000 * 10**6,
        "flair": "Tea & more",
        "author_flair": None,
        "permalink": None,
    }


def test_a_comment() -> None:
    got = row(comment(over_18=True, num_comments=4))
    assert (got.post_id, got.kind, got.text, got.title) == (
        "t1_bbb",
        "comment",
        "an answer of five words",
        None,
    )
    assert (got.link_id, got.parent_id, got.over_18, got.num_comments) == (
        "t3_aaa",
        "t3_aaa",
        None,
        None,
    )


@pytest.mark.parametrize("created", [MARCH, str(MARCH), float(MARCH), f"{MARCH}.0"])
def test_times_of_every_type(created: object) -> None:
    got = row(comment(created_utc=created, retrieved_on=created, edited=created))
    assert (got.created_at, got.retrieved_at, got.edited_at) == (MARCH * 10**6,) * 3


@pytest.mark.parametrize(
    "created", [None, "", "soon", 0, -5, True, 1583020800000, 1e400, "nan", "inf", [1]]
)
def test_dates_that_are_none(created: object) -> None:
    assert reason(comment(created_utc=created)) == "bad_date"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"edited": False}, (False, None)),
        ({"edited": True}, (True, None)),
        ({"edited": MARCH + 5}, (True, (MARCH + 5) * 10**6)),
        ({"edited": None}, (None, None)),
        ({"edited": False, "_meta": {"is_edited": True}}, (True, None)),
    ],
)
def test_edited(fields: dict[str, Any], expected: tuple[bool | None, int | None]) -> None:
    got = row(comment(**fields))
    assert (got.edited, got.edited_at) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"removed_by_category": "reddit"}, "reddit"),
        ({"_meta": {"removal_type": "deleted", "was_deleted_later": True}}, "deleted"),
        ({"_meta": {"was_deleted_later": True}}, "deleted"),
        ({"removed_by_category": None, "_meta": {"removal_type": "moderator"}}, "moderator"),
        (
            {
                "removed_by_category": "moderator",
                "_meta": {"removal_type": "deleted", "was_deleted_later": True},
            },
            "deleted",
        ),
        ({"removed_by_category": "moderator", "_meta": {"was_deleted_later": True}}, "deleted"),
        ({"_meta": {"removal_type": "removed", "was_deleted_later": True}}, "removed"),
    ],
)
def test_removed_while_the_text_is_there(fields: dict[str, Any], expected: str | None) -> None:
    got = result(submission(**fields))
    if expected == "deleted":  # one rule, whichever way the author's deletion is known
        assert isinstance(got, Drop)
        assert (got.reason, got.trace and (got.trace.removed, got.trace.text)) == (
            "deleted",
            ("deleted", ""),
        )
    else:
        assert isinstance(got, Row)
        assert got.removed == expected


def test_the_latest_retrieval_is_told() -> None:
    meta = {"retrieved_2nd_on": MARCH + 3 * DAY}
    assert (
        row(comment(retrieved_on=MARCH + DAY, _meta=meta)).retrieved_at == (MARCH + 3 * DAY) * 10**6
    )
    assert row(comment(retrieved_utc=MARCH + DAY)).retrieved_at == (MARCH + DAY) * 10**6
    assert row(comment()).retrieved_at is None


@pytest.mark.parametrize(
    ("score", "expected"), [(5, 5), ("5", 5), (5.0, 5), (None, None), ("x", None), (10**30, None)]
)
def test_scores(score: object, expected: int | None) -> None:
    assert row(comment(score=score)).score == expected
    assert row(comment(score=score, score_hidden=True)).score is None


@pytest.mark.parametrize("author", ["[deleted]", "[removed]", "", None])
def test_nobody_is_null(author: str | None) -> None:
    assert row(comment(author=author)).author is None


@pytest.mark.parametrize(
    ("post", "expected"),
    [
        ({"id": "a", "subreddit": "lonely"}, "not_a_post"),
        (submission(id=""), "not_a_post"),
        (submission(subreddit=None), "not_a_post"),
        ({"kind": "more", "parent_id": "t1_x", "id": "_", "children": []}, "not_a_post"),
        (submission(selftext="[deleted]"), "deleted"),
        (submission(selftext=" [removed] "), "removed"),
        (submission(selftext="[ Removed by Reddit ]"), "removed"),
        (comment(body="[ Removed by Reddit in response to a copyright notice. ]"), "removed"),
        (comment(body="[removed]\u200b"), "removed"),
        (comment(body="&amp;#91;removed&#93;"), "removed"),
        (comment(body="&#91;deleted&#93;"), "deleted"),
        (submission(title="[deleted by user]", selftext=""), "deleted"),
        (submission(title="[deleted by user]", selftext="&#x200B;"), "deleted"),
        (comment(body="[deleted]"), "deleted"),
        (comment(body="[removed]"), "removed"),
        (submission(title="", selftext=None), "empty"),
        (comment(body=" \u200b \n &#x200B; "), "empty"),
        (comment(body="\0"), "empty"),
        (comment(author="AutoModerator"), "bot"),
        (comment(author="automoderator"), "bot"),
    ],
)
def test_drops(post: dict[str, Any], expected: str) -> None:
    assert reason(post) == expected


def test_a_link_with_a_title_alone_is_a_post() -> None:
    assert row(submission(selftext="")).text == "A title"
    assert row(submission(selftext=None)).text == "A title"


def test_a_post_about_removal_is_no_removed_post() -> None:
    assert row(comment(body="[removed] is what they wrote")).text.startswith("[removed]")
    assert row(comment(body="[ Removed by Reddit ] again, why?")).text.endswith("why?")


def test_content_tells_the_kind_whatever_the_name_says() -> None:
    assert row(comment(id=None, name="t1_qq")).post_id == "t1_qq"
    assert row(submission(id="t3_qq")).post_id == "t3_qq"
    assert row(comment(title="odd")).kind == "comment"


def test_subreddits_in_any_spelling() -> None:
    for wanted in ("lonely", "r/Lonely", "/r/LONELY/"):
        assert (
            row(comment(subreddit="Lonely"), subreddits=frozenset({wanted})).subreddit == "Lonely"
        )
        assert (
            reason(comment(subreddit="pics"), subreddits=frozenset({wanted})) == "other_subreddit"
        )


def test_both_days_are_included() -> None:
    days = {"since": date(2020, 3, 1), "until": date(2020, 3, 2)}
    inside = [MARCH, MARCH + 2 * DAY - 1, MARCH + 2 * DAY - 0.5]
    outside = [MARCH - 1, MARCH - 0.5, MARCH + 2 * DAY]
    for created in inside:
        row(comment(created_utc=created), **days)
    for created in outside:
        assert reason(comment(created_utc=created), **days) == "outside_dates"


def test_words_are_those_of_title_and_body() -> None:
    row(submission(title="one two", selftext="three"), min_words=3)
    assert reason(submission(title="one two", selftext="three"), min_words=4) == "too_short"


def test_the_first_reason_in_order_counts() -> None:
    wrong: dict[str, Any] = {
        "author": "AutoModerator",
        "body": "[removed]",
        "created_utc": MARCH - 1,
    }
    settings: dict[str, Any] = {
        "subreddits": frozenset({"pics"}),
        "since": date(2020, 3, 1),
        "min_words": 9,
    }
    assert reason(comment(**wrong), **settings) == "other_subreddit"
    settings["subreddits"] = frozenset()
    assert reason(comment(**wrong), **settings) == "outside_dates"
    wrong["created_utc"] = MARCH
    assert reason(comment(**wrong), **settings) == "removed"
    wrong["body"] = "short"
    assert reason(comment(**wrong), **settings) == "bot"
    wrong["author"] = "x"
    assert reason(comment(**wrong), **settings) == "too_short"


def test_permalinks_only_where_asked() -> None:
    assert row(submission()).permalink is None
    link = row(submission(), keep_permalinks=True).permalink
    assert link is not None
    assert link.startswith("/r/lonely")


@given(st.text(max_size=20), st.none() | st.text(max_size=20))
def test_text_is_joined_as_that_of_labelled_posts(title: str, body: str | None) -> None:
    got = result(submission(title=title, selftext=body))
    assert isinstance(got, Drop) or got.text == join_post(title, body)


@given(st.integers(1104537600, 4102444799))
def test_months_are_those_of_the_calendar(created: int) -> None:
    assert month_of(created) == f"{datetime.fromtimestamp(created, UTC):%Y-%m}"
    assert seconds(created) == created


_ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.just({}),
    st.just([]),
)
_FIELDS = sorted({*submission(), *comment(), "_meta", "retrieved_on", "removed_by_category"})


@given(st.dictionaries(st.sampled_from(_FIELDS), _ANY), st.booleans())
def test_whatever_a_field_holds_there_is_a_row_or_a_reason(
    fields: dict[str, Any], is_comment: bool
) -> None:
    got = result(comment(**fields) if is_comment else submission(**fields))
    if isinstance(got, Row):
        assert got.text
        assert got.post_id[:3] in ("t1_", "t3_")
    else:
        assert got.reason in DROP_REASONS
