"""A folder of posts tells what it covers, and whatever is spoilt in it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from matplotlib.dates import num2date
from matplotlib.patches import Rectangle

from corpus_lonely.cli.main import main
from corpus_lonely.ingest.describe.figure import draw_coverage
from corpus_lonely.ingest.describe.inspect import inspect_posts
from corpus_lonely.ingest.distinct import distinct
from corpus_lonely.ingest.gaps import Gap
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.writer import MonthWriter
from corpus_lonely.tables import footer
from tests.ingest.lines import DAY, MARCH, submission, tree, write_dump
from tests.ingest.test_run import dirty

MONTH = "month=2020-03/part-0.parquet"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    for number in range(2):
        write_dump(tmp_path / f"{number}.gz", dirty(number))
    ingest_dumps([tmp_path / f"{number}.gz" for number in range(2)], tmp_path / "posts")
    return tmp_path / "posts"


def describe(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["describe", *map(str, arguments)])


def test_it_tells_what_the_files_hold(made: Path) -> None:
    before = tree(made.parent)
    told = inspect_posts(made)
    posts = pl.read_parquet(made / "*" / "*.parquet", hive_partitioning=False)
    assert (told.posts, told.bad, told.others, told.unfinished) == (len(posts), {}, [], None)
    assert told.read == told.posts + sum(told.dropped.values())
    month = posts["created_at"].dt.strftime("%Y-%m").alias("month")
    by_hand = (
        posts.with_columns(month).group_by("month").agg(pl.col("author").drop_nulls().n_unique())
    )
    assert told.authors == dict(by_hand.iter_rows())
    assert tree(made.parent) == before


def rewritten(made: Path, change: Callable[[pa.Table], pa.Table], **facts: object) -> None:
    path = made / MONTH
    table, told = pq.read_table(path), footer(path) | facts
    with MonthWriter(path, table.schema.remove_metadata(), told) as writer:
        writer.write(change(table).replace_schema_metadata(None))


def swap(table: pa.Table, name: str, value: object) -> pa.Table:
    """Its last row with another value."""
    column = table.column(name).to_pylist()
    column[-1] = value
    place = table.schema.get_field_index(name)
    return table.set_column(
        place, table.schema.field(place), pa.array(column, table.schema.field(place).type)
    )


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (lambda made: (made / MONTH).unlink(), "is missing"),
    "cut": (lambda made: (made / MONTH).write_bytes((made / MONTH).read_bytes()[:-9]), "not readable as Parquet"),
    "a page": (lambda made: garble(made / MONTH), "Bad: month=2020-03: cannot be read"),
    "a row less": (lambda made: rewritten(made, lambda table: table.slice(1)), "posts, and should have"),
    "twice": (lambda made: rewritten(made, lambda table: swap(table, "post_id", table["post_id"][0].as_py())), "holds a post twice"),
    "month": (lambda made: rewritten(made, lambda table: swap(table, "created_at", 0)), "holds 1 posts of other months"),
    "author": (lambda made: rewritten(made, lambda table: swap(table, "author", "0" * 32)), "other posts or authors than the coverage"),
    "key": (lambda made: rewritten(made, lambda table: table, author_key="other"), "hashed with another key"),
    "origins": (lambda made: next((made.with_name("posts.about") / "origins").glob("*03*")).unlink(), "has lost"),
}  # fmt: skip


def garble(path: Path) -> None:
    """Zeros over the first pages; the footer stays."""
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)
    path.write_bytes(data)


@pytest.mark.parametrize("how", SPOILT)
def test_what_is_spoilt_is_named(made: Path, how: str) -> None:
    spoil, told = SPOILT[how]
    spoil(made)
    ran = describe(made)
    assert ran.exit_code == 1
    assert told in ran.output
    assert "Error: " in ran.output.splitlines()[-1]


def test_files_that_broke_off_are_told_until_they_are_read_whole(tmp_path: Path) -> None:
    whole = write_dump(tmp_path / "d.gz", dirty(1)).read_bytes()
    cut = tmp_path / "elsewhere" / "d.gz"
    cut.parent.mkdir()
    cut.write_bytes(whole[:-200])
    ingest_dumps([cut, write_dump(tmp_path / "other.gz", dirty(2))], tmp_path / "posts")
    ran = describe(tmp_path / "posts")
    assert ran.exit_code == 0
    assert "2 read; broken off: d.gz" in ran.stdout
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith("Broken: ")]
    assert line.startswith(f"Broken: {cut}: ")
    ingest_dumps([tmp_path / "d.gz"], tmp_path / "posts")
    ran = describe(tmp_path / "posts")
    assert "3 read; broken off once, read whole later: d.gz" in ran.stdout
    assert "Broken: " not in ran.stdout
    told = inspect_posts(tmp_path / "posts")
    assert (told.broken, told.repaired) == ({}, [str(cut)])


def test_sums_that_do_not_hold_are_named(made: Path) -> None:
    path = made.with_name("posts.about") / "coverage.parquet"
    table = pl.DataFrame(pq.read_table(path))
    more = pl.when(pl.int_range(pl.len()) == 0).then(pl.col("read") + 1).otherwise(pl.col("read"))
    pq.write_table(table.with_columns(more.alias("read")).to_arrow(), path)
    assert "read is not kept + dropped" in inspect_posts(made).bad["coverage.parquet"]


def test_what_lies_there_and_is_not_ours_is_told(made: Path) -> None:
    (made / "notes.txt").write_text("x")
    assert inspect_posts(made, check=False).others == ["notes.txt"]


def test_the_command_finds_the_blackout_and_draws_it(tmp_path: Path) -> None:
    begin = MARCH - 20 * DAY
    lines = [
        submission(f"{day:x}z{n:x}", created_utc=begin + day * DAY + n)
        for day in range(50)
        for n in range(40)
        if day not in (24, 25, 26)
    ]
    ingest_dumps([write_dump(tmp_path / "d.gz", lines)], tmp_path / "posts")
    ran = describe(tmp_path / "posts", "--figure", tmp_path / "f.svg", "--by", "all")
    assert ran.exit_code == 0, ran.output
    found = [line for line in ran.stdout.splitlines() if line.startswith("Gap: ")]
    assert found == [
        "Gap: 2020-03-05 to 2020-03-07: r/lonely submissions: 0 posts, usual are 40 a day"
    ]
    assert f"read {len(lines):,} = kept {len(lines):,} + dropped 0" in ran.stdout
    words = "".join(ElementTree.parse(tmp_path / "f.svg").getroot().itertext())
    assert "r/lonely" in words
    assert "Gaps" in words
    first = (tmp_path / "f.svg").read_bytes()
    assert describe(tmp_path / "posts", "--figure", tmp_path / "f.svg").exit_code == 0
    assert (tmp_path / "f.svg").read_bytes() == first
    told = json.loads(describe(tmp_path / "posts", "--json").stdout)
    assert told["gaps"][0]["begin"] == "2020-03-05"
    assert sum(row["kept"] for row in told["coverage"]) == told["posts"]
    fast = json.loads(describe(tmp_path / "posts", "--json", "--no-check").stdout)
    assert (fast["gaps"], fast["checked"]) == ([], False)
    told_at_ingest = "r/lonely submissions 2020-03 (3 days), as the coverage table tells"
    assert told_at_ingest in describe(tmp_path / "posts", "--no-check").stdout


def test_the_figure_tells_whose_the_gaps_are(made: Path) -> None:
    sizes = {"a": 900, "b": 60, "c": 30, "d": 10}
    rows = [
        {"month": month, "subreddit": name, "kind": "comment", "read": size, "kept": size}
        for month in ("2020-03", "2020-05") for name, size in sizes.items()
    ]  # fmt: skip
    told = inspect_posts(made)
    table = pl.concat([told.coverage.clear(), pl.DataFrame(rows)], how="diagonal_relaxed")

    def bars(*gaps: tuple[str, str]) -> dict[str, list[tuple[str, str]]]:
        found = [Gap(name, "comment", "month", month, month, 0, 99) for name, month in gaps]
        panel = draw_coverage(replace(told, coverage=table.fill_null(0), gaps=found)).axes[1]
        names = [label.get_text() for label in panel.get_yticklabels()]
        drawn: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
        for bar in panel.patches:
            assert isinstance(bar, Rectangle)
            span = [
                num2date(x).date().isoformat() for x in (bar.get_x(), bar.get_x() + bar.get_width())
            ]
            drawn[names[round(bar.get_y() + bar.get_height() / 2)]].append((span[0], span[1]))
        return drawn

    assert bars() == {}
    april, march = ("2020-04-01", "2020-05-01"), ("2020-03-01", "2020-04-01")
    assert bars(("c", "2020-04"), ("a", "2020-03"), ("c", "2020-03")) == {
        "r/a comments, 90.0%": [march],
        "r/c comments, 3.0%": [april, march],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("corpus_lonely.ingest.describe.figure._NAMED", 2)
        assert bars(("c", "2020-04"), ("b", "2020-04"), ("d", "2020-03")) == {
            "r/b comments, 6.0%": [april],
            "2 others, 4.0%": [april, march],
        }


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("--verify", "5"), 2, "--verify has no use for posts"),
        (("--figure", "f.jpg"), 2, "--figure must end in"),
    ],
)
def test_options_without_use_are_refused(
    made: Path, arguments: tuple[str, ...], status: int, told: str
) -> None:
    ran = describe(made, *arguments)
    assert ran.exit_code == status
    assert told in ran.output


def test_folders_of_other_kinds_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    ran = describe(tmp_path)
    assert (ran.exit_code, "is no folder of posts, marks, scores, a model" in ran.output) == (
        1,
        True,
    )
    assert "does not exist" in describe(tmp_path / "no").output
    (tmp_path / "study.json").write_text("{}")
    assert "open its report.html" in describe(tmp_path).output
    (tmp_path / "adaptation.json").write_text(
        '{"steps": 7, "perplexity": {"before": 9.5, "after": 4}}'
    )
    ran = describe(tmp_path)
    assert (ran.exit_code, "before 9.5, after 4" in ran.output) == (0, True)
    assert describe(tmp_path, "--figure", "f.svg").exit_code == 2
    told = json.loads(describe(tmp_path, "--json").stdout)
    assert (told["kind"], told["steps"]) == ("encoder", 7)


def test_posts_without_their_record(made: Path) -> None:
    (made.with_name("posts.about") / "ingest.json").unlink()
    ran = describe(made)
    assert ran.exit_code == 1
    assert "has no record of an ingest" in ran.output


def test_distinct_in_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus_lonely.ingest.distinct._ROWS_PER_PASS", 10)
    frame = pl.DataFrame(
        {"g": [n % 3 for n in range(95)], "v": [n % 7 if n % 5 else None for n in range(95)]}
    )
    found = distinct(frame.lazy(), "v", ["g"], 95).sort("g")
    expected = [len({n % 7 for n in range(95) if n % 3 == g and n % 5}) for g in range(3)]
    assert found["v"].to_list() == expected
