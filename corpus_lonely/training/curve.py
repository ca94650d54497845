"""The training curve: losses and the dev score by epoch."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREEN = "#0072B2", "#D55E00", "#009E73"  # Okabe-Ito: told apart by all eyes


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
    right.set(xlabel="Epoch", ylabel="Score (mean of five groups)", title="Dev score")
    right.legend(frameon=False, loc="lower right")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
