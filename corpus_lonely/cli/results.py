"""Evaluation results as the paper's tables are laid out."""

from collections.abc import Iterable

from rich.table import Table

from corpus_lonely.metrics import BINARY_METRICS, DISTRIBUTION_METRICS, LOWER_IS_BETTER
from corpus_lonely.training.evaluate import Evaluation

_HEADS = {
    "accuracy": "Acc.",
    "precision": "Precis.",
    "recall": "Rec.",
    "f1": "F1",
    "clark": "Clark",
    "canberra": "Canberra",
    "cosine": "Cosine",
    "intersection": "Intersec.",
    "kl": "KL",
    "js": "JS",
}


def result_tables(evaluation: Evaluation) -> list[Table]:
    """Table 3 for the root, then table 4's columns for each category; baselines and floors beside."""
    root, *categories = evaluation.results
    tables = [_table(evaluation, root, BINARY_METRICS, "binary, as the paper's table 3")]
    tables += [
        _table(evaluation, name, DISTRIBUTION_METRICS, "as the paper's table 4, with KL and JS")
        for name in categories
    ]
    return tables


def _table(evaluation: Evaluation, group: str, names: Iterable[str], layout: str) -> Table:
    names = list(names)
    table = Table(title=f"{group} ({layout})", title_justify="left", title_style="bold")
    table.add_column("")
    for name in names:
        arrow = "↓" if name in LOWER_IS_BETTER else "↑"
        table.add_column(f"{_HEADS[name]} {arrow}", justify="right")
    table.add_row("This model", *_cells(evaluation.results[group], names), style="bold")
    for baseline, results in evaluation.baselines.items():
        table.add_row(f"Baseline: {baseline}", *_cells(results[group], names))
    if group in evaluation.floors:
        table.add_row("Best of any softmax", *_cells(evaluation.floors[group], names), style="dim")
    return table


def _cells(results: dict[str, float], names: Iterable[str]) -> list[str]:
    return [f"{results[name]:.4f}" if name in results else "" for name in names]
