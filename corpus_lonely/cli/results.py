"""Evaluation results as the paper's tables are laid out."""

from collections.abc import Iterable

from rich.table import Table

from corpus_lonely.metrics import BINARY_METRICS, DISTRIBUTION_METRICS, LOWER_IS_BETTER
from corpus_lonely.training.evaluate import Evaluation
from corpus_lonely.training.experiment.tables import HEADINGS

_HEADS = {**HEADINGS, "intersection": "Intersec."}  # a terminal is narrow


def result_tables(evaluation: Evaluation) -> list[Table]:
    """Table 3 for the root, then table 4's columns for each category; baselines and floors beside."""
    return [
        _table(evaluation, group, BINARY_METRICS, "binary, as the paper's table 3")
        if "f1" in found
        else _table(
            evaluation, group, DISTRIBUTION_METRICS, "as the paper's table 4, with KL and JS"
        )
        for group, found in evaluation.results.items()
    ]


def _table(evaluation: Evaluation, group: str, names: Iterable[str], layout: str) -> Table:
    names = list(names)
    table = Table(title=f"{group} ({layout})", title_justify="left", title_style="bold")
    table.add_column("")
    for name in names:
        arrow = "↓" if name in LOWER_IS_BETTER else "↑"
        table.add_column(f"{_HEADS[name]} {arrow}", justify="right")
    table.add_row("This model", *_cells(evaluation.results[group], names), style="bold")
    for baseline, results in evaluation.baselines.items():
        if group in results:
            table.add_row(f"Baseline: {baseline}", *_cells(results[group], names))
    if group in evaluation.floors:
        table.add_row("Best of any softmax", *_cells(evaluation.floors[group], names), style="dim")
    return table


def _cells(results: dict[str, float], names: Iterable[str]) -> list[str]:
    return [f"{results[name]:.4f}" if name in results else "" for name in names]
