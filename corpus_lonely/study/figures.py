"""One figure: the course of loneliness and of each category's labels by month, with the cut marked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from corpus_lonely.study.periods import AFTER, BEFORE
from corpus_lonely.taxonomy import Category, Taxonomy

# Okabe and Ito 2008: told apart with any colour vision; yellow is left out, too pale for print
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_GREY = "#6b6b6b"
_SMALL: dict[str, Any] = {"fontsize": 8.5, "color": _GREY}
_LEAST_GAP = 0.062
"""Between two labels at the edge of a panel, in panel heights."""

_MANY_POINTS = 100
"""Beyond, lines have no marks."""
_MONTHS_NAMED = 4
"""At most, under a panel."""


@dataclass(frozen=True)
class Caption:
    """What stands above and below the panels, and in them."""

    title: str
    notes: str
    """One or more lines: what the reader must know to read the figure rightly."""
    threshold: float
    """Of P(lonely), in the panel of loneliness."""


def draw_trends(monthly: pl.DataFrame, taxonomy: Taxonomy, cut: date, caption: Caption) -> Figure:
    """A panel for loneliness, one a category, one for how much there is to go by.

    monthly: the table of `run_study` by month or week; null values are left out as gaps, and the two sides of the
    cut are not joined.
    """
    panels = len(taxonomy.categories) + 2
    rows = -(-panels // 2)
    figure = Figure(figsize=(11.0, 2.9 * rows + 1.2), layout="constrained")
    axes = figure.subplots(rows, 2, sharex=True, squeeze=False).ravel()
    _draw_prevalence(axes[0], monthly, taxonomy.root, cut, caption.threshold)
    for panel, category in zip(axes[1:], taxonomy.categories, strict=False):
        _draw_category(panel, monthly, category, cut)
    _draw_posts(axes[panels - 1], monthly, taxonomy.root.name, cut)
    for panel in axes[panels:]:
        panel.set_axis_off()
    _name_months(axes[:panels], monthly)
    figure.suptitle(caption.title, x=0.01, ha="left", fontsize=14, fontweight="bold")
    figure.supxlabel(caption.notes, x=0.01, ha="left", **_SMALL)
    return figure


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Writes the figure as SVG and PNG; the same figure gives the same bytes."""
    paths = [folder / f"{name}.svg", folder / f"{name}.png"]
    with mpl.rc_context({"svg.hashsalt": "corpus-lonely", "svg.fonttype": "none"}):
        figure.savefig(paths[0], metadata={"Date": None})
        figure.set_layout_engine("none")  # laid out once: that takes most of the time
        figure.savefig(paths[1], dpi=150)
    return paths


def _draw_prevalence(
    panel: Axes, monthly: pl.DataFrame, root: Category, cut: date, threshold: float
) -> None:
    weight = f"P({root.labels[1]})"
    shown = {
        "mean_probability": f"mean {weight}",
        "share_at_threshold": f"{weight} ≥ {threshold:g}",
    }
    rows = monthly.filter(pl.col("group") == root.name)
    lines = [(text, rows.filter(pl.col("measure") == name)) for name, text in shown.items()]
    _draw_lines(panel, lines)
    _dress(panel, f"{root.title}, share of all posts", cut)
    moment: Any = datetime(cut.year, cut.month, cut.day, tzinfo=UTC)
    panel.text(moment, 0.04, f" {cut}", transform=panel.get_xaxis_transform(), **_SMALL)


def _draw_category(panel: Axes, monthly: pl.DataFrame, category: Category, cut: date) -> None:
    rows = monthly.filter(pl.col("group") == category.name, pl.col("measure") == "share_of_lonely")
    _draw_lines(
        panel,
        [(worded(label), rows.filter(pl.col("label") == label)) for label in category.labels],
    )
    _dress(panel, f"{category.title}, share of lonely posts", cut)


def _draw_lines(panel: Axes, lines: list[tuple[str, pl.DataFrame]]) -> None:
    ends: list[tuple[float, str, str]] = []
    size = 3.2 if len(lines[0][1]) < _MANY_POINTS else 0
    for number, (text, rows) in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        marker = _MARKERS[number % len(_MARKERS)]
        for period in (BEFORE, AFTER):
            when, values = _course(rows.filter(pl.col("period") == period), rows)
            panel.plot(when, values, color=colour, marker=marker, markersize=size, linewidth=1.4)
        seen = rows["value"].drop_nulls()
        if len(seen):
            ends.append((float(seen[-1]), text, colour))
    panel.set_ylim(bottom=0)
    panel.margins(y=0.08)
    _label_ends(panel, ends)


def _course(rows: pl.DataFrame, both: pl.DataFrame) -> tuple[list[Any], list[float]]:
    """Moments and values of one side of the cut, unit by unit; NaN where there is none."""
    if rows.is_empty():
        return [], []
    known = {month: (when, value) for month, when, value in _points(rows, both)}
    when: list[Any] = []
    values: list[float] = []
    units = rows[_unit(rows)]
    for unit in units_between(units[0], units[-1]):
        moment, value = known.get(unit, (_middle(unit), None))
        when.append(moment)
        values.append(float("nan") if value is None else value)
    return when, values


def _points(rows: pl.DataFrame, both: pl.DataFrame) -> Iterator[tuple[str, datetime, float | None]]:
    """A point stands in the middle of its month or week; where the cut splits it, a quarter aside."""
    by = _unit(both)
    split, days = set(both[by].filter(both[by].is_duplicated())), 7 if by == "month" else 1.75
    for unit, period, value in rows.select(by, "period", "value").iter_rows():
        aside = timedelta(days=(days if period == AFTER else -days) if unit in split else 0)
        yield unit, _middle(unit) + aside, value


def units_between(first: str, last: str) -> list[str]:
    """All months or, named by their Mondays, weeks from `first` to `last`, both included."""
    if len(first) > len("2020-03"):
        monday, latest = date.fromisoformat(first), date.fromisoformat(last)
        days = range(0, (latest - monday).days + 1, 7)
        return [str(monday + timedelta(days=day)) for day in days]
    begin, end = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (first, last))
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(begin, end + 1)]


def _middle(unit: str) -> datetime:
    if len(unit) > len("2020-03"):
        return datetime.fromisoformat(unit).replace(tzinfo=UTC) + timedelta(days=3, hours=12)
    return datetime(int(unit[:4]), int(unit[5:]), 15, tzinfo=UTC)


def worded(label: str) -> str:
    """A label as people write it."""
    return "n/a" if label == "na" else label.replace("_", " ")


def _unit(table: pl.DataFrame) -> str:
    return "week" if "week" in table.columns else "month"


def _label_ends(panel: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Each line's name at the right edge in its colour, pushed apart where lines end close."""
    low, high = panel.get_ylim()
    ends = sorted(ends)
    places = [(value - low) / (high - low) for value, _, _ in ends]
    for number in range(1, len(places)):
        places[number] = max(places[number], places[number - 1] + _LEAST_GAP)
    over = max(0.0, places[-1] - 1.0) if places else 0.0
    for place, (_, text, colour) in zip(places, ends, strict=True):
        panel.annotate(
            text,
            (1.015, place - over),
            xycoords="axes fraction",
            color=colour,
            va="center",
            fontsize=9,
            annotation_clip=False,
        )


def _draw_posts(panel: Axes, monthly: pl.DataFrame, root: str, cut: date) -> None:
    rows = monthly.filter(pl.col("group") == root, pl.col("measure") == "mean_probability")
    by = _unit(rows)
    counts = rows.group_by(by, maintain_order=True).agg(pl.col("posts").sum())
    when: list[Any] = [_middle(unit) for unit in counts[by]]
    width = 22 if by == "month" else 5
    panel.bar(when, counts["posts"].to_list(), width=width, color="#b8c4cc")
    _dress(panel, "Posts with scores", cut, share=False)


def _name_months(panels: Iterable[Axes], monthly: pl.DataFrame) -> None:
    """The same few months under every panel."""
    units = monthly[_unit(monthly)].sort()
    months = units_between(units[0], units[-1])
    named = months[:: -(-len(months) // _MONTHS_NAMED)]
    ticks: list[Any] = [_middle(month) for month in named]
    for panel in panels:
        panel.set_xticks(ticks, [f"{moment:%b %Y}" for moment in ticks])


def _dress(panel: Axes, title: str, cut: date, *, share: bool = True) -> None:
    panel.set_title(title, loc="left", fontsize=10.5)
    moment: Any = datetime(cut.year, cut.month, cut.day, tzinfo=UTC)
    panel.axvline(moment, color=_GREY, linewidth=1.0, linestyle=(0, (4, 3)), gid="cut")
    if share:
        panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    panel.grid(axis="y", color="#e4e4e4", linewidth=0.7)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=9, labelbottom=True)
