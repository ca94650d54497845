"""Polars against plain Python loops."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.study import aggregate
from corpus_lonely.study.running import Months
from corpus_lonely.study.selection import Selection, counted_rows
from corpus_lonely.study.usable_rows import usable
from corpus_lonely.taxonomy import loneliness
from tests.study.simulated import CUT

TAXONOMY = loneliness()
SELECTION = Selection(TAXONOMY, date(2020, 3, 11), threshold=0.6)


def rows_of(table: pl.DataFrame, selection: Selection = SELECTION) -> pl.LazyFrame:
    return usable(table.lazy(), selection, "scores")


def months_of(table: pl.DataFrame, selection: Selection = SELECTION) -> pl.DataFrame:
    months = Months(TAXONOMY)
    months.add(rows_of(table, selection).collect())
    return months.table()


def tidied(table: pl.DataFrame, selection: Selection = SELECTION) -> pl.DataFrame:
    sums = months_of(table, selection)
    return aggregate.tidy(sums, ["month", "period"], TAXONOMY)


def by_hand(table: pl.DataFrame, threshold: float) -> dict[tuple[str, ...], tuple[float, int, int]]:
    """The tidy table by loops: value, posts and authors of each month, period, label, measure."""
    sets: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in table.iter_rows(named=True):
        if row["status"] == "ok":
            side = "before" if row["created_at"] < CUT else "after"
            sets[row["created_at"].strftime("%Y-%m"), side].append(row)
    found: dict[tuple[str, ...], tuple[float, int, int]] = {}
    for key, rows in sets.items():
        posts, authors = len(rows), len({row["author"] for row in rows} - {None})
        weight = sum(row["lonely"] for row in rows)
        above = sum(row["lonely"] >= threshold for row in rows)
        root = (*key, "lonely", "lonely")
        found[*root, "mean_probability"] = (weight / posts, posts, authors)
        found[*root, "share_at_threshold"] = (above / posts, posts, authors)
        for category in TAXONOMY.categories:
            for label, column in zip(category.labels, category.columns, strict=True):
                both = sum(row["lonely"] * row[column] for row in rows)
                name = (*key, category.name, label)
                found[*name, "share_of_lonely"] = (both / weight, posts, authors)
                found[*name, "share_of_all"] = (both / posts, posts, authors)
    return found


def test_monthly_means_equal_a_plain_loop(table: pl.DataFrame) -> None:
    expected = by_hand(table, SELECTION.threshold)
    found = {
        row[:5]: row[5:]
        for row in tidied(table)
        .select("month", "period", "group", "label", "measure", "value", "posts", "authors")
        .iter_rows()
    }
    assert len(found) == 25 * (2 + 2 * 19)  # 24 months, one of them in two
    assert set(found) == set(expected)
    for key, (value, posts, authors) in expected.items():
        assert found[key][0] == pytest.approx(value, abs=1e-8), key
        assert found[key][1:] == (posts, authors)


def test_the_month_of_the_cut_has_two_sides(table: pl.DataFrame) -> None:
    sums = months_of(table)
    sides = sums.filter(pl.col("month") == "2020-03")
    assert sides["period"].to_list() == ["before", "after"]
    assert sides["last"][0] < CUT <= sides["first"][1]
    assert sums["month"].to_list() == sorted(sums["month"])


def test_shares_sum_to_one_and_to_the_prevalence(table: pl.DataFrame) -> None:
    found = tidied(table)
    sums = found.group_by("month", "period", "group", "measure").agg(pl.col("value").sum())
    of_lonely = sums.filter(pl.col("measure") == "share_of_lonely")
    assert of_lonely["value"].to_list() == pytest.approx([1.0] * len(of_lonely), abs=1e-6)
    prevalence = found.filter(pl.col("measure") == "mean_probability")
    of_all = sums.filter(pl.col("measure") == "share_of_all").join(
        prevalence, on=["month", "period"], suffix="_lonely"
    )
    assert of_all["value"].to_list() == pytest.approx(of_all["value_lonely"].to_list(), abs=1e-6)


def broken(table: pl.DataFrame) -> pl.DataFrame:
    """One row each: without date, without status, not a number, of the status error."""
    place = pl.int_range(pl.len())
    return table.filter(pl.col("status") == "ok").with_columns(
        pl.when(place == 0).then(None).otherwise(pl.col("created_at")).alias("created_at"),
        pl.when(place == 1).then(None).when(place == 2).then(pl.lit("error"))
        .otherwise(pl.col("status")).alias("status"),
        pl.when(place == 3).then(float("nan")).otherwise(pl.col("lonely")).alias("lonely"),
        pl.when(place == 4).then(None).otherwise(pl.col("context_na")).alias("context_na"),
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["both", "submission", "comment"])
def test_every_row_is_kept_or_dropped_for_a_reason(table: pl.DataFrame, kind: str) -> None:
    soiled = broken(table)
    selection = Selection(TAXONOMY, date(2020, 3, 11), kind)
    counted = counted_rows(soiled.lazy(), selection).collect()
    assert counted["rows"].sum() == len(soiled)
    reasons = {"no_date": 1, "no_status": 1, "error": 1, "no_score": 2}
    of_kind = soiled if kind == "both" else soiled.filter(pl.col("kind") == kind)
    kept = counted.filter(pl.col("reason") == "kept")["rows"].sum()
    assert kept == rows_of(soiled, selection).select(pl.len()).collect().item()
    found = Counter(dict(counted.group_by("reason").agg(pl.col("rows").sum()).iter_rows()))
    assert found["other_kind"] == len(soiled) - len(of_kind)
    if kind == "both":
        assert {reason: found[reason] for reason in reasons} == reasons
        assert kept == len(soiled) - 5


def test_author_sums_add_up_and_leave_lone_posts_out(table: pl.DataFrame) -> None:
    sums = aggregate.author_sums(rows_of(table), TAXONOMY).collect()
    known = table.filter(pl.col("status") == "ok", pl.col("author").is_not_null())
    assert not sums.select(pl.struct("author", "period").is_duplicated().any()).item()
    assert sums["posts"].sum() == len(known)
    assert sums["lonely"].sum() == pytest.approx(known["lonely"].cast(pl.Float64).sum())


def test_a_random_share_of_authors_is_whole_authors(table: pl.DataFrame) -> None:
    every = aggregate.author_sums(rows_of(table), TAXONOMY).collect()
    some = aggregate.author_sums(rows_of(table), TAXONOMY, share=0.5).collect()
    chosen = every.filter(pl.col("author").is_in(some["author"].unique().implode()))
    assert_frame_equal(
        some.sort("author", "period"), chosen.sort("author", "period")
    )  # but for the order in which floats are added
    assert 0.3 < some["author"].n_unique() / every["author"].n_unique() < 0.7


@pytest.mark.parametrize(
    ("cut", "by", "begins", "ends"),
    [
        (date(2020, 3, 11), "month", date(2020, 1, 1), date(2020, 7, 1)),
        (date(2020, 3, 1), "month", date(2020, 1, 1), date(2020, 6, 1)),
        # Mondays: of 11 January, and after 11 June
        (date(2020, 3, 11), "week", date(2020, 1, 6), date(2020, 6, 15)),
        (date(2020, 3, 13), "week", date(2020, 1, 13), date(2020, 6, 15)),
        (date(2020, 3, 8), "week", date(2020, 1, 6), date(2020, 6, 8)),
    ],
)
def test_windows_are_of_whole_months_or_weeks(
    table: pl.DataFrame, cut: date, by: str, begins: date, ends: date
) -> None:
    selection = Selection(TAXONOMY, cut, pre=2, post=3, by=by)
    rows = rows_of(table, selection).collect()
    inside = (rows["created_at"].dt.date() >= begins) & (rows["created_at"].dt.date() < ends)
    assert rows["inside"].equals(inside, check_names=False)
    # no side of a month (or week) is partly in: it less the window would tell of few
    parts = rows.group_by(by, "period").agg(pl.col("inside").n_unique())
    assert parts["inside"].to_list() == [1] * len(parts)
    counts = aggregate.period_counts(rows.lazy()).collect()
    told = counts.filter(pl.col("inside"), pl.col("period") == "before")
    own = rows.filter("inside", pl.col("period") == "before")
    assert told["posts"].item() == len(own)
    assert told["without_author"].item() == own["author"].null_count()


def test_a_moment_without_a_zone_is_taken_for_utc_and_others_are_moved(table: pl.DataFrame) -> None:
    naive = table.with_columns(pl.col("created_at").dt.replace_time_zone(None))
    moved = table.with_columns(pl.col("created_at").dt.convert_time_zone("Asia/Tokyo"))
    for other in (naive, moved):
        assert tidied(other).equals(tidied(table))


def test_what_is_missing_is_named(table: pl.DataFrame) -> None:
    for column in ("created_at", "context_social"):
        with pytest.raises(InputError, match=f"^scores: has no column '{column}'"):
            rows_of(table.drop(column))
    for column, asked, helps in (
        ("kind", {"kind": "comment"}, False),
        ("context_social", {}, False),
        ("kind", {"group": "kind"}, True),
        ("kind", {"kind": "comment", "where": (("kind", "comment"),)}, True),
    ):
        with pytest.raises(InputError, match=f"'{column}'") as caught:
            rows_of(table.drop(column), replace(SELECTION, **asked))
        assert ("give --posts" in str(caught.value)) == helps
    with pytest.raises(InputError, match="not a timestamp"):
        rows_of(table.with_columns(pl.col("created_at").cast(pl.String)))
    with pytest.raises(SettingsError, match="--kind must be one of"):
        rows_of(table, Selection(TAXONOMY, date(2020, 3, 11), "post"))


def test_without_authors_and_kinds_there_is_still_a_study(table: pl.DataFrame) -> None:
    bare = table.drop("author", "kind")
    assert tidied(bare)["authors"].max() == 0
    assert tidied(bare)["value"].equals(tidied(table)["value"])
    counted = counted_rows(bare.lazy(), SELECTION).collect()
    assert set(counted["kind"]) == {"unknown"}
