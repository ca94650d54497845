"""Scores that are not whole are refused: a part gone, a bit turned, a value that is no probability."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from corpus_lonely import tables
from corpus_lonely.errors import InputError
from corpus_lonely.study import wholeness
from corpus_lonely.study.reading import read_sums
from corpus_lonely.study.sample import SampleSettings, draw_sample
from corpus_lonely.study.settings import StudySettings

PARTS = 4


@pytest.fixture
def sealed(tmp_path: Path, table: pl.DataFrame) -> Path:
    """Scores in four parts as `score` leaves them, footers, seals and all."""
    folder = tmp_path / "scores"
    folder.mkdir()
    step = -(-len(table) // PARTS)
    for index in range(PARTS):
        rows = table[index * step : (index + 1) * step].to_arrow()
        facts = {"fingerprint": "f", "shard": {"index": index, "of": PARTS}}
        part(folder, index).write_bytes(tables.sealed_bytes(with_facts(rows, facts)))
    return folder


def part(folder: Path, index: int) -> Path:
    """A part's path."""
    return folder / f"part-{index:06d}.parquet"


def with_facts(rows: pa.Table, facts: dict[str, Any]) -> pa.Table:
    """The table with facts in its footer."""
    return rows.cast(tables.with_footer(rows.schema, facts))


def study(scores: Path | str) -> StudySettings:
    """Of these scores."""
    return StudySettings(str(scores), date(2020, 3, 11), Path("report"))


def describe(scores: Path, totals: dict[str, int] | None) -> None:
    """Writes what `score` says beside its folder."""
    about = scores.with_name(f"{scores.name}.about")
    about.mkdir()
    (about / "scores.json").write_text(json.dumps({"totals": totals}))


@pytest.mark.parametrize("told", ["ended", "nothing"])
@pytest.mark.parametrize("pattern", ["", "*.parquet"])
def test_missing_parts_are_counted_and_refused(sealed: Path, told: str, pattern: str) -> None:
    if told == "ended":
        describe(sealed, {"rows": 1})
    part(sealed, 1).unlink()
    part(sealed, 3).unlink()
    with pytest.raises(InputError, match=r"lacks 2 of its 4 parts.*corpus-lonely score") as caught:
        read_sums(study(f"{sealed}/{pattern}" if pattern else sealed))
    assert "\n" not in str(caught.value)


def test_missing_parts_of_a_run_that_goes_on_are_no_error(sealed: Path) -> None:
    describe(sealed, None)
    part(sealed, 1).unlink()
    assert wholeness.missing_parts(sealed) == {str(sealed): (1, 4)}
    assert read_sums(study(sealed)).counted["rows"].sum()


def test_parts_asked_for_by_name_are_whole_by_themselves(sealed: Path, table: pl.DataFrame) -> None:
    part(sealed, 3).unlink()
    assert wholeness.missing_parts(f"{sealed}/part-00000[0-2].parquet") == {}
    assert wholeness.missing_parts(part(sealed, 0)) == {}
    assert wholeness.missing_parts(f"{sealed.parent}/sco*") == {str(sealed): (1, 4)}


@pytest.mark.parametrize("where", [0.2, 0.4, 0.6, 0.9])
def test_a_turned_bit_is_refused_wherever_it_stands(sealed: Path, where: float) -> None:
    content = bytearray(part(sealed, 2).read_bytes())
    content[int(len(content) * where)] ^= 4
    part(sealed, 2).write_bytes(content)
    with pytest.raises(InputError, match=r"part-000002\.parquet: is (damaged|not readable)"):
        read_sums(study(sealed))


def test_a_footer_that_is_no_json_is_told_in_one_line(tmp_path: Path) -> None:
    rows = pa.table({"lonely": [0.5]}).replace_schema_metadata({b"corpus_lonely": b'{"run": \xff'})
    tables.write_parquet(rows, tmp_path / "part-000000.parquet")
    with pytest.raises(InputError, match="not readable as Parquet"):
        tables.footer(tmp_path / "part-000000.parquet")


def test_seals_are_compared_once_though_scores_are_read_twice(
    sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def stands(path: Path) -> bool:
        seen.append(path.name)
        return True

    monkeypatch.setattr(wholeness, "_stands", stands)
    read_sums(study(sealed))
    assert sorted(seen) == [part(sealed, index).name for index in range(PARTS)]


@pytest.mark.parametrize("value", [-1e15, 1.5, float("inf")])
def test_what_is_no_probability_never_passes(
    table: pl.DataFrame, tmp_path: Path, value: float
) -> None:
    place = pl.int_range(pl.len()) == 7
    column = "context_social"
    bad = table.with_columns(pl.when(place).then(value).otherwise(column).alias(column))
    bad.write_parquet(tmp_path / "mine.parquet")  # nobody's part: no seal tells
    with pytest.raises(InputError, match="'context_social' below 0 or above 1"):
        read_sums(study(tmp_path / "mine.parquet"))


def test_a_sample_is_drawn_from_whole_scores_alone(
    sealed: Path, table: pl.DataFrame, tmp_path: Path
) -> None:
    posts = table.select("post_id", "created_at", text=pl.lit("words"))
    posts.write_parquet(tmp_path / "posts.parquet")
    out = tmp_path / "sample.csv"
    asked = SampleSettings(str(sealed), str(tmp_path / "posts.parquet"), date(2020, 3, 11), out)
    content = bytearray(part(sealed, 2).read_bytes())
    content[len(content) // 2] ^= 4
    part(sealed, 2).write_bytes(content)
    with pytest.raises(InputError, match=r"part-000002\.parquet: is damaged"):
        draw_sample(asked)
    part(sealed, 2).unlink()
    with pytest.raises(InputError, match="lacks 1 of its 4 parts"):
        draw_sample(asked)
