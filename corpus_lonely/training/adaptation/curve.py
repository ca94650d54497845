"""The curve of an adaptation: training loss, and perplexity on held-out posts."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from corpus_lonely.training.curve import LINES

_BLUE, _GREEN = LINES[0], LINES[2]


def draw_adaptation(history: list[dict[str, Any]], path: Path) -> None:
    """Draws the Trainer's log history, the measurement before the first step included, into a PNG file."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [entry for entry in history if "loss" in entry]
    left.plot([entry["epoch"] for entry in steps], [entry["loss"] for entry in steps], color=_BLUE)
    left.set(xlabel="Epoch", ylabel="Loss (nats per masked token)", title="Training loss")
    measured = [entry for entry in history if "eval_perplexity" in entry]
    right.plot(
        [entry["epoch"] for entry in measured],
        [entry["eval_perplexity"] for entry in measured],
        "o-",
        color=_GREEN,
    )
    right.set(xlabel="Epoch", ylabel="Perplexity", title="Posts not learnt from")
    right.set_yscale("log")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
