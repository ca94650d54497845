"""The course of training as figures: losses, the dev score, and the weights of the losses."""

# E entries of a log, S seeds

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Okabe-Ito: told apart by all eyes
_BLUE, _ORANGE, _GREEN, _PINK, _SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
LINES = (_BLUE, _ORANGE, _GREEN, _PINK, _SKY)
STYLES = ("-", "--", "-.", ":", (0, (5, 1)))
PANELS = {
    "global": r"Global losses, $\Gamma_G$",
    "local": r"Local losses, $\Gamma_L$",
    "heads": r"Global and local, $\Lambda$",
    "flat": r"Losses, $\Gamma$",
    "groups": "Losses of the groups",
}
WEIGHT = "weight."
"""Begins the names under which weights stand in the log history: `weight.global.lonely`."""


def draw_curve(history: list[dict[str, Any]], path: Path) -> None:
    """Draws the Trainer's log history into a PNG file."""
    steps = [entry for entry in history if "loss" in entry]
    evaluations = [entry for entry in history if "eval_loss" in entry]
    epochs = [entry["epoch"] for entry in evaluations]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(
        [entry["epoch"] for entry in steps],
        [entry["loss"] for entry in steps],
        color=_BLUE,
        alpha=0.6,
        label="train",
    )
    left.plot(
        epochs, [entry["eval_loss"] for entry in evaluations], "o-", color=_ORANGE, label="dev"
    )
    left.set(xlabel="Epoch", ylabel="Loss (nats)", title="Loss")
    left.legend(frameon=False)
    scores = [entry["eval_selection"] for entry in evaluations]
    right.plot(epochs, scores, "o-", color=_GREEN)
    best = max(range(len(scores)), key=scores.__getitem__)
    right.plot(epochs[best], scores[best], "o", color=_ORANGE, markersize=9, label="best, kept")
    right.set(xlabel="Epoch", ylabel=f"Score ({_judged(evaluations[0])})", title="Dev score")
    right.legend(frameon=False, loc="lower right")
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def _judged(evaluation: dict[str, Any]) -> str:
    """What a score is of."""
    names = [key.removeprefix("eval_").partition(".")[0] for key in evaluation if "." in key]
    groups = list(dict.fromkeys(names))
    return groups[0] if len(groups) == 1 else f"mean of {len(groups)} groups"


def weight_panels(history: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Panel to what is weighed to its shares, one for each entry of the history that has weights."""
    panels: dict[str, dict[str, list[float]]] = {}
    for entry in history:
        for key, share in entry.items():
            if key.startswith(WEIGHT):
                panel, _, name = key.removeprefix(WEIGHT).partition(".")
                panels.setdefault(panel, {}).setdefault(name, []).append(share)
    return panels


def weight_epochs(history: list[dict[str, Any]]) -> list[float]:
    """When the shares of `weight_panels` were told."""
    return [entry["epoch"] for entry in history if any(key.startswith(WEIGHT) for key in entry)]


def draw_weights(histories: Sequence[list[dict[str, Any]]], path: Path, title: str = "") -> None:
    """Draws the weights of the losses over training, as Jiang's figure 4; nothing where none change.

    Of several runs the mean, and a band from the least to the greatest.
    """
    courses = [weight_panels(history) for history in histories]
    panels = courses[0]
    if not panels:
        return
    shortest = min(len(weight_epochs(history)) for history in histories)  # patience ends runs apart
    epochs = weight_epochs(histories[0])[:shortest]
    figure = Figure(figsize=(0.6 + 3.4 * len(panels), 3.4), layout="constrained")
    every = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, panel in zip(every, panels, strict=True):
        for name, color, style in zip(panels[panel], LINES, STYLES, strict=False):
            shares_SE = np.array([course[panel][name][:shortest] for course in courses])
            axes.plot(epochs, shares_SE.mean(axis=0), color=color, linestyle=style, label=name)
            axes.fill_between(
                epochs, shares_SE.min(axis=0), shares_SE.max(axis=0), color=color, alpha=0.15, lw=0
            )
        axes.set(xlabel="Epoch", title=PANELS.get(panel, panel), ylim=(0, 1))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    every[0].set_ylabel("Weight (shares)")
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    figure.savefig(path, dpi=150)
