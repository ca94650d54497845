"""The queries of README.md run as they stand, and give what a plain loop over the rows gives."""

import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from corpus_lonely.files import write_json
from corpus_lonely.tables import scores_schema, table_schema, with_footer, write_parquet
from corpus_lonely.taxonomy import loneliness
from tests.command_lines import ROOT, fenced

CUT = datetime(2020, 3, 11, tzinfo=UTC)
README = (ROOT / "README.md").read_text("utf-8")
SUBREDDITS = ("lonely", "Lonely", "college", "youngadults", "loneliness", "rare")
CONTEXT = ("social", "physical", "somatic", "romantic", "na")


def _rows() -> Iterator[dict[str, Any]]:
    """900 posts from January to May 2020; all numbers are multiples of 1/64, so sums are exact."""
    # the last second of a month and the moment of the cut fall on the right side, in UTC
    edges = (datetime(2020, 3, 31, 23, 59, 59, tzinfo=UTC), CUT, CUT - timedelta(microseconds=1))
    for number in range(900):
        when = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=4 * number)
        context = [8 + number % 5, 16, 4, 8, 0]
        yield {
            "post_id": f"t3_{number}",
            "kind": "submission",
            "subreddit": "rare" if number % 50 == 0 else SUBREDDITS[number % 5],
            "author": f"author{number % 70}",
            "created_at": edges[number] if number < len(edges) else when,
            "status": "empty" if number % 17 == 0 else "ok",
            "lonely": (number * 7 % 61 + number % 5 * (when < CUT)) / 64,
            "context": [share / 64 for share in (*context[:-1], 64 - sum(context))],
        }


ROWS = list(_rows())
SCORED = [row for row in ROWS if row["status"] == "ok"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scores/ in three parts and, beside it, what `score` puts there."""
    folder = tmp_path_factory.mktemp("readme")
    carried = [table_schema("scores").field(name) for name in ("post_id", "kind", "subreddit")]
    carried += [table_schema("scores").field(name) for name in ("author", "created_at")]
    schema = with_footer(scores_schema(loneliness(), carried), {"taxonomy": loneliness().to_dict()})
    for part in range(3):
        rows = [_as_scored(row) for row in ROWS[part * 300 : (part + 1) * 300]]
        table = pa.Table.from_pylist(rows, schema=schema)
        write_parquet(table, folder / "scores" / f"part-{part:06d}.parquet")
    write_json(folder / "scores.about" / "scores.json", {"totals": {"rows": len(ROWS)}})
    return folder


def _as_scored(row: dict[str, Any]) -> dict[str, Any]:
    """The row as it stands in a file: null scores where there is no text."""
    facts = {"num_tokens": 10, "truncated": False}
    if row["status"] != "ok":
        return {**row, **facts}
    labels = dict.fromkeys(loneliness().score_columns[1:], 0.25)
    shares = {f"context_{name}": x for name, x in zip(CONTEXT, row["context"], strict=True)}
    return {**labels, **shares, **row, **facts}


def _run(block: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[pl.DataFrame, str]:
    """The one frame that a block leaves, and what it printed."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(block, "README.md", "exec"), names)
    (frame,) = [value for value in names.values() if isinstance(value, pl.DataFrame)]
    return frame, printed.getvalue()


def _by(key: Any) -> dict[str, tuple[int, float]]:
    """Posts and mean P(lonely) of each group, in plain Python."""
    groups: dict[str, list[float]] = defaultdict(list)
    for row in SCORED:
        groups[key(row)].append(row["lonely"])
    return {name: (len(values), sum(values) / len(values)) for name, values in groups.items()}


def _months() -> list[tuple[str, int, float]]:
    groups = _by(lambda row: row["created_at"].strftime("%Y-%m"))
    return [(month, *groups[month]) for month in sorted(groups)]


def _agree(found: Sequence[tuple[Any, ...]], expected: Sequence[tuple[Any, ...]]) -> None:
    """Names in the same order, and their numbers, to the six decimals that are printed."""
    assert [row[0] for row in found] == [row[0] for row in expected]
    for row, wanted in zip(found, expected, strict=True):
        assert list(row[1:]) == pytest.approx(list(wanted[1:]), abs=1e-6)


def _printed(text: str) -> list[tuple[Any, ...]]:
    """The rows of a frame as Polars prints it: a name, then numbers."""
    lines = [line.strip("│").split("┆") for line in text.splitlines() if line.startswith("│")]
    return [(name.strip(), *map(float, numbers)) for name, *numbers in lines[3:]]


def test_there_are_three_queries_in_python_and_one_in_sql() -> None:
    assert len(fenced(README, "python")) == 3
    assert len(fenced(README, "sql")) == 1


def test_share_lonely_by_month(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame, printed = _run(fenced(README, "python")[0], folder, monkeypatch)
    expected = _months()
    assert len(expected) == 5
    _agree(frame.rows(), expected)
    _agree(_printed(printed), expected)


def test_context_before_and_after(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame, printed = _run(fenced(README, "python")[1], folder, monkeypatch)
    shares = []
    for side in (True, False):
        rows = [row for row in SCORED if (row["created_at"] < CUT) == side]
        weight = sum(row["lonely"] for row in rows)
        shares.append(
            [sum(r["lonely"] * r["context"][place] for r in rows) / weight for place in range(5)]
        )
    expected = [
        (f"context_{name}", before, after)
        for name, before, after in zip(CONTEXT, *shares, strict=True)
    ]
    assert shares[0] != pytest.approx(shares[1], abs=1e-3)
    assert frame.columns == ["label", "before", "after"]
    _agree(frame.rows(), expected)
    _agree(_printed(printed), expected)


def test_top_subreddits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame, printed = _run(fenced(README, "python")[2], folder, monkeypatch)
    groups = _by(lambda row: row["subreddit"].lower())
    assert groups["rare"][0] < 100 <= groups["college"][0]
    enough = [(name, *told) for name, told in groups.items() if told[0] >= 100]
    expected = sorted(enough, key=lambda row: -row[2])
    _agree(frame.rows(), expected)
    _agree(_printed(printed), expected)


def test_the_same_in_duckdb(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (query,) = fenced(README, "sql")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")  # wherever the reader lives
        found = connection.execute(query).fetchall()
    _agree(found, _months())
