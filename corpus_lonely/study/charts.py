"""Figures beside the trends: effects with intervals, months against before, placebo dates, what error drift would do."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from corpus_lonely.study.figures import worded
from corpus_lonely.study.series import Placebo
from corpus_lonely.taxonomy import Taxonomy

# Okabe and Ito 2008; marks differ in shape too
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6b6b6b"
_NOTE: dict[str, Any] = {"fontsize": 8.5, "color": GREY}
_MOST_MONTH_NAMES = 6


def draw_effects(estimates: pl.DataFrame, taxonomy: Taxonomy) -> Figure:
    """A row a label: difference in percentage points, by two kinds of interval."""
    root = taxonomy.root
    rows = [(root.name, root.name, "mean_probability", f"{root.name} (of all posts)")]
    for category in taxonomy.categories:
        rows += [
            (category.name, label, "share_of_lonely", named(category.name, label))
            for label in category.labels
        ]
    figure = Figure(figsize=(8.6, 0.34 * len(rows) + 1.7), layout="constrained")
    panel = figure.subplots()
    kinds = (
        ("difference", "authors resampled", BLUE, "o", 0.14),
        ("authors_and_months", "authors and months", ORANGE, "s", -0.14),
    )
    for estimator, name, colour, marker, aside in kinds:
        chosen = estimates.filter(pl.col("estimator") == estimator)
        told = {tuple(row[:3]): row[3:] for row in chosen.select(
            "group", "label", "measure", "estimate", "low", "high").iter_rows()}  # fmt: skip
        for place, (*key, _) in enumerate(rows):
            value, low, high = told[tuple(key)]
            if value is None:
                continue
            at, first = len(rows) - 1 - place + aside, place == 0
            if low is not None:
                panel.plot([100 * low, 100 * high], [at, at], color=colour, linewidth=1.8)
            panel.plot(
                100 * value, at, marker, color=colour, markersize=5, label=name if first else None
            )
    panel.axvline(0, color=GREY, linewidth=1)
    panel.set_yticks(range(len(rows)), [name for *_, name in reversed(rows)], fontsize=9)
    panel.set_xlabel("after less before, percentage points, with 95 % intervals", fontsize=9)
    panel.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, frameon=False, fontsize=9)
    _dress(panel, axis="x")
    return figure


def strongest(periods: pl.DataFrame, count: int) -> list[tuple[str, str, str]]:
    """The labels that moved most for their uncertainty, as group, label and measure."""
    chosen = periods.filter(pl.col("measure") == "share_of_lonely", pl.col("p").is_not_null())
    rows = chosen.sort("p", pl.col("difference").abs(), descending=[False, True]).head(count)
    return [(g, b, m) for g, b, m in rows.select("group", "label", "measure").iter_rows()]


def named(group: str, label: str) -> str:
    """A label with its category, for some stand in several."""
    return label if group == label else f"{group}: {worded(label)}"


def draw_events(events: pl.DataFrame, shown: Sequence[tuple[str, str, str]], cut: date) -> Figure:
    """A panel a label: each month less the mean of before, with its interval."""
    rows = -(-len(shown) // 2)
    figure = Figure(figsize=(11, 2.5 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, 2, sharex=True, squeeze=False).ravel()
    months = events["month"].unique().sort().to_list()
    for panel, (group, label, measure) in zip(axes, shown, strict=False):
        own = events.filter(
            pl.col("group") == group, pl.col("label") == label, pl.col("measure") == measure
        )
        for period, colour, marker in (("before", BLUE, "o"), ("after", ORANGE, "s")):
            side = own.filter(pl.col("period") == period)
            # the month that the cut splits has a point on each side
            aside = -0.15 if period == "before" else 0.15
            at = np.array([months.index(month) + aside for month in side["month"]])
            values = [
                100 * side[name].cast(pl.Float64).to_numpy() for name in ("estimate", "low", "high")
            ]
            panel.vlines(at, values[1], values[2], color=colour, linewidth=1.2)
            panel.plot(at, values[0], marker, color=colour, markersize=3.5)
        panel.axhline(0, color=GREY, linewidth=1)
        panel.set_title(named(group, label), loc="left", fontsize=10.5)
        _dress(panel, axis="y")
        step = -(-len(months) // _MOST_MONTH_NAMES)
        panel.set_xticks(range(0, len(months), step), months[::step])
        panel.tick_params(labelbottom=True)
    for panel in axes[len(shown) :]:
        panel.set_axis_off()
    figure.supylabel("percentage points", fontsize=9)
    figure.supxlabel(
        f"Months before {cut} are circles, months from it on squares.", x=0.01, ha="left", **_NOTE
    )
    return figure


def draw_placebo(placebo: Placebo, names: Sequence[str], positions: Sequence[int]) -> Figure:
    """A row a label: jumps at placebo dates as dots, the jump at the cut as a diamond."""
    figure = Figure(figsize=(8.6, 0.34 * len(names) + 1.4), layout="constrained")
    panel = figure.subplots()
    for place, position in enumerate(positions):
        at = len(names) - 1 - place
        jumps = 100 * placebo.placebo_PE[:, position]
        panel.plot(jumps, np.full(len(jumps), at), "o", color=BLUE, alpha=0.35, markersize=5)
        panel.plot(100 * placebo.jump_E[position], at, "D", color=ORANGE, markersize=7)
    panel.axvline(0, color=GREY, linewidth=1)
    panel.set_yticks(range(len(names)), list(reversed(names)), fontsize=9)
    panel.set_xlabel("jump, percentage points", fontsize=9)
    figure.supxlabel(
        f"Diamonds: at the cut. Dots: at {len(placebo.months)} earlier dates; {placebo.span} months on each side.",
        x=0.01, ha="left", **_NOTE,
    )  # fmt: skip
    _dress(panel, axis="x")
    return figure


def explained_by(before: float, difference: float) -> tuple[float, float]:
    """The change of the rate of false positives, and that of sensitivity, which alone would make a difference.

    A change of the former by f and of the latter by s moves the share by (1 - before) * f + before * s.
    """
    return difference / (1 - before), difference / before


def drift_told(before: float, difference: float) -> str:
    """The same in words; a rate that would have to change by more than 100 points explains nothing by itself."""
    false, found = (100 * drift for drift in explained_by(before, difference))
    took = f"it took {abs(false):.1f} percentage points {_more(false)} of the posts that are not lonely for lonely"
    missed = f"found {abs(found):.1f} points {_more(found)} of those that are"
    told = "The whole change would be the model's if, from the cut on, "
    if abs(found) > 100:
        return (
            f"{told}{took}. No change of sensitivity, which is how many of those that are lonely it finds, could "
            "explain it alone."
        )
    if abs(false) > 100:
        return (
            f"{told}it {missed.replace('those that are', 'the posts that are lonely')}. No change of the rate of false "
            "positives could explain it alone."
        )
    return f"{told}{took}, or {missed}, or both in part."


def _more(change: float) -> str:
    return "more" if change >= 0 else "less"


def draw_sensitivity(before: float, difference: float, low: float, high: float) -> Figure:
    """Which changes of a classifier's error rates would by themselves make the difference of loneliness.

    before: P(lonely) on average before, taken for the true share: see `explained_by`.
    """
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    panel = figure.subplots()
    reach = 100 * min(1.0, max(0.02, 1.5 * max(abs(low), abs(high)) / max(before, 1 - before)))
    drift = np.linspace(-reach, reach, 50)
    lines = [(100 * x - (1 - before) * drift) / before for x in (low, difference, high)]
    panel.fill_between(drift, lines[0], lines[2], color=ORANGE, alpha=0.2, linewidth=0)
    panel.plot(drift, lines[1], color=ORANGE, linewidth=1.8)
    panel.plot(0, 0, "o", color=BLUE)
    panel.annotate(
        "no drift", (0, 0), xytext=(5, 5), textcoords="offset points", color=BLUE, fontsize=9
    )
    panel.set_ylim(-min(2 * reach, 100), min(2 * reach, 100))
    panel.set_xlabel("change of the rate of false positives, percentage points", fontsize=9)
    panel.set_ylabel("change of sensitivity, percentage points", fontsize=9)
    figure.supxlabel(
        "On the line the whole difference would be the classifier's; in the band, within its 95 % interval.",
        x=0.01, ha="left", **_NOTE,
    )  # fmt: skip
    _dress(panel, axis="both")
    return figure


def _dress(panel: Axes, axis: Any) -> None:
    panel.grid(axis=axis, color="#e4e4e4", linewidth=0.7)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=9)
