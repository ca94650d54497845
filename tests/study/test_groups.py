"""Columns of posts beside scores, groups by themselves, weeks, and the mix: against plain loops."""

import gc
import json
import weakref
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from polars.testing import assert_frame_equal

from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.study import joined, run
from corpus_lonely.study.apart import shown_values
from corpus_lonely.study.mix import moved
from corpus_lonely.study.panel import OTHERS
from corpus_lonely.study.reading import read_sums
from corpus_lonely.study.report import StudyReport
from corpus_lonely.study.run import run_study
from corpus_lonely.study.settings import StudySettings
from corpus_lonely.tables import with_footer, write_parquet
from tests.study.simulated import CUT, write_scores

DAY = date(2020, 3, 11)


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        run, "report_figures", lambda *_: {"trends": (Figure((1, 1)), "Title", "Words")}
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, table: pl.DataFrame) -> pl.DataFrame:
    """Scores with a subreddit and with what posts alone hold."""
    place = pl.int_range(pl.len())
    names = ["Lonely", "lonely", "college", "elsewhere", "tiny"]
    which = pl.when(place % 997 == 5).then(4).otherwise(place % 4)
    return table.with_columns(
        which.replace_strict(dict(enumerate(names))).alias("subreddit"),
        pl.when(place % 50 == 0).then(None).otherwise(place % 3 == 0).alias("over_18"),
        (place % 7).alias("score"),
        pl.lit("some words").alias("text"),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, corpus: pl.DataFrame) -> Path:
    folder = tmp_path_factory.mktemp("groups")
    write_scores(folder / "scores", corpus.drop("over_18", "score", "text"))
    write_scores(folder / "all", corpus)
    # in another order, in several files, ten posts missing
    posts = corpus.select("post_id", "created_at", "text", "over_18", "score")
    write_scores(folder / "posts", posts[10:].sample(fraction=1, shuffle=True, seed=1))
    return folder


def study(folder: Path, out: Path, **asked: Any) -> StudyReport:
    asked = {"scores": str(folder / "scores"), "posts": str(folder / "posts"), **asked}
    return run_study(StudySettings(cut=DAY, out=out / "report", replicates=100, **asked))


def kept(corpus: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows that count, with what is asked of them worked out."""
    return [
        row
        | {
            "side": "before" if row["created_at"] < CUT else "after",
            "sub": row["subreddit"].lower(),
        }
        for row in corpus.iter_rows(named=True)
        if row["status"] == "ok"
    ]


def share(rows: Sequence[dict[str, Any]], column: str) -> float:
    return sum(r["lonely"] * r[column] for r in rows) / sum(r["lonely"] for r in rows)


def test_a_column_of_posts_filters_as_one_of_scores_does(
    folder: Path, corpus: pl.DataFrame, tmp_path: Path
) -> None:
    where = (("over_18", "True"), ("score", "3"), ("score", "4"), ("score", "6"))
    told = study(folder, tmp_path / "a", where=where)
    write_scores(tmp_path / "scores", corpus[10:])
    plain = study(folder, tmp_path / "b", where=where, scores=str(tmp_path / "scores"), posts=None)
    assert_frame_equal(told.periods, plain.periods)
    assert told.coverage.dropped.pop("no_post") == 10
    assert told.coverage.dropped["filtered"] == plain.coverage.dropped["filtered"]
    assert told.coverage.kept == plain.coverage.kept > 100


def test_marks_filter_and_group_as_columns_of_scores_do(
    folder: Path, corpus: pl.DataFrame, tmp_path: Path
) -> None:
    marked = corpus.select(
        "post_id",
        near_duplicate=pl.int_range(pl.len()) % 4 == 0,
        language=pl.when(pl.int_range(pl.len()) % 5 == 0)
        .then(pl.lit("de"))
        .otherwise(pl.lit("en")),
    )
    (tmp_path / "marks").mkdir()
    table = marked[30:].to_arrow()
    schema = with_footer(table.schema, {"settings": {"language": True}})
    write_parquet(table.cast(schema), tmp_path / "marks" / "marks.parquet")
    asked = {"where": (("near_duplicate", "false"), ("over_18", "true")), "group": "language"}
    told = study(folder, tmp_path / "a", marks=str(tmp_path / "marks"), **asked)
    columns = corpus.join(marked, on="post_id", maintain_order="left")
    write_scores(tmp_path / "scores", columns[30:])
    plain = study(folder, tmp_path / "b", scores=str(tmp_path / "scores"), posts=None, **asked)
    assert_frame_equal(told.periods, plain.periods)
    assert told.groups is not None
    assert plain.groups is not None
    assert_frame_equal(told.groups, plain.groups)
    assert told.coverage.dropped.pop("no_post") == 30  # the posts lack ten of them as well
    assert told.coverage.kept == plain.coverage.kept > 100
    page = (tmp_path / "a" / "report" / "report.html").read_text("utf-8")
    assert "Only posts with near_duplicate false and over_18 true count." in page
    facts = json.loads((tmp_path / "a" / "report" / "study.json").read_text("utf-8"))
    assert facts["marked_by"] == {"settings": {"language": True}}
    with pytest.raises(SettingsError, match="--marks changes nothing unless"):
        study(folder, tmp_path / "c", marks=str(tmp_path / "marks"))
    with pytest.raises(InputError, match="holds no marks"):
        study(folder, tmp_path, marks=str(folder / "posts"))
    with pytest.raises(SettingsError, match="must be no column of texts, people or posts"):
        study(folder, tmp_path, group="near_duplicate_of")


def test_groups_are_plain_loops(folder: Path, corpus: pl.DataFrame, tmp_path: Path) -> None:
    groups = study(folder, tmp_path, group="over_18").groups
    assert groups is not None
    rows = kept(corpus[10:])
    assert set(groups["value"]) == {"true", "false", "unknown"}
    for told in groups.filter(pl.col("label") == "physical").iter_rows(named=True):
        value = {"true": True, "false": False, "unknown": None}[told["value"]]
        sides = [[r for r in rows if r["over_18"] == value and r["side"] == s] for s in ("before", "after")]  # fmt: skip
        assert [told["posts_before"], told["posts_after"]] == [len(side) for side in sides]
        if told["measure"] == "share_of_lonely":
            shares = [share(side, "context_physical") for side in sides]
            assert [told["before"], told["after"]] == pytest.approx(shares, abs=1e-8)
            assert told["low"] < told["difference"] < told["high"]
    assert (groups["q"] >= groups["p"]).all()


def test_groups_too_small_are_pooled_and_then_others_with_them(
    folder: Path, corpus: pl.DataFrame, tmp_path: Path
) -> None:
    by_name = study(folder, tmp_path / "a", group="subreddit")
    assert by_name.groups is not None
    # "tiny" has three posts: pooled alone it could be found, so the smallest group goes with it
    assert set(by_name.groups["value"]) < {"lonely", "college", "elsewhere", OTHERS}
    assert OTHERS in set(by_name.groups["value"])
    told = by_name.groups.filter(pl.col("measure") == "mean_probability")
    assert told["posts_before"].sum() == by_name.periods["posts_before"][0]
    two = (("subreddit", "college"), ("subreddit", "tiny"))
    none = study(folder, tmp_path / "b", group="subreddit", where=two)
    assert none.groups is not None
    assert none.groups.is_empty()
    assert any("groups of 'subreddit' are not shown" in caveat for caveat in none.caveats)


def test_posts_without_an_author_are_not_as_many_people(
    corpus: pl.DataFrame, tmp_path: Path
) -> None:
    """Four known authors a side and a crowd of lone posts, which may all be of one: too few to be shown."""
    ok = corpus.filter(pl.col("status") == "ok").drop("text", "score", "over_18")
    few = pl.col("author").is_in([f"author{n}" for n in range(4)])
    in_group = (few | pl.col("author").is_null()) & (pl.int_range(pl.len()) % 2 == 0)
    value = pl.when(in_group).then(pl.lit("few")).otherwise(pl.lit("many"))
    rows = ok.with_columns(value.alias("team"), pl.when(in_group).then(pl.lit("comment")).otherwise(pl.lit("submission")).alias("kind"))  # fmt: skip
    known = pl.col("author").drop_nulls().n_unique()
    sides = rows.filter(pl.col("team") == "few").group_by(pl.col("created_at") < CUT)
    assert sides.agg(known)["author"].to_list() == [4, 4]
    asked: dict[str, Any] = {"posts": None, "group": "team"}
    write_scores(tmp_path / "s", rows)
    hidden = study(tmp_path, tmp_path / "a", scores=str(tmp_path / "s"), **asked)
    for table in (hidden.groups, hidden.kinds):
        assert table is not None
        assert table.is_empty()
    shown = study(tmp_path, tmp_path / "b", scores=str(tmp_path / "s"), min_authors=4, **asked)
    assert shown.groups is not None
    assert set(shown.groups["value"]) == {"few", "many"}
    # nobody at all is known: posts stand in, as they do for months
    write_scores(tmp_path / "t", rows.drop("author"))
    bare = study(tmp_path, tmp_path / "c", scores=str(tmp_path / "t"), **asked)
    assert bare.groups is not None
    assert set(bare.groups["value"]) == {"few", "many"}


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=8),
    st.integers(1, 6),
    st.booleans(),
)
def test_what_is_shown_and_what_is_left_have_people_enough(
    counts: list[tuple[int, int]], fewest: int, may_lack: bool
) -> None:
    values = [str(place) for place in range(len(counts))]

    def people(chosen: Sequence[str]) -> list[int]:
        return [sum(counts[int(value)][side] for value in chosen) for side in (0, 1)]

    good, rest = shown_values(values, people, fewest, may_lack=may_lack)
    assert sorted(good + rest) == values
    for value in good:
        assert all(n >= fewest or (n == 0 and may_lack) for n in people([value]))
    if good:
        assert all(n >= fewest or n == 0 for n in people(rest))


def test_the_mix_is_a_plain_count(folder: Path, corpus: pl.DataFrame, tmp_path: Path) -> None:
    half = corpus.filter((pl.col("created_at") < CUT) | (pl.col("subreddit") != "college"))
    write_scores(tmp_path / "scores", half.drop("text", "score", "over_18"))
    report = study(folder, tmp_path, scores=str(tmp_path / "scores"), posts=None)
    rows = kept(half)
    mix = report.mix.filter(pl.col("column") == "subreddit")
    parts = defaultdict(list)
    for told in mix.iter_rows(named=True):
        named = set(mix["value"]) - {OTHERS}
        own = [r for r in rows if r["sub"] == told["value"] or (told["value"] == OTHERS and r["sub"] not in named)]  # fmt: skip
        for side in ("before", "after"):
            there = [r for r in own if r["side"] == side]
            whole = [r for r in rows if r["side"] == side]
            assert told[f"posts_{side}"] == len(there)
            assert told[f"authors_{side}"] == len({r["author"] for r in there} - {None})
            assert told[f"share_{side}"] == pytest.approx(len(there) / len(whole), abs=1e-8)
            parts[side].append(len(there) / len(whole))
    shift = sum(abs(a - b) for a, b in zip(parts["before"], parts["after"], strict=True)) / 2
    assert moved(report.mix, "subreddit") == pytest.approx(shift)
    assert shift > 0.15
    said = " ".join(report.caveats)
    assert (
        f"{100 * shift:.0f} % of the posts after the cut would have to be of another subreddit"
        in said
    )
    other = (
        100
        * sum(row["sub"] not in {"lonely", "college"} & set(mix["value"]) for row in rows)
        / len(rows)
    )
    assert (
        f"{other:.0f} % of the posts are from other subreddits than the four of FIG-Lonel" in said
    )


def test_weeks_are_plain_loops_and_months_are_made_of_them(
    folder: Path, corpus: pl.DataFrame, tmp_path: Path
) -> None:
    floor = 9
    report = study(folder, tmp_path, by="week", min_authors=floor)
    assert report.weekly is not None
    weeks = defaultdict(list)
    for row in kept(corpus):
        day = row["created_at"].date()
        weeks[day - timedelta(days=day.weekday()), row["side"]].append(row)
    shown: dict[tuple[str, str], float] = {}
    months: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for (monday, side), rows in weeks.items():
        if len({row["author"] for row in rows} - {None}) >= floor:
            shown[str(monday), side] = sum(row["lonely"] for row in rows) / len(rows)
            months[f"{monday + timedelta(days=3):%Y-%m}", side] += rows
    assert 10 < len(shown) < len(weeks)
    told = report.weekly.filter(pl.col("measure") == "mean_probability")
    assert len(told) == len(weeks)
    values = {(w, p): v for w, p, v in told.drop_nulls("value").select("week", "period", "value").iter_rows()}  # fmt: skip
    assert values == pytest.approx(shown, abs=1e-8)
    monthly = report.monthly.filter(pl.col("measure") == "mean_probability").drop_nulls("value")
    counts = {(m, p): (n, a) for m, p, n, a in monthly.select("month", "period", "posts", "authors").iter_rows()}  # fmt: skip
    assert counts == {
        key: (len(rows), len({r["author"] for r in rows} - {None})) for key, rows in months.items()
    }
    everyone = [row for rows in months.values() for row in rows]
    assert report.periods["posts_before"][0] == sum(r["side"] == "before" for r in everyone)
    assert report.coverage.dropped["suppressed"] == len(kept(corpus)) - len(everyone)
    assert any(f"Weeks with fewer than {floor} authors" in caveat for caveat in report.caveats)


def test_what_posts_lack_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"posts: has no column 'mood'; its columns are post_id"):
        study(folder, tmp_path, where=(("mood", "sad"),))
    with pytest.raises(InputError, match=r"has no column 'over_18'.*or give --posts"):
        study(folder, tmp_path, posts=None, group="over_18")
    with pytest.raises(InputError, match="nowhere"):  # though nothing is looked up there
        study(folder, tmp_path, posts=str(tmp_path / "nowhere"))
    monkeypatch.setattr(joined, "MOST_VALUES", 5)
    with pytest.raises(SettingsError, match="'score' has more than 5 different values"):
        study(folder, tmp_path, group="score")
    for private in ("text", "author", "post_id", "Author", "crosspost", "author_flair", "id", "name", "body", "SelfText", "url"):  # fmt: skip
        with pytest.raises(SettingsError, match="must be no column of texts, people or posts"):
            study(folder, tmp_path, group=private)
    assert not (tmp_path / "report").exists()


def test_a_post_twice_must_have_one_value(
    folder: Path, corpus: pl.DataFrame, tmp_path: Path
) -> None:
    posts = corpus.select("post_id", "created_at", "text", "over_18", "score")
    again = posts.filter(pl.col("over_18")).tail(1)
    write_scores(tmp_path / "same", pl.concat([posts, again]))
    told = study(folder, tmp_path / "a", posts=str(tmp_path / "same"), group="over_18")
    assert told.coverage.kept == len(kept(corpus))
    write_scores(tmp_path / "other", pl.concat([posts, again.with_columns(over_18=False)]))
    with pytest.raises(
        InputError, match="holds a post_id twice with different values of 'over_18'"
    ):
        study(folder, tmp_path / "b", posts=str(tmp_path / "other"), group="over_18")
    assert not (tmp_path / "b").exists()


def test_codes_are_taken_in_order_and_not_kept() -> None:
    coder = joined._Codes("flair", None)
    for part in (["b", None], ["A", "B", "a"]):
        coder.add(pl.Series(part))
    kept = weakref.ref(coder._parts[0])
    codes = coder.taken(np.array([4, 3, 2, 1, 0]))
    found = [None if code < 0 else coder.values()[int(code)] for code in codes]
    assert found == ["a", "b", "a", None, "b"]
    gc.collect()
    assert kept() is None


def test_what_an_earlier_report_had_and_this_one_has_not_goes(folder: Path, tmp_path: Path) -> None:
    study(folder, tmp_path, group="over_18", by="week")
    (tmp_path / "report" / "notes.csv").write_text("the user's own")
    names = {path.name for path in study(folder, tmp_path).files}
    assert {path.name for path in (tmp_path / "report").iterdir()} == names | {"notes.csv"}
    assert not {"groups.csv", "weekly.parquet"} & names


class Course:
    """What a progress is told."""

    def __init__(self) -> None:
        self.total, self.done = 0.0, 0.0

    def start(self, task: str, total: float | None, unit: str, done: float = 0.0) -> None:
        self.total = total or 0.0

    def advance(self, amount: float, detail: str = "") -> None:
        self.done += amount

    def finish(self) -> None: ...

    def note(self, message: str) -> None: ...


def test_reading_tells_every_row_of_both_passes(folder: Path, corpus: pl.DataFrame) -> None:
    course = Course()
    read_sums(StudySettings(str(folder / "scores"), DAY, Path("nowhere")), course)
    assert course.total == course.done == 2 * len(corpus)
