"""A whole study: its files, what it says of the data, and that a failed one leaves nothing."""

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from matplotlib.figure import Figure
from polars.testing import assert_frame_equal

from corpus_lonely import tables
from corpus_lonely.errors import CorpusLonelyError, InputError, OutputError, SettingsError
from corpus_lonely.study import run
from corpus_lonely.study.run import run_study
from corpus_lonely.study.settings import StudySettings
from tests.study.simulated import write_scores

TABLES = ("monthly", "periods", "estimates", "events", "kinds", "mix")
FIGURES = ("trends", "effects", "events", "placebo", "sensitivity")
NAMES = sorted(
    ["study.json", "report.html"]
    + [f"{table}.{kind}" for table in TABLES for kind in ("csv", "parquet")]
    + [f"{figure}.{kind}" for figure in FIGURES for kind in ("png", "svg")]
)


@pytest.fixture(autouse=True)
def one_figure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of a study's time: only what looks at all the files draws all figures."""
    if not request.node.name.startswith(("test_the_report_is", "test_again_is", "test_no_author")):
        drawn = Figure(figsize=(1, 1))
        monkeypatch.setattr(run, "report_figures", lambda *_: {"trends": (drawn, "Title", "Words")})


def settings(scores: Path, out: Path, **asked: Any) -> StudySettings:
    asked = {"cut": date(2020, 3, 11), "replicates": 200, **asked}
    return StudySettings(scores=str(scores), out=out, **asked)


def test_the_report_is_written_and_told(scores: Path, tmp_path: Path) -> None:
    report = run_study(settings(scores, tmp_path / "report"))
    assert [path.name for path in report.files] == NAMES
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == NAMES
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    for name, table in report.tables.items():
        assert pl.read_parquet(tmp_path / "report" / f"{name}.parquet").equals(table)
        assert len(pl.read_csv(tmp_path / "report" / f"{name}.csv")) == len(table)
    assert len(report.periods) == 2 + 2 * 19


def test_again_is_the_same_bytes_in_the_same_place(scores: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    first = [path.read_bytes() for path in run_study(settings(scores, out)).files]
    (out / "notes.txt").write_text("the user's own")
    assert [path.read_bytes() for path in run_study(settings(scores, out)).files] == first
    assert (out / "notes.txt").read_text() == "the user's own"


def test_the_table_is_sorted_within_each_category(scores: Path, tmp_path: Path) -> None:
    text = run_study(settings(scores, tmp_path / "report")).text()
    lines = text.splitlines()
    context = lines.index("Context, share of lonely posts")
    assert {line.split()[0] for line in lines[context + 1 : context + 3]} == {"physical", "social"}
    assert lines[context + 1].endswith("*")
    sizes = [abs(float(line.split()[5])) for line in lines[context + 1 : context + 6]]
    assert sizes == sorted(sizes, reverse=True)


def test_study_json_says_what_the_data_cannot(
    scores: Path, table: pl.DataFrame, tmp_path: Path
) -> None:
    report = run_study(settings(scores, tmp_path / "report"))
    told = json.loads((tmp_path / "report" / "study.json").read_text())
    coverage = told["coverage"]
    assert coverage["read"] == len(table)
    assert coverage["read"] == coverage["kept"] + sum(coverage["dropped"].values())
    scored = table.filter(pl.col("status") == "ok")
    assert coverage["kinds"] == dict(scored.group_by("kind").len().sort("kind").iter_rows())
    assert coverage["posts_without_author"] == scored["author"].null_count()
    assert coverage["authors"] == scored["author"].drop_nulls().n_unique()
    assert told["settings"]["cut"] == "2020-03-11"
    assert told["caveats"] == report.caveats
    assert "not corrected for classifier error" in told["caveats"][0]
    assert any("are pooled" in caveat for caveat in told["caveats"])
    assert not any("author0" in text for text in json.dumps(told).split())


def test_no_author_and_no_id_is_in_the_report(
    scores: Path, table: pl.DataFrame, tmp_path: Path
) -> None:
    secret = {*table["post_id"], *table["author"].drop_nulls()}
    report = run_study(settings(scores, tmp_path / "report"))
    out = tmp_path / "report"
    for path in report.files:
        if path.suffix == ".parquet":
            cells = pl.read_parquet(path).select(pl.col(pl.String).unique().implode()).row(0)
            assert not secret & {value for column in cells for value in column}
        elif path.suffix != ".png":
            words = set(re.findall(r"\w+", path.read_text()))
            assert {"lonely", "sensitivity", "submission"} & {word.lower() for word in words}
            assert not secret & words
    # the PNG shows what the SVG does
    assert (out / "trends.svg").is_file()


def test_kinds_apart_are_what_each_gives_alone(scores: Path, tmp_path: Path) -> None:
    both = run_study(settings(scores, tmp_path / "both")).kinds
    assert both is not None
    names = ["group", "label", "measure", "before", "after", "difference"]
    for kind in ("comment", "submission"):
        alone = run_study(settings(scores, tmp_path / kind, kind=kind, min_authors=1))
        own = both.filter(pl.col("kind") == kind)
        assert_frame_equal(own.select(names), alone.periods.select(names), rel_tol=1e-6)
        assert own["posts_before"][0] == alone.periods["posts_before"][0]
        assert alone.kinds is None


def test_a_kind_of_few_authors_hides_all_kinds(table: pl.DataFrame, tmp_path: Path) -> None:
    few = table.filter((pl.col("kind") == "submission") | (pl.col("author") == "author1"))
    report = run_study(settings(write_scores(tmp_path / "scores", few), tmp_path / "report"))
    assert report.kinds is not None
    assert report.kinds.is_empty()
    assert "kinds" not in report.tables


def test_periods_are_the_means_of_all_posts(
    scores: Path, table: pl.DataFrame, tmp_path: Path
) -> None:
    periods = run_study(settings(scores, tmp_path / "report", kind="comment")).periods
    row = periods.row(
        by_predicate=(pl.col("label") == "physical") & (pl.col("measure") == "share_of_lonely"),
        named=True,
    )
    for side, after in (("before", False), ("after", True)):
        chosen = [
            post
            for post in table.iter_rows(named=True)
            if post["kind"] == "comment"
            and post["status"] == "ok"
            and (post["created_at"].date() >= date(2020, 3, 11)) == after
        ]
        weight = sum(post["lonely"] for post in chosen)
        share = sum(post["lonely"] * post["context_physical"] for post in chosen) / weight
        assert row[side] == pytest.approx(share, abs=1e-8)
        assert row[f"posts_{side}"] == len(chosen)
        assert row[f"authors_{side}"] == len({post["author"] for post in chosen} - {None})
    assert row["difference"] == pytest.approx(row["after"] - row["before"], abs=1e-8)


def test_months_with_few_authors_are_suppressed_and_named(
    table: pl.DataFrame, tmp_path: Path
) -> None:
    month = pl.col("created_at").dt.strftime("%Y-%m")
    few = table.filter(
        (month != "2019-06")
        & ((month != "2019-08") | pl.col("author").is_in(["author0", "author1"]))
    )
    report = run_study(settings(write_scores(tmp_path / "s", few), tmp_path / "report"))
    assert report.coverage.suppressed == ["2019-08"]
    assert report.coverage.missing_months == ["2019-06"]
    hidden = report.monthly.filter(pl.col("value").is_null())
    assert set(hidden["month"]) == {"2019-08"}
    assert hidden["suppressed"].all()
    assert hidden.select("posts", "authors").null_count().row(0) == (len(hidden),) * 2
    shown = report.monthly.filter(pl.col("month") != "2019-08")
    assert (shown["authors"] >= 5).all()
    said = " ".join(report.caveats)
    assert "fewer than 5 authors are left out, of the periods too: 2019-08" in said
    assert "Months without a post: 2019-06" in said


def test_a_suppressed_side_of_the_cuts_month_is_named_with_its_side(
    scores: Path, tmp_path: Path
) -> None:
    asked = settings(scores, tmp_path / "report", cut=date(2020, 3, 2))
    report = run_study(asked)
    assert report.coverage.suppressed == ["2020-03 (before)"]


@pytest.mark.parametrize("known", [True, False])
def test_a_suppressed_month_cannot_be_found_by_subtraction(
    table: pl.DataFrame, tmp_path: Path, known: bool
) -> None:
    month = pl.col("created_at").dt.strftime("%Y-%m")
    ok = table.filter(pl.col("status") == "ok", month != "2019-03")
    alone = table.filter(pl.col("status") == "ok", month == "2019-03")[:1]
    with_one, without = (
        part if known else part.drop("author") for part in (pl.concat([alone, ok]), ok)
    )
    report = run_study(settings(write_scores(tmp_path / "s", with_one), tmp_path / "r"))
    other = run_study(settings(write_scores(tmp_path / "t", without), tmp_path / "q"))
    assert report.periods.equals(other.periods)
    coverage = report.coverage
    assert coverage.suppressed == ["2019-03"]
    assert coverage.dropped == {"suppressed": 1}
    assert coverage.read == len(with_one) == coverage.kept + 1
    assert sum(coverage.kinds.values()) == coverage.kept
    assert coverage.first == other.coverage.first
    unit = "authors" if known else "posts"
    assert any(f"fewer than 5 {unit} are left out" in caveat for caveat in report.caveats)


def test_where_all_months_are_suppressed_there_is_no_study(
    table: pl.DataFrame, tmp_path: Path
) -> None:
    after = pl.col("created_at") >= pl.lit("2020-03-11").str.to_datetime(time_zone="UTC")
    few = table.filter(~after | (pl.col("author") == "author0"))
    scores = write_scores(tmp_path / "s", few)
    with pytest.raises(InputError, match="has after 2020-03-11 only months with fewer than"):
        run_study(settings(scores, tmp_path / "report"))


@pytest.mark.parametrize("by", ["month", "week"])
def test_one_month_that_the_cut_splits_has_no_series(
    table: pl.DataFrame, tmp_path: Path, by: str
) -> None:
    may = table.filter(pl.col("created_at").dt.strftime("%Y-%m") == "2019-05")
    write_scores(tmp_path / "scores", may)
    asked = settings(
        tmp_path / "scores", tmp_path / "report", cut=date(2019, 5, 15), min_authors=2, by=by
    )
    there = set(run_study(asked).estimates["estimator"])
    assert {"difference", "authors_and_months"} <= there
    assert "its_level" not in there


def test_without_authors_posts_stand_in_and_it_is_said(table: pl.DataFrame, tmp_path: Path) -> None:
    scores = write_scores(tmp_path / "s", table.drop("author"))
    report = run_study(settings(scores, tmp_path / "report"))
    assert report.coverage.suppressed == []
    assert any("No author is known" in caveat for caveat in report.caveats)


def test_unfinished_scoring_is_said(table: pl.DataFrame, tmp_path: Path) -> None:
    scores = write_scores(tmp_path / "s", table)
    first = pl.read_parquet(scores / "part-000000.parquet").to_arrow()
    told = tables.with_footer(first.schema, {"shard": {"index": 0, "of": 3}})
    tables.write_parquet(first.cast(told), scores / "part-000000.parquet")
    (tmp_path / "s.about").mkdir()
    (tmp_path / "s.about" / "scores.json").write_text('{"totals": null}')
    report = run_study(settings(scores, tmp_path / "report"))
    said = "Scoring has not ended (parts missing: 1)"
    assert any(said in caveat for caveat in report.caveats)


@pytest.mark.parametrize(
    ("asked", "kind", "said"),
    [
        ({"cut": date(2024, 1, 1)}, SettingsError, "lie before it (2019-03-01 to 2021-02-"),
        ({"cut": date(2010, 1, 1)}, SettingsError, "lie after it"),
        ({"replicates": 10}, SettingsError, "--replicates must be at least 100, got 10"),
        ({"threshold": 1.5}, SettingsError, "--threshold must lie between 0 and 1, got 1.5"),
        ({"min_authors": 0}, SettingsError, "--min-authors must be at least 1, got 0"),
        ({"kind": "post"}, SettingsError, "--kind must be one of submission, comment, both"),
        ({"seed": -1}, SettingsError, "--seed must be at least 0"),
        ({"min_authors": 1000}, InputError, "fewer than --min-authors 1000 authors"),
    ],
)
def test_bad_settings_are_told_and_leave_nothing(
    scores: Path, tmp_path: Path, asked: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind) as caught:
        run_study(settings(scores, tmp_path / "report", **asked))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_report_keeps_out_of_the_scores(scores: Path) -> None:
    for source in (scores, scores / "*.parquet"):
        for out in (scores, scores / "report"):
            with pytest.raises(SettingsError, match="--out must not lie in the folder of scores"):
                run_study(settings(source, out))


def test_the_report_keeps_out_of_the_posts(
    scores: Path, table: pl.DataFrame, tmp_path: Path
) -> None:
    posts = write_scores(tmp_path / "posts", table.with_columns(text=pl.lit("words")))
    for source in (posts, posts / "*.parquet"):
        for out in (posts, posts / "report"):
            with pytest.raises(SettingsError, match="--out must not lie in the folder of posts"):
                run_study(settings(scores, out, posts=str(source)))
    assert {path.suffix for path in posts.iterdir()} == {".parquet"}


def test_a_file_in_the_place_of_the_report_is_kept(scores: Path, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        run_study(settings(scores, tmp_path / "report"))
    assert (tmp_path / "report").read_text() == "mine"


def test_rows_none_of_which_is_scored(table: pl.DataFrame, tmp_path: Path) -> None:
    scores = write_scores(tmp_path / "s", table.with_columns(pl.lit("error").alias("status")))
    with pytest.raises(InputError, match="no row with status ok"):
        run_study(settings(scores, tmp_path / "report"))


def failing(*_: object) -> Callable[..., None]:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("part", ["save", "write_json"])
def test_a_failed_study_leaves_the_earlier_report_whole(
    scores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    out = tmp_path / "report"
    before = {path.name: path.read_bytes() for path in run_study(settings(scores, out)).files}
    monkeypatch.setattr(run, part, failing)
    with pytest.raises(CorpusLonelyError, match="no space left on the disk"):
        run_study(settings(scores, out, seed=5))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
