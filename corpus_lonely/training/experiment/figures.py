"""Figures of an experiment: learning curves and transfer; `training/curve.py` draws the weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from corpus_lonely.training.curve import LINES, STYLES

History = list[dict[str, Any]]


def draw_learning(histories: Mapping[str, Sequence[History]], path: Path) -> None:
    """Loss and score on dev by epoch, a line a system, its mean over the seeds."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, (system, runs) in enumerate(histories.items()):
        look: dict[str, Any] = {
            "color": LINES[place % len(LINES)],
            "linestyle": STYLES[(place // len(LINES)) % len(STYLES)],
            "marker": ".",
        }
        for axes, key in ((left, "eval_loss"), (right, "eval_selection")):
            epochs, values = _evaluations(runs, key)
            axes.plot(epochs, values, label=system, **look)
    left.set(xlabel="Epoch", ylabel="Loss, eq. 1", title="Dev loss")
    right.set(xlabel="Epoch", ylabel="Mean of five groups", title="Dev score")
    for axes in (left, right):
        _plain(axes)
    right.legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=150)


def draw_transfer(rows: dict[str, dict[str, float]], path: Path) -> None:
    """A field for each group, by what was learnt beside it: its score, coloured by column."""
    groups = list(next(iter(rows.values())))
    values = np.array([[row.get(group, np.nan) for group in groups] for row in rows.values()])
    shade = values - np.nanmean(values, axis=0)
    limit = max(float(np.nanmax(np.abs(shade))), 1e-9)
    figure = Figure(figsize=(1.4 * len(groups) + 3, 0.5 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shade, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
    axes.set_xticks(range(len(groups)), groups)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_title("Dev score of a group, by what was learnt", loc="left")
    for y, x in np.ndindex(*values.shape):
        if np.isfinite(values[y, x]):
            color = "white" if abs(shade[y, x]) > 0.6 * limit else "black"
            axes.text(x, y, f"{values[y, x]:.3f}", ha="center", va="center", color=color)
    figure.savefig(path, dpi=150)


def _evaluations(runs: Sequence[History], key: str) -> tuple[list[float], list[float]]:
    by_epoch: dict[float, list[float]] = {}
    for history in runs:
        for entry in history:
            if key in entry:
                by_epoch.setdefault(entry["epoch"], []).append(entry[key])
    whole = {epoch: found for epoch, found in by_epoch.items() if len(found) == len(runs)}
    return list(whole), [float(np.mean(found)) for found in whole.values()]


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
