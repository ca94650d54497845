"""The command `corpus-lonely demo`."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from corpus_lonely.cli.options import FOLDER, common
from corpus_lonely.cli.progress import TerminalProgress

if TYPE_CHECKING:
    from rich.table import Table

    from corpus_lonely.demo.run import DemoReport

_EPILOG = """\b
Example:
  corpus-lonely demo --out demo/
"""

_BRING = """What you must bring, for we cannot ship it:
- Posts: Reddit dumps (Arctic Shift or Academic Torrents have them), for `corpus-lonely ingest dump`.
- Labels: FIG-Loneliness, which comes under its own licence (CC BY-NC 4.0), for `corpus-lonely train`;
  a model trained on it inherits that licence. The demo's model has read synthetic posts alone: it knows
  nothing about people, and its scores mean nothing outside this demo."""


@click.command(epilog=_EPILOG)
@click.option("--out", type=FOLDER, default=Path("demo"), help="The folder for everything made.")
@click.option("--seed", type=int, default=2, help="Another seed, another corpus.")
@click.option("--submissions", type=int, default=6000, help="Posts to make.")
@click.option("--comments", type=int, default=3000, help="Comments to make.")
@click.option("--authors", type=int, default=700, help="People who write them.")
@click.option("--labelled", type=int, default=6000, help="Labelled posts to train on.")
@click.option("--epochs", type=int, default=14, help="Training epochs.")
@click.option("--workers", type=int, default=2, help="Dask worker processes that score.")
@common
def demo(
    out: Path,
    seed: int,
    submissions: int,
    comments: int,
    authors: int,
    labelled: int,
    epochs: int,
    workers: int,
) -> None:
    """See it all work, on synthetic posts.

    No network, no GPU, no data of anyone's. A corpus in Reddit's dump format is made with a change
    planted at 2020-03-11; the pipeline then has to find it. Some minutes on two cores.
    """
    from rich.console import Console

    from corpus_lonely.demo.run import DemoSettings, run_demo

    settings = DemoSettings(out, seed, submissions, comments, authors, labelled, epochs, workers)
    with TerminalProgress() as progress:
        report = run_demo(settings, progress)
    console = Console(width=None if Console().is_terminal else 110)
    console.print(_summary(report), markup=False, highlight=False)
    console.print(_truth_table(report))
    console.print(_closing(report), markup=False, highlight=False, soft_wrap=True)


def _summary(report: "DemoReport") -> str:
    ingested, results = report.ingested, report.evaluation.results
    dropped = ", ".join(f"{count} {reason}" for reason, count in ingested.dropped.items())
    return (
        f"\nIngest: {ingested.read:,} lines read = {ingested.kept:,} kept + "
        f"{ingested.read - ingested.kept:,} dropped ({dropped}).\n"
        f"Model: F1 {results['lonely']['f1']:.3f} on unseen synthetic posts.\n"
        f"Scores: {report.scored.counts.rows:,} posts.\n"
    )


def _truth_table(report: "DemoReport") -> "Table":
    from rich.table import Table

    found = {
        row["label"] if row["group"] == "lonely" else f"{row['group']}_{row['label']}": row
        for row in report.study.periods.iter_rows(named=True)
        if row["measure"] in ("mean_probability", "share_of_lonely")
    }
    truth = report.truth
    table = Table(title="The planted change, and what was found", title_justify="left")
    for head in ("", "planted", "found", "95 % interval", ""):
        table.add_column(head, justify="left" if not head else "right")
    for column in truth.before:
        row = found[column]
        planted = truth.after[column] - truth.before[column]
        low, high = row["difference_low"], row["difference_high"]
        known = low is not None and high is not None
        table.add_row(
            column,
            _points(planted) if planted else "-",
            _points(row["difference"]),
            f"{_points(low)} to {_points(high)}" if known else "-",
            _verdict(planted, row["difference"], low, high) if known else "",
            style="bold" if planted else "dim",
        )
    return table


def _verdict(planted: float, difference: float, low: float, high: float) -> str:
    clear = not low <= 0 <= high
    return {
        (True, True): "found" if planted * difference > 0 else "wrong sign",
        (True, False): "missed",
        (False, True): "moved, by chance or by the model's errors",
        (False, False): "",
    }[bool(planted), clear]


def _command() -> str:
    # after `make demo` the command lies in .venv, which nobody has activated yet
    return "corpus-lonely" if shutil.which("corpus-lonely") else sys.argv[0]


def _points(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:+.1f}"


def _closing(report: "DemoReport") -> str:
    folder = report.folder
    return (
        "Differences after less before, in percentage points: of all posts for `lonely`, of lonely posts "
        "for the labels.\nA model's scores move less than the truth, for it errs; and one flat label in "
        "twenty moves by chance.\n\n"
        f"{_BRING}\n\n"
        f"Made in {folder}/: dumps/, labels/, posts/, model/, scores/, report/ (open "
        f"{folder / 'report' / 'report.html'}). Next:\n"
        f"  {_command()} study --scores {folder / 'scores'} --cut 2020-03-11 --out another-report/"
    )
