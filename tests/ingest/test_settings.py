from datetime import date
from pathlib import Path

import pytest

from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.ingest.settings import (
    ALWAYS_WRITTEN,
    OPTIONAL_COLUMNS,
    IngestSettings,
    fingerprint,
    read_bots,
    shipped_bots,
)
from corpus_lonely.tables import table_schema


def test_the_shipped_list_knows_the_best_known() -> None:
    assert {"automoderator", "remindmebot", "sneakpeekbot", "wikitextbot"} <= shipped_bots()
    assert all(name == name.lower() and " " not in name for name in shipped_bots())


def test_a_list_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "bots.txt"
    path.write_text("# mine\nMyBot\n\nu/Other_Bot  # a comment\n", "utf-8")
    assert read_bots(path) == {"mybot", "other_bot"}
    with pytest.raises(InputError, match="does not exist"):
        read_bots(tmp_path / "none")


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"since": date(2020, 2, 1), "until": date(2020, 1, 1)}, "--since"),
        ({"min_words": -1}, "--min-words"),
        ({"keep_authors": True, "author_key": Path("k")}, "--author-key"),
        ({"subreddits": frozenset({"r/"})}, "--subreddit"),
        ({"hash_ids": True, "keep_permalinks": True}, "--keep-permalinks leads"),
        ({"hash_ids": True, "keep_authors": True}, "--keep-authors leads"),
        (
            {"columns": frozenset({"flair", "retrieved_at"})},
            "--columns .* got 'retrieved_at', which is always written$",
        ),
        (
            {"columns": frozenset({"score", "text"})},
            "--columns .* got 'text', which is always written$",
        ),
        ({"columns": frozenset({"texts"})}, "--columns .* got 'texts'$"),
    ],
)
def test_rules_are_named(settings: dict[str, object], rule: str) -> None:
    with pytest.raises(SettingsError, match=rule):
        IngestSettings(**settings)  # type: ignore[arg-type]


def test_spelling_makes_no_other_settings_and_filters_do() -> None:
    def of(**settings: object) -> str:
        return fingerprint(IngestSettings(**settings).recorded(), "key")  # type: ignore[arg-type]

    assert of(subreddits=frozenset({"r/Lonely"})) == of(subreddits=frozenset({"lonely"}))
    others = [
        of(),
        of(subreddits=frozenset({"lonely"})),
        of(since=date(2020, 1, 1)),
        of(until=date(2020, 1, 1)),
        of(min_words=2),
        of(bots=frozenset({"a"})),
        of(keep_authors=True),
        of(keep_permalinks=True),
        of(hash_ids=True),
        of(columns=frozenset({"flair"})),
        of(columns=frozenset()),
        fingerprint(IngestSettings().recorded(), "other key"),
    ]
    assert len(set(others)) == len(others)
    assert of(quarantine_text=True) == of(overwrite=True) == of()


def test_what_may_be_left_out_is_null_at_times_and_never_the_key() -> None:
    optional = {field.name for field in table_schema("posts") if field.nullable}
    assert optional - set(OPTIONAL_COLUMNS) == {"author", "removed", "retrieved_at", "permalink"}
    assert set(OPTIONAL_COLUMNS) <= optional


def test_a_column_is_always_written_or_a_choice() -> None:
    chosen = {*OPTIONAL_COLUMNS, "permalink"}
    assert chosen.isdisjoint(ALWAYS_WRITTEN)
    assert chosen | {*ALWAYS_WRITTEN} == {*table_schema("posts").names}
