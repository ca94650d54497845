"""Tables of an experiment in the paper's layout, as Markdown, CSV and LaTeX."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from corpus_lonely.metrics import LOWER_IS_BETTER
from corpus_lonely.training.experiment.compare import Difference

HEADINGS = {
    "accuracy": "Acc.",
    "precision": "Precis.",
    "recall": "Rec.",
    "f1": "F1",
    "clark": "Clark",
    "canberra": "Canberra",
    "cosine": "Cosine",
    "intersection": "Intersection",
    "kl": "KL",
    "js": "JS",
}
Cell = tuple[float, float]
"""Mean and standard deviation; no deviation is NaN."""


def labelled(name: str, *notes: str) -> str:
    """A name with notes behind it, as far as there are some."""
    told = "; ".join(note for note in notes if note)
    return f"{name} ({told})" if told else name


@dataclass(frozen=True)
class Row:
    """One system, or one line of the paper's."""

    name: str
    cells: dict[str, Cell]
    """Metric to what is printed; what is missing is left empty."""
    ours: bool = True
    note: str = ""
    """Printed behind the name."""

    @property
    def competes(self) -> bool:
        """Whether it may have the bold figure of a column: one run may be best by luck."""
        return self.ours and not all(math.isnan(deviation) for _, deviation in self.cells.values())

    @property
    def label(self) -> str:
        """The name as it is printed."""
        return labelled(self.name, self.note)


@dataclass(frozen=True)
class Block:
    """The rows of one group."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """Blocks under the same columns."""

    caption: str
    columns: tuple[str, ...]
    """Names of metrics."""
    blocks: tuple[Block, ...]


def markdown(table: Table) -> str:
    """For a page; the best of our own rows of several seeds is bold in each column."""
    heads = [_heading(name) for name in table.columns]
    lines = [f"## {table.caption}", ""]
    for block in table.blocks:
        best = _best(block, table.columns)
        lines += [_pipe([block.title, *heads]), _pipe(["---", *["---:"] * len(heads)])]
        for row in block.rows:
            cells = [_cell(row, name, best, "**{}**", " ± ") for name in table.columns]
            lines.append(_pipe([row.label, *cells]))
        lines.append("")
    return "\n".join(lines)


def latex(table: Table, label: str) -> str:
    """A `table` environment a block: one of all would be longer than a page.

    label: begins the names for `ref`; the block's title follows.
    """
    head = "% needs \\usepackage{booktabs} and \\usepackage{graphicx} in the preamble"
    return "\n".join([head, *(_latex_block(table, block, label) for block in table.blocks)])


def _latex_block(table: Table, block: Block, label: str) -> str:
    arrows = [
        r"$\downarrow$" if name in LOWER_IS_BETTER else r"$\uparrow$" for name in table.columns
    ]
    heads = [f"{HEADINGS[name]} {arrow}" for name, arrow in zip(table.columns, arrows, strict=True)]
    best = _best(block, table.columns)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escape(f'{block.title}: {table.caption}')}}}",
        rf"\label{{{label}-{block.title.lower()}}}",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * len(heads)}}}",
        r"\toprule",
        " & ".join([_escape(block.title), *heads]) + r" \\",
        r"\midrule",
    ]
    for row in block.rows:
        cells = [_cell(row, name, best, r"\textbf{{{}}}", r" $\pm$ ") for name in table.columns]
        lines.append(" & ".join([_escape(row.label), *cells]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}}", r"\end{table}", ""]
    return "\n".join(lines)


def tidy(table: Table) -> str:
    """CSV, a line a figure: group, system, whose, note, metric, mean, deviation."""
    lines = [
        [
            *(block.title.lower(), row.name, "ours" if row.ours else "other", row.note, metric),
            *map(_plain, cell),
        ]
        for block in table.blocks
        for row in block.rows
        for metric, cell in row.cells.items()
    ]
    return comma_separated(("group", "system", "whose", "note", "metric", "mean", "sd"), lines)


def one_block(title: str, rows: dict[str, list[Difference]], columns: Sequence[str]) -> str:
    """A table of differences; those that leave 0 out are bold.

    rows: what is printed in front, to its differences, of whatever groups; each has the metrics it has.
    """
    known = {entry.metric for entries in rows.values() for entry in entries}
    shown = [name for name in columns if name in known]
    lines = [_pipe([title, *map(_heading, shown)])]
    lines += [_pipe(["---", *["---:"] * len(shown)])]
    for name, entries in rows.items():
        cells = {entry.metric: _difference(entry) for entry in entries}
        lines.append(_pipe([_over(name, entries), *(cells.get(metric, "") for metric in shown)]))
    return "\n".join([*lines, ""])


def _over(name: str, entries: Sequence[Difference]) -> str:
    """The name, and what its intervals are over where seeds are not in them."""
    if all(entry.over_seeds for entry in entries):
        return name
    if name.endswith(")"):
        return f"{name[:-1]}; over posts alone)"
    return labelled(name, "over posts alone")


def differences_csv(rows: dict[str, list[Difference]]) -> str:
    """CSV, a line a difference."""
    lines = [
        [
            *(e.group, system, e.metric, *map(_plain, (e.value, e.low, e.high))),
            "posts and seeds" if e.over_seeds else "posts",
        ]
        for system, entries in rows.items()
        for e in entries
    ]
    heads = ("group", "system", "metric", "difference", "low", "high", "interval_over")
    return comma_separated(heads, lines)


def comma_separated(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """CSV with a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(lines)
    return out.getvalue()


def _heading(metric: str) -> str:
    """With the direction that is better; of a difference too."""
    return f"{HEADINGS[metric]} {'↓' if metric in LOWER_IS_BETTER else '↑'}"


def _best(block: Block, columns: Sequence[str]) -> dict[str, str]:
    """The best figure of the rows that compete, as it is printed; none where one row has no rival."""
    ours = [row for row in block.rows if row.competes]
    best = {}
    for name in columns if len(ours) > 1 else ():
        values = [row.cells[name][0] for row in ours if name in row.cells]
        if values:
            best[name] = _figure(min(values) if name in LOWER_IS_BETTER else max(values))
    return best


def _cell(row: Row, name: str, best: dict[str, str], bold: str, between: str) -> str:
    if name not in row.cells:
        return ""
    mean, deviation = row.cells[name]
    shown = _figure(mean)
    if row.competes and best.get(name) == shown:
        shown = bold.format(shown)
    return shown if math.isnan(deviation) else f"{shown}{between}{_figure(deviation)}"


def _difference(entry: Difference) -> str:
    if math.isnan(entry.value):
        return "none"
    shown = f"{entry.value:+.4f}"
    return f"{f'**{shown}**' if entry.clear else shown} [{entry.low:+.4f}, {entry.high:+.4f}]"


def _figure(value: float) -> str:
    return f"{value:.4f}"


def _plain(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def _pipe(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


_LATEX = str.maketrans(
    {sign: f"\\{sign}" for sign in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
)


def _escape(text: str) -> str:
    return text.translate(_LATEX)
