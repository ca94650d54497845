"""A figure of what a posts folder covers: kept and dropped by month, gaps marked."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from corpus_lonely.errors import SettingsError
from corpus_lonely.files import atomic_path
from corpus_lonely.ingest.describe.inspect import PostsDescription
from corpus_lonely.ingest.gaps import Gap, months_between

# Okabe and Ito 2008: told apart with any colour vision; hatches tell them apart without any
_KEPT = ("kept", "#0072B2", "")
_LAYERS = (
    ("removed", "#D55E00", "", ("removed",)),
    ("deleted", "#E69F00", "///", ("deleted", "purged")),
    ("copies", "#B8C4CC", "", ("duplicate",)),
    ("other drops", "#009E73", "...", ("empty", "bot", "too_short")),
)
_GAP = "#CC79A7"
_GREY = "#4d4d4d"
_NAMED = 6
"""Subreddits and kinds with a row of gaps each; those with fewer posts share one."""
_ROW, _PANEL = 0.24, 3.7
"""Inches: of a row of gaps, and of the panel above."""
_SUFFIXES = (".png", ".svg", ".pdf")


def check_name(path: Path) -> None:
    """SettingsError for a file of a kind that cannot be drawn."""
    if path.suffix.lower() not in _SUFFIXES:
        raise SettingsError(f"--figure must end in {', '.join(_SUFFIXES)}, got {path}")


def draw_coverage(description: PostsDescription) -> Figure:
    """Above all posts read by month, stacked by what became of them; below whose gaps are where."""
    dated = description.coverage.filter(pl.col("month").is_not_null())
    sums = dated.group_by("month").agg(pl.exclude("subreddit", "kind", "month").sum())
    months = months_between(str(sums["month"].min()), str(sums["month"].max()))
    table = pl.DataFrame({"month": months}).join(sums, on="month", how="left").fill_null(0)
    rows = _rows(description.gaps, dated)
    heights = [_PANEL, _ROW * max(2, len(rows))]
    figure = Figure(figsize=(10.0, 0.9 + sum(heights)), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    _draw_counts(above, table.sort("month"))
    _draw_gaps(below, rows)
    names = dated["subreddit"].unique().sort().to_list()
    told = f"r/{names[0]}" if len(names) == 1 else f"{len(names):,} subreddits"
    figure.suptitle(
        f"Posts read by month, {told}: {description.posts:,} kept of {description.read:,} lines",
        x=0.01, ha="left", fontsize=12.5, fontweight="bold",
    )  # fmt: skip
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes it whole; the same figure gives the same bytes."""
    check_name(path)
    # SVG and PDF would tell when they were made
    metadata: dict[str, Any] = {
        ".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {},
    }[path.suffix.lower()]  # fmt: skip
    with (
        mpl.rc_context({"svg.hashsalt": "corpus-lonely", "svg.fonttype": "none"}),
        atomic_path(path) as temporary,
    ):
        kind = path.suffix.lower()[1:]
        figure.savefig(temporary, format=kind, metadata=metadata, dpi=150)


def _draw_counts(panel: Axes, table: pl.DataFrame) -> None:
    begins: list[Any] = [_begin(month) for month in table["month"]]
    ends: list[Any] = [
        _begin(months_between(month, month, beyond=1)[-1]) for month in table["month"]
    ]
    widths: list[Any] = [(end - begin) * 0.92 for begin, end in zip(begins, ends, strict=True)]
    bottom = pl.zeros(len(table), eager=True)
    layers = [(*_KEPT, table["kept"])] + [
        (name, colour, hatch, table.select(pl.sum_horizontal(f"dropped_{r}" for r in reasons)).to_series())
        for name, colour, hatch, reasons in _LAYERS
    ]  # fmt: skip
    for name, colour, hatch, counts in layers:
        if not counts.sum():
            continue
        panel.bar(
            begins, counts.to_list(), widths, bottom.to_list(), align="edge", color=colour,
            hatch=hatch, edgecolor="white", linewidth=0, label=f"{name} ({counts.sum():,})",
        )  # fmt: skip
        bottom = bottom + counts
    panel.set_xlim(begins[0], ends[-1])
    panel.set_ylim(0, max(1, float(bottom.max() or 1)) * 1.05)  # type: ignore[arg-type]
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.grid(axis="y", color="#e4e4e4", linewidth=0.7)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(
        frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=5, borderaxespad=0
    )


def _rows(gaps: list[Gap], coverage: pl.DataFrame) -> dict[str, list[Gap]]:
    """The gaps by whose they are, those with most posts first; the name tells their share of all posts."""
    having = pl.DataFrame(
        sorted({(gap.subreddit, gap.kind) for gap in gaps}),
        schema={"subreddit": pl.String, "kind": pl.String}, orient="row",
    )  # fmt: skip
    read = coverage.group_by("subreddit", "kind").agg(pl.col("read").sum())
    whose = having.join(read, on=["subreddit", "kind"], how="left").sort(
        "read", "subreddit", "kind", descending=[True, False, False]
    )
    total, shown = max(1, int(read["read"].sum())), len(whose)
    if shown > _NAMED:  # a row of its own would stand for the last as well
        shown = _NAMED - 1
    names = {
        (subreddit, kind): f"r/{subreddit} {kind}s, {count / total:.1%}"
        for subreddit, kind, count in whose.head(shown).iter_rows()
    }
    rest = whose.slice(shown)
    others = f"{len(rest):,} others, {int(rest['read'].sum()) / total:.1%}"
    rows: dict[str, list[Gap]] = {name: [] for name in names.values()}
    if len(rest):
        rows[others] = []
    for gap in gaps:
        rows[names.get((gap.subreddit, gap.kind), others)].append(gap)
    return rows


def _draw_gaps(panel: Axes, rows: dict[str, list[Gap]]) -> None:
    """A row for each that has gaps, a bar for each gap."""
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(labelsize=9)
    panel.tick_params(axis="y", length=0, labelsize=8, labelcolor=_GREY)
    told = "Gaps, of whom, and their share of all posts" if rows else "Gaps: none found"
    panel.set_title(told, loc="left", fontsize=9, color=_GREY)
    panel.set_ylim(max(1, len(rows)) - 0.5, -0.5)
    panel.set_yticks(range(len(rows)), list(rows))
    for place, gaps in enumerate(rows.values()):
        for gap in gaps:
            begin: Any = _begin(gap.first_day.isoformat())
            end: Any = _begin((gap.last_day + timedelta(days=1)).isoformat())
            # a day would be a hair's breadth in twenty years: an edge of fixed width makes it seen
            panel.barh(
                place,
                end - begin,
                0.7,
                begin,
                color=_GAP,
                alpha=0.55,
                edgecolor=_GAP,
                linewidth=1.6,
            )


def _begin(told: str) -> datetime:
    return datetime.fromisoformat(told if len(told) > 7 else f"{told}-01").replace(tzinfo=UTC)
