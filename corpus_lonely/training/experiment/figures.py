"""Figures of an experiment: learning curves and transfer; `training/curve.py` draws the weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from corpus_lonely.training.curve import LINES, STYLES

_FULL = 0.02
"""Above or below a column's mean by so much is the full colour: a few times what another seed changes."""
History = list[dict[str, Any]]


def draw_learning(
    histories: Mapping[str, Sequence[History]], losses: Mapping[str, str], path: Path
) -> None:
    """Loss and score on dev by epoch, a line a system: its mean over the seeds, as far as all of them went.

    losses: by system, what its loss is called; losses that differ have axes of their own.
    """
    panels = list(dict.fromkeys(losses[system] for system in histories))
    figure = Figure(figsize=(4.8 * (len(panels) + 1), 4.6), layout="constrained")
    *on_losses, on_score = figure.subplots(1, len(panels) + 1)
    axes_of = dict(zip(panels, on_losses, strict=True))
    for place, (system, runs) in enumerate(histories.items()):
        look: dict[str, Any] = {
            "color": LINES[place % len(LINES)],
            "linestyle": STYLES[(place // len(LINES)) % len(STYLES)],
            "marker": ".",
        }
        axes_of[losses[system]].plot(*_evaluations(runs, "eval_loss"), **look)
        on_score.plot(*_evaluations(runs, "eval_selection"), label=system, **look)
    for loss, axes in axes_of.items():
        axes.set(ylabel=loss, title="Dev loss")
    on_score.set(ylabel="Mean of the groups learnt", title="Dev score")
    for axes in (*on_losses, on_score):
        axes.set_xlabel("Epoch (as far as all seeds of a system went)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _plain(axes)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    figure.savefig(path, dpi=150)


def draw_transfer(rows: Mapping[str, Mapping[str, float]], path: Path, split: str) -> None:
    """A field for each group, by what was learnt beside it: its score, coloured by column.

    The colours are the same in every figure, so that chance does not look like much.
    """
    groups = list(next(iter(rows.values())))
    values = np.array([[row.get(group, np.nan) for group in groups] for row in rows.values()])
    shade = values - np.nanmean(values, axis=0)
    figure = Figure(figsize=(1.4 * len(groups) + 3, 0.5 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shade, cmap="PuOr", vmin=-_FULL, vmax=_FULL, aspect="auto")
    axes.set_xticks(range(len(groups)), groups)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_title(f"Score of a group on {split}, by what was learnt", loc="left")
    for y, x in np.ndindex(*values.shape):
        if np.isfinite(values[y, x]):
            color = "white" if abs(shade[y, x]) > 0.6 * _FULL else "black"
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
