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
from corpus_lonely.ingest.describe.gaps import Gap, months_between
from corpus_lonely.ingest.describe.inspect import PostsDescription

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
_SUFFIXES = (".png", ".svg", ".pdf")


def check_name(path: Path) -> None:
    """SettingsError for a file of a kind that cannot be drawn."""
    if path.suffix.lower() not in _SUFFIXES:
        raise SettingsError(f"--figure must end in {', '.join(_SUFFIXES)}, got {path}")


def draw_coverage(description: PostsDescription) -> Figure:
    """Above all posts read by month, stacked by what became of them; below where the gaps are."""
    dated = description.coverage.filter(pl.col("month").is_not_null())
    sums = dated.group_by("month").agg(pl.exclude("subreddit", "kind", "month").sum())
    months = months_between(str(sums["month"].min()), str(sums["month"].max()))
    table = pl.DataFrame({"month": months}).join(sums, on="month", how="left").fill_null(0)
    figure = Figure(figsize=(10.0, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[6, 1])
    _draw_counts(above, table.sort("month"))
    _draw_gaps(below, description.gaps)
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


def _draw_gaps(panel: Axes, gaps: list[Gap]) -> None:
    """One bar a gap; darker where more subreddits share it."""
    panel.set_ylim(0, 1)
    panel.set_yticks([])
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(labelsize=9)
    told = "none found" if not gaps else f"{len({(g.begin, g.end) for g in gaps}):,}"
    panel.set_ylabel(f"gaps\n{told}", rotation=0, ha="right", va="center", fontsize=9, color=_GREY)
    for gap in gaps:
        begin: Any = _begin(gap.first_day.isoformat())
        end: Any = _begin((gap.last_day + timedelta(days=1)).isoformat())
        # a day would be a hair's breadth in twenty years: an edge of fixed width makes it seen
        panel.axvspan(begin, end, color=_GAP, alpha=0.55, linewidth=1.6)


def _begin(told: str) -> datetime:
    return datetime.fromisoformat(told if len(told) > 7 else f"{told}-01").replace(tzinfo=UTC)
