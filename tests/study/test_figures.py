"""The figure shows what the table holds, and leaves out what it must."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from corpus_lonely.study import charts, effects
from corpus_lonely.study.figures import Caption, draw_trends, save, units_between
from corpus_lonely.study.running import Months
from corpus_lonely.study.selection import Selection
from corpus_lonely.study.usable_rows import usable
from corpus_lonely.taxonomy import loneliness

CUT = date(2020, 3, 11)
CAPTION = Caption("A title", "Notes.", 0.5)


def monthly(table: pl.DataFrame, min_authors: int = 1) -> pl.DataFrame:
    rows = usable(table.lazy(), Selection(loneliness(), CUT), "scores")
    months = Months(loneliness())
    months.add(rows.collect())
    sums = months.table()
    return effects.monthly_table(effects.with_suppressed(sums, min_authors), loneliness())


@pytest.fixture(scope="module")
def figure(table: pl.DataFrame) -> Figure:
    return draw_trends(monthly(table), loneliness(), CUT, CAPTION)


def test_a_panel_for_loneliness_each_category_and_the_posts(figure: Figure) -> None:
    assert [panel.get_title(loc="left") for panel in figure.axes] == [
        "Lonely, share of all posts",
        "Duration, share of lonely posts",
        "Context, share of lonely posts",
        "Interpersonal, share of lonely posts",
        "Interaction, share of lonely posts",
        "Posts with scores",
    ]


def test_the_cut_is_marked_in_every_panel(figure: Figure) -> None:
    moment = date2num(datetime(2020, 3, 11, tzinfo=UTC))
    for panel in figure.axes:
        marks = [line for line in panel.get_lines() if line.get_gid() == "cut"]
        assert len(marks) == 1
        assert date2num(marks[0].get_xdata()[0]) == moment  # type: ignore[index]


def test_every_label_is_named_beside_its_line_in_its_colour(figure: Figure) -> None:
    for panel, category in zip(figure.axes[1:5], loneliness().categories, strict=True):
        names = {text.get_text(): text.get_color() for text in panel.texts}
        assert set(names) == {
            "n/a" if label == "na" else label.replace("_", " ") for label in category.labels
        }
        assert len(set(names.values())) == len(names)
        lines = {line.get_color() for line in panel.get_lines() if line.get_gid() != "cut"}
        assert lines == set(names.values())
        heights = sorted(text.xy[1] for text in panel.texts)  # type: ignore[attr-defined]
        assert min(np.diff(heights)) > 0.06
        assert heights[-1] <= 1.0 + 1e-9


def test_the_lines_are_the_tables_values(figure: Figure, table: pl.DataFrame) -> None:
    rows = monthly(table).filter(
        pl.col("group") == "context",
        pl.col("label") == "physical",
        pl.col("measure") == "share_of_lonely",
    )
    lines = figure.axes[2].get_lines()
    for line, period in zip(lines[2:4], ("before", "after"), strict=True):
        expected = rows.filter(pl.col("period") == period)["value"].to_list()
        np.testing.assert_array_equal(np.asarray(line.get_ydata(), dtype=float), expected)


def test_a_suppressed_month_and_a_missing_one_are_gaps(table: pl.DataFrame) -> None:
    month = pl.col("created_at").dt.strftime("%Y-%m")
    few = table.filter(
        (month != "2019-06") & ~((month == "2019-08") & (pl.col("author") != "author0"))
    )
    figure = draw_trends(monthly(few, min_authors=5), loneliness(), CUT, CAPTION)
    values = np.asarray(figure.axes[2].get_lines()[0].get_ydata(), dtype=float)
    assert len(values) == 13
    assert np.flatnonzero(np.isnan(values)).tolist() == [3, 5]


def test_the_same_figure_is_the_same_bytes(table: pl.DataFrame, tmp_path: Path) -> None:
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        drawn = draw_trends(monthly(table), loneliness(), CUT, CAPTION)
        written.append([path.read_bytes() for path in save(drawn, tmp_path / name, "trends")])
    assert written[0] == written[1]
    assert b"Context, share of lonely posts" in written[0][0]  # text stays text in the SVG


def test_units_between_crosses_years() -> None:
    assert units_between("2019-11", "2020-02") == ["2019-11", "2019-12", "2020-01", "2020-02"]
    assert units_between("2020-02", "2020-02") == ["2020-02"]


@pytest.mark.parametrize(
    ("before", "difference", "said", "unsaid"),
    [
        (0.4, 0.06, ["took 10.0 percentage points more", "found 15.0 points more", "both in part"], "No change"),
        # a sensitivity cannot grow by 300 points, nor a rate of false positives fall by 250
        (0.1, 0.3, ["took 33.3 percentage points more", "No change of sensitivity"], "300"),
        (0.8, -0.5, ["found 62.5 points less of the posts that are", "No change of the rate of false"], "250"),
        (0.5, 0.5, ["took 100.0 percentage points more", "found 100.0 points more"], "No change"),
    ],
)  # fmt: skip
def test_no_rate_is_said_to_change_by_more_than_it_can(
    before: float, difference: float, said: list[str], unsaid: str
) -> None:
    told = charts.drift_told(before, difference)
    assert all(part in told for part in said), told
    assert unsaid not in told
    figure = charts.draw_sensitivity(before, difference, difference - 0.1, difference + 0.1)
    panel = figure.axes[0]
    assert max(map(abs, panel.get_ylim())) <= 100
    assert np.abs(panel.lines[0].get_xdata()).max() <= 100
