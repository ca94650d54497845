import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from corpus_lonely.ingest.authors import make_key
from corpus_lonely.ingest.describe.inspect import inspect_posts
from corpus_lonely.ingest.gap_days import _around
from corpus_lonely.ingest.purge import purge_posts
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings
from tests.ingest.lines import submission, write_dump

FIRST, LAST = date(2020, 1, 1), date(2020, 7, 31)
CLOSED = [(date(2020, 3, 10), 3), (date(2020, 3, 20), 1), (date(2020, 4, 30), 2)]
"""Days on which r/lonely has no post, and how many; it has none in all of June, too."""


def lines_by_month() -> dict[str, list[dict[str, Any]]]:
    """Forty posts a day in two subreddits, one of which closes now and then."""
    closed = {begin + timedelta(days=n) for begin, days in CLOSED for n in range(days)}
    lines: dict[str, list[dict[str, Any]]] = {}
    for number in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        begin = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        for name in ("lonely", "Pics"):
            if name == "lonely" and (day in closed or day.month == 6):
                continue
            lines.setdefault(f"{day:%Y-%m}", []).extend(
                submission(f"{number:x}{name[0]}{n:x}", subreddit=name, created_utc=begin + n)
                for n in range(40)
            )
    return lines


def told(out: Path, subreddit: str = "lonely") -> dict[str | None, tuple[bool, int | None, int]]:
    table = pl.read_parquet(f"{out}.about/coverage.parquet").filter(
        pl.col("subreddit") == subreddit
    )
    rows = table.select("month", "gap", "gap_days", "read").iter_rows()
    return {month: (gap, days, read) for month, gap, days, read in rows}


@pytest.fixture(scope="module")
def by_month(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("dumps")
    make_key(folder / "key")
    return [write_dump(folder / f"RS_{name}.gz", lines) for name, lines in lines_by_month().items()]


@pytest.fixture(scope="module")
def settings(by_month: list[Path]) -> IngestSettings:
    return IngestSettings(author_key=by_month[0].parent / "key")


@pytest.fixture(scope="module")
def made(
    by_month: list[Path], settings: IngestSettings, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("made") / "posts"
    ingest_dumps(by_month, out, settings)
    return out


def test_days_and_whole_months_are_told_at_ingest(made: Path) -> None:
    months = dict.fromkeys(("2020-01", "2020-02", "2020-07"), (False, 0))
    months |= {"2020-03": (False, 4), "2020-04": (False, 1), "2020-05": (False, 1)}
    assert {month: row[:2] for month, row in told(made).items()} == {
        **months,
        "2020-06": (True, None),  # it has a row, for whoever counts months
    }
    assert told(made)["2020-06"][2] == 0
    assert set(told(made, "pics").values()) >= {(False, 0, 40 * 30), (False, 0, 40 * 31)}
    assert inspect_posts(made).bad == {}


def test_they_are_the_gaps_that_describe_finds(made: Path) -> None:
    days = Counter[str]()
    for gap in inspect_posts(made).gaps:
        length = (gap.last_day - gap.first_day).days + 1
        days.update(f"{gap.first_day + timedelta(days=n):%Y-%m}" for n in range(length))
    assert days.pop("2020-06") == 30
    assert dict(days) == {month: row[1] for month, row in told(made).items() if row[1]}


@pytest.mark.parametrize("seed", [1, 2])
def test_in_whatever_order_months_come(
    by_month: list[Path], settings: IngestSettings, made: Path, tmp_path: Path, seed: int
) -> None:
    shuffled = random.Random(seed).sample(by_month, len(by_month))
    for path in shuffled:
        ingest_dumps([path], tmp_path / "posts", settings)
    about = Path("posts.about") / "coverage.parquet"
    assert (tmp_path / about).read_bytes() == (made.parent / about).read_bytes()


def test_what_is_purged_later_leaves_a_gap(
    by_month: list[Path], settings: IngestSettings, tmp_path: Path
) -> None:
    out = tmp_path / "posts"
    ingest_dumps(by_month[:3], out, settings)
    assert told(out)["2020-02"] == (False, 0, 40 * 29)
    posts = pl.read_parquet(out / "*" / "*.parquet", hive_partitioning=False)
    gone = posts.filter(
        (pl.col("created_at").dt.date() == date(2020, 2, 12)) & (pl.col("subreddit") == "lonely")
    )
    purge_posts(out, gone["post_id"].to_list())
    assert told(out)["2020-02"] == (False, 1, 40 * 29)


def test_a_table_of_a_version_that_told_no_gaps_is_completed(
    by_month: list[Path], settings: IngestSettings, made: Path, tmp_path: Path
) -> None:
    out, about = tmp_path / "posts", Path("posts.about") / "coverage.parquet"
    ingest_dumps(by_month[:-1], out, settings)
    table = pq.read_table(tmp_path / about)
    pq.write_table(table.drop_columns(["gap", "gap_days"]), tmp_path / about)
    assert inspect_posts(out).coverage["gap_days"].null_count() == table.num_rows
    ingest_dumps(by_month[-1:], out, settings)
    assert (tmp_path / about).read_bytes() == (made.parent / about).read_bytes()


def test_the_months_around_one() -> None:
    assert _around("2020-01") == ["2019-12", "2020-01", "2020-02"]
    assert _around("2020-12") == ["2020-11", "2020-12", "2021-01"]
