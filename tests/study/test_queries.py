"""The namespace `.scores` against plain loops, and the page's queries as they stand, in Polars and DuckDB."""

from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from corpus_lonely.study.namespace import Scores
from corpus_lonely.study.scores import scan_scores
from corpus_lonely.taxonomy import loneliness
from tests.command_lines import ROOT, fenced
from tests.study.simulated import CUT, write_scores

PAGE = (ROOT / "docs" / "study.md").read_text("utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, table: pl.DataFrame) -> Path:
    """A folder with scores/ that have all that scores have."""
    folder = tmp_path_factory.mktemp("queries")
    sub = (
        pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("college")).otherwise(pl.lit("lonely"))
    )
    write_scores(
        folder / "scores",
        table.with_columns(sub.alias("subreddit"), pl.lit(False).alias("truncated")),
    )
    return folder


def rows_of(table: pl.DataFrame) -> list[dict[str, Any]]:
    return [row for row in table.iter_rows(named=True) if row["status"] == "ok"]


def share(rows: list[dict[str, Any]], column: str) -> float:
    return sum(r["lonely"] * r[column] for r in rows) / sum(r["lonely"] for r in rows)


def test_by_month_is_a_plain_loop(table: pl.DataFrame) -> None:
    groups = defaultdict(list)
    for row in rows_of(table):
        groups[row["created_at"].strftime("%Y-%m")].append(row)
    found = Scores(table.lazy()).by_month().collect()
    assert found["month"].to_list() == sorted(groups)
    for told in found.iter_rows(named=True):
        own = groups[told["month"]]
        assert told["posts"] == len(own)
        assert told["authors"] == len({row["author"] for row in own} - {None})
        assert told["lonely"] == pytest.approx(sum(row["lonely"] for row in own) / len(own))
        assert told["context_physical"] == pytest.approx(share(own, "context_physical"))


def test_weeks_begin_on_mondays_and_hold_all_posts(table: pl.DataFrame) -> None:
    found = Scores(table.lazy()).by_week().collect()
    assert {date.fromisoformat(week).weekday() for week in found["week"]} == {0}
    assert found["posts"].sum() == len(rows_of(table))


def test_periods_and_distributions(table: pl.DataFrame) -> None:
    frame = Scores(table.lazy()).period(date(2020, 3, 11))
    assert len(frame.collect()) == len(table)
    found = Scores(frame).distribution("context", "period").collect()
    for told in found.iter_rows(named=True):
        own = [r for r in rows_of(table) if (r["created_at"] >= CUT) == (told["period"] == "after")]
        column = f"context_{told['label']}"
        assert told["share_of_lonely"] == pytest.approx(share(own, column))
        assert told["share_of_all"] == pytest.approx(
            sum(r["lonely"] * r[column] for r in own) / len(own)
        )
        assert told["posts"] == len(own)
    assert len(found) == 10
    whole = Scores(table.lazy()).distribution("context").collect()
    assert whole["share_of_lonely"].sum() == pytest.approx(1.0)
    with pytest.raises(KeyError, match="no category 'weather'"):
        Scores(table.lazy()).distribution("weather")


def test_scan_scores_brings_the_namespace(folder: Path) -> None:
    frame: Any = scan_scores(folder / "scores")
    assert frame.scores.by_month().collect()["posts"].sum() > 0


def test_the_ten_queries_run_as_they_stand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (block,) = fenced(PAGE, "python")
    assert [f"# {number}. " in block for number in range(1, 12)] == [True] * 10 + [False]
    names: dict[str, Any] = {}
    exec(compile(block, "docs/study.md", "exec"), names)
    frames = {name: x for name, x in names.items() if isinstance(x, pl.DataFrame)}
    assert len(frames) == 10
    assert all(len(frame) for frame in frames.values())
    scored = rows_of(scan_scores("scores").collect())
    assert names["writes"].select((pl.col("posts") * pl.col("authors")).sum()).item() == len(scored)
    best = max(loneliness().category_of("context").columns, key=lambda c: scored[0][c])
    assert best in names["top"]["context"].to_list()
    assert names["top"]["len"].sum() == sum(row["lonely"] >= 0.5 for row in scored)


def test_duckdb_gives_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    frame: Any = scan_scores("scores")
    by_month, social, moved = fenced(PAGE, "sql")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        months = frame.scores.by_month().collect().select("month", "posts", "lonely").rows()
        found = connection.execute(by_month).fetchall()
        assert [row[:2] for row in found] == [row[:2] for row in months]
        assert [row[2] for row in found] == pytest.approx([row[2] for row in months], abs=1e-6)
        own = frame.scores.distribution("context").filter(pl.col("label") == "social").collect()
        assert connection.execute(social).fetchall()[0][0] == pytest.approx(
            own["share_of_lonely"].item(), abs=1e-6
        )
        told = frame.scores.period(date(2020, 3, 11)).scores.distribution("context", "period")
        sides = (
            told.filter(pl.col("label") == "social").select("period", "share_of_lonely").collect()
        )
        assert dict(connection.execute(moved).fetchall()) == pytest.approx(
            dict(sides.rows()), abs=1e-6
        )
